//! How long an endpoint that is well again is still left alone.
//!
//! From the end of its last fault to the moment at which its breaker closed. No breaker could be faster than its
//! policy: the next probe is due when the present opening ends, or at once when it is half-open already, and a probe
//! takes as long as the endpoint takes to answer. That sum is the lower bound that stands beside the figure.
//!
//! Invariant: what never closed has no time, however soon the run ended. A fault that lasts to the end of the run heals
//! nothing that could be seen, nor does one whose successor begins before any breaker could have closed.

use super::outcomes::Judged;
use super::spans::Span;
use crate::history::{BreakerState, Endpoint, History};
use crate::oracle::policy::BreakerPolicy;

/// One recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// From the end of the fault to the breaker's closing; `None` when it never closed.
    pub took_ns: Option<u64>,
    /// What no breaker with this policy could beat.
    pub bound_ns: u64,
}

/// The recoveries of an endpoint. A breaker that was closed when the fault ended has none.
pub(crate) fn find(
    history: &History,
    endpoint: &Endpoint,
    policy: &BreakerPolicy,
    spans: &[Span],
    outcomes: &[Judged],
) -> Vec<Recovery> {
    let service = service_ns(outcomes);
    let end_ns = end_of(history);
    healed_at(history, endpoint)
        .into_iter()
        .filter(|healed| *healed < end_ns)
        .filter_map(|healed| {
            let at = spans.iter().position(|span| span.contains(healed))?;
            let probe = match spans[at].state {
                BreakerState::Closed => return None,
                BreakerState::HalfOpen => healed,
                BreakerState::Open => healed.max(spans[at].from_ns.saturating_add(policy.open_for(spans[at].openings))),
            };
            // Before any breaker could know that it is well, it is not any more: what came next says nothing of this.
            if falls_ill_again(history, endpoint, healed, probe.saturating_add(service)) {
                return None;
            }
            let closed = spans[at..].iter().find(|span| span.state == BreakerState::Closed);
            let took_ns = closed.map(|span| span.from_ns - healed);
            Some(Recovery { took_ns, bound_ns: (probe - healed).saturating_add(service) })
        })
        .collect()
}

/// Whether another fault begins in this time.
fn falls_ill_again(history: &History, endpoint: &Endpoint, from_ns: u64, until_ns: u64) -> bool {
    let mut faults = history.faults.iter().filter(|fault| fault.endpoint == *endpoint);
    faults.any(|fault| (from_ns..until_ns).contains(&fault.from_ns))
}

/// When the endpoint had no fault any more. Faults that follow each other, or overlap, heal once.
fn healed_at(history: &History, endpoint: &Endpoint) -> Vec<u64> {
    let of_it = || history.faults.iter().filter(|fault| fault.endpoint == *endpoint);
    let mut healed: Vec<u64> =
        of_it().map(|fault| fault.until_ns).filter(|at| !of_it().any(|other| other.contains(*at))).collect();
    healed.sort_unstable();
    healed.dedup();
    healed
}

/// The median time of a good answer; zero where there was none.
fn service_ns(outcomes: &[Judged]) -> u64 {
    let mut good: Vec<u64> = outcomes.iter().filter(|one| !one.is_bad()).map(|one| one.end_ns - one.start_ns).collect();
    good.sort_unstable();
    good.get(good.len() / 2).copied().unwrap_or(0)
}

/// Where the plan ends, whenever the last answer came; where there is none nothing is known of its end.
fn end_of(history: &History) -> u64 {
    history.phases.iter().map(|phase| phase.until_ns).max().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::{Story, endpoint};
    use BreakerState::{Closed, HalfOpen, Open};

    const MS: u64 = 1_000_000;

    fn recoveries(story: Story) -> Vec<(Option<u64>, u64)> {
        let (history, of) = (story.end(), endpoint("orders/1"));
        let policy = BreakerPolicy { open_for_ns: 100 * MS, ..BreakerPolicy::default() };
        let spans = super::super::spans::of(&history, &of);
        let outcomes = super::super::outcomes::judged(&history, &of, &policy);
        let found = find(&history, &of, &policy, &spans, &outcomes);
        found.into_iter().map(|one| (one.took_ns.map(|ns| ns / MS), one.bound_ns / MS)).collect()
    }

    fn outage() -> Story {
        Story::new()
            .phase_between("before", 0, 1_000)
            .answered("orders/1", 200, 2)
            .fault("orders/1", 10, 60, "hang")
            .fault("orders/1", 40, 150, "status = 503")
            .at_ms(20)
            .breaker("orders/1", Closed, Open)
            .at_ms(120)
            .breaker("orders/1", Open, HalfOpen)
            .at_ms(125)
            .breaker("orders/1", HalfOpen, Open)
    }

    #[test]
    fn the_second_opening_is_twice_as_long() {
        let story =
            outage().at_ms(325).breaker("orders/1", Open, HalfOpen).at_ms(331).breaker("orders/1", HalfOpen, Closed);
        assert_eq!(recoveries(story), [(Some(181), 177)], "healed at 150; due at 325, and 2 ms to answer");
    }

    #[test]
    fn what_never_closes_has_no_time() {
        assert_eq!(recoveries(outage()), [(None, 177)]);
    }

    #[test]
    fn a_fault_that_lasts_to_the_end_heals_nothing() {
        let story = Story::new().phase_between("before", 0, 150).answered("orders/1", 200, 2);
        let story = story.fault("orders/1", 10, 150, "hang").at_ms(20).breaker("orders/1", Closed, Open);
        assert!(recoveries(story).is_empty());
    }

    #[test]
    fn a_fault_that_begins_before_the_breaker_may_close_is_not_the_breakers_delay() {
        // Due at 325; its probe meets a second fault, and the next one is due at 725.
        let again = |from: u64| {
            outage()
                .fault("orders/1", from, 400, "status = 503")
                .at_ms(325)
                .breaker("orders/1", Open, HalfOpen)
                .at_ms(327)
                .breaker("orders/1", HalfOpen, Open)
                .at_ms(727)
                .breaker("orders/1", Open, HalfOpen)
                .at_ms(730)
                .breaker("orders/1", HalfOpen, Closed)
        };
        assert_eq!(recoveries(again(300)), [(Some(330), 329)], "the second heal alone; due at 727, and 2 ms to answer");
        assert_eq!(recoveries(again(330)).len(), 2, "it could have closed before");
    }

    #[test]
    fn a_fault_that_tripped_nothing_needs_no_recovery() {
        assert!(recoveries(Story::new().fault("orders/1", 10, 60, "delay").fault("orders/0", 0, 5, "hang")).is_empty());
    }
}
