//! Why a request's head is none: each refusal names what is wrong, or which limit was met.

use std::borrow::Cow;

use http::{Method, Uri};

use super::request_read::HeadLimits;
use crate::error::{Code, GatewayError};

/// Bytes of a head beside its target and its fields: a method that is too long, the version, spaces, line ends.
pub(super) const ROUND_IT: usize = 512;

/// A head that is no request.
#[derive(Debug)]
pub struct Refusal {
    /// What the client is told.
    pub error: GatewayError,
    /// The first line, where it could be read.
    pub line: Option<(Method, Uri)>,
}

impl Refusal {
    fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Box<Self> {
        Box::new(Self { error: GatewayError::new(code, detail).closing(), line: None })
    }

    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Box<Self> {
        Self::new(Code::BadRequest, detail)
    }
}

pub(super) const BARE_LINE_FEED: &str = "A line of the request head ends without CR.";

#[cold]
pub(super) fn target_too_long() -> Box<Refusal> {
    Refusal::new(Code::UriTooLong, "The request target is too long.")
}

/// Names the limit that was met.
#[cold]
pub(super) fn too_large(buffer: &[u8], limits: &HeadLimits, too_many: bool) -> Box<Refusal> {
    let line = memchr::memchr(b'\n', buffer);
    let mut refusal = if line.unwrap_or(buffer.len()) > limits.target + ROUND_IT {
        target_too_long()
    } else if too_many {
        Refusal::new(Code::HeadersTooLarge, "The request has too many header fields.")
    } else {
        Refusal::new(Code::HeadersTooLarge, "The request head is too large.")
    };
    refusal.line = line.and_then(|end| request_line(&buffer[..=end]));
    refusal
}

#[cold]
pub(super) fn refusal_of(error: httparse::Error) -> Box<Refusal> {
    Refusal::bad(match error {
        httparse::Error::Version => "The request is not HTTP/1.0 or HTTP/1.1.",
        httparse::Error::HeaderName => "A header field's name is malformed.",
        httparse::Error::HeaderValue => "A header field's value is malformed.",
        _ => "The request head is malformed.",
    })
}

/// Method and target of a first line.
pub(super) fn request_line(line: &[u8]) -> Option<(Method, Uri)> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target) = (parts.next()?, parts.next()?);
    Some((Method::from_bytes(method).ok()?, Uri::try_from(target).ok()?))
}

/// Says which byte a target must not hold as it is, where that is what is wrong: some clients write such bytes, and
/// some servers take them.
#[cold]
pub(super) fn wrong_with(target: &str) -> Cow<'static, str> {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let places = [("path", path, "<>`"), ("query", query, "\"<>")];
    let found = places.into_iter().find_map(|(place, text, raw)| {
        let c = text.chars().find(|c| raw.contains(*c))?;
        Some((place, c))
    });
    match found {
        Some((place, c)) => format!("The {place} holds `{c}`, which is written %{:02X}.", u32::from(c)).into(),
        None => "The request target is malformed.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a7_what_a_target_must_not_hold_is_named_with_its_place() {
        for (target, detail) in [
            ("/a?b>c<", "The query holds `>`, which is written %3E."),
            ("/a<b>?\"", "The path holds `<`, which is written %3C."),
            ("/a`?b=`", "The path holds ```, which is written %60."),
            ("http:/", "The request target is malformed."),
        ] {
            assert_eq!(wrong_with(target), detail, "{target}");
        }
    }

    #[test]
    fn the_limit_that_was_met_is_named_and_the_first_line_kept() {
        let limits = HeadLimits { fields: 1, target: 10, bytes: 10, keep_names: false };
        let refused = |head: &[u8], too_many| {
            let refusal = too_large(head, &limits, too_many);
            (refusal.error.code, refusal.line.map(|(method, uri)| format!("{method} {uri}")))
        };
        let line = Some("GET /p".to_owned());
        assert_eq!(refused(b"GET /p HTTP/1.1\r\nx", true), (Code::HeadersTooLarge, line.clone()));
        assert_eq!(refused(b"GET /p HTTP/1.1\r\nx", false), (Code::HeadersTooLarge, line));
        assert_eq!(refused(&[b'a'; 10 + ROUND_IT + 1], false), (Code::UriTooLong, None));
    }
}
