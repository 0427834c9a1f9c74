//! A route's path, compiled: the segments that `config` read, for matching.
//!
//! A parameter stands for one segment that is not empty; the rest for whatever follows, also for nothing. Static
//! segments have the form that `path::normalise` gives to requests.

use crate::config::path_pattern;

pub(super) use crate::config::path_pattern::Segment;
use crate::config::settings::route::{PathRegex, RouteMatch};

/// A route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    segments: Vec<Segment>,
    /// Names of groups of `path_regex`, whose values come behind those of the segments.
    groups: Box<[Box<str>]>,
}

impl Pattern {
    /// A path that was checked already; one that is none is taken as plain text, which no request matches.
    pub fn of(path: &str) -> Self {
        let segments = path_pattern::parse(path);
        let segments = segments.unwrap_or_else(|_| vec![Segment::Static(path.into())]);
        Self { segments, groups: Box::default() }
    }

    /// That of a route, with the groups of its `path_regex`.
    pub fn of_route(matches: &RouteMatch) -> Self {
        Self::with_groups(&matches.path, matches.path_regex.as_ref())
    }

    /// That of a path with the groups of an expression.
    pub fn with_groups(path: &str, regex: Option<&PathRegex>) -> Self {
        let groups = regex.into_iter().flat_map(PathRegex::groups).map(Box::from).collect();
        Self { groups, ..Self::of(path) }
    }

    /// Whether it has parameters that are groups of an expression.
    pub(super) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The segments, from the left.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of parameters and rest, in the order in which `Params` holds their values.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name).chain(self.groups.iter().map(|name| &**name))
    }

    /// The place of a name in `Params`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names().position(|own| own == name)
    }

    /// The same, and whether it is the rest: a group may hold slashes too.
    pub fn place_of(&self, name: &str) -> Option<(usize, bool)> {
        let mut named = self.segments.iter().filter(|segment| segment.name().is_some()).enumerate();
        match named.find(|(_, segment)| segment.name() == Some(name)) {
            Some((at, segment)) => Some((at, matches!(segment, Segment::Rest(_)))),
            None => self.index_of(name).map(|at| (at, true)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::path::{PathRules, normalise};
    use super::*;

    #[test]
    fn names_have_places() {
        let pattern = Pattern::of("/{a}/x/{*b}");
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((pattern.index_of("b"), pattern.index_of("c")), (Some(1), None));
    }

    proptest! {
        #[test]
        fn what_a_configuration_may_write_a_request_can_match(path in "/([a.;/é]|%2[eEfF]|%5c|%00|%[0-9a-f]{2}){0,8}") {
            let rules = PathRules { keep_escaped_slash: true, merge_slashes: false };
            let asked = normalise(&path, rules);
            match path_pattern::parse(&path) {
                Ok(segments) => {
                    let text = |segment: &Segment| match segment {
                        Segment::Static(text) => format!("/{text}"),
                        Segment::Param(_) | Segment::Rest(_) => unreachable!("none is written"),
                    };
                    let matched: String = segments.iter().map(text).collect();
                    prop_assert_eq!(asked.as_deref(), Ok(matched.as_str()));
                }
                // What is refused is no request's path either, or has another form, or an empty segment.
                Err(_) => {
                    let other = asked.map_or(true, |normal| path_pattern::shape(&normal) != normal || normal != path);
                    prop_assert!(other || path.contains("//"), "{}", path);
                }
            }
        }
    }
}
