//! What the upstream is sent instead of the path.
//!
//! Invariants: a result begins with one `/`, never with `//`, and is normal: the upstream sees the path that it would
//! see if it normalised as we do. One allocation, two where a path has to be made normal again.

use bytes::Bytes;
use http::uri::PathAndQuery;
use thiserror::Error;

use super::path::{PathError, PathRules, normalise};
use super::pattern::Pattern;
use super::tree::Params;
use crate::config::settings::route::{Rewrite, RewritePiece};
use crate::request_target::PathQuery;

/// A rewrite with its parameters looked up.
#[derive(Debug, Clone)]
pub struct CompiledRewrite {
    kind: Kind,
    rules: PathRules,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Normalised, without a last slash.
    StripPrefix(Box<str>),
    Path(Vec<Piece>),
}

#[derive(Debug, Clone)]
enum Piece {
    Literal(Box<str>),
    Param(usize),
}

/// Why a path cannot be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// The rewrite names a parameter that the route's path does not have.
    #[error("the route's path has no parameter `{0}`")]
    UnknownParam(String),
    /// What comes out is not a path: a mistake of the rewrite at load, an odd parameter in a request.
    #[error("the rewritten path is refused: {0}")]
    Path(#[from] PathError),
    /// The query holds a byte that no target may hold.
    #[error("the request target cannot be sent on")]
    Target,
}

impl CompiledRewrite {
    /// Looks the parameters up and tries the rewrite once; `rules` are those that requests are normalised with.
    pub fn new(rewrite: &Rewrite, pattern: &Pattern, rules: PathRules) -> Result<Self, RewriteError> {
        // A slash that came with the request was accepted then.
        let rules = PathRules { keep_escaped_slash: true, ..rules };
        let kind = match rewrite {
            Rewrite::StripPrefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                let normal = if prefix.is_empty() { "".into() } else { normalise(prefix, rules)? };
                Kind::StripPrefix(normal.trim_end_matches('/').into())
            }
            Rewrite::Path(pieces) => {
                Kind::Path(pieces.iter().map(|piece| compile(piece, pattern)).collect::<Result<_, _>>()?)
            }
        };
        let compiled = Self { kind, rules };
        let trial: Params = pattern.names().map(|_| (1, 2)).collect();
        compiled.apply("/x", &trial, None)?;
        Ok(compiled)
    }

    /// The target to send: the rewritten path, and the query as it came.
    pub fn apply(&self, path: &str, params: &Params, query: Option<&str>) -> Result<PathQuery, RewriteError> {
        match &self.kind {
            Kind::StripPrefix(prefix) => target(one_slash(strip(path, prefix)), query),
            Kind::Path(pieces) => {
                let mut built = String::with_capacity(path.len() + 32);
                for piece in pieces {
                    built.push_str(match piece {
                        Piece::Literal(text) => text,
                        Piece::Param(number) => value(path, params, *number),
                    });
                }
                target(one_slash(&normalise(&built, self.rules)?), query)
            }
        }
    }
}

/// The target of a normalised path and a query.
pub fn target(path: &str, query: Option<&str>) -> Result<PathQuery, RewriteError> {
    let mut bytes = Vec::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    bytes.extend_from_slice(path.as_bytes());
    if let Some(query) = query {
        bytes.push(b'?');
        bytes.extend_from_slice(query.as_bytes());
    }
    PathAndQuery::from_maybe_shared(Bytes::from(bytes)).map(PathQuery::from).map_err(|_| RewriteError::Target)
}

fn compile(piece: &RewritePiece, pattern: &Pattern) -> Result<Piece, RewriteError> {
    match piece {
        RewritePiece::Literal(text) => Ok(Piece::Literal(text.as_str().into())),
        RewritePiece::Param(name) => {
            pattern.index_of(name).map(Piece::Param).ok_or_else(|| RewriteError::UnknownParam(name.clone()))
        }
    }
}

/// A parameter's text; empty where the ranges are not of this path.
fn value<'p>(path: &'p str, params: &Params, number: usize) -> &'p str {
    params.get(number).and_then(|&(start, end)| path.get(start as usize..end as usize)).unwrap_or("")
}

/// The path without a prefix that ends where a segment ends; the path itself where it has no such prefix.
fn strip<'p>(path: &'p str, prefix: &str) -> &'p str {
    match path.strip_prefix(prefix) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The path with one slash at its beginning: `//host` means another host to some who read it.
fn one_slash(path: &str) -> &str {
    let doubled = path.bytes().take_while(|&byte| byte == b'/').count().saturating_sub(1);
    &path[doubled..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MERGE: PathRules = PathRules { keep_escaped_slash: false, merge_slashes: true };
    const KEEP: PathRules = PathRules { keep_escaped_slash: true, merge_slashes: false };

    fn path(pieces: &[&str]) -> Rewrite {
        let piece = |text: &&str| match text.strip_prefix(':') {
            Some(name) => RewritePiece::Param(name.to_owned()),
            None => RewritePiece::Literal((*text).to_owned()),
        };
        Rewrite::Path(pieces.iter().map(piece).collect())
    }

    #[track_caller]
    fn strips(prefix: &str, path: &str, expected: &str) {
        let rewrite = Rewrite::StripPrefix(prefix.to_owned());
        let compiled = CompiledRewrite::new(&rewrite, &Pattern::of("/{*rest}"), KEEP).unwrap();
        assert_eq!(compiled.apply(path, &Params::new(), Some("q=1")).unwrap(), format!("{expected}?q=1").as_str());
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        strips("/api", "/api/orders", "/orders");
        strips("/api", "/api", "/");
        strips("/api", "/api/", "/");
        strips("/api/", "/api/orders", "/orders");
        strips("/api", "/apis", "/apis");
        strips("/api", "/v1/api/x", "/v1/api/x");
        strips("/", "/a", "/a");
        strips("", "/a", "/a");
        strips("/caf%c3%a9", "/caf%C3%A9/a", "/a");
    }

    #[test]
    fn a_result_never_names_a_host() {
        strips("/api", "/api//evil.example/x", "/evil.example/x");
        strips("", "//evil.example/x", "/evil.example/x");
        let compiled = CompiledRewrite::new(&path(&["/", ":rest"]), &Pattern::of("/a/{*rest}"), KEEP).unwrap();
        let params = Params::from_slice(&[(3, 7)]);
        assert_eq!(compiled.apply("/a//x/y", &params, None).unwrap(), "/x/y");
    }

    #[test]
    fn parameters_are_put_in() {
        let pattern = Pattern::of("/u/{id}/{*rest}");
        let compiled = CompiledRewrite::new(&path(&["/v2/", ":rest", "/of/", ":id"]), &pattern, MERGE).unwrap();
        let apply = |path, params: &[(u32, u32)]| compiled.apply(path, &Params::from_slice(params), None);
        assert_eq!(apply("/u/7/a/b", &[(3, 4), (5, 8)]).unwrap(), "/v2/a/b/of/7");
        assert_eq!(apply("/u/7", &[(3, 4), (4, 4)]).unwrap(), "/v2/of/7", "an empty rest leaves no empty segment");
    }

    #[test]
    fn mistakes_show_at_load() {
        let new = |rewrite: &Rewrite| CompiledRewrite::new(rewrite, &Pattern::of("/{a}"), MERGE).map(|_| ());
        assert_eq!(new(&path(&["/", ":b"])), Err(RewriteError::UnknownParam("b".into())));
        assert_eq!(new(&path(&["v2/", ":a"])), Err(RewriteError::Path(PathError::NotAbsolute)));
        assert_eq!(new(&path(&["/v2?x=", ":a"])), Err(RewriteError::Path(PathError::Forbidden)));
        assert_eq!(new(&path(&["/../", ":a"])), Err(RewriteError::Path(PathError::AboveRoot)));
    }

    proptest! {
        #[test]
        fn a_rewritten_path_is_normal(
            rest in "(/|//|\\.|\\.\\.|a|%2F|;){0,8}", literals: [prop::sample::Index; 2], merge: bool,
        ) {
            let rules = PathRules { keep_escaped_slash: true, merge_slashes: merge };
            let shapes = ["/", "/v2/", "/.", "//", "/a/../", "/..a", "/a%2e", "x"];
            let [before, after] = literals.map(|index| shapes[index.index(shapes.len())]);
            let pattern = Pattern::of("/p/{*rest}");
            let asked = format!("/p/{rest}");
            if let (Ok(asked), Ok(rewrite)) = (
                normalise(&asked, rules),
                CompiledRewrite::new(&path(&[before, ":rest", after]), &pattern, rules),
            ) {
                let params = Params::from_slice(&[(asked.len().min(3) as u32, asked.len() as u32)]);
                if let Ok(target) = rewrite.apply(&asked, &params, None) {
                    prop_assert!(target.path().starts_with('/') && !target.path().starts_with("//"));
                    let again = normalise(target.path(), rules);
                    prop_assert_eq!(again.as_deref(), Ok(target.path()));
                }
            }
        }
    }
}
