//! Routes that can never be told apart.
//!
//! Two routes are that when they have a host (or any host) in common and are equal in priority, path (names of
//! parameters aside), methods, header and query conditions: then each request of that host that one matches, the other
//! matches with the same rank, and only the order of the file decides. Routes that merely overlap (`GET` with `GET,
//! POST`, two different headers) are no conflict: some request tells them apart.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use http::Method;

use super::pattern::Pattern;
use super::table::any_or_each;
use crate::config::settings::Route;
use crate::config::settings::route::{HostPattern, ValueMatch};

/// Pairs of routes, each the earlier and a later one; a later route is paired with the first that it equals. In the
/// order of the later ones. The cost is linear in the number of routes and hosts.
pub fn indistinguishable(routes: &[Arc<Route>]) -> Vec<(usize, usize)> {
    let mut first: HashMap<(Option<&HostPattern>, String), usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let key = key(route);
        let mut equal: Vec<usize> = Vec::new();
        for host in any_or_each(&route.matches) {
            let earlier = *first.entry((host, key.clone())).or_insert(number);
            if earlier != number && !equal.contains(&earlier) {
                equal.push(earlier);
            }
        }
        pairs.extend(equal.into_iter().map(|earlier| (earlier, number)));
    }
    pairs
}

/// All but the host, in one form. Parts are quoted, so that no value can pass for another part.
fn key(route: &Route) -> String {
    let matches = &route.matches;
    let mut methods: Vec<&str> = matches.methods.iter().map(Method::as_str).collect();
    methods.sort_unstable();
    methods.dedup();
    let mut headers: Vec<String> = matches.headers.iter().map(|(name, value)| pair(name.as_str(), value)).collect();
    headers.sort_unstable();
    headers.dedup();
    let mut query: Vec<String> = matches.query.iter().map(|(name, value)| pair(name, value)).collect();
    query.sort_unstable();
    query.dedup();
    let mut key = Pattern::of(&matches.path).shape();
    // Writing to a string cannot fail.
    let _ = write!(key, " {} {methods:?} {headers:?} {query:?}", matches.priority);
    key
}

fn pair(name: &str, value: &ValueMatch) -> String {
    match value {
        ValueMatch::Present => format!("{name:?} *"),
        ValueMatch::Exact(exact) => format!("{name:?} = {exact:?}"),
        ValueMatch::Pattern(regex) => format!("{name:?} ~ {:?}", regex.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::super::naive::route;
    use super::*;
    use crate::config::settings::route::RouteMatch;

    fn pairs(routes: &[Arc<Route>]) -> Vec<(usize, usize)> {
        indistinguishable(routes)
    }

    fn on(hosts: &[&str]) -> impl FnOnce(&mut RouteMatch) + use<> {
        let hosts = hosts.iter().map(|&host| HostPattern::Exact(host.to_owned())).collect();
        |matches| matches.hosts = hosts
    }

    #[test]
    fn names_of_parameters_tell_nothing() {
        let routes = [route("/a/{id}", |_| {}), route("/a/{name}", |_| {}), route("/a/{*id}", |_| {})];
        assert_eq!(pairs(&routes), [(0, 1)]);
    }

    #[test]
    fn a_host_in_common_is_enough() {
        let routes =
            [route("/", on(&["a", "b"])), route("/", on(&["c"])), route("/", on(&["b", "c"])), route("/", |_| {})];
        assert_eq!(pairs(&routes), [(0, 2), (1, 2)]);
    }

    #[test]
    fn the_order_of_conditions_tells_nothing_their_values_do() {
        let with = |names: [&'static str; 2], value: &str| {
            route("/", |matches| {
                let value = ValueMatch::Exact(value.to_owned());
                matches.headers = names.map(|name| (HeaderName::from_static(name), value.clone())).to_vec();
                matches.methods = vec![Method::GET];
            })
        };
        let routes = [with(["a", "b"], "1"), with(["b", "a"], "1"), with(["a", "b"], "2"), route("/", |_| {})];
        assert_eq!(pairs(&routes), [(0, 1)]);
    }

    #[test]
    fn method_and_priority_tell_apart() {
        let routes = [
            route("/", |matches| matches.methods = vec![Method::GET, Method::POST]),
            route("/", |matches| matches.methods = vec![Method::GET]),
            route("/", |matches| matches.priority = 1),
            route("/", |matches| matches.methods = vec![Method::POST, Method::GET]),
        ];
        assert_eq!(pairs(&routes), [(0, 3)]);
    }
}
