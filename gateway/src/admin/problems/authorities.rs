//! Services that are asked whether requests may pass (`forward_auth`), and that lately did not say.
//!
//! There is no state of theirs to look at: one that answers 500 opens no breaker unless it is told to. So it is what
//! their routes count that tells, for as long as that grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::board::{Feels, Problem, Rising, Severity};
use crate::network::Network;
use crate::snapshot::Snapshot;
use crate::upstream::Upstream;

/// A service that failed so lately fails still, nanoseconds: few routes are asked for more seldom while one is looked
/// at.
const STILL_FAILING: i64 = 10_000_000_000;

/// Of each route that asks or has asked, what was counted: requests that were refused, and those that passed unasked.
/// It is kept of routes that are gone too, as their counters are: one that a reload brings back has a past.
#[derive(Debug, Default)]
pub(super) struct AuthorityWatch(HashMap<Arc<str>, [Rising; 2]>);

impl AuthorityWatch {
    /// Whether what this route counted has grown lately. One that was never looked at began with nothing.
    fn look(&mut self, route: &Arc<str>, totals: [u64; 2], now: i64) -> [bool; 2] {
        let counted = self.0.entry(Arc::clone(route)).or_default();
        [0, 1].map(|at| counted[at].look(totals[at], STILL_FAILING, now))
    }
}

/// Adds each service that lately did not say whether requests may pass.
pub(super) fn of<N: Network>(snapshot: &Snapshot<N>, watch: &mut AuthorityWatch, now: i64, found: &mut Vec<Problem>) {
    let mut silent: BTreeMap<&str, (&Upstream<N>, bool)> = BTreeMap::new();
    for route in &snapshot.routes {
        let Some(authority) = &route.authority else { continue };
        let grows = watch.look(route.series.name(), route.series.unheard(), now);
        if grows != [false; 2] {
            let upstream = &*authority.upstream;
            silent.entry(&*upstream.name).or_insert((upstream, false)).1 |= grows[0];
        }
    }
    found.extend(silent.into_values().map(|(upstream, refuses)| silence_of(upstream, refuses)));
}

fn silence_of<N: Network>(upstream: &Upstream<N>, refuses: bool) -> Problem {
    let active = upstream.active();
    let failures = active.endpoints.iter().filter_map(|endpoint| Some((endpoint.last_failure()?, &endpoint.address)));
    let last = failures.max_by_key(|(failure, _)| failure.at_ns);
    Problem {
        what: "authority",
        name: upstream.name.to_string(),
        severity: if refuses { Severity::Bad } else { Severity::Warn },
        since: None,
        why: match last {
            Some((failure, address)) => format!("{address}: {failure}"),
            None => "nobody of it can be asked".to_owned(),
        },
        feels: Feels::Authority(Arc::clone(&upstream.name)),
        remedy: if refuses {
            "look at the service: requests of which it does not say whether they may pass are answered 503"
        } else {
            "look at the service: requests pass unasked meanwhile, as `on_error` of their routes says"
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_new_route_begins_with_nothing_and_one_that_comes_back_where_it_was() {
        let mut watch = AuthorityWatch::default();
        let (old, new): (Arc<str>, Arc<str>) = ("old".into(), "new".into());
        assert_eq!(watch.look(&old, [7, 0], 0), [true, false], "whatever was before the first look");
        assert_eq!(watch.look(&new, [0, 2], SECOND), [false, true], "all of it since a reload");
        assert_eq!(watch.look(&old, [7, 0], 60 * SECOND), [false; 2], "that was before it was gone");
        assert_eq!(watch.look(&old, [8, 0], 61 * SECOND), [true, false]);
    }
}
