//! What the limit does in front of k-server queues. Figures in the messages are those of the simulation: the same seed
//! gives the same on every machine.

mod simulation;

use std::time::{Duration, Instant};

use super::{AdaptiveLimit, End, MIN_LIMIT, Measurement, QUEUE};
use simulation::{Second, Service, World, play};

const ALL: [Service; 3] = [Service::Fixed, Service::Exponential, Service::Tailed];
const WORK: f64 = 0.02;

fn world<'a>(servers: usize, takes: &'a dyn Fn(f64, usize) -> f64, asked: &'a dyn Fn(f64) -> f64) -> World<'a> {
    World { servers, endpoints: 1, service: Service::Fixed, takes, asked, seconds: 30.0, seed: 1, patience: None }
}

fn refused(seconds: &[Second]) -> u32 {
    seconds.iter().map(|second| second.refused).sum()
}

fn longest(seconds: &[Second]) -> f64 {
    seconds.iter().map(|second| second.longest).fold(0.0, f64::max)
}

/// The part of the time that servers worked.
fn worked(seconds: &[Second], servers: usize) -> f64 {
    seconds.iter().map(|second| second.worked).sum::<f64>() / (seconds.len() * servers) as f64
}

#[test]
fn at_twice_the_capacity_the_servers_are_kept_busy_and_the_queue_stays_short() {
    for servers in [1, 4, 16, 64] {
        for service in ALL {
            let asked = |_| 2.0 * servers as f64 / WORK;
            let seconds = play(&World { service, ..world(servers, &|_, _| WORK, &asked) });
            let busy = worked(&seconds[1..], servers);
            assert!(busy >= 0.95, "{servers} servers, {service:?}: {busy}");
            // What waits is bounded by the limit: one and a half times what is worked on, and room for a queue.
            let bound = if matches!(service, Service::Fixed) { 20.0 } else { 50.0 };
            let longest = longest(&seconds[10..]) / WORK;
            assert!(longest < bound, "{servers} servers, {service:?}: {longest} times the work");
        }
    }
}

#[test]
fn a_steady_load_is_never_refused() {
    // Queues of chance are worst where few servers do very uneven work: those have many seeds and five minutes each.
    for (servers, seeds, loads) in [(1, 20, [0.3, 0.7, 0.8]), (4, 6, [0.3, 0.7, 0.8]), (16, 1, [0.3, 0.7, 0.8])] {
        for service in ALL {
            for (load, seed) in loads.into_iter().flat_map(|load| (1..=seeds).map(move |seed| (load, seed))) {
                let asked = |_| load * servers as f64 / WORK;
                let seconds = if seeds > 1 { 300.0 } else { 120.0 };
                let seconds = play(&World { service, seconds, seed, ..world(servers, &|_, _| WORK, &asked) });
                assert_eq!(refused(&seconds), 0, "{servers} servers, {service:?}, load {load}, seed {seed}");
            }
        }
    }
}

#[test]
fn an_overload_from_the_first_request_on_is_found_too() {
    // So many wait before there are ten answers that nothing is known of the time that an answer takes.
    for servers in [1, 2, 4] {
        for service in ALL {
            let asked = |_| 3.0 * servers as f64 / WORK;
            let seconds = play(&World { service, ..world(servers, &|_, _| WORK, &asked) });
            assert!(refused(&seconds[..5]) > 0, "{servers} servers, {service:?}");
            let longest = longest(&seconds[10..]);
            assert!(longest < 2.0, "{servers} servers, {service:?}: {longest} s");
        }
    }
}

#[test]
fn after_an_overload_all_is_soon_as_if_there_had_been_none() {
    const SEEDS: u64 = 20;
    for service in ALL {
        // The longest of some seconds is mostly chance: many runs are held against as many without an overload.
        let (mut after, mut never, mut refused_late) = (0.0, 0.0, 0);
        for seed in 1..=SEEDS {
            let of = |asked: &dyn Fn(f64) -> f64| {
                play(&World { service, seconds: 40.0, seed, ..world(4, &|_, _| WORK, asked) })
            };
            let seconds = of(&|time| if (10.0..20.0).contains(&time) { 600.0 } else { 120.0 });
            assert!(refused(&seconds[10..20]) > 3_000);
            assert_eq!((refused(&seconds[..10]), refused(&seconds[30..])), (0, 0), "{service:?}, seed {seed}");
            refused_late += refused(&seconds[22..30]);
            after += longest(&seconds[22..]);
            never += longest(&of(&|_| 120.0)[22..]);
        }
        assert!(after < 1.1 * never, "{service:?}: {after} s, and {never} s without an overload");
        let asked = SEEDS as f64 * 8.0 * 120.0;
        let part = f64::from(refused_late) / asked;
        assert!(part < 0.005, "{service:?}: {part} of what came in the ten seconds after it was refused");
    }
}

/// An overload ends while the base is measured: one client is left, that asks one by one.
#[test]
fn what_nobody_waits_for_says_nothing_of_the_base_and_makes_no_limit_of_none() {
    #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
    let zero = Instant::now();
    let at = |step: u32| zero + Duration::from_millis(20) * step;
    let mut limit = AdaptiveLimit::new(zero);
    (limit.base, limit.limit, limit.rate) = (Some(WORK), Some(32.0), 200.0);
    limit.measurement = Some(Measurement { asked: zero, since: Some(zero), limit: 8, ended: 0, waiting: 0 });
    for step in 1..1_000 {
        // Somebody is refused, so that the limit goes on.
        limit.settle(at(step), End::Answered, Duration::from_millis(20), 0, true);
        let look = limit.look();
        assert_eq!(look.base, Some(Duration::from_millis(20)), "after {step} answers");
        assert!(look.limit.is_some_and(|limit| limit >= 8), "after {step} answers: {look:?}");
    }
}

#[test]
fn a_service_that_turns_slow_under_overload_is_followed() {
    for service in ALL {
        // From 50 to 150 ms within forty seconds.
        let takes = |time: f64, _| 0.05 + (time - 10.0).clamp(0.0, 40.0) * 0.0025;
        let asked = |_| 640.0;
        let seconds = play(&World { service, seconds: 70.0, ..world(16, &takes, &asked) });
        let busy = worked(&seconds[1..], 16);
        assert!(busy >= 0.95, "{service:?}: {busy}");
    }
}

#[test]
fn a_step_that_is_no_queue_is_learned() {
    // A service with room for everybody takes ten times as long from one moment on.
    let takes = |time: f64, _| if time < 10.0 { WORK } else { 10.0 * WORK };
    let seconds = play(&world(10_000, &takes, &|_| 500.0));
    assert_eq!(refused(&seconds[..10]), 0);
    assert_eq!(refused(&seconds[22..]), 0, "within twelve seconds it is known that this is how long it takes");
}

#[test]
fn low_traffic_is_never_limited_not_even_where_nothing_is_answered() {
    let takes = |time: f64, _| if time < 100.0 { 0.005 } else { 3.0 };
    let seconds = play(&World { seconds: 200.0, ..world(1, &takes, &|_| 0.3) });
    assert_eq!(refused(&seconds), 0);
}

#[test]
fn what_hangs_holds_few_and_is_back_at_once() {
    let takes = |time: f64, _| if (10.0..18.0).contains(&time) { 18.0 - time + WORK } else { WORK };
    let seconds = play(&world(10_000, &takes, &|_| 500.0));
    let held: u32 = seconds[10..18].iter().map(|second| second.asked - second.refused).sum();
    assert!(held < 500, "{held} of 4,000 were let in");
    assert_eq!(refused(&seconds[20..]), 0);
}

#[test]
fn what_is_given_up_counts_as_a_queue() {
    // Who waits for a second gives up: all that the endpoint is seen to do is to answer what it has had for long.
    let asked = |_| 400.0;
    let seconds = play(&World { patience: Some(1.0), ..world(4, &|_, _| WORK, &asked) });
    assert!(worked(&seconds[1..], 4) >= 0.95);
    let given_up: u32 = seconds[4..].iter().map(|second| second.given_up).sum();
    assert_eq!(given_up, 0, "once the limit stands, nobody has to");
}

#[test]
fn of_three_endpoints_each_has_what_it_can_take() {
    for service in ALL {
        let takes = |_, endpoint| if endpoint == 0 { 10.0 * WORK } else { WORK };
        let capacity = 4.0 / (10.0 * WORK) + 2.0 * 4.0 / WORK;
        let world = World { endpoints: 3, service, ..world(4, &takes, &|_| 0.0) };
        let asked = |_| 2.0 * capacity;
        let busy = worked(&play(&World { asked: &asked, ..world })[1..], 12);
        assert!(busy >= 0.95, "{service:?}: {busy}");
    }
}

#[test]
fn a_few_that_wait_are_no_queue() {
    const { assert!(MIN_LIMIT < QUEUE) };
    // Seven requests at once, now and then, at a service that takes them one by one.
    let asked = |time: f64| if time.fract() < 0.03 { 200.0 } else { 0.1 };
    let seconds = play(&World { seconds: 120.0, ..world(1, &|_, _| WORK, &asked) });
    assert_eq!(refused(&seconds), 0);
}
