//! Whatever happens to a breaker, it says what a model of it says, and it recovers.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::model::Model;
use super::super::{Breaker, Mode, Policy, State, Ticket, Verdict, WHOLE};
use super::{s, start};

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
