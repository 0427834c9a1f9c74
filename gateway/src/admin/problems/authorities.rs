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

/// Of each route that asks, what was counted: requests that were refused, and those that passed unasked. `None` before
/// the first look.
#[derive(Debug, Default)]
pub(super) struct AuthorityWatch(Option<HashMap<Arc<str>, [Rising; 2]>>);

/// Adds each service that lately did not say whether requests may pass. Of a route that is gone nothing is kept.
pub(super) fn of<N: Network>(snapshot: &Snapshot<N>, watch: &mut AuthorityWatch, now: i64, found: &mut Vec<Problem>) {
    let is_first = watch.0.is_none();
    let (mut before, mut looked) = (watch.0.take().unwrap_or_default(), HashMap::new());
    let mut silent: BTreeMap<&str, (&Upstream<N>, bool)> = BTreeMap::new();
    for route in &snapshot.routes {
        let Some(authority) = &route.authority else { continue };
        let name = route.series.name();
        let totals = route.series.unheard();
        // Counters live as long as the process: one that a reload brought back has a past.
        let new = || if is_first { <[Rising; 2]>::default() } else { totals.map(Rising::from) };
        let mut counted: [Rising; 2] = looked.remove(name).or_else(|| before.remove(name)).unwrap_or_else(new);
        let grows = [0, 1].map(|at| counted[at].look(totals[at], STILL_FAILING, now));
        looked.insert(Arc::clone(name), counted);
        if grows != [false; 2] {
            let upstream = &*authority.upstream;
            silent.entry(&*upstream.name).or_insert((upstream, false)).1 |= grows[0];
        }
    }
    watch.0 = Some(looked);
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
