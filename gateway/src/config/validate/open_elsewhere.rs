//! Routes for some listeners whose requests a less specific route serves on the others: who names listeners on one
//! route of several mostly means that what it serves is closed elsewhere, and only the route is.

use crate::config::Config;
use crate::config::settings::route::RouteMatch;
use crate::config::value::path_pattern::{self, Segment};

use super::conflicts::covers;
use super::meet;

/// A route's conditions, and its path.
type Known<'a> = (&'a RouteMatch, Vec<Segment>);

/// A route that is served on other listeners too; indexes into the configuration's routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// The one that names listeners.
    pub(crate) route: usize,
    /// The less specific one that takes its requests on others.
    pub(crate) by: usize,
    /// The first of those listeners, by its name, or its address where it has none.
    pub(crate) listener: String,
}

/// Every route that names listeners and whose requests another one takes on a listener that it does not name, where
/// that other one says nothing of listeners: whoever does has decided. One for the same path is meant to serve it
/// there.
pub(crate) fn open_elsewhere(config: &Config) -> Vec<Open> {
    let routes: Vec<Known<'_>> = config
        .routes
        .iter()
        .map(|route| (&route.matches, path_pattern::parse(&route.matches.path).unwrap_or_default()))
        .collect();
    let has_open_ones = routes.iter().any(|(matches, _)| matches.listeners.is_empty());
    let closed = routes.iter().enumerate().filter(|(_, (matches, _))| has_open_ones && !matches.listeners.is_empty());
    closed.filter_map(|(number, route)| open(config, &routes, (number, route))).collect()
}

fn open(config: &Config, routes: &[Known<'_>], (number, route): (usize, &Known<'_>)) -> Option<Open> {
    let names = |matches: &RouteMatch, listener: Option<&str>| {
        listener.is_some_and(|name| matches.listeners.iter().any(|named| **named == *name))
    };
    let meets =
        |other: &usize| *other != number && covers(&routes[*other].1, &route.1) && share(routes[*other].0, route.0);
    let others: Vec<usize> = (0..routes.len()).filter(meets).collect();
    config.listeners.iter().filter(|listener| !names(route.0, listener.name.as_deref())).find_map(|listener| {
        let name = listener.name.as_deref();
        // Whether it comes before that one here, for all that both would take of this route's.
        let is_before = |one: usize, other: usize| {
            let ((one, path), (_, other_path)) = (&routes[one], &routes[other]);
            let is_here = one.listeners.is_empty() || names(one, name);
            let is_narrower = covers(other_path, path) && (!covers(path, other_path) || names(one, name));
            is_here && is_narrower && takes_all_of(one, route.0)
        };
        let serves = |other: &usize| {
            let (matches, path) = &routes[*other];
            matches.listeners.is_empty()
                && !covers(&route.1, path)
                && !others.iter().any(|one| one != other && is_before(*one, *other))
        };
        let by = others.iter().copied().find(serves)?;
        let listener = name.map_or_else(|| listener.address.to_string(), str::to_owned);
        Some(Open { route: number, by, listener })
    })
}

/// Whether some request could be for both, but for their paths. Of conditions on the path, headers, query and body
/// nothing is known: one that has some is mostly for requests of another kind.
fn share(one: &RouteMatch, other: &RouteMatch) -> bool {
    !one.is_conditional() && meet(&one.hosts, &other.hosts) && meet(&one.methods, &other.methods)
}

/// Whether it takes, where it is reached and by its path, every request that the other one would.
fn takes_all_of(one: &RouteMatch, other: &RouteMatch) -> bool {
    let all_of = |is_any: bool, other_is_any: bool, all: bool| is_any || !other_is_any && all;
    all_of(one.hosts.is_empty(), other.hosts.is_empty(), other.hosts.iter().all(|host| one.hosts.contains(host)))
        && all_of(
            one.methods.is_empty(),
            other.methods.is_empty(),
            other.methods.iter().all(|it| one.methods.contains(it)),
        )
}
