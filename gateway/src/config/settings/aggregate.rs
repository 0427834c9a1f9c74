//! `[[aggregates]]`: what an answer is put together of.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderName;

use super::route::Route;
use super::target;

/// The calls of one of `[[aggregates]]`.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// The largest answer, bytes.
    pub max_response: u64,
    /// The calls, in the order of the document. At least one; names are unique; none waits for itself.
    pub parts: Vec<Part>,
}

/// One call and its place in the document.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its key in the document.
    pub name: Arc<str>,
    /// How it is called: a route to its upstream that no request matches.
    pub route: Arc<Route>,
    /// What is called.
    pub call: Vec<CallPiece>,
    /// The same as the file has it, where variables stand by their names.
    pub written: Box<str>,
    /// Without it the whole answer fails.
    pub required: bool,
    /// The JSON that stands in for it; `None` = `null` does.
    pub fallback: Option<Bytes>,
}

/// A piece of what is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallPiece {
    /// Copied as it is. The first `?` in one begins the query.
    Literal(String),
    /// The value of this parameter of the aggregate's path.
    Param(String),
    /// The values of this parameter of the client's query: the whole value of a parameter of the call's query, which is
    /// there as often as the client wrote it.
    Query(String),
    /// A value from another part's answer: that part's number, and the names that lead to the value.
    Value(usize, Vec<String>),
}

impl Part {
    /// The numbers of the parts that it needs.
    pub fn needs(&self) -> impl Iterator<Item = usize> {
        self.call.iter().filter_map(|piece| if let CallPiece::Value(part, _) = piece { Some(*part) } else { None })
    }
}

impl Aggregate {
    /// The parameters of the client's query that calls are made with, each with the parts that get it.
    pub fn query_parameters(&self) -> Vec<(&str, Vec<&str>)> {
        let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
        for part in &self.parts {
            for piece in &part.call {
                let CallPiece::Query(name) = piece else { continue };
                match all.iter_mut().find(|(known, _)| known == name) {
                    Some((_, parts)) if parts.last() == Some(&&*part.name) => {}
                    Some((_, parts)) => parts.push(&part.name),
                    None => all.push((name, vec![&part.name])),
                }
            }
        }
        all
    }

    /// Each part in a line, for people.
    pub fn described(&self) -> Vec<String> {
        self.parts.iter().map(describe).collect()
    }
}

fn describe(part: &Part) -> String {
    let mut text = format!("{}: GET {}", part.name, target::as_written(&part.written));
    text.push_str(&format!(" of {}, {}", part.route.upstream, if part.required { "required" } else { "optional" }));
    let edits = &part.route.request_headers;
    let (set, added): (Vec<_>, Vec<_>) = (edits.names_set().collect(), edits.names_added().collect());
    for (what, names) in [("sets", set), ("adds", added), ("without", edits.remove.iter().collect())] {
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().map(HeaderName::as_str).collect();
            text.push_str(&format!(", {what} {}", names.join(" and ")));
        }
    }
    if let Some(timeout) = part.route.timeout {
        text.push_str(&format!(", within {timeout:?}"));
    }
    if let Some(fallback) = &part.fallback {
        text.push_str(&format!(", else {} bytes of JSON", fallback.len()));
    }
    text
}
