//! Each trip against the moment at which the policy first asked for it.
//!
//! While a breaker is closed, outcomes of attempts that began in that time make a sequence. The oracle's breaker trips
//! after the smallest prefix of it that satisfies the policy. The trip error is how many outcomes later, or earlier,
//! the real one tripped; a trip that nothing asked for is as many attempts off as there were, and a trip that never
//! came is as many attempts late as there were afterwards. Trips by hand, and what is held closed by hand, are not
//! judged; nor is it a trip by outcomes where a probe that had closed it broke off (`claims`).

use super::outcomes::Judged;
use super::reference::smallest_prefix;
use super::spans::Span;
use crate::history::BreakerState;
use crate::oracle::policy::BreakerPolicy;

/// One trip, or one that should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trip {
    /// From the begin of the first attempt that counts against the endpoint to the trip; `None` when there was no such
    /// attempt, or no trip.
    pub after_ns: Option<u64>,
    /// Outcomes from the first bad one up to the trip.
    pub attempts: u64,
    /// The same up to the oracle's trip; `None` when the policy asked for none.
    pub oracle_attempts: Option<u64>,
    /// Outcomes between the two.
    pub error: u64,
}

/// Judges every closed span: `outcomes` are all of the endpoint, by the time at which they were known; that time and
/// the breaker's may be `slack_ns` apart.
pub(crate) fn judge(policy: &BreakerPolicy, spans: &[Span], outcomes: &[Judged], slack_ns: u64) -> Vec<Trip> {
    let closed = spans.iter().zip(spans.iter().skip(1).map(Some).chain([None]));
    closed
        .filter(|(span, _)| span.state == BreakerState::Closed && !by_hand(span))
        .filter_map(|(span, next)| {
            let is_trip = |next: &&Span| next.state == BreakerState::Open && !by_hand(next) && !next.is_by_probe();
            let trip = next.filter(is_trip).map(|next| next.from_ns);
            let until_ns = next.map_or(u64::MAX, |next| next.from_ns);
            // What ends with a relapse of a probe counts nothing more.
            let slack = if next.is_some_and(Span::is_by_probe) { 0 } else { slack_ns };
            let until_ns = until_ns.saturating_add(slack);
            let began = outcomes.iter().filter(|one| one.start_ns >= span.from_ns && one.end_ns <= until_ns);
            let sequence: Vec<Judged> = began.copied().collect();
            judge_span(policy, &sequence, trip, slack_ns)
        })
        .collect()
}

/// Somebody ordered this state; what is counted meanwhile changes nothing.
fn by_hand(span: &Span) -> bool {
    &*span.cause == "operator"
}

fn judge_span(policy: &BreakerPolicy, outcomes: &[Judged], trip: Option<u64>, slack_ns: u64) -> Option<Trip> {
    let wanted = smallest_prefix(policy, outcomes);
    let first_bad = outcomes.iter().position(Judged::is_bad);
    let from_first_bad = |count: usize| count.saturating_sub(first_bad.unwrap_or(0)) as u64;
    let Some(at_ns) = trip else {
        let wanted = wanted?;
        let late = (outcomes.len() - wanted) as u64;
        let attempts = from_first_bad(outcomes.len());
        let oracle_attempts = Some(from_first_bad(wanted));
        return (late > 0).then_some(Trip { after_ns: None, attempts, oracle_attempts, error: late });
    };
    // What was known within the tolerance of the trip may have come before it or after it; whichever is better holds.
    let surely = outcomes.partition_point(|one| one.end_ns < at_ns.saturating_sub(slack_ns));
    let (count, error) = match wanted {
        Some(wanted) => {
            let count = wanted.clamp(surely, outcomes.len());
            (count, count.abs_diff(wanted) as u64)
        }
        None => (outcomes.len(), (outcomes.len() as u64).max(1)),
    };
    let bad = outcomes[..count].iter().filter(|one| one.is_bad());
    let after_ns = bad.map(|one| one.start_ns).min().map(|start| at_ns.saturating_sub(start));
    Some(Trip { after_ns, attempts: from_first_bad(count), oracle_attempts: wanted.map(from_first_bad), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn span(state: BreakerState, from_ms: u64, until_ms: u64) -> Span {
        Span { state, from_ns: from_ms * MS, until_ns: until_ms * MS, cause: "".into(), openings: 0 }
    }

    /// An outcome each millisecond; `x` failed.
    fn outcomes(text: &str) -> Vec<Judged> {
        let one = |(at, letter): (usize, char)| {
            let end_ns = (at as u64 + 1) * MS;
            Judged { start_ns: end_ns - MS, end_ns, failed: letter == 'x', slow: false }
        };
        text.chars().enumerate().map(one).collect()
    }

    fn three_in_a_row() -> BreakerPolicy {
        BreakerPolicy { consecutive_failures: 3, ..BreakerPolicy::default() }
    }

    fn trip_at(text: &str, at_ms: u64, transit_ms: u64) -> Vec<Trip> {
        let spans = [span(BreakerState::Closed, 0, at_ms), span(BreakerState::Open, at_ms, at_ms + 5_000)];
        judge(&three_in_a_row(), &spans, &outcomes(text), transit_ms * MS)
    }

    #[test]
    fn a_trip_in_time_has_no_error() {
        let trip = Trip { after_ns: Some(5 * MS), attempts: 5, oracle_attempts: Some(5), error: 0 };
        assert_eq!(trip_at("..x.xxx", 7, 0), [trip]);
    }

    #[test]
    fn a_late_trip_and_an_early_one() {
        let [late] = trip_at("..xxxxx.", 7, 0)[..] else { panic!() };
        assert_eq!((late.attempts, late.oracle_attempts, late.error), (4, Some(3), 1), "6 ms surely, 5 ms wanted");
        let [early] = trip_at("..xx", 4, 0)[..] else { panic!() };
        assert_eq!((early.oracle_attempts, early.error), (None, 4));
        let [none] = trip_at("", 4, 0)[..] else { panic!() };
        assert_eq!((none.after_ns, none.error), (None, 1));
    }

    #[test]
    fn what_was_in_transit_is_no_error() {
        assert_eq!(trip_at("..xxxxx.", 7, 2)[0].error, 0);
        assert_eq!(trip_at("xxx", 2, 1)[0].error, 0, "stamped before its cause");
    }

    #[test]
    fn a_trip_that_never_came_is_late_by_all_that_followed() {
        let closed = [span(BreakerState::Closed, 0, u64::MAX / MS)];
        let [trip] = judge(&three_in_a_row(), &closed, &outcomes("xxx..x"), 0)[..] else { panic!() };
        assert_eq!((trip.after_ns, trip.oracle_attempts, trip.error), (None, Some(3), 3));
        assert!(judge(&three_in_a_row(), &closed, &outcomes("xx.xx"), 0).is_empty());
    }

    #[test]
    fn outcomes_of_attempts_from_before_it_closed_do_not_count() {
        let spans =
            [span(BreakerState::HalfOpen, 0, 2), span(BreakerState::Closed, 2, 6), span(BreakerState::Open, 6, 9)];
        let mut told = outcomes("....xxx");
        told[4].start_ns = 0;
        let [trip] = judge(&three_in_a_row(), &spans, &told, 0)[..] else { panic!() };
        assert_eq!((trip.oracle_attempts, trip.error), (None, 3), "one of the three began earlier");
    }

    #[test]
    fn a_trip_by_hand_is_not_judged() {
        let mut open = span(BreakerState::Open, 4, 9);
        open.cause = "operator".into();
        let spans = [span(BreakerState::Closed, 0, 4), open];
        assert!(judge(&three_in_a_row(), &spans, &outcomes("...."), 0).is_empty());
        let mut held = span(BreakerState::Closed, 0, 9);
        held.cause = "operator".into();
        assert!(judge(&three_in_a_row(), &[held], &outcomes("xxxx"), 0).is_empty());
    }
}
