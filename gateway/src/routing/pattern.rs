//! A route's path as written: exact segments, `{param}` segments, and perhaps a last `{*rest}`.
//!
//! A parameter stands for one segment that is not empty; the rest for whatever follows, also for nothing. Static
//! segments are held in the form that `path::normalise` gives to requests, so that a path may be written as people
//! write it (`/café`).

use std::fmt::Write;

use thiserror::Error;

use super::path::{PathRules, normalise};

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
}

/// A part of a path between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text, normalised; empty after a last slash.
    Static(Box<str>),
    /// `{name}`: one segment, not empty.
    Param(Box<str>),
    /// `{*name}`: all that follows, at the end only.
    Rest(Box<str>),
}

/// Why a path cannot be a route's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("a path begins with `/`")]
    NotAbsolute,
    /// Braces that are not a whole segment, or hold no name.
    #[error("`{0}` is neither a whole `{{name}}` nor free of braces")]
    Braces(String),
    /// A rest before the end.
    #[error("`{0}` can only be the last segment")]
    RestNotLast(String),
    /// The same name twice.
    #[error("the parameter `{0}` is named twice")]
    Repeated(String),
    /// A segment that no normalised request can hold.
    #[error("no request's path has the segment `{0}` when it is normalised")]
    NeverMatches(String),
}

impl Pattern {
    /// Reads a path. `merge_slashes` and kept slashes are the server's matter: an empty segment inside is accepted
    /// here.
    pub fn parse(path: &str) -> Result<Self, PatternError> {
        let written = path.strip_prefix('/').ok_or(PatternError::NotAbsolute)?;
        let mut segments: Vec<Segment> = Vec::new();
        for text in written.split('/') {
            if let Some(Segment::Rest(name)) = segments.last() {
                return Err(PatternError::RestNotLast(format!("{{*{name}}}")));
            }
            let segment = Segment::parse(text)?;
            if let Some(name) = segment.name()
                && segments.iter().any(|earlier| earlier.name() == Some(name))
            {
                return Err(PatternError::Repeated(name.to_owned()));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// Reads a path that was checked already; one that `parse` refuses is taken as plain text, which no request
    /// matches.
    pub fn of(path: &str) -> Self {
        Self::parse(path).unwrap_or_else(|_| Self { segments: vec![Segment::Static(path.into())] })
    }

    /// The segments, from the left.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of parameters and rest, in the order in which `Params` holds their values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The place of a name in `Params`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names().position(|own| own == name)
    }

    /// Equal for two paths that match the same requests: the path without the names.
    pub fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Static(text) => shape.push_str(text),
                // No static segment holds a space.
                Segment::Param(_) => shape.push_str(" param"),
                Segment::Rest(_) => shape.push_str(" rest"),
            }
        }
        shape
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let braces = || PatternError::Braces(text.to_owned());
        let Some(inner) = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) else {
            return if text.contains(['{', '}']) { Err(braces()) } else { Self::fixed(text) };
        };
        let (name, rest) = inner.strip_prefix('*').map_or((inner, false), |name| (name, true));
        if name.is_empty() || name.contains(['{', '}', '*']) {
            return Err(braces());
        }
        Ok(if rest { Self::Rest(name.into()) } else { Self::Param(name.into()) })
    }

    /// A static segment in the form of a normalised request.
    fn fixed(text: &str) -> Result<Self, PatternError> {
        let never = || PatternError::NeverMatches(text.to_owned());
        let path = format!("/{}", encoded(text));
        let rules = PathRules { keep_escaped_slash: true, merge_slashes: false };
        let normal = normalise(&path, rules).map_err(|_| never())?;
        let segment = &normal[1..];
        if segment.is_empty() != text.is_empty() {
            // A dot segment.
            return Err(never());
        }
        Ok(Self::Static(segment.into()))
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Static(_) => None,
            Self::Param(name) | Self::Rest(name) => Some(name),
        }
    }
}

/// Text of a configuration with what no target may hold as it is percent-encoded: spaces, control characters, UTF-8.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0x21..=0x7e => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shape(path: &str, expected: Result<&str, PatternError>) {
        assert_eq!(Pattern::parse(path).map(|pattern| pattern.shape()), expected.map(str::to_owned), "{path}");
    }

    #[test]
    fn paths_are_read() {
        shape("/", Ok("/"));
        shape("/a/{id}/b", Ok("/a/ param/b"));
        shape("/{*rest}", Ok("/ rest"));
        shape("/a/", Ok("/a/"));
        shape("/café/%41%2f", Ok("/caf%C3%A9/A%2F"));
        assert_eq!(Pattern::of("/{a}/x/{*b}").index_of("b"), Some(1));
    }

    #[test]
    fn what_can_never_match_is_an_error() {
        shape("a", Err(PatternError::NotAbsolute));
        shape("/a{id}", Err(PatternError::Braces("a{id}".into())));
        shape("/{}", Err(PatternError::Braces("{}".into())));
        shape("/{*a}/b", Err(PatternError::RestNotLast("{*a}".into())));
        shape("/{a}/{a}", Err(PatternError::Repeated("a".into())));
        shape("/a/../b", Err(PatternError::NeverMatches("..".into())));
        shape("/a?b", Err(PatternError::NeverMatches("a?b".into())));
    }
}
