//! Path patterns of routes (`/api/{id}/{*rest}`) and the templates that use their parameters (`/v2/{rest}`).
//!
//! The one place that reads them: messages and matching speak of the same segments. What is accepted, a request can
//! match.

use crate::config::settings::route::RewritePiece;

/// A segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// This text, in the form that requests' paths are matched in; empty after a last slash.
    Static(Box<str>),
    /// `{param}`: one whole segment, not empty.
    Param(Box<str>),
    /// `{*rest}`: the rest, perhaps nothing; only last.
    Rest(Box<str>),
}

impl Segment {
    /// The parameter's name.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Static(_) => None,
            Self::Param(name) | Self::Rest(name) => Some(name),
        }
    }
}

/// Reads a route's path.
pub(crate) fn parse(text: &str) -> Result<Vec<Segment>, String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err("a path begins with a slash".to_owned());
    };
    let mut segments = Vec::new();
    let count = rest.split('/').count();
    for (index, written) in rest.split('/').enumerate() {
        let last = index + 1 == count;
        let segment = segment(written)?;
        match &segment {
            Segment::Static(text) if text.is_empty() && !last => {
                return Err("a path has no empty segments".to_owned());
            }
            Segment::Rest(_) if !last => return Err("{*rest} can only be the last segment".to_owned()),
            Segment::Param(name) | Segment::Rest(name) if parameters(&segments).contains(&&**name) => {
                return Err(format!("the parameter {name:?} is there twice"));
            }
            _ => {}
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn segment(written: &str) -> Result<Segment, String> {
    if let Some(inner) = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return match inner.strip_prefix('*') {
            Some(name) => Ok(Segment::Rest(parameter(name)?.into())),
            None => Ok(Segment::Param(parameter(inner)?.into())),
        };
    }
    if written.contains(['{', '}']) {
        return Err("a parameter is a whole segment".to_owned());
    }
    let text = literal(written)?;
    if matches!(text.as_str(), "." | "..") {
        return Err("`.` and `..` are resolved before routes are matched".to_owned());
    }
    // Some servers cut segments at `;` and at encoded slashes: no request with such dots gets as far as a route.
    let parts = text.split("%2F").flat_map(|part| part.split("%5C"));
    if parts.filter_map(|part| part.split(';').next()).any(|part| matches!(part, "." | "..")) {
        return Err("it holds a dot segment in disguise, which every request is refused for".to_owned());
    }
    Ok(Segment::Static(text.into()))
}

fn parameter(name: &str) -> Result<&str, String> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(name) } else { Err("a parameter's name is letters, digits and underscores".to_owned()) }
}

/// Characters that a path may hold as they are (RFC 3986, section 3.3), and whole percent escapes. Gives the text in
/// its one form (section 6.2.2): unreserved characters decoded, other escapes in upper case.
fn literal(text: &str) -> Result<String, String> {
    let mut normal = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '%' => {
                chars.nth(1);
                normal.push_str(&escape(text.get(at + 1..at + 3))?);
            }
            '?' | '#' => return Err("a path has no query and no fragment".to_owned()),
            c if c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/".contains(c) => normal.push(c),
            c if c.is_ascii() => return Err(format!("a path cannot hold {c:?}")),
            c => {
                let encoded: String = c.encode_utf8(&mut [0; 4]).bytes().map(|b| format!("%{b:02X}")).collect();
                return Err(format!("characters beyond ASCII are percent-encoded, {c} is {encoded}"));
            }
        }
    }
    Ok(normal)
}

/// What stands for an escape, of which these are the digits.
fn escape(digits: Option<&str>) -> Result<String, String> {
    let hex = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = digits.filter(hex).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match byte.ok_or("`%` is followed by two hex digits")? {
        0 => Err("a path cannot hold an encoded NUL".to_owned()),
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => Ok(char::from(b).to_string()),
        b => Ok(format!("%{b:02X}")),
    }
}

/// The names of a pattern's parameters.
pub(crate) fn parameters(segments: &[Segment]) -> Vec<&str> {
    segments.iter().filter_map(Segment::name).collect()
}

/// A segment that other programs' configurations read as a parameter or as the rest, and how it is written here.
pub(crate) fn foreign(text: &str) -> Option<(&str, String)> {
    text.split('/').find_map(|segment| {
        let name = segment.strip_prefix(':').filter(|name| parameter(name).is_ok());
        match (name, segment) {
            (Some(name), _) => Some((segment, format!("{{{name}}}"))),
            (None, "*" | "**") => Some((segment, "{*rest}, or {name} for one segment,".to_owned())),
            (None, part) if part.ends_with('*') => Some((segment, "{*rest} behind a slash".to_owned())),
            _ => None,
        }
    })
}

/// What others' new paths have for a group of their pattern or for a value: `$1`, `$name`.
pub(crate) fn foreign_value(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        // A dollar before one letter is more likely meant.
        let is_number = rest.as_bytes().first().is_some_and(u8::is_ascii_digit);
        (is_number || length > 2).then(|| &text[at..=at + length])
    })
}

/// The pattern without its parameters' names: two patterns of one shape match the same paths.
pub(crate) fn shape(text: &str) -> String {
    let Ok(segments) = parse(text) else { return text.to_owned() };
    let piece = |segment: &Segment| match segment {
        Segment::Static(text) => format!("/{text}"),
        Segment::Param(_) => "/{}".to_owned(),
        Segment::Rest(_) => "/{*}".to_owned(),
    };
    segments.iter().map(piece).collect()
}

/// Reads `/v2/{rest}`: literals and parameters in any place.
pub(crate) fn template(text: &str) -> Result<Vec<RewritePiece>, String> {
    if !text.starts_with('/') {
        return Err("a path begins with a slash".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or_else(|| "`{` without `}`".to_owned())? + open;
        add_literal(&mut pieces, &rest[..open])?;
        let inner = &rest[open + 1..close];
        pieces.push(RewritePiece::Param(parameter(inner.strip_prefix('*').unwrap_or(inner))?.to_owned()));
        rest = &rest[close + 1..];
    }
    add_literal(&mut pieces, rest)?;
    Ok(pieces)
}

fn add_literal(pieces: &mut Vec<RewritePiece>, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err("`}` without `{`".to_owned());
    }
    literal(text)?;
    if !text.is_empty() {
        pieces.push(RewritePiece::Literal(text.to_owned()));
    }
    Ok(())
}

/// A fixed path without parameters, such as a prefix to strip or a health check's path.
pub(crate) fn plain(text: &str) -> Result<(), String> {
    if !text.starts_with('/') {
        return Err("a path begins with a slash".to_owned());
    }
    literal(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_read() {
        let rest = |name: &str| Segment::Rest(name.into());
        let word = |text: &str| Segment::Static(text.into());
        assert_eq!(parse("/"), Ok(vec![word("")]));
        assert_eq!(parse("/{*rest}"), Ok(vec![rest("rest")]));
        assert_eq!(parse("/a/{id}/b"), Ok(vec![word("a"), Segment::Param("id".into()), word("b")]));
        assert_eq!(parse("/a/"), Ok(vec![word("a"), word("")]));
        assert_eq!(parse("/%41%2f%e9/.a/...;x"), Ok(vec![word("A%2F%E9"), word(".a"), word("...;x")]));
        assert_eq!(shape("/a/{id}/{*x}"), "/a/{}/{*}");
        assert_eq!(shape("/a/{id}"), shape("/a/{name}"));
        assert_ne!(shape("/a/"), shape("/a"));
        assert_eq!(shape("/%7euser"), shape("/~user"), "written in two ways");
    }

    #[test]
    fn patterns_that_do_not() {
        for text in ["", "a", "//", "/a//b", "/{*r}/b", "/a{id}", "/{}", "/{a b}", "/{a}/{a}", "/..", "/a/./b"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["/a?b", "/a#b", "/a b", "/ä", "/%2", "/%zz", "/a\\b", "/\u{0}", "/{a", "/a}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["/%2e%2E/a", "/%00", "/..;x=1", "/a%2f..", "/.%5cb", "/%", "/%4", "/%é"] {
            assert!(parse(text).is_err(), "no request can match it: {text}");
        }
        let message = parse("/café").unwrap_err();
        assert!(message.ends_with("é is %C3%A9"), "{message}");
    }

    #[test]
    fn what_other_programs_mean_otherwise() {
        assert_eq!(foreign("/users/:id/x"), Some((":id", "{id}".to_owned())));
        assert_eq!(foreign("/api/**").map(|(segment, _)| segment), Some("**"));
        assert_eq!(foreign("/*").map(|(segment, _)| segment), Some("*"));
        for fine in ["/items:batch", "/a*b", "/:", "/{id}/{*rest}", "/"] {
            assert_eq!(foreign(fine), None, "{fine}");
        }
    }

    #[test]
    fn what_other_programs_write_for_values() {
        for (text, sign) in [("/v2/$1", "$1"), ("/a/$request_uri", "$request_uri"), ("/$10/x", "$10")] {
            assert_eq!(foreign_value(text), Some(sign), "{text}");
        }
        for fine in ["/a$", "/$b", "/a$/b", "/{rest}", "/"] {
            assert_eq!(foreign_value(fine), None, "{fine}");
        }
    }

    #[test]
    fn templates() {
        let literal = |text: &str| RewritePiece::Literal(text.to_owned());
        let param = |text: &str| RewritePiece::Param(text.to_owned());
        assert_eq!(template("/v2/{rest}"), Ok(vec![literal("/v2/"), param("rest")]));
        assert_eq!(template("/v2/{*rest}"), Ok(vec![literal("/v2/"), param("rest")]));
        assert_eq!(template("/{a}-{b}"), Ok(vec![literal("/"), param("a"), literal("-"), param("b")]));
        for text in ["v2", "/{", "/}", "/{}", "/a b", "/{a}?x"] {
            assert!(template(text).is_err(), "{text}");
        }
    }
}
