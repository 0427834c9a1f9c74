//! Answers whose head was good, and that break off behind it.

use std::time::Instant;

use super::super::model::policy;
use super::super::{Breaker, Cause, Policy, State, Ticket, Transition, Verdict};
use super::{s, start, tripped};

/// An attempt whose answer's head has come now, and was good; what that changed.
fn head(breaker: &mut Breaker, now: Instant) -> (Ticket, Option<Transition>) {
    let (ticket, transition) = breaker.admit(now);
    assert_eq!(transition, None);
    let mut ticket = ticket.expect("it lets the attempt through");
    let changed = breaker.settle_head(&mut ticket, Verdict::Success, now);
    (ticket, changed)
}

#[test]
fn an_answer_that_breaks_off_becomes_a_failure() {
    let now = start();
    let mut breaker = Breaker::new(Policy { consecutive_failures: None, ..policy() }, now);
    for _ in 0..19 {
        let (ticket, _) = head(&mut breaker, now);
        assert_eq!(breaker.break_off(ticket, now), None);
    }
    // The head of the twentieth says that this one is good, which is too late for the share.
    let (_, trip) = head(&mut breaker, now);
    let trip = trip.expect("most of twenty");
    assert_eq!((trip.cause, trip.counts.failures, trip.counts.requests), (Cause::FailureRatio, 19, 20));
}

#[test]
fn ten_answers_in_a_row_that_break_off_trip_it_one_after_another_or_all_at_once() {
    let now = start();
    let rarely = Policy { min_requests: 100, ..policy() };
    let mut breaker = Breaker::new(rarely, now);
    for _ in 0..9 {
        let (ticket, _) = head(&mut breaker, now);
        assert_eq!(breaker.break_off(ticket, now), None);
    }
    let _whole = head(&mut breaker, now);
    for _ in 0..9 {
        let (ticket, _) = head(&mut breaker, now);
        assert_eq!(breaker.break_off(ticket, now), None, "one in between came whole");
    }
    let (ticket, _) = head(&mut breaker, now);
    let trip = breaker.break_off(ticket, now).expect("the tenth");
    assert_eq!((trip.cause, trip.counts.consecutive), (Cause::ConsecutiveFailures, 10));

    let mut breaker = Breaker::new(rarely, now);
    let under_way: Vec<Ticket> = (0..10).map(|_| head(&mut breaker, now).0).collect();
    let trips: Vec<Transition> = under_way.iter().filter_map(|ticket| breaker.break_off(*ticket, now)).collect();
    assert_eq!(trips.iter().map(|trip| trip.cause).collect::<Vec<_>>(), [Cause::ConsecutiveFailures]);
}

#[test]
fn what_failed_by_its_head_or_said_nothing_fails_no_second_time() {
    let now = start();
    let mut breaker = Breaker::new(policy(), now);
    let _whole = head(&mut breaker, now);
    for verdict in [Verdict::Failure, Verdict::Neutral] {
        let mut ticket = breaker.admit(now).0.expect("closed");
        breaker.settle_head(&mut ticket, verdict, now);
        assert_eq!(breaker.break_off(ticket, now), None);
    }
    let counts = breaker.counts(now);
    assert_eq!((counts.requests, counts.failures, counts.consecutive), (2, 1, 1));
}

#[test]
fn an_endpoint_that_lets_go_of_its_old_streams_has_not_failed_in_a_row() {
    let begin = start();
    let mut breaker = Breaker::new(policy(), begin);
    let streams: Vec<Ticket> = (0..10).map(|_| head(&mut breaker, begin).0).collect();
    let now = begin + s(3600);
    for stream in streams {
        assert_eq!(breaker.break_off(stream, now), None);
    }
    assert_eq!((breaker.state(), breaker.counts(now).consecutive), (State::Closed, 0));
}

#[test]
fn a_probe_that_breaks_off_opens_it_again_for_twice_as_long() {
    let begin = start();
    let (mut breaker, now) = (tripped(begin), begin + s(5));
    breaker.tick(now);
    let (first, _) = head(&mut breaker, now);
    let again = breaker.break_off(first, now).expect("it is no good sign");
    assert_eq!((again.from, again.to, again.cause), (State::HalfOpen, State::Open, Cause::ProbeFailed));
    assert_eq!(breaker.deadline(), Some(now + s(10)));

    // The next ones break off when it has closed by their heads.
    let now = now + s(10);
    breaker.tick(now);
    let probes: Vec<(Ticket, Option<Transition>)> = (0..3).map(|_| head(&mut breaker, now)).collect();
    assert_eq!(probes[2].1.map(|t| (t.to, t.cause)), Some((State::Closed, Cause::ProbesPassed)));
    let again = breaker.break_off(probes[0].0, now + s(1)).expect("it was no recovery");
    assert_eq!((again.from, again.to, again.cause), (State::Closed, State::Open, Cause::ProbeFailed));
    assert_eq!(breaker.deadline(), Some(now + s(1) + s(20)), "twice as long as before it closed");
    assert_eq!(breaker.break_off(probes[1].0, now + s(2)), None, "the others say nothing new");

    // One that holds as long as the window has shown that the endpoint is back.
    let now = now + s(21);
    breaker.tick(now);
    let probes: Vec<Ticket> = (0..3).map(|_| head(&mut breaker, now).0).collect();
    assert_eq!((breaker.break_off(probes[0], now + s(11)), breaker.state()), (None, State::Closed));
}
