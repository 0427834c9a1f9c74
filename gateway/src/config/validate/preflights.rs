//! Routes that a preflight cannot tell apart, of which one says which pages may use it and the other says nothing: such
//! preflights are refused, and the page of whoever wrote the first does not work.

use std::sync::Arc;

use http::header::COOKIE;

use super::conflicts::covers;
use super::meet;
use crate::config::settings::route::RouteMatch;
use crate::config::settings::{Cors, Route};
use crate::config::value::path_pattern::{self, Segment};
use crate::routing::may_come_unnamed;

/// Two such routes; indexes into the list that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mixed {
    /// The one that has no `cors`.
    pub(crate) silent: usize,
    /// One that has it.
    pub(crate) speaks: usize,
}

/// A route's conditions, and its path.
type Known<'a> = (&'a RouteMatch, &'a [Segment]);

/// Every route without `cors` that a preflight cannot tell from one which has it, each with the first such.
pub(crate) fn mixed(routes: &[Arc<Route>]) -> Vec<Mixed> {
    let speaking: Vec<(usize, &Cors)> =
        routes.iter().enumerate().filter_map(|(at, it)| Some((at, it.cors.as_deref()?))).collect();
    if speaking.is_empty() || !routes.iter().any(|it| hangs_on_headers(&it.matches)) {
        return Vec::new();
    }
    let paths: Vec<_> = routes.iter().map(|it| path_pattern::parse(&it.matches.path).unwrap_or_default()).collect();
    let known = |at: usize| (&routes[at].matches, &paths[at][..]);
    let silent = (0..routes.len()).filter(|at| routes[*at].cors.is_none());
    let found = silent.filter_map(|silent| {
        let is_like = |(at, cors): &&(usize, &Cors)| alike(known(silent), known(*at), cors);
        let (speaks, _) = speaking.iter().find(is_like)?;
        Some(Mixed { silent, speaks: *speaks })
    });
    found.collect()
}

/// Whether one preflight may be about requests of both.
fn alike(silent: Known<'_>, speaks: Known<'_>, cors: &Cors) -> bool {
    // Of most routes neither does, so that the rest is asked of few pairs.
    if !hangs_on_headers(silent.0) && !hangs_on_headers(speaks.0) {
        return false;
    }
    let meets = meet(&silent.0.hosts, &speaks.0.hosts)
        && meet(&silent.0.methods, &speaks.0.methods)
        && meet(&silent.0.listeners, &speaks.0.listeners)
        && (covers(silent.1, speaks.1) || covers(speaks.1, silent.1));
    let holds = |it: Known<'_>| !hangs_on_headers(it.0) || may_come(it.0, cors);
    meets
        && holds(silent)
        && holds(speaks)
        && match (hangs_on_headers(silent.0), hangs_on_headers(speaks.0)) {
            (true, true) => true,
            (true, false) => is_before(silent, speaks),
            (false, true) => is_before(speaks, silent),
            (false, false) => false,
        }
}

/// Whether it takes some requests of its path and not others of which a preflight may look alike.
fn hangs_on_headers(matches: &RouteMatch) -> bool {
    !matches.headers.is_empty() || !matches.body.is_empty()
}

/// Whether a page that `cors` lets in may send what the conditions want, though its preflight does not show it.
fn may_come(matches: &RouteMatch, cors: &Cors) -> bool {
    matches.headers.iter().all(|(name, wanted)| {
        let is_named = cors.headers.iter().any(|known| known == name || known.as_str() == "*");
        let is_sent = *name != COOKIE || cors.credentials;
        is_sent && (is_named || may_come_unnamed(name, wanted))
    })
}

/// Whether it is asked before that one, for some path of both.
fn is_before(one: Known<'_>, other: Known<'_>) -> bool {
    let is_as_particular = (!one.0.hosts.is_empty() || other.0.hosts.is_empty()) && covers(other.1, one.1);
    one.0.priority > other.0.priority || (one.0.priority == other.0.priority && is_as_particular)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Purpose, load_text};

    /// Which of two routes are warned of.
    fn warned(first: &str, second: &str) -> Vec<&'static str> {
        let route = |name: &str, more: &str| {
            format!("[[routes]]\nname = '{name}'\nupstream = 'http://127.0.0.1:1'\n{more}\n\n")
        };
        let text = format!("{}{}", route("one", first), route("two", second));
        let loaded = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|it| panic!("{it}"));
        let about = loaded.warnings.iter().filter(|it| it.message.contains("a preflight cannot tell"));
        let begins = text.lines().position(|line| line == "name = 'two'").unwrap();
        about.map(|it| if it.line < begins { "one" } else { "two" }).collect()
    }

    const OPEN: &str = "path = '/api/{*rest}'\ncors = { origins = ['https://a.test'], headers = ['x-version'] }";
    const WITH_COOKIES: &str = "path = '/api/{*rest}'\ncors = { origins = ['https://a.test'], credentials = true }";

    #[test]
    fn a_route_without_cors_that_may_be_meant_is_told_of() {
        for headers in ["accept-language = '~de.*'", "content-type = '*'", "x-version = '2'"] {
            let canary = format!("path = '/{{*rest}}'\npriority = 1\nheaders = {{ {headers} }}");
            assert_eq!(warned(&canary, OPEN), ["one"], "{headers}");
            assert_eq!(warned(OPEN, &canary), ["two"], "{headers}");
        }
        let canary = "path = '/api/{*rest}'\nheaders = { cookie = '~.*canary.*' }";
        assert_eq!(warned(canary, WITH_COOKIES), ["one"]);
        assert_eq!(warned("path = '/api/x'\nmethods = ['POST']\nbody = { '/a' = 1 }", OPEN), ["one"]);
        // The other way round.
        let spoken = format!("{OPEN}\nheaders = {{ x-version = '2' }}");
        assert_eq!(warned(&spoken, "path = '/api/{*rest}'"), ["two"]);
    }

    #[test]
    fn what_no_page_sends_or_is_never_reached_is_nothing_to_tell_of() {
        for canary in [
            "path = '/api/{*rest}'\nheaders = { cookie = '~.*canary.*' }",
            "path = '/api/{*rest}'\nheaders = { x-other = '2' }",
            "path = '/api/{*rest}'\nheaders = { content-type = '~application/grpc.*' }",
            "path = '/{*rest}'\nheaders = { accept = '*' }",
            "path = '/other'\nheaders = { accept = '*' }",
            "path = '/api/{*rest}'\nhosts = ['b.test']",
            "path = '/api/{*rest}'\nheaders = { accept = '*' }\ncors = { origins = ['https://b.test'] }",
        ] {
            assert_eq!(warned(OPEN, canary), [""; 0], "{canary}");
        }
    }
}
