//! One span as plain data: what happened between two times, and under which other span.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

/// A span's id; all zeros are none (W3C Trace Context).
pub type SpanId = NonZeroU64;

/// The longest text of an attribute, bytes: a client chooses how long a path is.
const MOST_TEXT: usize = 512;

/// Which side of what a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work within the gateway.
    Internal,
    /// A request that was served.
    Server,
    /// A call that was made.
    Client,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One of few texts.
    Fixed(&'static str),
    /// A name of the configuration.
    Name(Arc<str>),
    /// Any text.
    Text(Box<str>),
    /// A whole number.
    Number(i64),
}

/// A name of OpenTelemetry's conventions, or one that begins with `gateway.`, and what it says.
pub type Attribute = (&'static str, Value);

/// A span.
#[derive(Debug, Clone)]
pub struct Span {
    /// Its id.
    pub id: SpanId,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// That one is another process's.
    pub parent_is_remote: bool,
    /// Which side it is.
    pub kind: Kind,
    /// Its name: of few, however many clients and paths there are.
    pub name: Value,
    /// When it began.
    pub began: Instant,
    /// When it ended; `None` while it has not.
    pub ended: Option<Instant>,
    /// What it is about went wrong.
    pub failed: bool,
    /// What is known of it.
    pub attributes: Vec<Attribute>,
    /// Work of another trace that it waited for.
    pub link: Option<Link>,
}

/// A span of another trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span in it.
    pub span: SpanId,
}

impl Span {
    /// One that has just begun.
    pub fn new(kind: Kind, name: Value, id: SpanId, parent: Option<SpanId>, began: Instant) -> Self {
        let attributes = Vec::with_capacity(8);
        Self {
            id,
            parent,
            parent_is_remote: false,
            kind,
            name,
            began,
            ended: None,
            failed: false,
            attributes,
            link: None,
        }
    }
}

impl Value {
    /// Text that came from elsewhere, cut where it is long.
    pub fn text(text: &str) -> Self {
        let end = (0..=text.len().min(MOST_TEXT)).rev().find(|end| text.is_char_boundary(*end));
        Self::Text(text[..end.unwrap_or(0)].into())
    }

    /// A number, as far as it can be told.
    pub fn number(number: impl TryInto<i64>) -> Self {
        Self::Number(number.try_into().unwrap_or(i64::MAX))
    }

    /// Its text; `None` where it is a number.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Name(text) => Some(text),
            Self::Text(text) => Some(text),
            Self::Number(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_whole_characters_stay_whole() {
        let long = "é".repeat(MOST_TEXT);
        assert_eq!(Value::text(&long).as_str().unwrap().len(), MOST_TEXT);
        assert_eq!(Value::text(&format!("x{long}")).as_str().unwrap().len(), MOST_TEXT - 1);
        assert_eq!(Value::text("short").as_str(), Some("short"));
        assert_eq!((Value::number(7_u64), Value::number(u64::MAX)), (Value::Number(7), Value::Number(i64::MAX)));
    }
}
