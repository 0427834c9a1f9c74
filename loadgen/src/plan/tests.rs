//! Plans have their rates, their shapes and their seeds, and read what people write.

use std::time::Duration;

use proptest::prelude::*;

use super::rate::Rate;
use super::*;

const SECOND_NS: u64 = 1_000_000_000;

fn arrivals(text: &str) -> Arrivals {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn constant_arrivals_are_evenly_spaced_and_exact_in_number() {
    let times: Vec<u64> = Plan::new(Arrivals::Constant, 3.0, SECOND_NS, 0).collect();
    assert_eq!(times, [0, 333_333_333, 666_666_666]);
    assert_eq!(Plan::new(Arrivals::Constant, 20_000.0, 10 * SECOND_NS, 0).count(), 200_000);
}

#[test]
fn poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
    let times: Vec<u64> = Plan::new(Arrivals::Poisson, 10_000.0, 100 * SECOND_NS, 7).collect();
    // One million expected, standard deviation 1,000: five of them.
    assert!((995_000..=1_005_000).contains(&times.len()), "{}", times.len());
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
    // An exponential's standard deviation equals its mean.
    assert!((variance.sqrt() / mean - 1.0).abs() < 0.01, "{}", variance.sqrt() / mean);
}

#[test]
fn a_ramp_sends_as_much_in_each_part_as_its_rate_says() {
    for (text, first, second) in [("ramp(0/s, 1000/s)", 1_250, 3_750), ("ramp(1000/s, 0/s)", 3_750, 1_250)] {
        let times: Vec<u64> = Plan::new(arrivals(text), 1.0, 10 * SECOND_NS, 0).collect();
        let early = times.iter().filter(|at_ns| **at_ns < 5 * SECOND_NS).count();
        assert!(early.abs_diff(first) <= 1, "{text}: {early}");
        assert!((times.len() - early).abs_diff(second) <= 1, "{text}: {}", times.len());
    }
}

#[test]
fn a_spike_begins_and_ends_when_it_should() {
    let times: Vec<u64> = Plan::new(arrivals("spike(100/s, 1000/s, 2s, 500ms)"), 1.0, 5 * SECOND_NS, 0).collect();
    let between = |from, to| times.iter().filter(|at_ns| (from..to).contains(&(**at_ns / 1_000_000))).count();
    assert_eq!((between(0, 2_000), between(2_000, 2_500), between(2_500, 5_000)), (200, 500, 250));
    // Silence before: the first arrival is the peak's first.
    let mut only = Plan::new(arrivals("spike(0/s, 10/s, 1s, 1s)"), 1.0, 5 * SECOND_NS, 0);
    assert_eq!(only.next(), Some(SECOND_NS));
    assert_eq!(only.count(), 9);
}

#[test]
fn a_random_shape_has_the_rate_of_its_shape() {
    let count = |text: &str| Plan::new(arrivals(text), 1.0, 100 * SECOND_NS, 3).count();
    // 100,000 expected of each, standard deviation 316: five of them.
    for text in ["poisson ramp(0/s, 2000/s)", "poisson spike(500/s, 1500/s, 25s, 50s)"] {
        assert!(count(text).abs_diff(100_000) < 1_600, "{text}: {}", count(text));
        assert_ne!(count(text), 100_000, "{text} is random");
    }
}

#[test]
fn a_trace_is_sent_as_it_came() {
    let text = "# a log\n0\n0.0125 GET /a\n\n12.5ms\n1.5,anything\n";
    let times = parse_trace(text).unwrap();
    assert_eq!(times, [0, 12_500_000, 12_500_000, 1_500_000_000]);
    let plan = Plan::replay(times.clone());
    assert_eq!(plan.clone().collect::<Vec<_>>(), times);
    assert!((plan.peak_rate() - 200.0).abs() < 1e-9, "two in one hundredth: {}", plan.peak_rate());
    assert_eq!(parse_trace("0.5\nsoon\n"), Err(TraceError::Time { line: 2, text: "soon".to_owned() }));
    assert_eq!(parse_trace("0.5\n-1\n"), Err(TraceError::Time { line: 2, text: "-1".to_owned() }));
    assert_eq!(parse_trace("2\n\n1\n"), Err(TraceError::Order { line: 3 }));
    assert_eq!(parse_trace("# nothing\n"), Err(TraceError::Empty));
}

#[test]
fn shapes_read_as_they_are_written() {
    let spike = Arrivals::Spike {
        base: 500.0,
        peak: 5_000.0,
        at: Duration::from_secs(10),
        length: Duration::from_millis(250),
        random: true,
    };
    for (text, expected) in [
        ("constant", Arrivals::Constant),
        (" poisson ", Arrivals::Poisson),
        ("ramp(0, 2000)", Arrivals::Ramp { from: 0.0, to: 2_000.0, random: false }),
        ("ramp( 600/m , 36000/h )", Arrivals::Ramp { from: 10.0, to: 10.0, random: false }),
        ("poisson spike(500/s, 5000/s, 10s, 250ms)", spike),
    ] {
        assert_eq!(text.parse(), Ok(expected), "{text}");
        assert_eq!(expected.to_string().parse(), Ok(expected), "{expected}");
    }
    for (text, words) in [
        ("", "write constant"),
        ("poissonramp(1,2)", "write constant"),
        ("ramp(1/s)", "write constant"),
        ("ramp(1/s, 2/s", "write constant"),
        ("ramp(fast, 2/s)", "the first rate `fast`"),
        ("ramp(1/s, -2/s)", "the last rate `-2/s`"),
        ("spike(1/s, 2/s, soon, 1s)", "when the peak begins `soon`"),
        ("ramp(0/s, 0/s)", "never sends"),
    ] {
        let error = text.parse::<Arrivals>().unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_seed_names_a_plan() {
    let hash = |seed| Plan::new(Arrivals::Poisson, 1_000.0, SECOND_NS, seed).summary().hash;
    assert_eq!(hash(1), hash(1));
    assert_ne!(hash(1), hash(2));
}

fn any_arrivals() -> impl Strategy<Value = Arrivals> {
    let rate = || prop_oneof![Just(0.0), 1.0_f64..20_000.0];
    let millis = |most| (0_u64..most).prop_map(Duration::from_millis);
    prop_oneof![
        Just(Arrivals::Constant),
        Just(Arrivals::Poisson),
        (rate(), 1.0_f64..20_000.0, any::<bool>()).prop_map(|(from, to, random)| Arrivals::Ramp { from, to, random }),
        (1.0_f64..20_000.0, rate(), any::<bool>()).prop_map(|(from, to, random)| Arrivals::Ramp { from, to, random }),
        (rate(), 1.0_f64..20_000.0, millis(150), millis(150), any::<bool>())
            .prop_map(|(base, peak, at, length, random)| Arrivals::Spike { base, peak, at, length, random }),
    ]
}

/// The naive model of the integral: the rate, added up in small steps.
fn summed_up(arrivals: Arrivals, rate: f64, duration_ns: u64, until_ns: u64) -> f64 {
    let at = |seconds: f64| match arrivals {
        Arrivals::Constant | Arrivals::Poisson => rate,
        Arrivals::Ramp { from, to, .. } => from + (to - from) * seconds * 1e9 / duration_ns as f64,
        Arrivals::Spike { base, peak, at, length, .. } => {
            let inside = (at.as_secs_f64()..(at + length).as_secs_f64()).contains(&seconds);
            if inside { peak } else { base }
        }
    };
    let steps = 20_000;
    let width = until_ns as f64 / 1e9 / f64::from(steps);
    (0..steps).map(|step| at((f64::from(step) + 0.5) * width) * width).sum()
}

proptest! {
    #[test]
    fn a_plan_that_is_delayed_is_the_same_one_later(
        arrivals in any_arrivals(), by_ns in 0_u64..10 * SECOND_NS, seed: u64,
    ) {
        let plan = Plan::new(arrivals, 1_000.0, SECOND_NS / 10, seed);
        let later = plan.clone().delayed(by_ns);
        prop_assert_eq!(later.end_ns(), by_ns + plan.end_ns());
        prop_assert!(later.eq(plan.map(|at_ns| at_ns + by_ns)));
    }

    #[test]
    fn times_never_go_back_and_stay_inside(arrivals in any_arrivals(), rate in 1.0_f64..50_000.0, seed: u64) {
        let mut last = 0;
        for at_ns in Plan::new(arrivals, rate, SECOND_NS / 10, seed) {
            prop_assert!(at_ns >= last && at_ns < SECOND_NS / 10);
            last = at_ns;
        }
    }

    #[test]
    fn an_arrival_is_where_the_rate_adds_up_to_it(
        arrivals in any_arrivals(), rate in 1.0_f64..20_000.0, share in 0.0_f64..1.0,
    ) {
        let duration_ns = SECOND_NS / 5;
        let whole = summed_up(arrivals, rate, duration_ns, duration_ns);
        let count = whole * share;
        let shape = Rate::of(arrivals, rate, duration_ns);
        prop_assume!(count > 0.0);
        let at_ns = shape.reached_at(count).unwrap().min(duration_ns);
        let naive = summed_up(arrivals, rate, duration_ns, at_ns);
        // The naive sum is off by a step at each jump of the rate.
        prop_assert!((naive - count).abs() <= 0.01 + whole * 2e-3 + shape.peak() * 3e-5, "{naive} {count} {at_ns}");
    }

    #[test]
    fn every_plan_has_its_number_of_arrivals(arrivals in any_arrivals(), rate in 1.0_f64..20_000.0, seed: u64) {
        let duration_ns = SECOND_NS / 5;
        let expected = summed_up(arrivals, rate, duration_ns, duration_ns);
        let count = Plan::new(arrivals, rate, duration_ns, seed).summary().arrivals as f64;
        let slack = if arrivals.is_random() { 7.0 * expected.sqrt() + 10.0 } else { 2.0 + expected * 4e-3 };
        prop_assert!((count - expected).abs() <= slack, "{count} {expected}");
    }
}
