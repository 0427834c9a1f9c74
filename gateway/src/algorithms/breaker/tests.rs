//! Stories of a breaker in virtual time, and its properties against the naive model.

mod against_the_model;
mod broken_off;

use std::time::{Duration, Instant};

use super::model::policy;
use super::{Breaker, Cause, Mode, Policy, State, Ticket, Transition, Verdict, WHOLE};
use crate::clock::Clock;

/// Any instant; everything else is relative to it.
fn start() -> Instant {
    Clock::starting_at(Duration::ZERO).at_tick(0)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One attempt that begins and ends now.
fn attempt(breaker: &mut Breaker, verdict: Verdict, now: Instant) -> Option<Transition> {
    let (ticket, transition) = breaker.admit(now);
    assert_eq!(transition, None);
    breaker.settle(ticket.expect("it lets the attempt through"), verdict, now)
}

fn tripped(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(policy(), now);
    for _ in 0..10 {
        attempt(&mut breaker, Verdict::Failure, now);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[test]
fn the_tenth_failure_in_a_row_trips_it_and_not_the_ninth() {
    let now = start();
    let mut breaker = Breaker::new(Policy { min_requests: 100, ..policy() }, now);
    for _ in 0..9 {
        assert_eq!(attempt(&mut breaker, Verdict::Failure, now), None);
    }
    assert_eq!(attempt(&mut breaker, Verdict::Success, now), None, "the row is broken");
    for _ in 0..9 {
        assert_eq!(attempt(&mut breaker, Verdict::Failure, now), None);
        // A neutral outcome neither counts nor breaks the row.
        assert_eq!(attempt(&mut breaker, Verdict::Neutral, now), None);
    }
    let trip = attempt(&mut breaker, Verdict::Failure, now).expect("the tenth");
    assert_eq!((trip.from, trip.to, trip.at), (State::Closed, State::Open, now));
    assert_eq!((trip.cause, trip.counts.consecutive), (Cause::ConsecutiveFailures, 10));
}

#[test]
fn the_share_of_failures_trips_it_with_enough_requests_and_only_then() {
    let now = start();
    let mut breaker = Breaker::new(policy(), now);
    for request in 0..19 {
        let verdict = if request % 2 == 0 { Verdict::Failure } else { Verdict::Success };
        assert_eq!(attempt(&mut breaker, verdict, now), None, "request {request}");
    }
    // Ten of twenty: the outcome that completes them is a success.
    let trip = attempt(&mut breaker, Verdict::Success, now).expect("half of twenty");
    assert_eq!((trip.cause, trip.counts.failures, trip.counts.requests), (Cause::FailureRatio, 10, 20));
}

#[test]
fn what_is_older_than_the_window_counts_no_more() {
    let now = start();
    let mut breaker = Breaker::new(policy(), now);
    for request in 0..18 {
        let verdict = if request % 2 == 0 { Verdict::Failure } else { Verdict::Success };
        assert_eq!(attempt(&mut breaker, verdict, now), None);
    }
    assert_eq!(breaker.counts(now + Duration::from_millis(9_999)).requests, 18);
    assert_eq!(breaker.counts(now + s(10)).requests, 0);
    assert_eq!(attempt(&mut breaker, Verdict::Failure, now + s(10)), None);
}

#[test]
fn slow_answers_trip_it_where_that_is_asked_for() {
    let now = start();
    let mut breaker = Breaker::new(Policy { slow_share: Some(WHOLE), ..policy() }, now);
    for _ in 0..19 {
        assert_eq!(attempt(&mut breaker, Verdict::Slow, now), None);
    }
    let trip = attempt(&mut breaker, Verdict::Slow, now).expect("all of twenty");
    assert_eq!((trip.cause, trip.counts.slow), (Cause::SlowRatio, 20));
    breaker.tick(now + s(5));
    let again = attempt(&mut breaker, Verdict::Slow, now + s(5)).expect("a slow probe is no recovery");
    assert_eq!((again.cause, again.to), (Cause::ProbeSlow, State::Open));
}

#[test]
fn it_opens_for_twice_as_long_each_time_up_to_the_limit() {
    let mut now = start();
    let mut breaker = tripped(now);
    for expected in [5, 10, 20, 40, 60, 60] {
        let deadline = breaker.deadline().expect("an opening ends");
        assert_eq!(deadline - now, s(expected));
        assert_eq!(breaker.tick(deadline - Duration::from_nanos(1)), None);
        assert_eq!(breaker.admit(deadline - Duration::from_nanos(1)).0, None, "nothing passes before");
        now = deadline;
        let half_open = breaker.tick(now).expect("by time alone");
        assert_eq!((half_open.to, half_open.cause, half_open.at), (State::HalfOpen, Cause::Timer, deadline));
        let again = attempt(&mut breaker, Verdict::Failure, now).expect("a failed probe opens it");
        assert_eq!(again.cause, Cause::ProbeFailed);
    }
}

#[test]
fn so_many_probes_pass_and_their_success_closes_it() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    let (first, half_open) = breaker.admit(now);
    assert_eq!(half_open.map(|t| t.to), Some(State::HalfOpen), "who asks after the time gets the first probe");
    let probes: Vec<Ticket> = std::iter::once(first).chain((0..5).map(|_| breaker.admit(now).0)).flatten().collect();
    assert_eq!(probes.len(), 3);
    assert_eq!(breaker.settle(probes[0], Verdict::Success, now), None);
    assert_eq!(breaker.admit(now).0, None, "three probes, not three at a time");
    assert_eq!(breaker.settle(probes[2], Verdict::Success, now), None);
    let closed = breaker.settle(probes[1], Verdict::Success, now).expect("the third");
    assert_eq!((closed.to, closed.cause), (State::Closed, Cause::ProbesPassed));
    assert_eq!(breaker.counts(now).requests, 0, "it begins anew");
}

#[test]
fn a_probe_that_hangs_opens_it_again_and_its_late_answer_counts_nowhere() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    let probe = breaker.admit(now).0.expect("a probe");
    assert_eq!(breaker.deadline(), Some(now + s(5)));
    let again = breaker.settle(probe, Verdict::Success, now + s(6)).expect("it was too late");
    assert_eq!((again.to, again.cause, again.at), (State::Open, Cause::ProbeTimeout, now + s(5)));
    assert_eq!(breaker.deadline(), Some(now + s(15)), "twice as long, from when the probe ran out of time");
}

#[test]
fn a_probe_whose_client_takes_the_time_gives_its_place_to_another_and_counts_when_it_ends() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    let probes: Vec<Ticket> = (0..3).filter_map(|_| breaker.admit(now).0).collect();
    breaker.wait_for_client(probes[0], true, now);
    // Of the second all has come before its time was up, but late.
    breaker.wait_for_client(probes[1], true, now);
    breaker.wait_for_client(probes[1], false, now + s(3));
    assert_eq!(breaker.settle(probes[2], Verdict::Success, now), None);
    assert_eq!(breaker.admit(now + s(4)).0, None, "their places are theirs until their time is up");
    assert_eq!(breaker.tick(now + s(5)), None, "the endpoint has had two seconds of five");
    let others: Vec<Ticket> = (0..9).filter_map(|_| breaker.admit(now + s(5)).0).collect();
    assert_eq!((others.len(), breaker.state()), (2, State::HalfOpen));
    assert_eq!(breaker.settle(probes[0], Verdict::Success, now + s(9)), None, "it is known of two now");
    assert_eq!(breaker.settle(probes[1], Verdict::Failure, now + s(9)).map(|t| t.cause), Some(Cause::ProbeFailed));

    let mut hangs = tripped(begin);
    let probe = hangs.admit(now).0.expect("a probe");
    hangs.wait_for_client(probe, true, now);
    hangs.wait_for_client(probe, false, now + Duration::from_millis(2500));
    assert_eq!(hangs.tick(now + s(5)).map(|t| t.cause), Some(Cause::ProbeTimeout), "half of it is enough to tell");
}

#[test]
fn a_probe_without_an_outcome_gives_its_place_back() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    for _ in 0..10 {
        let probe = breaker.admit(now).0.expect("there is room again");
        breaker.release(probe);
        let probe = breaker.admit(now).0.expect("there is room again");
        assert_eq!(breaker.settle(probe, Verdict::Neutral, now), None, "429 neither opens nor closes it");
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn attempts_from_before_a_trip_count_nowhere() {
    let now = start();
    let mut breaker = Breaker::new(policy(), now);
    let early: Vec<Ticket> = (0..20).filter_map(|_| breaker.admit(now).0).collect();
    let trips = early.iter().filter_map(|ticket| breaker.settle(*ticket, Verdict::Failure, now)).count();
    assert_eq!(trips, 1);
    let deadline = breaker.deadline();
    assert_eq!(deadline, Some(now + s(5)), "what was in flight does not prolong it");
}

#[test]
fn an_operators_will_holds_until_it_is_taken_back() {
    let now = start();
    let mut breaker = Breaker::new(policy(), now);
    assert_eq!(breaker.force(Mode::Open, now).map(|t| (t.to, t.cause)), Some((State::Open, Cause::Operator)));
    assert_eq!((breaker.deadline(), breaker.admit(now + s(1000)).0), (None, None));
    assert_eq!(breaker.force(Mode::Auto, now).map(|t| t.to), Some(State::HalfOpen), "it is tried first");
    assert_eq!(breaker.force(Mode::Closed, now).map(|t| t.to), Some(State::Closed));
    for _ in 0..50 {
        assert_eq!(attempt(&mut breaker, Verdict::Failure, now), None);
    }
    assert_eq!(breaker.force(Mode::Auto, now), None);
    let trips = (0..10).filter_map(|_| attempt(&mut breaker, Verdict::Failure, now)).count();
    assert_eq!(trips, 1, "what came meanwhile was not counted");
}

#[test]
fn where_somebody_checks_no_request_is_spent_on_what_is_still_down() {
    let begin = start();
    let (mut breaker, mut now) = (tripped(begin), begin + s(5));
    breaker.set_checked(Some(s(1)));
    assert_eq!(breaker.tick(now).map(|t| t.to), Some(State::HalfOpen));
    assert_eq!(breaker.admit(now).0, None, "a check comes first");
    let again = breaker.observe_check(false, now).expect("it failed");
    assert_eq!((again.to, again.cause), (State::Open, Cause::CheckFailed));
    now += s(10);
    assert_eq!(breaker.tick(now).map(|t| t.to), Some(State::HalfOpen));
    assert_eq!(breaker.observe_check(true, now), None);
    assert!(breaker.admit(now).0.is_some_and(Ticket::is_probe), "now probes pass");
    let mut unheard = tripped(begin);
    unheard.set_checked(Some(s(1)));
    unheard.tick(begin + s(5));
    let again = unheard.tick(begin + s(10)).expect("a check that never comes wedges nothing");
    assert_eq!(again.cause, Cause::CheckFailed);
}

#[test]
fn a_check_has_the_time_that_checks_have_however_short_a_probes_is() {
    let begin = start();
    let mut breaker = tripped(begin);
    breaker.configure(Policy { probe_timeout: Duration::from_millis(500), ..policy() }, begin);
    breaker.set_checked(Some(s(1)));
    let now = begin + s(5);
    assert_eq!(breaker.tick(now).map(|t| t.to), Some(State::HalfOpen));
    assert_eq!(breaker.deadline(), Some(now + s(1)));
    assert_eq!(breaker.observe_check(true, now + Duration::from_millis(700)), None);
    assert!(breaker.admit(now + Duration::from_millis(700)).0.is_some_and(Ticket::is_probe));
}

#[test]
fn a_policy_says_for_which_causes_it_trips() {
    let of = |policy: Policy| Cause::ALL.into_iter().filter(|cause| policy.trips_for(*cause)).collect::<Vec<_>>();
    let policy = Policy { slow_share: None, ..policy() };
    assert_eq!(of(policy), [Cause::ConsecutiveFailures, Cause::FailureRatio, Cause::ProbeFailed, Cause::Operator]);
    let slow = Policy { consecutive_failures: None, slow_share: Some(WHOLE), ..policy };
    assert_eq!(of(slow), [Cause::FailureRatio, Cause::SlowRatio, Cause::ProbeFailed, Cause::Operator]);
    assert_eq!(of(Policy { min_requests: Policy::NEVER, ..slow }), [Cause::Operator]);
}

#[test]
fn a_new_policy_keeps_the_state() {
    let now = start();
    let mut breaker = tripped(now);
    breaker.configure(Policy { max_open_for: s(2), open_for: s(2), window: s(3), ..policy() }, now);
    assert_eq!((breaker.state(), breaker.deadline()), (State::Open, Some(now + s(2))));
    breaker.configure(Policy { open_for: s(1), ..policy() }, now);
    assert_eq!(breaker.deadline(), Some(now + s(1)), "it is not open for longer than is wanted now");
    breaker.configure(policy(), now);
    assert_eq!(breaker.deadline(), Some(now + s(1)), "nor made longer");
    assert_eq!(breaker.configure(policy(), now), None);
}

#[test]
fn a_policy_by_which_nothing_trips_closes_it() {
    let begin = start();
    let off = Policy { min_requests: Policy::NEVER, consecutive_failures: None, ..policy() };
    let mut breaker = tripped(begin);
    let closed = breaker.configure(off, begin).expect("nobody is to be left alone any more");
    assert_eq!((closed.from, closed.to, closed.cause), (State::Open, State::Closed, Cause::Operator));
    let mut half_open = tripped(begin);
    half_open.tick(begin + s(5));
    assert_eq!(half_open.configure(off, begin + s(5)).map(|t| t.to), Some(State::Closed));
    // An operator's word is no policy's. When it is taken back, there is nothing to try out.
    let mut held = tripped(begin);
    held.force(Mode::Open, begin);
    assert_eq!((held.configure(off, begin), held.state()), (None, State::Open));
    assert_eq!(held.force(Mode::Auto, begin).map(|t| t.to), Some(State::Closed));
}

#[test]
fn a_policy_that_asks_for_fewer_probes_than_did_well_wedges_nothing() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    breaker.tick(now);
    for _ in 0..2 {
        assert_eq!(attempt(&mut breaker, Verdict::Success, now), None);
    }
    breaker.configure(Policy { probes: 2, ..policy() }, now);
    let closed = attempt(&mut breaker, Verdict::Success, now).expect("one more decides");
    assert_eq!((closed.to, closed.cause), (State::Closed, Cause::ProbesPassed));
}
