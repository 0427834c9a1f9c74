//! Attempts that should not have been made, and how many probes there were at once.
//!
//! While a breaker is open nothing is attempted; while it is half-open, at most `probes` attempts at a time. What the
//! cap on ejection keeps in balancing is no leak, and neither are the gateway's own health checks. Both accounts are
//! looked at: the gateway's, which knows of refused connections, and the mocks', which cannot be talked out of
//! anything; the worse one counts.
//!
//! A mock sees a request when it comes to read it, which on a busy machine is long after it was sent. So what came to
//! it while the gateway says that it was making just this attempt began when the gateway says. What came at another
//! time, once more, or without an attempt that was told of, began when it came.

use std::collections::HashMap;

use super::spans::{Span, capped};
use crate::history::{BreakerState, Endpoint, EventKind, History, Name};
use crate::oracle::policy::{BreakerPolicy, Tolerance};

/// When an attempt was going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Busy {
    start_ns: u64,
    end_ns: u64,
}

/// What came through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Leaks {
    /// Attempts that no permit allowed.
    pub leaked: u64,
    /// The most attempts at once that began half-open.
    pub probes_max: u64,
}

/// Looks through both accounts.
pub(crate) fn find(
    history: &History,
    endpoint: &Endpoint,
    policy: &BreakerPolicy,
    spans: &[Span],
    tolerance: Tolerance,
) -> Leaks {
    let capped = capped(history, endpoint);
    let told = account(spans, &capped, policy.probes, &of_gateway(history, endpoint), tolerance.stamp_ns);
    let seen = account(spans, &capped, policy.probes, &of_mock(history, endpoint, tolerance), tolerance.transit_ns);
    Leaks { leaked: told.leaked.max(seen.leaked), probes_max: told.probes_max.max(seen.probes_max) }
}

fn of_gateway(history: &History, endpoint: &Endpoint) -> Vec<Busy> {
    let told = history.events.iter().filter_map(|event| match &event.kind {
        EventKind::Attempt { endpoint: at, start_ns, .. } if at == endpoint => {
            Some(Busy { start_ns: *start_ns, end_ns: event.at_ns })
        }
        _ => None,
    });
    told.collect()
}

fn of_mock(history: &History, endpoint: &Endpoint, tolerance: Tolerance) -> Vec<Busy> {
    let mut told: HashMap<&Name, Vec<Busy>> = HashMap::new();
    for event in &history.events {
        if let EventKind::Attempt { request_id: Some(id), endpoint: at, start_ns, .. } = &event.kind
            && at == endpoint
        {
            told.entry(id).or_default().push(Busy { start_ns: *start_ns, end_ns: event.at_ns });
        }
    }
    let of_it = history.attempts.iter().filter(|attempt| attempt.endpoint == *endpoint && !attempt.health_check);
    let seen = of_it.map(|one| {
        let within =
            |busy: &Busy| (busy.start_ns..=busy.end_ns.saturating_add(tolerance.transit_ns)).contains(&one.arrival_ns);
        let told = one.request_id.as_ref().and_then(|id| told.get_mut(id));
        // Each is the account of one arrival.
        let made = told.and_then(|made| Some(made.swap_remove(made.iter().position(within)?)));
        let start_ns = made.map_or(one.arrival_ns, |made| made.start_ns);
        // An answer's head is a probe's outcome, however long its body streams.
        Busy { start_ns, end_ns: one.answer_ns.or(one.end_ns).unwrap_or(u64::MAX) }
    });
    seen.collect()
}

/// One pass over spans and attempts, both in the order of time.
fn account(spans: &[Span], capped: &[(u64, u64)], probes: u64, attempts: &[Busy], slack_ns: u64) -> Leaks {
    let mut attempts = attempts.to_vec();
    attempts.sort_by_key(|one| one.start_ns);
    let mut found = Leaks::default();
    for span in spans {
        // An attempt of the same instant was let through before.
        let from = attempts.partition_point(|one| one.start_ns <= span.from_ns.saturating_add(slack_ns));
        let until = attempts.partition_point(|one| one.start_ns < span.until_ns);
        let within = attempts.get(from..until).unwrap_or(&[]);
        // Nor did the cap end before what it still let through in its last instant.
        let excused =
            |at_ns: u64| capped.iter().any(|(from, until)| (*from..=until.saturating_add(slack_ns)).contains(&at_ns));
        match span.state {
            BreakerState::Closed => {}
            BreakerState::Open => {
                found.leaked += within.iter().filter(|one| !excused(one.start_ns)).count() as u64;
            }
            BreakerState::HalfOpen => {
                // A probe may be made in the instant in which it becomes allowed.
                let from = attempts.partition_point(|one| one.start_ns < span.from_ns);
                let (most, beyond) = at_once(attempts.get(from..until).unwrap_or(&[]), probes, slack_ns, excused);
                found.probes_max = found.probes_max.max(most);
                found.leaked += beyond;
            }
        }
    }
    found
}

/// The most attempts at once, and how many began while `allowed` others were going on.
fn at_once(attempts: &[Busy], allowed: u64, slack_ns: u64, excused: impl Fn(u64) -> bool) -> (u64, u64) {
    let (mut most, mut beyond) = (0, 0);
    let mut ends = std::collections::BinaryHeap::new();
    for one in attempts.iter().filter(|one| !excused(one.start_ns)) {
        // An end that is stamped late may have come before this begin.
        while ends.peek().is_some_and(|std::cmp::Reverse(end)| *end <= one.start_ns.saturating_add(slack_ns)) {
            ends.pop();
        }
        beyond += u64::from(ends.len() as u64 >= allowed);
        ends.push(std::cmp::Reverse(one.end_ns));
        most = most.max(ends.len() as u64);
    }
    (most, beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Ending;
    use crate::history::story::{Story, endpoint};
    use BreakerState::{Closed, HalfOpen, Open};
    use proptest::prelude::*;

    fn leaks(story: Story, tolerance: Tolerance) -> Leaks {
        let (history, of) = (story.end(), endpoint("orders/1"));
        find(&history, &of, &BreakerPolicy::default(), &super::super::spans::of(&history, &of), tolerance)
    }

    fn outage() -> Story {
        Story::new()
            .at_ms(10)
            .breaker("orders/1", Closed, Open)
            .at_ms(50)
            .breaker("orders/1", Open, HalfOpen)
            .at_ms(80)
            .breaker("orders/1", HalfOpen, Closed)
    }

    #[test]
    fn nothing_passes_an_open_breaker() {
        let story = outage().at_ms(5).answered("orders/1", 503, 20).at_ms(80).answered("orders/1", 200, 1);
        assert_eq!(leaks(story.clone(), Tolerance::default()), Leaks::default());
        let story = story.at_ms(49).answered("orders/1", 200, 1).at_ms(12).answered("orders/0", 200, 1);
        assert_eq!(leaks(story, Tolerance::default()).leaked, 1);
    }

    #[test]
    fn what_was_on_its_way_is_no_leak() {
        let story = outage().at_ms(11).answered("orders/1", 200, 1);
        assert_eq!(leaks(story.clone(), Tolerance::default()).leaked, 1);
        assert_eq!(leaks(story, Tolerance { transit_ns: 1_000_000, stamp_ns: 0 }).leaked, 0);
    }

    #[test]
    fn the_gateways_account_counts_what_no_mock_saw() {
        let story = outage().at_ms(20).asked().seen("orders/1", crate::history::Seen::Connect, 2);
        assert_eq!(leaks(story, Tolerance::default()).leaked, 1);
    }

    #[test]
    fn a_mock_that_reads_late_makes_no_leak_and_a_second_arrival_does() {
        let transit = Tolerance { transit_ns: 1_000_000, stamp_ns: 0 };
        // Begun at 5 ms, read at 20, ended at 30; the breaker opened at 10.
        let late = outage().at_ms(20).asked().tried("orders/1", Ending::Answered(503), 10).at_ms(30);
        assert_eq!(leaks(late.clone(), transit).leaked, 1, "nobody tells of it");
        let told = late.seen("orders/1", crate::history::Seen::Status(503), 25);
        assert_eq!(leaks(told.clone(), transit).leaked, 0);
        let again = told.at_ms(25).tried("orders/1", Ending::Answered(503), 5);
        assert_eq!(leaks(again, transit).leaked, 1, "it came once more");
        let after = outage().at_ms(40).asked().tried("orders/1", Ending::Answered(503), 1).at_ms(8);
        assert_eq!(leaks(after.seen("orders/1", crate::history::Seen::Reset, 3), transit).leaked, 1, "it was over");
    }

    #[test]
    fn the_cap_and_health_checks_are_excused() {
        let story = outage().at_ms(9).capped("orders/1", true).at_ms(20).answered("orders/1", 200, 1);
        assert_eq!(leaks(story, Tolerance::default()).leaked, 0);
        let ended = |at| outage().at_ms(9).capped("orders/1", true).at_ms(20).capped("orders/1", false).at_ms(at);
        let transit = Tolerance { transit_ns: 1_000_000, stamp_ns: 0 };
        let leaked = |at, tolerance| leaks(ended(at).answered("orders/1", 200, 1), tolerance).leaked;
        assert_eq!((leaked(20, Tolerance::default()), leaked(21, transit)), (0, 0), "in the cap's last instant");
        assert_eq!((leaked(21, Tolerance::default()), leaked(22, transit)), (1, 1), "after it");
        let mut history = outage().at_ms(20).tried("orders/1", Ending::Answered(200), 1).end();
        history.attempts[0].health_check = true;
        let (of, policy) = (endpoint("orders/1"), BreakerPolicy::default());
        let spans = super::super::spans::of(&history, &of);
        assert_eq!(find(&history, &of, &policy, &spans, Tolerance::default()), Leaks::default());
    }

    #[test]
    fn so_many_probes_at_once_and_no_more() {
        let probe = |story: Story, at| story.at_ms(at).answered("orders/1", 200, 10);
        let three = outage().each([50, 51, 52, 61], probe);
        assert_eq!(leaks(three.clone(), Tolerance::default()), Leaks { leaked: 0, probes_max: 3 });
        let four = probe(three, 59);
        assert_eq!(leaks(four, Tolerance::default()), Leaks { leaked: 1, probes_max: 4 });
    }

    proptest! {
        #[test]
        fn at_once_is_what_a_look_at_each_pair_gives(
            busy in proptest::collection::vec((0u64..60, 0u64..20), 0..40), allowed in 1u64..5, slack in 0u64..3,
        ) {
            let mut attempts: Vec<Busy> =
                busy.iter().map(|(start, takes)| Busy { start_ns: *start, end_ns: start + takes }).collect();
            attempts.sort_by_key(|one| one.start_ns);
            let others = |at: usize| {
                let start = attempts[at].start_ns + slack;
                attempts[..at].iter().filter(|other| other.end_ns > start).count() as u64
            };
            let most = (0..attempts.len()).map(|at| others(at) + 1).max().unwrap_or(0);
            let beyond = (0..attempts.len()).filter(|at| others(*at) >= allowed).count() as u64;
            prop_assert_eq!(at_once(&attempts, allowed, slack, |_| false), (most, beyond));
        }

        #[test]
        fn leaks_are_what_a_look_at_each_attempt_gives(
            changes in proptest::collection::vec((1u64..30, 0usize..3), 0..8),
            starts in proptest::collection::vec(0u64..200, 0..40), slack in 0u64..4,
        ) {
            let (mut at, mut spans) = (0, vec![span(Closed, 0)]);
            for (step, state) in changes {
                at += step;
                spans.last_mut().unwrap().until_ns = at;
                spans.push(span([Closed, Open, HalfOpen][state], at));
            }
            let attempts: Vec<Busy> = starts.iter().map(|start| Busy { start_ns: *start, end_ns: *start }).collect();
            let leaked = |one: &Busy| {
                let of = spans.iter().find(|span| span.contains(one.start_ns)).unwrap();
                of.state == Open && one.start_ns > of.from_ns + slack
            };
            let expected = attempts.iter().filter(|one| leaked(one)).count() as u64;
            prop_assert_eq!(account(&spans, &[], 100, &attempts, slack).leaked, expected);
        }
    }

    fn span(state: BreakerState, from_ns: u64) -> Span {
        Span { state, from_ns, until_ns: u64::MAX, cause: "".into(), openings: 0 }
    }
}
