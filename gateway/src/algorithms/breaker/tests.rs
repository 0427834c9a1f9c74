//! Stories of a breaker in virtual time, and its properties against the naive model.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::model::{Model, policy};
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

/// What can happen to a breaker.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Admit,
    Settle(usize, Verdict),
    BreakOff(usize),
    Release(usize),
    Client(usize, bool),
    Tick,
    Force(Mode),
    SetChecked(Option<Duration>),
    Check(bool),
    Configure(Policy),
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Success), 6 => Just(Verdict::Failure), 2 => Just(Verdict::Slow), 1 => Just(Verdict::Neutral)
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mode = prop_oneof![4 => Just(Mode::Auto), 1 => Just(Mode::Open), 1 => Just(Mode::Closed)];
    let step = prop_oneof![
        6 => (0_u64..400).prop_map(Step::Wait),
        1 => (0_u64..20_000).prop_map(Step::Wait),
        20 => Just(Step::Admit),
        20 => (0_usize..4, verdict()).prop_map(|(back, verdict)| Step::Settle(back, verdict)),
        6 => (0_usize..6).prop_map(Step::BreakOff),
        2 => (0_usize..4).prop_map(Step::Release),
        4 => (0_usize..4, any::<bool>()).prop_map(|(back, waits)| Step::Client(back, waits)),
        4 => Just(Step::Tick),
        1 => mode.prop_map(Step::Force),
        2 => prop::option::of((1_u64..3_000).prop_map(Duration::from_millis)).prop_map(Step::SetChecked),
        4 => any::<bool>().prop_map(Step::Check),
        1 => policies().prop_map(Step::Configure),
    ];
    prop::collection::vec(step, 0..400)
}

/// The longest opening, and the longest time of a probe, of any policy here.
const LONGEST: Duration = Duration::from_secs(7 + 3);

fn policies() -> impl Strategy<Value = Policy> {
    let trips = (1_u32..6, 1_u32..=WHOLE, prop::option::of(1_u32..6), prop::option::of(1_u32..=WHOLE));
    let times = (2_u64..4, 1_u64..=7, 1_u64..3_000);
    let off = prop::bool::weighted(0.1);
    (trips, 1_u32..4, times, off).prop_map(|(trips, probes, (window, max_open, probe_ms), off)| {
        let (min_requests, failure_share, consecutive_failures, slow_share) = trips;
        Policy {
            window: s(window),
            min_requests: if off { Policy::NEVER } else { min_requests },
            failure_share,
            consecutive_failures: consecutive_failures.filter(|_| !off),
            slow_share,
            open_for: s(1),
            max_open_for: s(max_open),
            probes,
            probe_timeout: Duration::from_millis(probe_ms),
        }
    })
}

/// A breaker and its model, after these steps; at each of them both said the same.
fn both(policy: Policy, steps: Vec<Step>) -> Result<(Breaker, Instant), TestCaseError> {
    let mut now = start();
    let (mut breaker, mut model) = (Breaker::new(policy, now), Model::new(policy, now));
    let mut given: Vec<(Ticket, usize)> = Vec::new();
    let mut settled: Vec<(Ticket, usize)> = Vec::new();
    for step in steps {
        let place = |back: usize| given.len().checked_sub(back + 1);
        match step {
            Step::Wait(ms) => now += Duration::from_millis(ms),
            Step::Admit => {
                let ((ticket, changed), (known, expected)) = (breaker.admit(now), model.admit(now));
                prop_assert_eq!((ticket.is_some(), changed), (known.is_some(), expected));
                prop_assert_eq!(
                    ticket.is_some_and(Ticket::is_probe),
                    known.is_some_and(|known| model.tickets[known].runs)
                );
                given.extend(ticket.zip(known));
            }
            Step::Settle(back, verdict) => {
                let Some(place) = place(back) else { continue };
                let (mut ticket, known) = given.remove(place);
                prop_assert_eq!(breaker.settle_head(&mut ticket, verdict, now), model.settle(known, verdict, now));
                settled.push((ticket, known));
            }
            Step::BreakOff(back) => {
                let Some(place) = settled.len().checked_sub(back + 1) else { continue };
                let (ticket, known) = settled.remove(place);
                prop_assert_eq!(breaker.break_off(ticket, now), model.break_off(known, now));
            }
            Step::Release(back) => {
                let Some(place) = place(back) else { continue };
                let (ticket, known) = given.remove(place);
                breaker.release(ticket);
                model.release(known);
            }
            Step::Client(back, waits) => {
                let Some(place) = place(back) else { continue };
                let (ticket, known) = given[place];
                breaker.wait_for_client(ticket, waits, now);
                model.wait_for_client(known, waits, now);
            }
            Step::Tick => prop_assert_eq!(breaker.tick(now), model.tick(now)),
            Step::SetChecked(checked) => {
                breaker.set_checked(checked);
                model.set_checked(checked);
            }
            Step::Check(good) => prop_assert_eq!(breaker.observe_check(good, now), model.observe_check(good, now)),
            Step::Configure(policy) => {
                prop_assert_eq!(breaker.configure(policy, now), model.configure(policy, now));
            }
            Step::Force(mode) => prop_assert_eq!(breaker.force(mode, now), model.force(mode, now)),
        }
        prop_assert_eq!((breaker.state(), breaker.deadline()), (model.state, model.deadline()));
    }
    Ok((breaker, now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The machine is the naive model, step by step: states, causes, counts, tickets and deadlines.
    #[test]
    fn the_machine_is_the_model(policy in policies(), steps in steps()) {
        both(policy, steps)?;
    }

    /// Whatever has happened, and whatever still hangs: once the endpoint is well, the breaker closes within one
    /// opening, one probe's time, and no more. No operator's word holds it.
    #[test]
    fn it_always_recovers(policy in policies(), steps in steps()) {
        let (mut breaker, begin) = both(policy, steps)?;
        let mut now = begin;
        breaker.force(Mode::Auto, now);
        while breaker.state() != State::Closed {
            breaker.observe_check(true, now);
            // Somebody asks, and is served well, as often as it lets anybody.
            while let (Some(ticket), _) = breaker.admit(now) {
                breaker.settle(ticket, Verdict::Success, now);
                if breaker.state() == State::Closed { break; }
            }
            let Some(deadline) = breaker.deadline() else { break };
            now = now.max(deadline);
            breaker.tick(now);
            prop_assert!(now - begin <= LONGEST, "after {:?}", now - begin);
        }
        prop_assert_eq!(breaker.state(), State::Closed);
    }
}
