//! Edits of a query, compiled: which parameters go, and which are written behind what is left.
//!
//! A parameter has the name that a service would decode (`%XX`, and `+` as a space), so that none passes in disguise.
//! Some services end a parameter at a `;` too: what they would find is looked for, and goes, as what others find.
//! What stays is as it came, byte for byte and in its order. What is written is percent-encoded but for unreserved
//! characters (RFC 3986, section 2.3): whatever a value is, it is the value of its one parameter. Pure.

use percent_encoding::percent_encode;

use crate::config::settings::header_edits::ValuePiece;
use crate::config::settings::query_edits::{self as settings, Parameter};
use crate::query::{RESERVED, decodes_to};

/// The edits of a route.
#[derive(Debug)]
pub struct QueryEdits {
    /// What alone passes; `None` = everything.
    keep: Option<Box<[Box<str>]>>,
    /// What is removed, and what is replaced.
    gone: Box<[Box<str>]>,
    /// What is set, then what is added.
    lines: Box<[Line]>,
}

/// A parameter that is written.
#[derive(Debug)]
struct Line {
    /// Its name with its `=`, as it is sent.
    begun: Box<str>,
    value: Box<[ValuePiece]>,
    /// Its value is made for each request, and is not sent where it comes out empty.
    is_made: bool,
}

impl QueryEdits {
    /// Compiles them; `None` where there is nothing to do.
    pub fn new(settings: &settings::QueryEdits) -> Option<Box<Self>> {
        if settings.is_empty() {
            return None;
        }
        let line = |one: &Parameter| Line {
            begun: format!("{}=", percent_encode(one.name.as_bytes(), RESERVED)).into(),
            value: one.value.clone(),
            is_made: one.is_made(),
        };
        Some(Box::new(Self {
            keep: settings.keep.clone().map(Into::into),
            gone: settings.remove.iter().chain(settings.set.iter().map(|one| &one.name)).cloned().collect(),
            lines: settings.set.iter().chain(&settings.add).map(line).collect(),
        }))
    }

    /// The query that is sent in place of this one; `None` where nothing is left of it. `write` tells the pieces of
    /// values that are no literals, as text that is not encoded.
    pub fn apply(&self, query: Option<&str>, mut write: impl FnMut(&ValuePiece, &mut Vec<u8>)) -> Option<String> {
        let mut sent = query.and_then(|query| self.left(query));
        let mut value = Vec::new();
        for line in &self.lines {
            value.clear();
            for piece in &line.value {
                match piece {
                    ValuePiece::Literal(text) => value.extend_from_slice(text.as_bytes()),
                    made => write(made, &mut value),
                }
            }
            if line.is_made && value.is_empty() {
                continue;
            }
            let sent = sent.get_or_insert_default();
            if !sent.is_empty() {
                sent.push('&');
            }
            sent.push_str(&line.begun);
            sent.extend(percent_encode(&value, RESERVED));
        }
        sent
    }

    /// What of a query stays; `None` where something was there, and nothing is left.
    fn left(&self, query: &str) -> Option<String> {
        let mut left = String::with_capacity(query.len() + 64);
        // The sign before the next parameter, and whether one stands before that.
        let (mut sign, mut is_behind, mut rest) = (None, false, query);
        loop {
            let end = memchr::memchr2(b'&', b';', rest.as_bytes()).unwrap_or(rest.len());
            let (parameter, behind) = rest.split_at(end);
            if self.stays(parameter) {
                left.extend(sign.take().filter(|_| is_behind));
                left.push_str(parameter);
                is_behind = true;
            }
            // Of two around one that goes, the one that all services take for an end.
            let next = behind.chars().next();
            match next {
                None => return Some(left).filter(|left| !left.is_empty() || query.is_empty()),
                Some(_) if sign == Some('&') => {}
                Some(_) => sign = next,
            }
            rest = &behind[1..];
        }
    }

    fn stays(&self, parameter: &str) -> bool {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        let is_among = |names: &[Box<str>]| names.iter().any(|one| decodes_to(name, one));
        self.keep.as_deref().is_none_or(is_among) && !is_among(&self.gone)
    }
}

#[cfg(test)]
mod tests;
