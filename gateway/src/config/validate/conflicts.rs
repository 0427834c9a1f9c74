//! Routes that can never be told apart, those for any host that a host's own routes hide, and those that no request
//! reaches since one of a higher priority takes them all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Method;

use crate::config::settings::Route;
use crate::config::settings::own_answer::OwnAnswer;
use crate::config::settings::route::{HostPattern, RouteMatch};
use crate::config::value::path_pattern::{self, Segment};
use crate::config::value::value_match;

/// Where more pairs of routes would have to be looked at, none is.
const MOST_PAIRS: usize = 4_000_000;

/// Two routes that match the same requests with the same rank; indexes into the list that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// The one that is written first.
    pub first: usize,
    /// The one that is written later, and would never be reached or never reliably.
    pub later: usize,
}

/// What two routes share when nothing but the method can tell them apart.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Rank<'a> {
    listener: Option<&'a str>,
    host: Option<&'a HostPattern>,
    shape: &'a str,
    priority: i64,
    conditions: &'a [String],
}

/// Every route that cannot be told apart from an earlier one, each with the first such.
///
/// Two routes conflict when a listener and a host are written in both (or both take any), their paths have the same
/// shape, their conditions on the path, headers, query, client and body are the same, their priorities are equal, and a
/// method is written in both (or both take any). A route for some methods or listeners and one for any are told apart:
/// the first is more specific.
pub fn conflicts(routes: &[Arc<Route>]) -> Vec<Conflict> {
    let keys: Vec<(String, Vec<String>)> =
        routes.iter().map(|route| (path_pattern::shape(&route.matches.path), conditions(&route.matches))).collect();
    let mut taken: HashMap<Rank<'_>, HashMap<Option<&Method>, usize>> = HashMap::new();
    let mut found = Vec::new();
    for (later, route) in routes.iter().enumerate() {
        let (shape, conditions) = &keys[later];
        let mut first: Option<usize> = None;
        let places = one_or_any(&route.matches.listeners)
            .flat_map(|listener| one_or_any(&route.matches.hosts).map(move |host| (listener, host)));
        for (listener, host) in places {
            let listener = listener.map(|name| &**name);
            let rank = Rank { listener, host, shape, priority: route.matches.priority, conditions };
            let methods = taken.entry(rank).or_default();
            for method in one_or_any(&route.matches.methods) {
                let holder = *methods.entry(method).or_insert(later);
                if holder != later {
                    first = Some(first.map_or(holder, |first| first.min(holder)));
                }
            }
        }
        found.extend(first.map(|first| Conflict { first, later }));
    }
    found
}

/// A route for any host that is not reached on one; indexes into the list that was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// The one that is hidden.
    pub(crate) hidden: usize,
    /// The route that takes its requests.
    pub(crate) by: usize,
    /// The host on which it does.
    pub(crate) host: HostPattern,
}

/// Every route for any host whose requests a less specific route of some host takes first, each with the first such.
/// One that a less specific route for any host covers too is meant to stand back: all of these serve whom no host's own
/// routes do. What stands alone, as the path by which a certificate is renewed, is meant for every host.
pub(crate) fn hidden(routes: &[Arc<Route>]) -> Vec<Hidden> {
    let all = || 0..routes.len();
    let of_hosts: Vec<usize> = all().filter(|at| may_hide(&routes[*at])).collect();
    if of_hosts.is_empty() {
        return Vec::new();
    }
    let paths: Vec<_> = routes.iter().map(|it| path_pattern::parse(&it.matches.path).unwrap_or_default()).collect();
    let is_wider = |one: usize, other: usize| covers(&paths[one], &paths[other]) && !covers(&paths[other], &paths[one]);
    let is_for_any = |at: &usize| routes[*at].matches.hosts.is_empty();
    let serves_any = |at: &usize| {
        let it = &routes[*at];
        is_for_any(at) && it.aggregate.is_none() && it.batch.is_none() && it.matches.path_regex.is_none()
    };
    let hider = |hidden: usize| {
        let mut hiding = of_hosts.iter().copied();
        let by =
            hiding.find(|by| is_wider(*by, hidden) && takes_all_of(&routes[*by].matches, &routes[hidden].matches))?;
        let stands_back = all().filter(serves_any).any(|other| is_wider(other, hidden));
        let host = routes[by].matches.hosts.first()?.clone();
        (!stands_back).then_some(Hidden { hidden, by, host })
    };
    all().filter(is_for_any).filter_map(hider).collect()
}

/// Every route of which no request is left, with the first route that takes them: it has the higher priority and asks
/// for nothing that the other does not. One that answers itself, as while a service is mended, is meant to.
pub(crate) fn never_reached(routes: &[Arc<Route>]) -> Vec<(usize, usize)> {
    let Some(lowest) = routes.iter().map(|route| route.matches.priority).min() else { return Vec::new() };
    let may_take = |route: &Route| {
        let is_above = route.matches.priority > lowest;
        is_above && !route.matches.is_conditional() && route.own_answer.is_none()
    };
    let takers: Vec<usize> = (0..routes.len()).filter(|at| may_take(&routes[*at])).collect();
    if takers.is_empty() || takers.len().saturating_mul(routes.len()) > MOST_PAIRS {
        return Vec::new();
    }
    let paths: Vec<_> = routes.iter().map(|it| path_pattern::parse(&it.matches.path).unwrap_or_default()).collect();
    let takes = |by: usize, other: usize| {
        let (one, its) = (&routes[by].matches, &routes[other].matches);
        one.priority > its.priority
            && covers(&paths[by], &paths[other])
            && takes_all_of(one, its)
            && takes_hosts(&one.hosts, &its.hosts)
    };
    let by = |other: usize| takers.iter().copied().find(|by| takes(*by, other)).map(|by| (other, by));
    (0..routes.len()).filter_map(by).collect()
}

/// Whether every host of the others is one of these.
fn takes_hosts(hosts: &[HostPattern], others: &[HostPattern]) -> bool {
    let is_below = |host: &str, suffix: &str| host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    let takes = |one: &HostPattern, other: &HostPattern| match (one, other) {
        (HostPattern::Wildcard(suffix), HostPattern::Exact(host)) => is_below(host, suffix),
        (HostPattern::Wildcard(suffix), HostPattern::Wildcard(other)) => suffix == other || is_below(other, suffix),
        (one, other) => one == other,
    };
    hosts.is_empty() || !others.is_empty() && others.iter().all(|other| hosts.iter().any(|one| takes(one, other)))
}

/// Whether a route of some host serves all of it that comes by its path. Who sends a whole host elsewhere means all.
fn may_hide(route: &Route) -> bool {
    let is_for_all = !route.matches.hosts.is_empty() && !route.matches.is_conditional();
    is_for_all && !matches!(route.own_answer.as_deref(), Some(OwnAnswer::Redirect(_)))
}

/// Whether a route of some host takes, there and by its path, every request that another one for any host would.
fn takes_all_of(one: &RouteMatch, other: &RouteMatch) -> bool {
    let takes_methods = one.methods.is_empty()
        || !other.methods.is_empty() && other.methods.iter().all(|method| one.methods.contains(method));
    let is_reached = one.listeners.is_empty()
        || !other.listeners.is_empty() && other.listeners.iter().all(|name| one.listeners.contains(name));
    one.priority >= other.priority && is_reached && takes_methods
}

/// Whether every path of the second pattern is one of the first.
pub(super) fn covers(one: &[Segment], other: &[Segment]) -> bool {
    for (at, segment) in one.iter().enumerate() {
        let same = match (segment, other.get(at)) {
            (Segment::Rest(_), _) => return true,
            (Segment::Static(one), Some(Segment::Static(other))) => one == other,
            (Segment::Param(_), Some(Segment::Param(_))) => true,
            (Segment::Param(_), Some(Segment::Static(text))) => !text.is_empty(),
            _ => false,
        };
        if !same {
            return false;
        }
    }
    one.len() == other.len()
}

/// Each element, or `None` once where the list is empty, which means any.
fn one_or_any<T>(list: &[T]) -> impl Iterator<Item = Option<&T>> {
    let any = list.is_empty().then_some(None);
    list.iter().map(Some).chain(any)
}

/// The conditions on the path, headers, query, client and body, in one order and each once.
fn conditions(matches: &RouteMatch) -> Vec<String> {
    let headers = matches.headers.iter().map(|(name, value)| format!("h {name} {}", value_match::canonical(value)));
    let query = matches.query.iter().map(|(name, value)| format!("q {name} {}", value_match::canonical(value)));
    let body = matches.body.iter().map(|wanted| format!("b {} {}", wanted.pointer, wanted.value));
    let within = matches.clients.within.iter().map(|net| format!("c {}", net.trunc()));
    let clients = within.chain(matches.clients.but.iter().map(|net| format!("c !{}", net.trunc())));
    let path = matches.path_regex.iter().map(|regex| format!("p {}", regex.regex.as_str()));
    let distinct: HashSet<String> = headers.chain(query).chain(clients).chain(body).chain(path).collect();
    let mut sorted: Vec<String> = distinct.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests;
