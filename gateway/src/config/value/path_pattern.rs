//! Path patterns of routes (`/api/{id}/{*rest}`) and the templates that use their parameters (`/v2/{rest}`).

use crate::config::settings::route::RewritePiece;

/// A segment of a path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    /// As written.
    Literal(String),
    /// `{param}`: one whole segment.
    Param(String),
    /// `{*rest}`: the rest, perhaps nothing; only last.
    Rest(String),
}

/// Reads a route's path.
pub(crate) fn parse(text: &str) -> Result<Vec<Segment>, String> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err("a path begins with a slash".to_owned());
    };
    let mut segments = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let count = rest.split('/').count();
    for (index, written) in rest.split('/').enumerate() {
        let last = index + 1 == count;
        let segment = segment(written)?;
        match &segment {
            Segment::Literal(literal) if literal.is_empty() && !last => {
                return Err("a path has no empty segments".to_owned());
            }
            Segment::Rest(_) if !last => return Err("{*rest} can only be the last segment".to_owned()),
            Segment::Param(name) | Segment::Rest(name) => {
                if names.contains(name) {
                    return Err(format!("the parameter {name:?} is there twice"));
                }
                names.push(name.clone());
            }
            Segment::Literal(_) => {}
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn segment(written: &str) -> Result<Segment, String> {
    if let Some(inner) = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return match inner.strip_prefix('*') {
            Some(name) => Ok(Segment::Rest(parameter(name)?)),
            None => Ok(Segment::Param(parameter(inner)?)),
        };
    }
    if written.contains(['{', '}']) {
        return Err("a parameter is a whole segment".to_owned());
    }
    literal(written)?;
    if matches!(written, "." | "..") {
        return Err("`.` and `..` are resolved before routes are matched".to_owned());
    }
    Ok(Segment::Literal(written.to_owned()))
}

fn parameter(name: &str) -> Result<String, String> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits { Ok(name.to_owned()) } else { Err("a parameter's name is letters, digits and underscores".to_owned()) }
}

/// Characters that a path may hold as they are (RFC 3986, section 3.3), and whole percent escapes.
fn literal(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()];
                if !digits.iter().all(|digit| digit.is_some_and(|d| d.is_ascii_hexdigit())) {
                    return Err("`%` is followed by two hex digits".to_owned());
                }
            }
            b'?' | b'#' => return Err("a path has no query and no fragment".to_owned()),
            b if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b) => {}
            b if b.is_ascii() => return Err(format!("a path cannot hold {:?}", char::from(b))),
            _ => return Err("characters beyond ASCII are percent-encoded".to_owned()),
        }
    }
    Ok(())
}

/// The names of a pattern's parameters.
pub(crate) fn parameters(segments: &[Segment]) -> Vec<&str> {
    let names = segments.iter().filter_map(|segment| match segment {
        Segment::Literal(_) => None,
        Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
    });
    names.collect()
}

/// The pattern without its parameters' names: two patterns of one shape match the same paths.
pub(crate) fn shape(text: &str) -> String {
    let Ok(segments) = parse(text) else { return text.to_owned() };
    let piece = |segment: &Segment| match segment {
        Segment::Literal(literal) => literal.clone(),
        Segment::Param(_) => "{}".to_owned(),
        Segment::Rest(_) => "{*}".to_owned(),
    };
    segments.iter().map(|segment| format!("/{}", piece(segment))).collect()
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
        pieces.push(RewritePiece::Param(parameter(inner.strip_prefix('*').unwrap_or(inner))?));
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
    literal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_read() {
        let rest = |name: &str| Segment::Rest(name.to_owned());
        let word = |text: &str| Segment::Literal(text.to_owned());
        assert_eq!(parse("/"), Ok(vec![word("")]));
        assert_eq!(parse("/{*rest}"), Ok(vec![rest("rest")]));
        assert_eq!(parse("/a/{id}/b"), Ok(vec![word("a"), Segment::Param("id".to_owned()), word("b")]));
        assert_eq!(parse("/a/"), Ok(vec![word("a"), word("")]));
        assert_eq!(shape("/a/{id}/{*x}"), "/a/{}/{*}");
        assert_eq!(shape("/a/{id}"), shape("/a/{name}"));
        assert_ne!(shape("/a/"), shape("/a"));
    }

    #[test]
    fn patterns_that_do_not() {
        for text in ["", "a", "//", "/a//b", "/{*r}/b", "/a{id}", "/{}", "/{a b}", "/{a}/{a}", "/..", "/a/./b"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["/a?b", "/a#b", "/a b", "/ä", "/%2", "/%zz", "/a\\b", "/\u{0}", "/{a", "/a}"] {
            assert!(parse(text).is_err(), "{text}");
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
