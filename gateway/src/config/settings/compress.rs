//! `compress`: which answers are made smaller on their way to clients, and how.

use std::fmt;

use crate::labelled::labelled;

labelled! {
    /// A content coding (RFC 9110, section 8.4.1).
    pub enum Coding, "As written in `accept-encoding`, `content-encoding`, metrics and configurations.";
    /// DEFLATE in gzip's form (RFC 1952): every client takes it.
    Gzip = "gzip";
    /// Zstandard (RFC 8878): smaller and quicker, newer clients take it.
    Zstd = "zstd";
}

labelled! {
    /// How much time is spent on making answers smaller.
    pub enum Effort, "As written in configurations.";
    /// Little: quicker than the network.
    Low = "low";
    /// What the libraries' authors hold for balanced, or a little below it.
    Normal = "normal";
    /// Much, for little more.
    High = "high";
}

/// `compress`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// What answers may be coded with, the preferred first; never empty.
    pub codings: Vec<Coding>,
    /// Content types whose answers are compressed.
    pub types: Vec<MediaRange>,
    /// The smallest answer that is compressed, where its length is known; bytes.
    pub min_size: u64,
    /// How much time is spent.
    pub effort: Effort,
}

impl Compress {
    /// Whether answers of a content type are compressed. One of gRPC never is: it has codings of its own. An event
    /// stream is where it is named itself: it would hold an encoder for as long as it lasts.
    pub fn covers(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let Some((kind, subtype)) = essence.split_once('/') else { return false };
        !is_grpc(kind, subtype) && self.types.iter().any(|range| range.covers(kind, subtype))
    }
}

/// Whether a type is gRPC's own.
pub(crate) fn is_grpc(kind: &str, subtype: &str) -> bool {
    kind.eq_ignore_ascii_case("application") && subtype.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("grpc"))
}

/// `text/html`, or `text/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// The part before the slash, in small letters.
    pub kind: Box<str>,
    /// The part behind it, in small letters; `None` = any.
    pub subtype: Option<Box<str>>,
}

impl MediaRange {
    /// Reads one as people write it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains(';') {
            return Err("it is written without parameters".to_owned());
        }
        let (kind, subtype) = text.split_once('/').ok_or("it is a type, a slash and a subtype")?;
        let is_token = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
        };
        if !is_token(kind) || (subtype != "*" && !is_token(subtype)) {
            return Err("a star stands for a whole subtype, and for nothing else".to_owned());
        }
        let subtype = (subtype != "*").then(|| subtype.to_ascii_lowercase().into());
        Ok(Self { kind: kind.to_ascii_lowercase().into(), subtype })
    }

    fn covers(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
            && match &self.subtype {
                Some(own) => own.eq_ignore_ascii_case(subtype),
                None => !subtype.eq_ignore_ascii_case("event-stream"),
            }
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype.as_deref().unwrap_or("*"))
    }
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codings: Vec<_> = self.codings.iter().map(|coding| coding.as_str()).collect();
        let types: Vec<_> = self.types.iter().map(ToString::to_string).collect();
        let (effort, least) = (self.effort.as_str(), self.min_size);
        write!(f, "{} with {effort} effort, from {least} bytes on: {}", codings.join(" or "), types.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(types: &[&str]) -> Compress {
        let types = types.iter().map(|one| MediaRange::parse(one).unwrap()).collect();
        Compress { codings: vec![Coding::Gzip], types, min_size: 0, effort: Effort::Normal }
    }

    #[test]
    fn types_are_covered_in_any_letters_and_whatever_their_parameters() {
        let some = compress(&["Text/*", "application/JSON"]);
        for (content_type, covered) in [
            ("text/html", true),
            ("TEXT/CSS; charset=utf-8", true),
            ("application/json ;a=b", true),
            ("application/json+x", false),
            ("texts/html", false),
            ("text", false),
            ("", false),
            ("image/png", false),
        ] {
            assert_eq!(some.covers(content_type), covered, "{content_type}");
        }
    }

    #[test]
    fn an_event_stream_is_covered_by_its_name_alone_and_grpc_by_nothing() {
        assert!(!compress(&["text/*"]).covers("text/event-stream"));
        assert!(compress(&["text/event-stream"]).covers("text/event-stream; charset=utf-8"));
        for content_type in ["application/grpc", "application/grpc+proto", "Application/GRPC-web"] {
            assert!(!compress(&["application/*"]).covers(content_type), "{content_type}");
        }
        assert!(compress(&["application/*"]).covers("application/grp"));
    }

    #[test]
    fn what_is_no_type_is_said() {
        for bad in ["text", "text/", "/html", "*/*", "text/h*", "text/html;q=1", "text/a b", ""] {
            assert!(MediaRange::parse(bad).is_err(), "{bad}");
        }
    }
}
