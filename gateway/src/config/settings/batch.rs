//! `[[batches]]`: which requests become one call, and how its answer is taken apart.

use std::time::Duration;

use http::Method;

use super::target;

/// One of `[[batches]]`.
#[derive(Debug, Clone)]
pub struct Batch {
    /// How long requests are gathered; zero = each is sent at once.
    pub window: Duration,
    /// How many items are asked for at once; at least 1.
    pub max_size: usize,
    /// What is gathered is sent as soon as no call is under way.
    pub adaptive: bool,
    /// Requests of different subjects may share a call, which then carries no subject.
    pub across_subjects: bool,
    /// The largest answer, bytes.
    pub max_response: u64,
    /// The parameter of the path that is an item's id.
    pub id: String,
    /// The ids are sent as numbers.
    pub numbers: bool,
    /// The call's method.
    pub method: Method,
    /// What is called.
    pub call: Vec<BatchPiece>,
    /// The same as the file has it, where variables stand by their names.
    pub written: Box<str>,
    /// The call's body, JSON; empty = it has none.
    pub body: Vec<BatchPiece>,
    /// The names that lead to the answer's items.
    pub items: Vec<String>,
    /// The names that lead to the id in an item.
    pub key: Vec<String>,
}

/// A piece of what is called, or of its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchPiece {
    /// Copied as it is. The first `?` of a call begins the query.
    Literal(String),
    /// The ids.
    Ids,
    /// The value of this parameter of the batch's path.
    Param(String),
}

impl Batch {
    /// Each rule in a line, for people.
    pub fn described(&self) -> Vec<String> {
        let mut how = if self.window.is_zero() || self.max_size == 1 {
            "each request is a call of its own".to_owned()
        } else {
            format!("up to {} items within {:?} are one call", self.max_size, self.window)
        };
        if self.adaptive && !self.window.is_zero() {
            how.push_str(", at once while none is under way");
        }
        how.push_str(if self.across_subjects { "; of all subjects together" } else { "; of one subject" });
        let shown = |pieces: &[BatchPiece]| pieces.iter().map(ToString::to_string).collect::<String>();
        let mut call = format!("{} {}", self.method, target::shown(&self.written));
        if !self.body.is_empty() {
            call.push_str(&format!(" with {}", target::shown_body(&shown(&self.body))));
        }
        let pointer = |names: &[String]| names.iter().map(|name| format!("/{name}")).collect::<String>();
        let items = if self.items.is_empty() { "the answer itself".to_owned() } else { pointer(&self.items) };
        let answer = format!("items at {items}, their ids at {}", pointer(&self.key));
        vec![how, call, answer]
    }
}

impl std::fmt::Display for BatchPiece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Ids => f.write_str("{ids}"),
            Self::Param(name) => write!(f, "{{{name}}}"),
        }
    }
}
