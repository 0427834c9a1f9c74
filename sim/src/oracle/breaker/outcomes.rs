//! What a policy makes of the attempts at an endpoint.
//!
//! The gateway's own account is used where it tells of attempts: only it saw refused connections and its own time
//! limits. A gateway that tells nothing is judged by what the mocks saw.

use std::collections::HashSet;

use crate::history::{Attempt, Ending, Endpoint, EventKind, History, Name, Outcome, Seen};
use crate::oracle::policy::{BreakerPolicy, Failure};

/// 429, as long as it is not configured as a failure.
const TOO_MANY_REQUESTS: u16 = 429;

/// What an attempt says of its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    /// When it began.
    pub start_ns: u64,
    /// When its outcome was known.
    pub end_ns: u64,
    /// The policy counts it as failed.
    pub failed: bool,
    /// The policy counts it as slow.
    pub slow: bool,
}

impl Judged {
    /// It counts against the endpoint.
    pub(crate) fn is_bad(&self) -> bool {
        self.failed || self.slow
    }
}

/// Attempts at an endpoint that the policy counts, by the time at which their outcome was known. What the client ended
/// is not among them: it says nothing of the endpoint.
pub(crate) fn judged(history: &History, endpoint: &Endpoint, policy: &BreakerPolicy) -> Vec<Judged> {
    let mut judged: Vec<Judged> = if tells_of_attempts(history) {
        history
            .events
            .iter()
            .filter_map(|event| match &event.kind {
                EventKind::Attempt { endpoint: at, start_ns, seen, .. } if at == endpoint => {
                    judge(policy, *start_ns, event.at_ns, *seen)
                }
                _ => None,
            })
            .collect()
    } else {
        let left = clients_that_left(history);
        let of_it = history.attempts.iter().filter(|attempt| attempt.endpoint == *endpoint && !attempt.health_check);
        of_it
            .filter_map(|attempt| judge(policy, attempt.arrival_ns, attempt.known_ns(), seen(attempt, &left)))
            .collect()
    };
    judged.sort_by_key(|judged| judged.end_ns);
    judged
}

/// The gateway tells of its attempts.
pub(crate) fn tells_of_attempts(history: &History) -> bool {
    history.events.iter().any(|event| matches!(event.kind, EventKind::Attempt { .. }))
}

fn clients_that_left(history: &History) -> HashSet<&Name> {
    let left =
        history.clients.iter().filter(|request| request.outcome == Outcome::ClientError && request.status.is_none());
    left.filter_map(|request| request.request_id.as_ref()).collect()
}

fn seen(attempt: &Attempt, left: &HashSet<&Name>) -> Seen {
    match attempt.ending {
        Ending::Answered(status) => Seen::Status(status),
        Ending::Broken | Ending::Invalid => Seen::Reset,
        Ending::Abandoned if attempt.request_id.as_ref().is_some_and(|id| left.contains(id)) => Seen::Cancelled,
        Ending::Abandoned => Seen::Timeout,
    }
}

fn judge(policy: &BreakerPolicy, start_ns: u64, end_ns: u64, seen: Seen) -> Option<Judged> {
    let failure = match seen {
        Seen::Status(status) => Failure::Status(status),
        Seen::Connect => Failure::Connect,
        Seen::Reset => Failure::Reset,
        Seen::Timeout => Failure::Timeout,
        Seen::Cancelled => return None,
    };
    let failed = policy.failures.contains(&failure);
    // What is no failure by the policy and no answer either says nothing; so does an endpoint that is well and wants
    // less.
    if !failed && !matches!(seen, Seen::Status(status) if status != TOO_MANY_REQUESTS) {
        return None;
    }
    let took = end_ns.saturating_sub(start_ns);
    let slow = !failed && policy.slow_call_ns.is_some_and(|limit| took >= limit);
    Some(Judged { start_ns, end_ns, failed, slow })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::story::{Story, endpoint};

    fn failed(history: &History) -> Vec<bool> {
        judged(history, &endpoint("orders/1"), &BreakerPolicy::default()).iter().map(|one| one.failed).collect()
    }

    #[test]
    fn only_what_the_policy_names_is_a_failure() {
        let history = Story::new()
            .each([200, 500, 503, 429, 504], |story, status| story.answered("orders/1", status, 1))
            .answered("orders/0", 503, 1)
            .asked()
            .tried("orders/1", Ending::Broken, 2)
            .end();
        assert_eq!(failed(&history), [false, false, true, true, true], "429 says nothing");
    }

    #[test]
    fn what_the_client_ended_says_nothing_and_what_the_gateway_gave_up_does() {
        let mut history = Story::new()
            .asked()
            .tried("orders/1", Ending::Abandoned, 5)
            .asked()
            .tried("orders/1", Ending::Abandoned, 9)
            .end();
        history.clients[0].outcome = Outcome::ClientError;
        let judged = judged(&history, &endpoint("orders/1"), &BreakerPolicy::default());
        assert_eq!(judged, [Judged { start_ns: 0, end_ns: 9_000_000, failed: true, slow: false }]);
    }

    #[test]
    fn the_gateways_own_account_comes_first() {
        let history = Story::new()
            .answered("orders/1", 200, 1)
            .at_ms(3)
            .seen("orders/1", Seen::Connect, 2)
            .seen("orders/1", Seen::Cancelled, 2)
            .end();
        assert_eq!(failed(&history), [true]);
    }

    #[test]
    fn a_slow_answer_is_one_that_takes_so_long_and_no_failure() {
        let policy = BreakerPolicy { slow_call_ns: Some(2_000_000), ..BreakerPolicy::default() };
        let told = [(200, 1), (200, 2), (503, 3)];
        let history = Story::new().each(told, |story, (status, ms)| story.answered("orders/1", status, ms)).end();
        let slow: Vec<bool> = judged(&history, &endpoint("orders/1"), &policy).iter().map(|one| one.slow).collect();
        assert_eq!(slow, [false, true, false]);
    }
}
