//! Where nothing but the order of the file decides between two routes that match: rule 5 of `table.rs`.

use super::method::MethodSet;
use super::table::{any_or_each, conditions};
use crate::config::path_pattern;
use crate::config::settings::route::{HostPattern, RouteMatch};

/// What makes a route as good as another one: of two without one in common, a request's route is the same in any order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tie {
    /// `None` is any host. One that fits both routes by another pattern of one of them is decided by that.
    host: Option<HostPattern>,
    /// Without the names of what it holds.
    path: String,
    priority: i64,
    conditions: u32,
}

/// A route's ties, one for each of its hosts.
pub fn of(matches: &RouteMatch) -> impl Iterator<Item = Tie> {
    let path = path_pattern::shape(&matches.path);
    any_or_each(matches).map(move |host| Tie {
        host: host.cloned(),
        path: path.clone(),
        priority: matches.priority,
        conditions: conditions(matches),
    })
}

/// Whether both are reached by some listener, and answer some method alike. `HEAD` alone does not count that one
/// answers for its `GET`: a route that names it comes first, wherever it stands.
pub fn may_meet(one: &RouteMatch, other: &RouteMatch) -> bool {
    let shares_a_listener = one.listeners.is_empty()
        || other.listeners.is_empty()
        || one.listeners.iter().any(|name| other.listeners.contains(name));
    shares_a_listener && MethodSet::new(&one.methods).shares_a_name(&MethodSet::new(&other.methods))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;
    use proptest::prelude::*;

    use super::*;
    use crate::config::settings::Route;
    use crate::routing::naive::route;
    use crate::routing::{Ask, Body, Found, RouteTable};

    fn may_decide(one: &RouteMatch, other: &RouteMatch) -> bool {
        may_meet(one, other) && of(one).any(|tie| of(other).any(|its| its == tie))
    }

    fn any_route() -> impl Strategy<Value = Arc<Route>> {
        let hosts = [HostPattern::Exact("a.b".into()), HostPattern::Wildcard("b".into())];
        let methods = [Method::GET, Method::HEAD, Method::POST];
        (
            prop::sample::select(vec!["/a", "/{x}", "/{y}", "/{*rest}", "/a/{*rest}", "/a/{z}"]),
            prop::sample::subsequence(hosts.to_vec(), 0..=2),
            prop::sample::subsequence(methods.to_vec(), 0..=3),
            0..2_i64,
        )
            .prop_map(|(path, hosts, methods, priority)| {
                route(path, |it| (it.hosts, it.methods, it.priority) = (hosts, methods, priority))
            })
    }

    proptest! {
        #[test]
        fn the_order_decides_exactly_where_two_routes_tie(one in any_route(), other in any_route()) {
            let both = [
                RouteTable::build(&[Arc::clone(&one), Arc::clone(&other)]),
                RouteTable::build(&[Arc::clone(&other), Arc::clone(&one)]),
            ];
            let mut decided = false;
            let headers = crate::request_fields::RequestFields::new();
            for host in ["a.b", "c.b", "c.d"] {
                for path in ["/", "/a", "/b", "/a/b", "/a/"] {
                    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT] {
                        let (listener, query, client, body) = ("", None, None, Body::Absent);
                        let (method, headers) = (&method, &headers);
                        let ask = Ask { listener, host, method, path, query, client, headers, body };
                        let taken = both.each_ref().map(|table| match table.find(&ask) {
                            Found::Route { index, .. } => Some(Arc::as_ptr(&table.routes()[index])),
                            _ => None,
                        });
                        decided |= taken[0] != taken[1];
                    }
                }
            }
            prop_assert_eq!(decided, may_decide(&one.matches, &other.matches));
        }
    }
}
