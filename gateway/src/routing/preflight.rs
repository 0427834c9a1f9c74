//! Preflights (Fetch, "CORS-preflight request"): a browser asks, before it sends a request of a page of another origin,
//! whether it may. The route that is asked about is the one that the request itself would take, as far as that can be
//! told: a preflight names the headers that will be sent, and not their values.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::content::Body;
use super::content_index::Leaves;
use super::method::bit;
use super::table::{Ask, Params, RouteTable};
use super::tree::Visitor;

/// Headers that a request may have and its preflight does not name: those that any page may send, and cookies.
const UNNAMED: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_LANGUAGE, header::CONTENT_TYPE, header::COOKIE];

/// What a browser asks.
#[derive(Debug)]
pub struct Preflight<'h> {
    /// The page's origin.
    pub origin: &'h HeaderValue,
    /// The method that is to follow.
    pub method: Method,
    names: &'h HeaderMap,
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
        Some(Self { origin: one(header::ORIGIN)?, method: Method::from_bytes(method.as_bytes()).ok()?, names: headers })
    }

    /// Whether the request to come may have this header.
    fn may_have(&self, name: &HeaderName) -> bool {
        let lines = self.names.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut names = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        UNNAMED.contains(name) || names.any(|one| one.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    }
}

impl RouteTable {
    /// The route that the request would take which a preflight asks about.
    #[cold]
    pub fn find_asked(&self, ask: &Ask<'_>, preflight: &Preflight<'_>) -> Option<usize> {
        let mut search = Search { table: self, ask, preflight, method: bit(&preflight.method), best: None };
        self.each_place(ask, &mut Params::new(), &mut search);
        search.best.map(|(route, _)| route)
    }
}

/// Looks for the best route whose conditions can hold.
struct Search<'t, 'a> {
    table: &'t RouteTable,
    ask: &'t Ask<'a>,
    preflight: &'t Preflight<'t>,
    method: u16,
    /// With its priority.
    best: Option<(usize, i64)>,
}

impl Visitor for Search<'_, '_> {
    fn above(&self) -> Option<i64> {
        self.best.map(|(_, priority)| priority)
    }

    fn leaves(&mut self, leaves: &Leaves, _: &Params) {
        let (above, ask) = (self.above(), self.ask);
        let best = leaves.list.iter().find(|leaf| {
            let content = self.table.content(leaf.route as usize);
            above.is_none_or(|priority| leaf.priority > priority)
                && leaf.methods.answers_bit(self.method, &self.preflight.method)
                && content
                    .unmet_but(ask.headers, ask.query, Body::Unread, |name| self.preflight.may_have(name))
                    .is_none()
        });
        if let Some(best) = best {
            self.best = Some((best.route as usize, best.priority));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive::route;
    use super::*;
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
    fn the_route_is_the_one_that_the_request_would_take() {
        let version = |value: &str| (HeaderName::from_static("x-version"), ValueMatch::Exact(value.into()));
        let only = |method: Method| move |matches: &mut RouteMatch| matches.methods = vec![method];
        let table = RouteTable::build(&[
            route("/a", only(Method::GET)),
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
            table.find_asked(&Ask { host: "", method, path, query, headers: &headers, body }, &preflight)
        };
        assert_eq!(found("/a", None, "GET", ""), Some(0));
        assert_eq!(found("/a", None, "PUT", ""), Some(2), "the header that the other wants will not be sent");
        assert_eq!(found("/a", None, "PUT", "x-other, X-Version"), Some(1), "it will be");
        assert_eq!(found("/a", None, "DELETE", ""), None);
        assert_eq!(found("/b", None, "DELETE", ""), None);
        assert_eq!(found("/b", Some("x=1"), "DELETE", ""), Some(4));
    }
}
