//! Whether an endpoint hangs for which clients have no more patience: they leave before its route's time is up, so that
//! no attempt ever runs out of time.
//!
//! A client that leaves says nothing by itself: it may be in a hurry, or mean harm, and a long poll, or a report, takes
//! its time. What tells a hang is that others are answered meanwhile. So all of this has to hold: the attempt waited
//! far longer than requests of its route usually take; not one answer came from the endpoint since the first of those
//! that were left began; and its siblings gave so many answers in that time that it must have had several of its own,
//! by its weight. A client that opens long polls and leaves meets none of that: the requests of others are answered
//! beside it, and where there are no others there is nobody to harm.

use std::time::Duration;

/// The least wait that tells anything.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// How many times the usual time it has to be.
const FAR_LONGER: u32 = 10;
/// Answers of siblings, and requests of the route, without which nothing is known.
pub const ENOUGH: u64 = 20;
/// Answers that it should have given meanwhile. By chance alone none of them comes once in four hundred times.
const OWN_PART: u64 = 6;

/// What is known of an endpoint when a client leaves an attempt there.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// How long the attempt waited for the endpoint alone.
    pub waited: Duration,
    /// What counts as slow there, where that is configured.
    pub slow_call: Option<Duration>,
    /// What half of the route's requests take at most; `None` where too little is known. Not the time of nearly all:
    /// that grows with the very waits that it is to judge.
    pub usual: Option<Duration>,
    /// Answers that its siblings gave since it is silent.
    pub answers_beside: u64,
    /// Its weight.
    pub weight: u64,
    /// The sum of its siblings' weights.
    pub weights_beside: u64,
}

/// Whether it hangs.
pub fn hangs(seen: &Seen) -> bool {
    let Some(usual) = seen.usual else { return false };
    let enough = seen.slow_call.unwrap_or(LEAST_WAIT.max(usual.saturating_mul(FAR_LONGER)));
    // What is configured as slow may be less than a second, and so may be what is usual: a client that leaves sooner
    // than after a second is one in a hurry.
    let has_waited = seen.waited >= enough.max(LEAST_WAIT);
    let part = u128::from(seen.answers_beside) * u128::from(seen.weight);
    let is_alone_in_it = part >= u128::from(OWN_PART) * u128::from(seen.weights_beside.max(1));
    has_waited && seen.answers_beside >= ENOUGH && is_alone_in_it
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of two endpoints of a route whose requests take 20 ms; the other one has answered thirty meanwhile.
    const HUNG: Seen = Seen {
        waited: Duration::from_secs(3),
        slow_call: None,
        usual: Some(Duration::from_millis(20)),
        answers_beside: 30,
        weight: 1,
        weights_beside: 1,
    };

    #[test]
    fn an_endpoint_hangs_whose_siblings_answer_while_it_keeps_a_client_waiting_far_too_long() {
        assert!(hangs(&HUNG));
        assert!(hangs(&Seen { waited: Duration::from_secs(1), ..HUNG }));
    }

    #[test]
    fn a_client_in_a_hurry_says_nothing() {
        for waited in [Duration::ZERO, Duration::from_millis(999)] {
            assert!(!hangs(&Seen { waited, ..HUNG }));
            assert!(!hangs(&Seen { waited, slow_call: Some(Duration::from_millis(50)), ..HUNG }));
        }
    }

    #[test]
    fn a_route_whose_requests_take_their_time_is_left_in_peace() {
        // Long polls, and a report of which half take 400 ms.
        assert!(!hangs(&Seen { usual: Some(Duration::from_secs(25)), ..HUNG }));
        assert!(!hangs(&Seen { usual: Some(Duration::from_millis(400)), ..HUNG }));
        assert!(hangs(&Seen { usual: Some(Duration::from_millis(400)), waited: Duration::from_secs(4), ..HUNG }));
        assert!(!hangs(&Seen { usual: None, ..HUNG }), "nothing is known of it");
        // Who configures what is slow knows the service.
        let slow_call = Some(Duration::from_secs(2));
        assert!(hangs(&Seen { slow_call, usual: Some(Duration::from_secs(25)), ..HUNG }));
        assert!(!hangs(&Seen { slow_call: Some(Duration::from_secs(5)), ..HUNG }));
    }

    #[test]
    fn where_no_sibling_answers_nobody_can_tell() {
        assert!(!hangs(&Seen { answers_beside: 0, weights_beside: 0, ..HUNG }), "it is the only one");
        assert!(!hangs(&Seen { answers_beside: ENOUGH - 1, ..HUNG }));
    }

    #[test]
    fn one_that_gets_little_may_have_got_nothing_meanwhile() {
        let one_of_a_hundred = Seen { weights_beside: 99, ..HUNG };
        assert!(!hangs(&one_of_a_hundred));
        assert!(hangs(&Seen { answers_beside: 99 * OWN_PART, ..one_of_a_hundred }));
        assert!(!hangs(&Seen { weight: 0, ..HUNG }));
    }
}
