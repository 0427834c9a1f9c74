//! Routes that can never be told apart.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::Method;

use crate::config::settings::Route;
use crate::config::settings::route::{HostPattern, RouteMatch};
use crate::config::value::{path_pattern, value_match};

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
    host: Option<&'a HostPattern>,
    shape: &'a str,
    priority: i64,
    conditions: &'a [String],
}

/// Every route that cannot be told apart from an earlier one, each with the first such.
///
/// Two routes conflict when a host is written in both (or both take any), their paths have the same shape, their
/// conditions on headers, query and body are the same, their priorities are equal, and a method is written in both (or
/// both take any). A route for some methods and one for any are told apart: the first is more specific.
pub fn conflicts(routes: &[Arc<Route>]) -> Vec<Conflict> {
    let keys: Vec<(String, Vec<String>)> =
        routes.iter().map(|route| (path_pattern::shape(&route.matches.path), conditions(&route.matches))).collect();
    let mut taken: HashMap<Rank<'_>, HashMap<Option<&Method>, usize>> = HashMap::new();
    let mut found = Vec::new();
    for (later, route) in routes.iter().enumerate() {
        let (shape, conditions) = &keys[later];
        let mut first: Option<usize> = None;
        for host in one_or_any(&route.matches.hosts) {
            let rank = Rank { host, shape, priority: route.matches.priority, conditions };
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

/// Each element, or `None` once where the list is empty, which means any.
fn one_or_any<T>(list: &[T]) -> impl Iterator<Item = Option<&T>> {
    let any = list.is_empty().then_some(None);
    list.iter().map(Some).chain(any)
}

/// The conditions on headers, query and body, in one order and each once.
fn conditions(matches: &RouteMatch) -> Vec<String> {
    let headers = matches.headers.iter().map(|(name, value)| format!("h {name} {}", value_match::canonical(value)));
    let query = matches.query.iter().map(|(name, value)| format!("q {name} {}", value_match::canonical(value)));
    let body = matches.body.iter().map(|(pointer, value)| format!("b {pointer} {value}"));
    let distinct: HashSet<String> = headers.chain(query).chain(body).collect();
    let mut sorted: Vec<String> = distinct.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests;
