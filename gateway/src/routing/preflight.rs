//! Preflights (Fetch, "CORS-preflight request"): a browser asks, before it sends a request of a page of another origin,
//! whether it may. The route that is asked about is the one that the request itself would take, as far as that can be
//! told: a preflight names the headers that will be sent, and not their values.

use std::cmp::Reverse;

use http::{HeaderName, Method, header};

use super::content::Body;
use super::content_index::Leaves;
use super::method::bit;
use super::table::{Ask, Params, RouteTable};
use super::tree::Visitor;
use crate::config::settings::Cors;
use crate::config::settings::route::ValueMatch;
use crate::config::value_match;
use crate::error::{Code, GatewayError};
use crate::request_fields::{FieldValue, RequestFields};

/// Headers that a request may have and its preflight does not name: those that any page may send, and cookies.
const UNNAMED: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_LANGUAGE, header::CONTENT_TYPE, header::COOKIE];

/// The `content-type` of those.
const OF_ANY_PAGE: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

/// A preflight that names more headers than this is none: browsers name those that a page sets.
const MOST_NAMES: usize = 64;

/// What a browser asks.
#[derive(Debug)]
pub struct Preflight<'h> {
    /// The page's origin.
    pub origin: FieldValue<'h>,
    /// The method that is to follow.
    pub method: Method,
    /// The headers that are to come, beside `UNNAMED`.
    names: Vec<HeaderName>,
}

impl<'h> Preflight<'h> {
    /// What is asked, where the request is a preflight: `OPTIONS` with one origin and one method that is to follow.
    #[inline]
    pub fn of(method: &Method, headers: &'h RequestFields) -> Option<Self> {
        if *method == Method::OPTIONS { Self::read(headers) } else { None }
    }

    #[cold]
    fn read(headers: &'h RequestFields) -> Option<Self> {
        let one = |name| {
            let mut values = headers.get_all(&name).iter();
            values.next().filter(|_| values.next().is_none())
        };
        let method = one(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let origin = one(header::ORIGIN)?;
        let lines = headers.get_all(&header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let mut named = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let names = named.by_ref().take(MOST_NAMES);
        let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok()).collect();
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        named.next().is_none().then_some(Self { origin, method, names })
    }

    /// The method and the headers, as a browser is told that they are granted.
    pub fn lists(&self) -> [String; 2] {
        let names: Vec<&str> = self.names.iter().map(HeaderName::as_str).collect();
        [self.method.to_string(), names.join(", ")]
    }

    /// Whether the request to come may have this header, with such a value.
    fn may_have(&self, name: &HeaderName, wanted: &ValueMatch) -> bool {
        self.names.contains(name) || may_come_unnamed(name, wanted)
    }
}

/// Whether a request may have this header, with such a value, of which its preflight says nothing. A `content-type`
/// that not every page may send is named.
pub fn may_come_unnamed(name: &HeaderName, wanted: &ValueMatch) -> bool {
    UNNAMED.contains(name) && (*name != header::CONTENT_TYPE || may_be_any_pages(wanted))
}

/// Whether a `content-type` may be one that every page may send (Fetch, "CORS-safelisted request-header").
fn may_be_any_pages(wanted: &ValueMatch) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(exact) => {
            let kind = exact.split(';').next().unwrap_or_default().trim();
            OF_ANY_PAGE.iter().any(|any| kind.eq_ignore_ascii_case(any))
        }
        ValueMatch::Pattern(regex) => {
            let begins = value_match::begins(regex).to_ascii_lowercase();
            OF_ANY_PAGE.iter().any(|any| any.starts_with(&begins) || begins.starts_with(any))
        }
        ValueMatch::Hidden(wanted) => may_be_any_pages(wanted),
    }
}

/// What a page is told that may not.
pub fn refused() -> GatewayError {
    GatewayError::new(Code::Forbidden, "Pages of this origin may not use this route.")
}

/// The routes that the request may take which a preflight asks about.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// The likeliest of those that say which pages may use them: the gateway answers as it says.
    pub speaker: usize,
    /// All of them, the likeliest first. Who grants the preflight has to ask them all.
    pub routes: Vec<usize>,
    /// What is to be sent besides headers by whose values the routes are told apart. That one route wants such a header
    /// is no reason for another to allow it.
    names: Vec<HeaderName>,
}

impl Asked {
    /// The first of them that does not let the page send what its preflight asks for. A browser judges by itself what
    /// one route alone allows, and is told its lists; of several it would see the lists of one.
    #[cold]
    pub fn refusing<'c>(&self, preflight: &Preflight<'_>, cors: impl Fn(usize) -> Option<&'c Cors>) -> Option<usize> {
        let origin = preflight.origin.to_header_value();
        let is_one = self.routes.len() == 1;
        let lets = |at: usize| {
            let grants = |cors: &Cors| is_one || cors.grants(&preflight.method, &self.names);
            cors(at).is_some_and(|cors| cors.allows(&origin).is_some() && grants(cors))
        };
        self.routes.iter().copied().find(|at| !lets(*at))
    }
}

impl RouteTable {
    /// The routes that the request may take which a preflight asks about. Which of them it takes hangs on values that
    /// the preflight does not tell. `None` where none of them has a policy for pages: the preflight is a request like
    /// any other.
    ///
    /// A page that is not told that it may send credentials sends no cookie: a route that wants one takes no request of
    /// such a page.
    #[cold]
    pub fn find_asked(&self, ask: &Ask<'_>, preflight: &Preflight<'_>) -> Option<Asked> {
        // So that others pay nothing for being asked.
        if !self.has_cors() {
            return None;
        }
        let mut routes = self.candidates(ask, preflight);
        let cors = |index: usize| self.routes()[index].cors.as_deref();
        if !routes.iter().any(|index| cors(*index).is_some_and(|cors| cors.credentials)) {
            let wants_cookie = |index| self.content(index).headers.iter().any(|(name, _)| *name == header::COOKIE);
            routes.retain(|index| !wants_cookie(*index));
        }
        let speaker = routes.iter().copied().find(|index| cors(*index).is_some())?;
        let tells_apart = |name: &&HeaderName| {
            routes.iter().any(|index| self.content(*index).headers.iter().any(|(wanted, _)| *wanted == **name))
        };
        let names = preflight.names.iter().filter(|name| !tells_apart(name)).cloned().collect();
        Some(Asked { speaker, routes, names })
    }

    /// The same, the likeliest first, whatever they say of pages.
    fn candidates(&self, ask: &Ask<'_>, preflight: &Preflight<'_>) -> Vec<usize> {
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
            let (query, may_have) = (ask.query, |name: &HeaderName, wanted: &_| self.preflight.may_have(name, wanted));
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
    use crate::config::settings::route::RouteMatch;
    use crate::config::settings::{Cors, Route};
    use http::HeaderValue;

    fn headers(fields: &[(&'static str, &'static str)]) -> RequestFields {
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
        twice.append(&header::ORIGIN, HeaderValue::from_static("https://b"));
        assert!(Preflight::of(&Method::OPTIONS, &twice).is_none());
    }

    #[test]
    fn a_list_of_headers_that_no_browser_makes_is_no_preflight() {
        let with = |names: &str| {
            let mut whole = headers(&[("origin", "https://a"), ("access-control-request-method", "PUT")]);
            whole.insert(&header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_str(names).unwrap());
            Preflight::of(&Method::OPTIONS, &whole).map(|preflight| preflight.names.len())
        };
        assert_eq!(with("x-a, X-B,,x c"), Some(2), "what is no name is none");
        assert_eq!(with(&",".repeat(MOST_NAMES - 1)), Some(0));
        assert_eq!(with(&",".repeat(30_000)), None);
    }

    fn with_cors(path: &str, credentials: bool, change: impl FnOnce(&mut RouteMatch)) -> Arc<Route> {
        let mut route = Arc::try_unwrap(route(path, change)).unwrap();
        let max_age = std::time::Duration::ZERO;
        route.cors = Some(Box::new(Cors {
            origins: None,
            methods: None,
            headers: Vec::new(),
            exposed: None,
            credentials,
            max_age,
        }));
        Arc::new(route)
    }

    fn condition(name: &'static str, wanted: &str) -> Vec<(HeaderName, ValueMatch)> {
        vec![(HeaderName::from_static(name), value_match::parse(wanted).unwrap())]
    }

    /// Who answers a preflight of `PUT /a` that names these headers, and who has to agree.
    fn asked(routes: &[Arc<Route>], names: &'static str) -> Option<(usize, Vec<usize>)> {
        let headers = headers(&[
            ("origin", "https://a"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", names),
        ]);
        let preflight = Preflight::of(&Method::OPTIONS, &headers).unwrap();
        let (method, body) = (&Method::OPTIONS, Body::Absent);
        let ask =
            Ask { listener: "", host: "", method, path: "/a", query: None, client: None, headers: &headers, body };
        let asked = RouteTable::build(routes).find_asked(&ask, &preflight)?;
        Some((asked.speaker, asked.routes))
    }

    #[test]
    fn a_page_without_credentials_sends_no_cookie_by_which_another_route_is_taken() {
        let canary = || route("/a", |it| it.headers = condition("cookie", "~.*canary.*"));
        let open = |credentials| with_cors("/a", credentials, |_| {});
        assert_eq!(asked(&[canary(), open(false)], ""), Some((1, vec![1])));
        assert_eq!(asked(&[canary(), open(true)], ""), Some((1, vec![0, 1])), "it may send one");
        let told = with_cors("/a", true, |it| it.headers = condition("cookie", "*"));
        assert_eq!(asked(&[told, open(false)], ""), Some((0, vec![0, 1])));
        assert_eq!(asked(&[canary(), route("/a", |_| {})], ""), None);
        let never = with_cors("/a", false, |it| it.headers = condition("cookie", "*"));
        assert_eq!(asked(&[never, route("/a", |_| {})], ""), None, "no page is let in with a cookie");
    }

    #[test]
    fn a_route_that_says_nothing_of_pages_does_not_stand_before_one_that_does() {
        let open = || with_cors("/a", false, |_| {});
        for (name, wanted, unnamed) in [
            ("accept-language", "~de.*", true),
            ("content-type", "~application/grpc.*", false),
            ("content-type", "application/vnd.a.v2+json", false),
            ("content-type", "text/plain; charset=utf-8", true),
            ("content-type", "~.*json", true),
            ("content-type", "*", true),
            ("x-version", "2", false),
        ] {
            let other = || route("/a", |it| it.headers = condition(name, wanted));
            let both = Some((1, vec![0, 1]));
            let alone = Some((1, vec![1]));
            assert_eq!(asked(&[other(), open()], ""), if unnamed { both.clone() } else { alone }, "{name}: {wanted}");
            assert_eq!(asked(&[other(), open()], name), both, "{name}: {wanted}");
        }
        // One that takes all says nothing, whoever stands behind it.
        assert_eq!(asked(&[route("/a", |_| {}), with_cors("/{*rest}", false, |_| {})], ""), None);
    }

    #[test]
    fn the_route_is_the_one_that_the_request_would_take() {
        let version = |value: &str| (HeaderName::from_static("x-version"), ValueMatch::Exact(value.into()));
        let only = |method: Method| move |matches: &mut RouteMatch| matches.methods = vec![method];
        let mut first = Arc::try_unwrap(route("/a", only(Method::GET))).unwrap();
        let (methods, headers_allowed) = (None, Vec::new());
        let max_age = std::time::Duration::ZERO;
        let policy =
            Cors { origins: None, methods, headers: headers_allowed, exposed: None, credentials: false, max_age };
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
            table.candidates(&Ask { listener, host, method, path, query, client, headers: &headers, body }, &preflight)
        };
        assert_eq!(found("/a", None, "GET", ""), [0]);
        assert_eq!(found("/a", None, "PUT", ""), [2], "the header that the other wants will not be sent");
        assert_eq!(found("/a", None, "PUT", "x-other, X-Version"), [1, 2], "it will be, with whatever value");
        assert_eq!(found("/a", None, "DELETE", ""), [0; 0]);
        assert_eq!(found("/b", None, "DELETE", ""), [0; 0]);
        assert_eq!(found("/b", Some("x=1"), "DELETE", ""), [4]);
    }
}
