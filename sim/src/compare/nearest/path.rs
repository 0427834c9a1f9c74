//! Paths of routes and their rewriting, as other gateways write them: exact, a prefix, or a regular expression.

use gateway::config::settings::Route;
use gateway::config::settings::route::{Rewrite, RewritePiece};

/// What a path has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// This very path.
    Exact(String),
    /// It begins so; what is written ends with a slash.
    Prefix(String),
    /// It matches as a whole; without anchors.
    Pattern(String),
}

/// A rewriting: what the pattern of a whole path finds becomes the pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rewriting {
    /// Without anchors.
    pub(super) pattern: String,
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// What this group of the pattern found, from 1.
    Group(usize),
}

impl Rewriting {
    /// The new path, with groups as `group` writes them.
    pub(super) fn target(&self, group: impl Fn(usize) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Group(number) => group(*number),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// What a route's path has to be.
pub(super) fn path(route: &Route) -> Path {
    let written = &*route.matches.path;
    match written.split_once('{') {
        None => Path::Exact(written.to_owned()),
        Some((before, rest)) if rest.starts_with('*') && before.ends_with('/') => Path::Prefix(before.to_owned()),
        Some(_) => Path::Pattern(pattern(written).0),
    }
}

/// What becomes of a route's path; `None` when it stays.
pub(super) fn rewriting(route: &Route) -> Option<Rewriting> {
    match route.rewrite.as_ref()? {
        Rewrite::StripPrefix(prefix) => {
            Some(Rewriting { pattern: format!("{}(/.*)", escaped(prefix)), pieces: vec![Piece::Group(1)] })
        }
        Rewrite::Path(pieces) => {
            let (pattern, names) = pattern(&route.matches.path);
            let piece = |piece: &RewritePiece| match piece {
                RewritePiece::Literal(text) => Some(Piece::Text(text.clone())),
                RewritePiece::Param(name) => names.iter().position(|one| one == name).map(|at| Piece::Group(at + 1)),
            };
            Some(Rewriting { pattern, pieces: pieces.iter().filter_map(piece).collect() })
        }
    }
}

/// A written path as a regular expression, and the names of its groups.
fn pattern(written: &str) -> (String, Vec<String>) {
    let (mut text, mut names, mut rest) = (String::new(), Vec::new(), written);
    while let Some((before, inner)) = rest.split_once('{') {
        let (name, after) = inner.split_once('}').unwrap_or((inner, ""));
        text += &escaped(before);
        match name.strip_prefix('*') {
            Some(name) => {
                text += "(.*)";
                names.push(name.to_owned());
            }
            None => {
                text += "([^/]+)";
                names.push(name.to_owned());
            }
        }
        rest = after;
    }
    (text + &escaped(rest), names)
}

/// Text that stands for itself in a regular expression.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if "\\.+*?()|[]{}^$#".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::nearest::tests::config;

    fn route(text: &str) -> std::sync::Arc<Route> {
        let config = config(&format!("[[routes]]\n{text}\nupstream = 'orders'\n"));
        config.routes[0].clone()
    }

    #[test]
    fn paths_are_written_as_simply_as_they_can_be() {
        assert_eq!(path(&route("path = '/a.b'")), Path::Exact("/a.b".to_owned()));
        assert_eq!(path(&route("path = '/api/{*rest}'")), Path::Prefix("/api/".to_owned()));
        assert_eq!(path(&route("path = '/a.b/{id}/c'")), Path::Pattern("/a\\.b/([^/]+)/c".to_owned()));
    }

    #[test]
    fn rewriting_keeps_what_is_named() {
        let strip = rewriting(&route("path = '/api/{*rest}'\nrewrite = { strip_prefix = '/api' }")).unwrap();
        assert_eq!((strip.pattern.as_str(), strip.target(|n| format!("${n}"))), ("/api(/.*)", "$1".to_owned()));
        let moved = rewriting(&route("path = '/a/{id}/{*rest}'\nrewrite = { path = '/v2/{rest}/{id}' }")).unwrap();
        assert_eq!(moved.pattern, "/a/([^/]+)/(.*)");
        assert_eq!(moved.target(|n| format!("\\{n}")), "/v2/\\2/\\1");
        assert_eq!(rewriting(&route("path = '/a'")), None);
    }
}
