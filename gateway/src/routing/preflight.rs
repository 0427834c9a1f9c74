//! Preflights (Fetch, "CORS-preflight request"): a browser asks, before it sends a request of a page of another origin,
//! whether it may. The route that is asked about is the one that the request itself would take, as far as that can be
//! told: a preflight names the headers that will be sent, and not their values.

use std::cmp::Reverse;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::content::Body;
use super::content_index::Leaves;
use super::method::bit;
use super::table::{Ask, Params, RouteTable};
use super::tree::Visitor;

/// Headers that a request may have and its preflight does not name: those that any page may send, and cookies.
const UNNAMED: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_LANGUAGE, header::CONTENT_TYPE, header::COOKIE];

/// A preflight that names more headers than this is none: browsers name those that a page sets.
const MOST_NAMES: usize = 64;

/// What a browser asks.
#[derive(Debug)]
pub struct Preflight<'h> {
    /// The page's origin.
    pub origin: &'h HeaderValue,
    /// The method that is to follow.
    pub method: Method,
    /// The headers that are to come, beside `UNNAMED`.
    names: Vec<HeaderName>,
}

impl<'h> Preflight<'h> {
    /// What is asked, where the request is a preflight: `OPTIONS` with one origin and one method that is to follow.
    #[inline]
    pub fn of(method: &Method, headers: &'h HeaderMap) -> Option<Self> {
        if *method == Method::OPTIONS { Self::read(headers) } else { None }
    }

    #[cold]
    fn read(headers: &'h HeaderMap) -> Option<Self> {
        let one = |name| {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        let method = one(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = one(header::ORIGIN)?;
        let lines = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut named = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let names = named.by_ref().take(MOST_NAMES);
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        named.next().is_none().then_some(Self { origin, method, names })
    }

    /// Whether the request to come may have this header.
    fn may_have(&self, name: &HeaderName) -> bool {
        UNNAMED.contains(name) || self.names.contains(name)
    }
}

impl RouteTable {
    /// The routes that the request may take which a preflight asks about, the likeliest first. Which of them it takes
    /// hangs on values that the preflight does not tell: who grants it has to ask them all. None where no route has a
    /// policy for pages, so that others pay nothing for being asked.
    #[cold]
    pub fn find_asked(&self, ask: &Ask<'_>, preflight: &Preflight<'_>) -> Vec<usize> {
        if !self.has_cors() {
            return Vec::new();
        }
        let method = bit(&preflight.method);
        let mut search = Search { table: self, ask, preflight, method, candidates: Vec::new(), certain: None };
        self.each_place(ask, &mut Params::new(), &mut search);
        let Search { mut candidates, certain, .. } = search;
        candidates.retain(|(_, priority)| certain.is_none_or(|certain| *priority >= certain));
        candidates.sort_by_key(|(_, priority)| Reverse(*priority));
        candidates.into_iter().map(|(route, _)| route).collect()
    }
}

/// Looks for the routes whose conditions can hold, up to the first of which they do hold.
struct Search<'t, 'a> {
    table: &'t RouteTable,
    ask: &'t Ask<'a>,
    preflight: &'t Preflight<'t>,
    method: u16,
    /// With their priorities.
    candidates: Vec<(usize, i64)>,
    /// The priority of the best route that is taken if none of the others is.
    certain: Option<i64>,
}

impl Visitor for Search<'_, '_> {
    fn above(&self) -> Option<i64> {
        self.certain
    }

    fn leaves(&mut self, leaves: &Leaves, _: &Params) {
        let (above, ask) = (self.above(), self.ask);
        for leaf in &leaves.list {
            let content = self.table.content(leaf.route as usize);
            let (query, may_have) = (ask.query, |name: &HeaderName| self.preflight.may_have(name));
            if above.is_some_and(|priority| leaf.priority <= priority)
                || !content.is_reached_by(ask.listener)
                || !content.is_for(ask.client)
                || !content.takes_path(ask.path)
                || !leaf.methods.answers_bit(self.method, &self.preflight.method)
                || content.unmet_but(ask.headers, query, Body::Unread, may_have).is_some()
            {
                continue;
            }
            self.candidates.push((leaf.route as usize, leaf.priority));
            if content.holds(ask.headers, query, Body::Absent) {
                self.certain = Some(leaf.priority);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::naive::route;
    use super::*;
    use crate::config::settings::Cors;
    use crate::config::settings::route::{RouteMatch, ValueMatch};

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    #[test]
    fn a_preflight_is_options_with_one_origin_and_one_method() {
        let whole = [("origin", "https://a"), ("access-control-request-method", "PUT")];
        assert!(Preflight::of(&Method::OPTIONS, &headers(&whole)).is_some());
        assert!(Preflight::of(&Method::GET, &headers(&whole)).is_none());
        assert!(Preflight::of(&Method::OPTIONS, &headers(&whole[..1])).is_none());
        assert!(Preflight::of(&Method::OPTIONS, &headers(&whole[1..])).is_none());
        let bad = [whole[0], ("access-control-request-method", "P UT")];
        assert!(Preflight::of(&Method::OPTIONS, &headers(&bad)).is_none());
        let mut twice = headers(&whole);
        twice.append(header::ORIGIN, HeaderValue::from_static("https://b"));
        assert!(Preflight::of(&Method::OPTIONS, &twice).is_none());
    }

    #[test]
    fn a_list_of_headers_that_no_browser_makes_is_no_preflight() {
        let with = |names: &str| {
            let mut whole = headers(&[("origin", "https://a"), ("access-control-request-method", "PUT")]);
            whole.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_str(names).unwrap());
            Preflight::of(&Method::OPTIONS, &whole).map(|preflight| preflight.names.len())
        };
        assert_eq!(with("x-a, X-B,,x c"), Some(2), "what is no name is none");
        assert_eq!(with(&",".repeat(MOST_NAMES - 1)), Some(0));
        assert_eq!(with(&",".repeat(30_000)), None);
    }

    #[test]
    fn the_route_is_the_one_that_the_request_would_take() {
        let version = |value: &str| (HeaderName::from_static("x-version"), ValueMatch::Exact(value.into()));
        let only = |method: Method| move |matches: &mut RouteMatch| matches.methods = vec![method];
        let mut first = Arc::try_unwrap(route("/a", only(Method::GET))).unwrap();
        let (methods, headers_allowed) = (None, Vec::new());
        let max_age = std::time::Duration::ZERO;
        let policy = Cors { origins: None, methods, headers: headers_allowed, credentials: false, max_age };
        first.cors = Some(Box::new(policy));
        let table = RouteTable::build(&[
            Arc::new(first),
            route("/a", |matches| (matches.methods, matches.headers) = (vec![Method::PUT], vec![version("2")])),
            route("/a", only(Method::PUT)),
            route("/a", only(Method::OPTIONS)),
            route("/{*rest}", |matches| matches.query = vec![("x".into(), ValueMatch::Present)]),
        ]);
        let found = |path: &str, query: Option<&str>, method: &'static str, names: &'static str| {
            let headers = headers(&[
                ("origin", "https://a"),
                ("access-control-request-method", method),
                ("access-control-request-headers", names),
            ]);
            let preflight = Preflight::of(&Method::OPTIONS, &headers).unwrap();
            let (method, body) = (&Method::OPTIONS, Body::Absent);
            let (listener, host, client) = ("", "", None);
            table.find_asked(&Ask { listener, host, method, path, query, client, headers: &headers, body }, &preflight)
        };
        assert_eq!(found("/a", None, "GET", ""), [0]);
        assert_eq!(found("/a", None, "PUT", ""), [2], "the header that the other wants will not be sent");
        assert_eq!(found("/a", None, "PUT", "x-other, X-Version"), [1, 2], "it will be, with whatever value");
        assert_eq!(found("/a", None, "DELETE", ""), [0; 0]);
        assert_eq!(found("/b", None, "DELETE", ""), [0; 0]);
        assert_eq!(found("/b", Some("x=1"), "DELETE", ""), [4]);
    }
}
