//! What makes a run invalid, and how its figures are counted.

use super::*;
use crate::sample::{Observer, Sample, Spent};

fn recorder(requests: u64, lag_ns: u64) -> Recorder {
    let mut recorder = Recorder::new("steady", 0);
    for number in 0..requests {
        let intended_ns = number * 1_000_000;
        recorder.lag(intended_ns, lag_ns);
        recorder.sample(&Sample {
            intended_ns,
            sent_ns: intended_ns,
            head_ns: intended_ns,
            end_ns: intended_ns + 100_000,
            ..Sample::GOOD
        });
    }
    recorder
}

fn totals(finished: u64, cpu_ns: u64) -> Totals {
    let sending = Spent { cpu_ns, wall_ns: 1_000_000_000, ..Spent::default() };
    Totals { started: finished, finished, cpu_ns, wall_ns: 1_000_000_000, sending, ..Totals::default() }
}

const OFFERED: Option<Offered> =
    Some(Offered { arrivals: 1_000, rate: 1_000.0, length_ns: Some(1_000_000_000), hash: 7 });

#[test]
fn a_run_that_kept_its_plan_is_valid() {
    let validity = Validity::judge(&recorder(1_000, 10_000), &totals(1_000, 100), OFFERED, 0.0);
    assert_eq!((validity.valid, validity.reasons.len()), (true, 0));
}

#[test]
fn each_fault_of_a_run_is_a_reason_of_its_own() {
    let mut dropping = recorder(1_000, 10);
    dropping.dropped(1_000_000);
    let cases = [
        (dropping, totals(1_000, 100), 0.0, "dropped"),
        (recorder(980, 10), totals(980, 100), 0.0, "achieved"),
        (recorder(1_000, 300_000), totals(1_000, 100), 0.0, "lag"),
        (recorder(1_000, 10), totals(1_000, 800_000_000), 0.0, "busy"),
        (recorder(1_000, 10), totals(1_000, 100), 0.02, "host"),
        (recorder(1_000, 10), Totals { unopened: 3, ..totals(1_000, 100) }, 0.0, "no socket for a connection, 3 times"),
    ];
    for (recorder, totals, steal, word) in cases {
        let validity = Validity::judge(&recorder, &totals, OFFERED, steal);
        assert!(!validity.valid);
        assert_eq!(validity.reasons.len(), 1, "{word}: {:?}", validity.reasons);
        assert!(validity.reasons[0].contains(word), "{word}: {:?}", validity.reasons);
    }
}

#[test]
fn a_closed_run_that_gave_up_says_so() {
    let totals = Totals { gave_up: true, wall_ns: 5_000_000_000, ..totals(1_000, 100) };
    let validity = Validity::judge(&recorder(1_000, 0), &totals, None, 0.0);
    assert_eq!((validity.valid, validity.reasons.len()), (false, 1));
    assert!(validity.reasons[0].ends_with("gave up after 5.0 s"), "{:?}", validity.reasons);
}

#[test]
fn a_drop_in_the_warm_up_is_left_out_with_it() {
    let mut recorder = Recorder::new("steady", 1_000_000);
    recorder.sample(&Sample { intended_ns: 1_000_000, end_ns: 1_100_000, ..Sample::GOOD });
    recorder.dropped(999_999);
    let totals = Totals { dropped: 1, ..totals(2, 100) };
    let offered = Some(Offered { arrivals: 1, rate: 1.0, length_ns: Some(1_000_000), hash: 7 });
    let validity = Validity::judge(&recorder, &totals, offered, 0.0);
    assert_eq!((validity.valid, validity.dropped), (true, 0), "{:?}", validity.reasons);
}

#[test]
fn a_driver_is_judged_while_it_sends_in_both_models() {
    for offered in [OFFERED, None] {
        let busy = |totals: &Totals| {
            let validity = Validity::judge(&recorder(1_000, 0), totals, offered, 0.0);
            (validity.reasons.iter().any(|reason| reason.contains("busy for 80 %")), validity.client_cpu_ratio)
        };
        let hard = totals(1_000, 800_000_000);
        assert_eq!(busy(&hard), (true, 0.8));
        // It waited nine seconds more for an answer that hung.
        assert_eq!(busy(&Totals { wall_ns: 10_000_000_000, ..hard }), (true, 0.8));
        assert_eq!(busy(&totals(1_000, 690_000_000)), (false, 0.69));
        // Users of journeys are a process of their own, on more cores than one.
        let users = Totals { sending: Spent::default(), ..hard };
        assert_eq!(busy(&users), (false, 0.8));
    }
    assert!(!Validity::judge(&recorder(0, 0), &totals(0, 0), None, 0.0).valid, "nothing ended");
}

#[test]
fn figures_are_microseconds() {
    let load = LoadResult::of(&recorder(1_000, 0), &totals(1_000, 5_000_000), OFFERED);
    assert_eq!(load.requests, 1_000);
    assert!((load.client_cpu_us_per_request - 5.0).abs() < 1e-9);
    let p50 = load.phases["steady"].latency_us.unwrap().p50;
    assert!((p50 - 100.0).abs() < 0.2, "{p50}");
}

#[test]
fn one_request_that_hangs_makes_no_rate_a_fraction() {
    let rate = |recorder: &Recorder, offered| LoadResult::of(recorder, &totals(1_000, 0), offered).achieved_rps;
    let near = |rate: f64, expected: f64| assert!((rate / expected - 1.0).abs() < 0.002, "{rate}, not {expected}");
    let mut hanging = recorder(999, 0);
    hanging.sample(&Sample { intended_ns: 500_000, end_ns: 10_000_000_000, ..Sample::GOOD });
    near(rate(&hanging, OFFERED), 1_000.0);
    // Of a plan that was not sent to its end, up to where it was: 1,000 in 998 ms and a gap.
    let ended = OFFERED.map(|offered| Offered { length_ns: None, ..offered });
    near(rate(&hanging, ended), 1_001.0);
    let gave_up = OFFERED.map(|offered| Offered { arrivals: 60_000, length_ns: Some(60_000_000_000), ..offered });
    near(rate(&hanging, gave_up), 1_001.0);
    // In the closed model up to the last answer, if it had been one like others.
    near(rate(&hanging, None), 1_000.0 / 0.998_1);
}

#[test]
fn a_closed_run_of_one_request_a_connection_lasts_as_long_as_an_answer() {
    let mut recorder = Recorder::new("steady", 0);
    (0..10).for_each(|number| recorder.sample(&Sample { intended_ns: number, end_ns: 500_000_000, ..Sample::GOOD }));
    let achieved = LoadResult::of(&recorder, &totals(10, 0), None).achieved_rps;
    assert!((achieved - 20.0).abs() < 0.1, "{achieved}");
    let nothing = LoadResult::of(&Recorder::new("steady", 0), &totals(0, 0), None);
    assert!(nothing.achieved_rps.abs() < f64::EPSILON);
}

#[test]
fn the_rest_of_a_second_has_the_rate_of_the_others() {
    let rates = |requests: u64, length_ns: u64| {
        let mut recorder = Recorder::new("steady", 0);
        let each =
            |number| Sample { intended_ns: number * 10_000_000, end_ns: number * 10_000_000 + 9, ..Sample::GOOD };
        (0..requests).for_each(|number| recorder.sample(&each(number)));
        let offered = Offered { arrivals: requests, rate: 100.0, length_ns: Some(length_ns), hash: 7 };
        let moments = Moment::all_of(&recorder, Some(offered));
        moments.iter().map(|moment| (moment.t_ms, moment.rps)).collect::<Vec<_>>()
    };
    assert_eq!(rates(150, 1_500_000_000), [(0, 100.0), (1_000, 100.0)]);
    assert_eq!(rates(200, 2_000_000_000), [(0, 100.0), (1_000, 100.0)]);
    assert_eq!(rates(102, 1_020_000_000), [(0, 100.0)], "two requests tell no rate");
    assert_eq!(rates(3, 30_000_000), [(0, 100.0)]);
    assert!(Moment::all_of(&Recorder::new("steady", 0), None).is_empty());
}

#[test]
fn a_late_first_request_makes_the_last_second_no_shorter() {
    let last_of = |first: u64| {
        let mut recorder = Recorder::new("steady", 0);
        let each =
            |number| Sample { intended_ns: number * 10_000_000, end_ns: number * 10_000_000 + 9, ..Sample::GOOD };
        (first..300).for_each(|number| recorder.sample(&each(number)));
        Moment::all_of(&recorder, None).last().map(|moment| (moment.t_ms, moment.rps)).unwrap()
    };
    for first in [0, 60, 90] {
        let (t_ms, rps) = last_of(first);
        assert!(t_ms == 2_000 && (95.0..106.0).contains(&rps), "from {first}0 ms: {rps}/s at {t_ms} ms");
    }
}

#[test]
fn one_failure_among_millions_is_no_perfect_run() {
    let of = |ok, failed| PhaseResult::of(&Phase { ok, failed, ..Phase::new("steady", 0) }).success_ratio;
    assert_eq!((of(3_000_000, 1), of(3_000_000, 0)), (Some(0.999_999), Some(1.0)));
    assert_eq!((of(9, 1), of(2, 1), of(0, 3), of(0, 0)), (Some(0.9), Some(0.666_666), Some(0.0), None));
    assert_eq!(of(1, 3_000_000), Some(0.0));
}
