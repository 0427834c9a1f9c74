//! Paths with parameters, as routes and services write them, in the form that OpenAPI has for both.
//!
//! What a route calls `{*rest}` is one parameter here: OpenAPI has none that holds slashes, so it is described in
//! words.

use crate::config::path_pattern;
use crate::config::settings::route::{Rewrite, RewritePiece};

/// What stands for every parameter where a path is tried out. No route has a segment like it.
pub(super) const SAMPLE: &str = "0-sample-0";

/// A segment of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// This text.
    Text(String),
    /// `{id}`
    Param(String),
    /// `{*rest}` of a route; only last.
    Rest(String),
    /// `{id}.json`: text and parameters.
    Mixed(String),
}

impl Segment {
    /// The names of its parameters.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Param(name) | Self::Rest(name) => vec![name],
            Self::Mixed(text) => text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect(),
        }
    }

    /// As OpenAPI writes it, with other names for its parameters.
    fn written(&self, rename: &dyn Fn(&str) -> String) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Param(name) | Self::Rest(name) => format!("{{{}}}", rename(name)),
            Self::Mixed(text) => {
                let mut pieces = text.split('{');
                let mut out = pieces.next().unwrap_or_default().to_owned();
                for piece in pieces {
                    let (name, after) = piece.split_once('}').unwrap_or((piece, ""));
                    out.push_str(&format!("{{{}}}{after}", rename(name)));
                }
                out
            }
        }
    }
}

/// A path with parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(pub(super) Vec<Segment>);

impl Template {
    /// A route's path, which was checked.
    pub(super) fn of_route(path: &str) -> Self {
        let segments = path_pattern::parse(path).unwrap_or_default();
        let segment = |segment: path_pattern::Segment| match segment {
            path_pattern::Segment::Static(text) => Segment::Text(text.into()),
            path_pattern::Segment::Param(name) => Segment::Param(name.into()),
            path_pattern::Segment::Rest(name) => Segment::Rest(name.into()),
        };
        Self(segments.into_iter().map(segment).collect())
    }

    /// A path of a service's document; `None` where it is none.
    pub(super) fn of_document(path: &str) -> Option<Self> {
        let template = Self(path.strip_prefix('/')?.split('/').map(segment).collect::<Option<_>>()?);
        template.has_distinct_names().then_some(template)
    }

    /// The names of its parameters, from the left.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.iter().flat_map(Segment::names).collect()
    }

    /// Whether each parameter has a name of its own.
    pub(super) fn has_distinct_names(&self) -> bool {
        let mut names = self.names();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    }

    /// The parameter that holds all that follows.
    pub(super) fn rest(&self) -> Option<&str> {
        self.0.iter().find_map(|segment| if let Segment::Rest(name) = segment { Some(&**name) } else { None })
    }

    /// As OpenAPI writes it.
    pub(super) fn written(&self) -> String {
        self.renamed(&str::to_owned)
    }

    /// What is the same for all paths that OpenAPI takes for the same one, whatever their parameters are called.
    pub(super) fn shape(&self) -> String {
        self.renamed(&|_| String::new())
    }

    /// A path that it matches.
    pub(super) fn sample(&self) -> String {
        self.shape().replace("{}", SAMPLE)
    }

    fn renamed(&self, rename: &dyn Fn(&str) -> String) -> String {
        self.0.iter().map(|segment| format!("/{}", segment.written(rename))).collect()
    }
}

fn segment(text: &str) -> Option<Segment> {
    let (open, close) = (text.matches('{').count(), text.matches('}').count());
    if open != close {
        return None;
    }
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\'));
    if open == 0 {
        return plain(text).then(|| Segment::Text(text.to_owned()));
    }
    let whole = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    if let Some(name) = whole.filter(|name| !name.contains(['{', '}'])) {
        return is_name(name).then(|| Segment::Param(name.to_owned()));
    }
    // Braces come in pairs, and nothing but text stands between pairs.
    let mut rest = text;
    let mut is_adjacent = false;
    while let Some(at) = rest.find('{') {
        if (at == 0 && is_adjacent) || rest[..at].contains('}') || !plain(&rest[..at]) {
            return None;
        }
        let end = rest[at..].find('}')? + at;
        if !is_name(&rest[at + 1..end]) {
            return None;
        }
        (rest, is_adjacent) = (&rest[end + 1..], true);
    }
    (plain(rest) && !rest.contains('}')).then(|| Segment::Mixed(text.to_owned()))
}

/// A parameter's name that any tool can hold.
fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'~' | b'$');
    !name.is_empty() && name.len() <= 128 && name.bytes().all(fits)
}

/// A path that clients may ask for, and what the service would be asked for then.
pub(super) type Candidate = (Template, Template);

/// Paths by which a route could lead to this path of its service. Which of them do, only routing can tell.
pub(super) fn ways_to(route: &Template, rewrite: Option<&Rewrite>, asked: &Template) -> Vec<Candidate> {
    match rewrite {
        None => fitted(route, asked.clone(), 0),
        Some(Rewrite::StripPrefix(prefix)) => {
            let stripped = Template::of_document(prefix.trim_end_matches('/')).map_or_else(Vec::new, |prefix| prefix.0);
            let (depth, mut whole) = (stripped.len(), stripped.clone());
            whole.extend(asked.0.iter().cloned());
            let mut ways = Vec::new();
            if asked.written() == "/" && depth > 0 {
                ways.push((Template(stripped), asked.clone()));
            }
            ways.extend(fitted(route, Template(whole), depth));
            // A path without the prefix passes as it is.
            ways.extend(fitted(route, asked.clone(), 0));
            ways
        }
        Some(Rewrite::Path(pieces)) => {
            undone(route, pieces, asked).map(|way| (way, asked.clone())).into_iter().collect()
        }
    }
}

/// The path as far as the route lets it through, and its part behind so many segments.
fn fitted(route: &Template, path: Template, depth: usize) -> Vec<Candidate> {
    let mut segments = path.0;
    for (own, segment) in route.0.iter().zip(&mut segments) {
        // Where the route has a text, a parameter can be nothing else.
        if let (Segment::Text(text), Segment::Param(_)) = (own, &*segment) {
            *segment = Segment::Text(text.clone());
        }
    }
    let asked = segments.get(depth..).unwrap_or_default().to_vec();
    vec![(Template(segments), Template(asked))]
}

/// The route's path with what a rewritten path says of its parameters.
fn undone(route: &Template, pieces: &[RewritePiece], asked: &Template) -> Option<Template> {
    let text: String = pieces
        .iter()
        .map(|piece| match piece {
            RewritePiece::Literal(text) => text.clone(),
            RewritePiece::Param(name) => format!("{{{name}}}"),
        })
        .collect();
    let rewritten = Template::of_document(&text)?;
    let mut bound: Vec<(&str, &[Segment])> = Vec::new();
    let mut left = &asked.0[..];
    for (at, segment) in rewritten.0.iter().enumerate() {
        let behind = rewritten.0.len() - at - 1;
        let takes = match segment {
            Segment::Param(name) if route.rest() == Some(name) => left.len().checked_sub(behind)?,
            _ => 1,
        };
        let (taken, rest) = left.split_at_checked(takes)?;
        match segment {
            Segment::Param(name) => bound.push((name, taken)),
            other if *other == taken[0] => {}
            _ => return None,
        }
        left = rest;
    }
    if !left.is_empty() {
        return None;
    }
    let mut segments = Vec::new();
    for segment in &route.0 {
        let name = segment.names().first().copied();
        match name.and_then(|name| bound.iter().find(|(own, _)| *own == name)) {
            Some((_, taken)) => segments.extend_from_slice(taken),
            None => segments.push(segment.clone()),
        }
    }
    let way = Template(segments);
    way.has_distinct_names().then_some(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(route: &str, rewrite: Option<&Rewrite>, asked: &str) -> Vec<(String, String)> {
        let asked = Template::of_document(asked).expect("a path");
        let ways = ways_to(&Template::of_route(route), rewrite, &asked);
        ways.iter().map(|(way, asked)| (way.written(), asked.written())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn paths_are_read_as_far_as_they_are_paths() {
        for (path, names) in
            [("/", vec![]), ("/a/{id}/b", vec!["id"]), ("/{a}.{b}/x", vec!["a", "b"]), ("/items:batch", vec![])]
        {
            let template = Template::of_document(path).expect(path);
            assert_eq!((template.written(), template.names()), (path.to_owned(), names));
        }
        for bad in ["a", "/{", "/}", "/{}", "/{a}/{a}", "/a?b", "/{a{b}}", "/{a}{b}", "/a b", "/ä", "/}a{"] {
            assert_eq!(Template::of_document(bad), None, "{bad}");
        }
        let rest = Template::of_route("/a/{id}/{*rest}");
        assert_eq!((rest.written(), rest.rest()), ("/a/{id}/{rest}".to_owned(), Some("rest")));
        assert_eq!(rest.shape(), Template::of_route("/a/{x}/{y}").shape());
    }

    #[test]
    fn a_service_path_is_found_behind_a_stripped_prefix_and_beside_it() {
        let strip = || Some(Rewrite::StripPrefix("/api".to_owned()));
        assert_eq!(
            ways("/api/{*rest}", strip().as_ref(), "/orders/{id}"),
            pairs(&[("/api/orders/{id}", "/orders/{id}"), ("/orders/{id}", "/orders/{id}")])
        );
        assert_eq!(ways("/api/{*rest}", strip().as_ref(), "/")[0], ("/api".to_owned(), "/".to_owned()));
    }

    #[test]
    fn what_a_route_fixes_is_fixed_in_the_service_path_too() {
        assert_eq!(
            ways("/pets/cats/{*rest}", None, "/pets/{kind}/{id}"),
            pairs(&[("/pets/cats/{id}", "/pets/cats/{id}")])
        );
    }

    #[test]
    fn a_rewritten_path_is_led_back() {
        let to = |pieces: &[&str]| {
            let piece = |text: &&str| match text.strip_prefix(':') {
                Some(name) => RewritePiece::Param(name.to_owned()),
                None => RewritePiece::Literal((*text).to_owned()),
            };
            Some(Rewrite::Path(pieces.iter().map(piece).collect()))
        };
        let rest = to(&["/v2/orders/", ":rest"]);
        assert_eq!(ways("/api/{*rest}", rest.as_ref(), "/v2/orders/{id}/items")[0].0, "/api/{id}/items");
        assert!(ways("/api/{*rest}", rest.as_ref(), "/v2/users").is_empty());
        assert_eq!(ways("/u/{id}", to(&["/users/", ":id"]).as_ref(), "/users/{name}")[0].0, "/u/{name}");
        assert_eq!(
            ways("/t/{tenant}/{id}", to(&["/users/", ":id"]).as_ref(), "/users/{name}")[0].0,
            "/t/{tenant}/{name}"
        );
        assert!(
            ways("/t/{id}/{x}", to(&["/users/", ":x"]).as_ref(), "/users/{id}").is_empty(),
            "one name for two parameters"
        );
        assert_eq!(ways("/a/{x}", to(&["/f/", ":x", ".json"]).as_ref(), "/f/{x}.json")[0].0, "/a/{x}");
        assert!(ways("/a/{x}", to(&["/f/", ":x", ".json"]).as_ref(), "/f/{y}.json").is_empty(), "a part of a segment");
    }
}
