//! The routes of a configuration, compiled: one question, one answer, at a cost that does not grow with their number.
//!
//! Order among the routes that match, precisely:
//! 1. the higher `priority`;
//! 2. the more specific host: exact, then the longer wildcard, then any host. So a route for any host beats one for
//!    this host only by a higher priority;
//! 3. the more specific path, compared segment by segment from the left: static, then parameter, then rest; where one
//!    path ends and the other goes on with a rest that matches nothing, the one that ends;
//! 4. more conditions: each header, each query parameter, each place in the body, and the method, the listener and
//!    where clients are, where one is named, count one;
//! 5. the order of the file; but for `HEAD`, of routes that are equal up to here, one that names `HEAD` comes
//!    before one that names only `GET`.
//!
//! A route of other listeners than the one by which a request came is not there for it, nor is one for other clients.
//!
//! When the method or a condition fails, the next in this order is tried: nothing is decided before all holds. A match
//! allocates nothing, up to four parameters.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method};

use super::content::{Body, Content};
use super::content_index::Leaves;
use super::host::HostTable;
use super::method::{HEAD, MethodSet, bit};
use super::pattern::Pattern;
pub use super::tree::Params;
use super::tree::{Forest, Leaf, Visitor};
use crate::config::settings::Route;
use crate::config::settings::route::RouteMatch;
use crate::request_fields::RequestFields;

/// What is known of a request when its route is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The name of the listener by which it came; empty where it has none.
    pub listener: &'a str,
    /// Lower-case, without port; empty where there is none.
    pub host: &'a str,
    /// The method.
    pub method: &'a Method,
    /// Normalised, without query.
    pub path: &'a str,
    /// Without `?`.
    pub query: Option<&'a str>,
    /// The client's address; `None` where nobody knows it, or no route asks for it.
    pub client: Option<IpAddr>,
    /// The request's headers.
    pub headers: &'a RequestFields,
    /// The request's body.
    pub body: Body<'a>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This route, and the values of its path's parameters.
    Route {
        /// Its place among the routes that the table was built from.
        index: usize,
        /// Ranges of bytes in `Ask::path`, in the order of `Pattern::names`.
        params: Params,
    },
    /// Host and path are known, but no route there takes this method.
    MethodNotAllowed {
        /// The value of `Allow`: the methods of all routes of this host and path.
        allow: HeaderValue,
    },
    /// No route matches.
    None,
}

/// Compiled routes.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
    patterns: Vec<Pattern>,
    contents: Vec<Content>,
    hosts: HostTable,
    forest: Forest,
    /// The largest body that any route looks into, bytes; `None` where none does.
    body_limit: Option<usize>,
    /// Some route says which pages may use it.
    has_cors: bool,
    /// Some route is not there for every listener.
    has_listeners: bool,
    /// Some route is for some clients alone.
    has_clients: bool,
    /// Some route has parameters that are groups of an expression.
    has_groups: bool,
}

impl RouteTable {
    /// Compiles routes; their paths were validated (`config::path_pattern`).
    pub fn build(routes: &[Arc<Route>]) -> Self {
        let patterns: Vec<Pattern> = routes.iter().map(|route| Pattern::of_route(&route.matches)).collect();
        let contents: Vec<Content> = routes.iter().map(|route| Content::new(&route.matches)).collect();
        let (mut hosts, mut forest) = (HostTable::new(), Forest::default());
        for (number, route) in routes.iter().enumerate() {
            let methods = MethodSet::new(&route.matches.methods);
            let leaf = Leaf {
                route: number as u32,
                conditions: conditions(&route.matches),
                priority: route.matches.priority,
                has_content: !contents[number].is_empty(),
                methods,
            };
            for host in any_or_each(&route.matches) {
                let root = hosts.root(host, || forest.plant());
                forest.insert(root, &patterns[number], leaf.clone());
            }
        }
        forest.index(&contents);
        let has_cors = routes.iter().any(|route| route.cors.is_some());
        let has_listeners = routes.iter().any(|route| !route.matches.listeners.is_empty());
        let has_clients = routes.iter().any(|route| !route.matches.clients.is_empty());
        let body_limit = contents.iter().filter_map(Content::body_limit).max();
        let has_groups = patterns.iter().any(Pattern::has_groups);
        let routes = routes.to_vec();
        Self { routes, patterns, contents, hosts, forest, body_limit, has_cors, has_listeners, has_clients, has_groups }
    }

    /// The route of a request.
    #[inline]
    pub fn find(&self, ask: &Ask<'_>) -> Found {
        let mut search = Search { table: self, ask, method: bit(ask.method), best: None };
        let mut params = Params::new();
        self.hosts.each(ask.host, |root| self.forest.walk(root, ask.path, &mut params, &mut search));
        match search.best {
            Some(best) => {
                let (index, mut params) = (best.route as usize, best.params);
                if self.has_groups {
                    self.contents[index].add_groups(ask.path, &mut params);
                }
                Found::Route { index, params }
            }
            None => self.not_found(ask),
        }
    }

    /// The largest body that any route looks into, bytes; `None` where none does.
    #[inline]
    pub fn body_limit(&self) -> Option<usize> {
        self.body_limit
    }

    /// Whether some route says which pages may use it.
    pub(super) fn has_cors(&self) -> bool {
        self.has_cors
    }

    /// Whether it matters by which listener a request came.
    #[inline]
    pub fn has_listeners(&self) -> bool {
        self.has_listeners
    }

    /// Whether it matters where a client is.
    #[inline]
    pub fn has_clients(&self) -> bool {
        self.has_clients
    }

    /// Whether a route looks into the body.
    pub fn looks_into_body(&self, index: usize) -> bool {
        self.contents[index].body_limit().is_some()
    }

    /// The routes that the table was built from.
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The path of a route, parsed.
    pub fn pattern(&self, index: usize) -> &Pattern {
        &self.patterns[index]
    }

    /// The conditions of a route.
    pub(super) fn content(&self, index: usize) -> &Content {
        &self.contents[index]
    }

    /// Shows a visitor every place of a request's host and path.
    pub(super) fn each_place(&self, ask: &Ask<'_>, params: &mut Params, visitor: &mut impl Visitor) {
        self.hosts.each(ask.host, |root| self.forest.walk(root, ask.path, params, visitor));
    }

    #[cold]
    fn not_found(&self, ask: &Ask<'_>) -> Found {
        let mut methods = Methods { table: self, ask, taken: false, all: None };
        self.each_place(ask, &mut Params::new(), &mut methods);
        match methods.all.filter(|_| !methods.taken).map(|all| HeaderValue::try_from(all.list())) {
            Some(Ok(allow)) => Found::MethodNotAllowed { allow },
            // A method is a token, so the list is always a header's value.
            Some(Err(_)) | None => Found::None,
        }
    }
}

/// How many conditions a route has, beside host and path.
pub(crate) fn conditions(matches: &RouteMatch) -> u32 {
    let named = usize::from(!matches.methods.is_empty())
        + usize::from(!matches.listeners.is_empty())
        + usize::from(!matches.clients.is_empty())
        + usize::from(matches.path_regex.is_some());
    (matches.headers.len() + matches.query.len() + matches.body.len() + named) as u32
}

/// The hosts of a route; `None` stands for any.
pub(super) fn any_or_each(
    matches: &RouteMatch,
) -> impl Iterator<Item = Option<&crate::config::settings::route::HostPattern>> {
    let any = matches.hosts.is_empty().then_some(None);
    any.into_iter().chain(matches.hosts.iter().map(Some))
}

/// Looks for the best route.
struct Search<'t, 'a> {
    table: &'t RouteTable,
    ask: &'t Ask<'a>,
    /// The bit of the request's method.
    method: u16,
    best: Option<Best>,
}

struct Best {
    route: u32,
    priority: i64,
    params: Params,
}

impl Search<'_, '_> {
    fn holds(&self, content: &Content) -> bool {
        let ask = self.ask;
        content.is_reached_by(ask.listener)
            && content.is_for(ask.client)
            && content.takes_path(ask.path)
            && content.holds(ask.headers, ask.query, ask.body)
    }

    fn answers(&self, leaf: &Leaf) -> bool {
        leaf.methods.answers_bit(self.method, self.ask.method)
            && (!leaf.has_content || self.holds(&self.table.contents[leaf.route as usize]))
    }

    /// The best of a list in order, if it beats what was found before.
    fn first<'l>(&self, list: &mut dyn Iterator<Item = &'l Leaf>) -> Option<&'l Leaf> {
        let above = self.above();
        let mut candidates = list.take_while(|leaf| above.is_none_or(|priority| leaf.priority > priority));
        let best = candidates.find(|leaf| self.answers(leaf))?;
        if !self.is_implied(best) {
            return Some(best);
        }
        let equal = |leaf: &&Leaf| leaf.priority == best.priority && leaf.conditions == best.conditions;
        Some(candidates.take_while(equal).find(|leaf| !self.is_implied(leaf) && self.answers(leaf)).unwrap_or(best))
    }

    /// The better of two leaves of one place that both answer.
    fn better<'l>(&self, one: &'l Leaf, other: &'l Leaf) -> &'l Leaf {
        let rank = |leaf: &Leaf| (Reverse(leaf.priority), Reverse(leaf.conditions), self.is_implied(leaf), leaf.route);
        if rank(one) <= rank(other) { one } else { other }
    }

    /// `HEAD` asked of a route that names only `GET`.
    #[inline]
    fn is_implied(&self, leaf: &Leaf) -> bool {
        self.method == HEAD && leaf.methods.answers_head_for_get()
    }
}

impl Visitor for Search<'_, '_> {
    #[inline]
    fn above(&self) -> Option<i64> {
        self.best.as_ref().map(|best| best.priority)
    }

    #[inline]
    fn leaves(&mut self, leaves: &Leaves, params: &Params) {
        let best = leaves.best(self.ask, |list| self.first(list), |one, other| self.better(one, other));
        if let Some(best) = best {
            self.best = Some(Best { route: best.route, priority: best.priority, params: params.clone() });
        }
    }
}

/// Collects the methods of all routes of a listener, a client, a host and a path.
struct Methods<'t, 'a> {
    table: &'t RouteTable,
    ask: &'t Ask<'a>,
    /// A route takes the method, so something else failed.
    taken: bool,
    all: Option<MethodSet>,
}

impl Visitor for Methods<'_, '_> {
    fn above(&self) -> Option<i64> {
        None
    }

    fn leaves(&mut self, leaves: &Leaves, _: &Params) {
        let is_there = |leaf: &&Leaf| {
            let content = self.table.content(leaf.route as usize);
            let is_there = content.is_reached_by(self.ask.listener) && content.is_for(self.ask.client);
            is_there && content.takes_path(self.ask.path)
        };
        for leaf in leaves.list.iter().filter(is_there) {
            self.taken |= leaf.methods.answers(self.ask.method);
            self.all.get_or_insert_with(MethodSet::default).add(&leaf.methods);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::super::naive::route;
    use super::*;
    use crate::config::settings::route::{HostPattern, ValueMatch};

    fn table() -> RouteTable {
        let get = |matches: &mut RouteMatch| matches.methods = vec![Method::GET];
        RouteTable::build(&[
            route("/", |_| {}),
            route("/api/orders/{*rest}", get),
            route("/api/orders/{id}", |matches| matches.methods = vec![Method::PUT, Method::DELETE]),
            route("/api/orders/new", |matches| {
                matches.headers = vec![(HeaderName::from_static("x-beta"), ValueMatch::Present)];
            }),
            route("/{a}/b", |_| {}),
            route("/api/{*rest}", |matches| {
                matches.methods = vec![Method::POST];
                matches.hosts = vec![HostPattern::Exact("a.example".into())];
            }),
            route("/up/{*rest}", |matches| matches.priority = 1),
            route("/up/exact", |matches| matches.hosts = vec![HostPattern::Wildcard("example".into())]),
        ])
    }

    /// What is found: the route's path and its parameters, or the methods allowed.
    #[track_caller]
    fn check(method: &str, url: &str, beta: bool, expected: &str) {
        let table = table();
        let (host, path) = url.split_at(url.find('/').unwrap());
        let mut headers = RequestFields::new();
        headers.extend(beta.then(|| (HeaderName::from_static("x-beta"), HeaderValue::from_static(""))));
        let method = method.parse().unwrap();
        let found = match table.find(&Ask {
            listener: "",
            host,
            method: &method,
            path,
            query: None,
            client: None,
            headers: &headers,
            body: Body::Absent,
        }) {
            Found::Route { index, params } => {
                let values = params.iter().map(|&(start, end)| format!(" [{}]", &path[start as usize..end as usize]));
                format!("{}{}", table.routes()[index].name, values.collect::<String>())
            }
            Found::MethodNotAllowed { allow } => format!("allow {}", allow.to_str().unwrap()),
            Found::None => "none".to_owned(),
        };
        assert_eq!(found, expected, "{method} {url}");
    }

    #[test]
    fn a_rest_also_matches_nothing() {
        check("GET", "/api/orders", false, "/api/orders/{*rest} []");
        check("GET", "/api/orders/", false, "/api/orders/{*rest} []");
        check("GET", "/api/orders/a/b/", false, "/api/orders/{*rest} [a/b/]");
        check("GET", "/api/ordersx", false, "none");
    }

    #[test]
    fn what_fails_later_gives_way_to_the_less_specific() {
        check("GET", "/api/orders/new", true, "/api/orders/new");
        check("PUT", "/api/orders/new", false, "/api/orders/{id} [new]");
        check("GET", "/api/orders/new", false, "/api/orders/{*rest} [new]");
        check("POST", "a.example/api/orders/new", false, "/api/{*rest} [orders/new]");
        check("GET", "/api/b", false, "/{a}/b [api]");
        check("GET", "//b", false, "none");
    }

    #[test]
    fn many_routes_of_one_path_are_found_by_their_header() {
        let tenant = |number: u32| {
            route("/a", |matches| {
                let value = ValueMatch::Exact(format!("t{number}"));
                matches.headers = vec![(HeaderName::from_static("x-tenant"), value)];
            })
        };
        let mut routes: Vec<Arc<Route>> = (0..10_000).map(tenant).collect();
        routes.push(route("/a", |_| {}));
        let table = RouteTable::build(&routes);
        for (tenant, expected) in [("t0", 0), ("t9999", 9_999), ("other", 10_000)] {
            let headers = RequestFields::from_iter([("x-tenant", tenant)]);
            let (host, method, body) = ("", &Method::GET, Body::Absent);
            let ask =
                Ask { listener: "", host, method, path: "/a", query: None, client: None, headers: &headers, body };
            assert_eq!(table.find(&ask), Found::Route { index: expected, params: Params::new() });
        }
    }

    #[test]
    fn a_route_of_other_listeners_is_not_there() {
        let of = |path: &str, listeners: &[&str], method: Method| {
            route(path, |matches| {
                matches.listeners = listeners.iter().map(|name| Arc::from(*name)).collect();
                matches.methods = vec![method];
            })
        };
        let table = RouteTable::build(&[
            of("/a", &["inside", "admin"], Method::GET),
            of("/a", &["outside"], Method::GET),
            of("/b", &["inside"], Method::POST),
            of("/{*rest}", &[], Method::PUT),
            of("/a", &[], Method::GET),
        ]);
        let found = |listener: &str, method: Method, path: &str| {
            let headers = RequestFields::new();
            let (query, body) = (None, Body::Absent);
            match table.find(&Ask {
                listener,
                host: "",
                method: &method,
                path,
                query,
                client: None,
                headers: &headers,
                body,
            }) {
                Found::Route { index, .. } => index.to_string(),
                Found::MethodNotAllowed { allow } => allow.to_str().unwrap().to_owned(),
                Found::None => "none".to_owned(),
            }
        };
        for (listener, expected) in [("inside", "0"), ("admin", "0"), ("outside", "1"), ("", "4"), ("other", "4")] {
            assert_eq!(found(listener, Method::GET, "/a"), expected, "{listener}");
        }
        assert_eq!(found("inside", Method::GET, "/b"), "POST, PUT");
        assert_eq!(found("outside", Method::GET, "/b"), "PUT", "the other's methods are not told");
        assert_eq!((found("outside", Method::POST, "/b"), found("", Method::POST, "/b")), ("PUT".into(), "PUT".into()));
    }

    #[test]
    fn priority_comes_before_host_and_path() {
        check("GET", "a.example/up/exact", false, "/up/{*rest} [exact]");
    }

    #[test]
    fn get_answers_head() {
        check("HEAD", "/api/orders/1", false, "/api/orders/{*rest} [1]");
    }

    #[test]
    fn allow_lists_the_methods_of_all_matching_paths() {
        check("POST", "/api/orders/1", false, "allow GET, HEAD, PUT, DELETE");
        check("PATCH", "a.example/api/orders/1", false, "allow GET, HEAD, POST, PUT, DELETE");
        check("PATCH", "/api/orders/new", false, "none");
        check("PATCH", "/nowhere", false, "none");
    }
}
