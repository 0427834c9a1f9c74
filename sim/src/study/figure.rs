//! Figures out of samples: pure.
//!
//! A round gives each arm one sample, and a figure one value: of samples of the same round, so that drift of the
//! machine hits all sides of a ratio alike. What was not valid as a measurement counts where it is counted or replayed,
//! and has no part in times.
//!
//! Invariants: a run that has ended and does not show what is asked of it (a breaker that never closed has no time in
//! which it did) is the worst of all, and never left out; what the worst run decides is not decided well by the other
//! runs alone, where one of them was not made or lost something of what happened.

use std::collections::BTreeMap;

use reports::result::ClaimFigure;
use serde_json::Value;

use super::experiment::{Draw, Figure, Kind};
use super::verdict;
use crate::run::figure_of;
use crate::statistics::median;
use crate::statistics::shift::Shift;

/// Left out on each side of an interval.
const OUTSIDE: f64 = 0.025;

/// What an arm showed in one round.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// All its figures, as in a result file.
    pub figures: Value,
    /// Its times can be believed.
    pub is_valid: bool,
    /// It could not be made, or something of what happened in it is not known, or did not happen at all: nothing of it
    /// counts, and it might have been the worst.
    pub is_lost: bool,
}

impl Sample {
    /// Of which nothing counts.
    pub fn lost() -> Self {
        Self { is_lost: true, ..Self::default() }
    }
}

/// The samples of each arm by its name, round by round; `None` where a round gave none.
pub type Samples = BTreeMap<String, Vec<Option<Sample>>>;

/// The value of a draw in one round, of all samples or of valid ones; `None` where a sample or a figure is missing.
pub fn value(draw: &Draw, samples: &Samples, round: usize, of_all: bool) -> Option<f64> {
    let of = |draw: &Draw| value(draw, samples, round, of_all);
    let all = |draws: &[Draw]| draws.iter().map(of).collect::<Option<Vec<f64>>>().filter(|values| !values.is_empty());
    let found = match draw {
        Draw::Of(arm, name) => {
            let sample = samples.get(*arm)?.get(round)?.as_ref()?;
            let counts = !sample.is_lost && (of_all || sample.is_valid);
            counts.then(|| figure_of(&sample.figures, name)).flatten()
        }
        Draw::Ratio(one, other) => Some(of(one)? / of(other).filter(|below| *below != 0.0)?),
        Draw::Less(one, other) => Some(of(one)? - of(other)?),
        Draw::Sum(draws) => Some(all(draws)?.into_iter().sum()),
        Draw::Most(draws) => Some(all(draws)?.into_iter().fold(f64::NEG_INFINITY, f64::max)),
        Draw::Least(draws) => Some(all(draws)?.into_iter().fold(f64::INFINITY, f64::min)),
        Draw::Times(times, one) => Some(times * of(one)?),
        Draw::Rest(one) => Some(1.0 - of(one)?),
    };
    found.filter(|value| value.is_finite())
}

/// The values of all rounds that have one.
pub fn values(draw: &Draw, samples: &Samples, rounds: usize, of_all: bool) -> Vec<f64> {
    (0..rounds).filter_map(|round| value(draw, samples, round, of_all)).collect()
}

/// In how many rounds a run has ended and did not show what the worst run decides; of valid ones alone, of a time.
fn lacking(figure: &Figure, samples: &Samples, rounds: usize) -> usize {
    if !figure.is_asked() || figure.kind == Kind::Estimate {
        return 0;
    }
    let counts = |sample: &Sample| !sample.is_lost && (figure.kind == Kind::Exact || sample.is_valid);
    let parts = figure.draw.parts();
    let lacks = |round: usize, arm: &str, name: &str| {
        let sample = samples.get(arm).and_then(|all| all.get(round)?.as_ref());
        sample.is_some_and(|sample| counts(sample) && figure_of(&sample.figures, name).is_none())
    };
    (0..rounds).filter(|round| parts.iter().any(|(arm, name)| lacks(*round, arm, name))).count()
}

/// In how many rounds nothing is known of what the worst of all runs decides.
fn unknown(figure: &Figure, samples: &Samples, rounds: usize) -> usize {
    if !figure.is_asked() || figure.kind != Kind::Exact {
        return 0;
    }
    let parts = figure.draw.parts();
    let is_lost = |round: usize, arm: &str| {
        let sample = samples.get(arm).and_then(|all| all.get(round)?.as_ref());
        sample.is_some_and(|sample| sample.is_lost)
    };
    (0..rounds).filter(|round| parts.iter().any(|(arm, _)| is_lost(*round, arm))).count()
}

/// That some runs did not show it, or that nothing is known of them, in words.
pub fn lack(figure: &Figure, samples: &Samples, rounds: usize) -> Option<String> {
    let (lacking, unknown) = (lacking(figure, samples, rounds), unknown(figure, samples, rounds));
    let name = figure.name;
    match (lacking, unknown) {
        (0, 0) => None,
        (0, count) => {
            Some(format!("{name}: nothing is known of {count} of {rounds} rounds, so it is not decided well"))
        }
        (count, _) => Some(format!("{name}: none in {count} of {rounds} rounds, which counts as not as wanted")),
    }
}

/// An estimate with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the truth.
    pub coverage: f64,
}

/// The Hodges-Lehmann estimate of values with its interval; of ratios, which are positive, by their logarithms.
pub fn estimate(values: &[f64], is_ratio: bool) -> Option<Estimate> {
    let by_logarithms = is_ratio && values.iter().all(|value| *value > 0.0);
    let there = |value: f64| if by_logarithms { value.ln() } else { value };
    let back = |value: f64| if by_logarithms { value.exp() } else { value };
    let shift = Shift::of(&values.iter().copied().map(there).collect::<Vec<_>>())?;
    let interval = shift.interval(OUTSIDE);
    let coverage = 1.0 - 2.0 * interval.outside;
    Some(Estimate {
        value: back(shift.estimate()),
        low: back(interval.low),
        high: back(interval.high),
        coverage: coverage.max(0.0),
    })
}

/// The figure as it stands in the result, held against what is wanted of it.
pub fn drawn(figure: &Figure, samples: &Samples, rounds: usize) -> ClaimFigure {
    let is_exact = figure.kind == Kind::Exact;
    let mut values = values(&figure.draw, samples, rounds, is_exact);
    let mut told = ClaimFigure {
        name: figure.name.to_owned(),
        unit: figure.unit,
        exact: is_exact,
        rounds: u32::try_from(values.len()).unwrap_or(u32::MAX),
        wanted: verdict::wanted(figure),
        core: figure.is_core,
        ..ClaimFigure::default()
    };
    if figure.kind != Kind::Estimate {
        values.sort_unstable_by(f64::total_cmp);
        if let (Some(low), Some(high)) = (values.first(), values.last()) {
            (told.value, told.ci_low, told.ci_high) = (median(&values), Some(*low), Some(*high));
        }
    } else if let Some(found) = estimate(&values, matches!(figure.draw, Draw::Ratio(..))) {
        (told.value, told.ci_low, told.ci_high) = (Some(found.value), Some(found.low), Some(found.high));
        told.coverage = Some(found.coverage);
    }
    let by_what_is_known = verdict::holds(figure, &told);
    told.holds = match (lacking(figure, samples, rounds), unknown(figure, samples, rounds)) {
        (0, 0) => by_what_is_known,
        // The one that is missing might have been worse, and makes none of the others better.
        (0, _) => by_what_is_known.filter(|holds| !holds),
        _ => Some(false),
    };
    told
}

#[cfg(test)]
mod tests {
    use reports::result::Unit;
    use serde_json::json;

    use super::*;

    fn samples(arms: &[(&str, &[f64])]) -> Samples {
        let sample =
            |value: &f64| Some(Sample { figures: json!({ "a": { "b": value } }), is_valid: true, is_lost: false });
        arms.iter().map(|(name, values)| ((*name).to_owned(), values.iter().map(sample).collect())).collect()
    }

    const X: Draw = Draw::Of("x", "a.b");
    const Y: Draw = Draw::Of("y", "a.b");

    #[test]
    fn a_ratio_is_of_samples_of_the_same_round() {
        let samples = samples(&[("x", &[2.0, 20.0, 200.0]), ("y", &[1.0, 10.0, 100.0])]);
        assert_eq!(values(&Draw::Ratio(&X, &Y), &samples, 3, false), [2.0, 2.0, 2.0]);
        assert_eq!(values(&Draw::Less(&X, &Y), &samples, 3, false), [1.0, 10.0, 100.0]);
        assert_eq!(values(&Draw::Sum(&[X, Y]), &samples, 1, false), [3.0]);
        assert_eq!(values(&Draw::Most(&[X, Y]), &samples, 1, false), [2.0]);
        assert_eq!(values(&Draw::Least(&[X, Y]), &samples, 1, false), [1.0]);
        assert_eq!(values(&Draw::Rest(&Draw::Times(0.25, &X)), &samples, 1, false), [0.5]);
    }

    #[test]
    fn what_is_not_there_is_no_value_and_never_a_zero() {
        let mut samples = samples(&[("x", &[2.0, 3.0]), ("y", &[0.0, 1.0])]);
        assert_eq!(values(&Draw::Ratio(&X, &Y), &samples, 2, false), [3.0], "nothing goes into nothing");
        assert!(values(&Draw::Of("z", "a.b"), &samples, 2, true).is_empty());
        assert!(values(&Draw::Of("x", "a.c"), &samples, 2, true).is_empty());
        samples.get_mut("x").unwrap()[0] = None;
        assert_eq!(values(&X, &samples, 2, false), [3.0]);
    }

    #[test]
    fn a_run_that_was_not_valid_counts_but_its_times_do_not() {
        let mut samples = samples(&[("x", &[1.0, 5.0])]);
        samples.get_mut("x").unwrap()[1].as_mut().unwrap().is_valid = false;
        assert_eq!(
            drawn(&Figure::timed("t", Unit::Us, X).most(3.0), &samples, 2).holds,
            None,
            "one run decides nothing"
        );
        let exact = drawn(&Figure::exact("n", Unit::Number, X).most(3.0), &samples, 2);
        assert_eq!(
            (exact.ci_high, exact.holds, exact.coverage),
            (Some(5.0), Some(false), None),
            "the worst run decides"
        );
    }

    #[test]
    fn a_run_that_does_not_show_it_is_the_worst_one() {
        let mut samples = samples(&[("x", &[1.0, 2.0, 1.5])]);
        let exact = Figure::exact("n", Unit::Number, X).most(3.0);
        let bounded = Figure::bounded("t", Unit::Ms, X).most(3.0);
        assert_eq!((drawn(&exact, &samples, 3).holds, lack(&exact, &samples, 3)), (Some(true), None));
        samples.get_mut("x").unwrap()[1].as_mut().unwrap().figures = json!({});
        for figure in [exact, bounded] {
            assert_eq!(drawn(&figure, &samples, 3).holds, Some(false));
            assert!(lack(&figure, &samples, 3).unwrap().contains("none in 1 of 3 rounds"));
        }
        // Nobody asks, or there was no such run.
        assert_eq!(lack(&Figure::exact("n", Unit::Number, X), &samples, 3), None);
        samples.get_mut("x").unwrap()[1] = None;
        assert_eq!(drawn(&exact, &samples, 3).holds, Some(true));
        // Nothing goes into nothing, which is no lack.
        let ratio = Figure::exact("r", Unit::Times, Draw::Ratio(&X, &Draw::Times(0.0, &X))).most(3.0);
        assert_eq!((drawn(&ratio, &samples, 3).holds, lack(&ratio, &samples, 3)), (None, None));
    }

    #[test]
    fn a_run_of_which_something_was_lost_counts_for_nothing_and_leaves_open_what_the_worst_decides() {
        let mut samples = samples(&[("x", &[1.0, 2.0, 1.5]), ("y", &[1.0, 1.0, 1.0])]);
        let exact = Figure::exact("n", Unit::Number, X).most(3.0);
        // It shows what is wanted, but the event that should have spoiled it did not happen.
        samples.get_mut("x").unwrap()[1].as_mut().unwrap().is_lost = true;
        let told = drawn(&exact, &samples, 3);
        assert_eq!((told.holds, told.rounds, told.ci_high), (None, 2, Some(1.5)));
        assert!(lack(&exact, &samples, 3).unwrap().contains("nothing is known of 1 of 3 rounds"));
        assert_eq!(drawn(&Figure::exact("n", Unit::Number, Y).most(3.0), &samples, 3).holds, Some(true), "another arm");
        assert_eq!(drawn(&Figure::exact("n", Unit::Number, Draw::Sum(&[X, Y])).most(9.0), &samples, 3).holds, None);
        // What the others show is bad enough whatever that one was.
        assert_eq!(drawn(&Figure::exact("n", Unit::Number, X).most(1.2), &samples, 3).holds, Some(false));
        // A run that could not be made is one of those, and no run shows nothing.
        samples.insert("x".to_owned(), vec![Some(Sample::lost()); 3]);
        assert_eq!((drawn(&exact, &samples, 3).holds, drawn(&exact, &samples, 3).value), (None, None));
        // Of a time one valid run is enough, and one that was not asked for at all is missed by nobody.
        samples.insert("x".to_owned(), vec![Some(Sample::lost()), samples["y"][0].clone(), None]);
        assert_eq!(drawn(&Figure::bounded("t", Unit::Ms, X).most(3.0), &samples, 3).holds, Some(true));
        samples.get_mut("x").unwrap()[0] = None;
        assert_eq!(drawn(&exact, &samples, 3).holds, Some(true));
    }

    #[test]
    fn a_time_of_a_run_that_was_not_valid_decides_nothing() {
        let mut samples = samples(&[("x", &[900.0, 140.0])]);
        samples.get_mut("x").unwrap()[0].as_mut().unwrap().is_valid = false;
        let bounded = Figure::bounded("trip", Unit::Ms, X).most(250.0);
        assert_eq!(drawn(&bounded, &samples, 1).holds, None, "the one run was not valid");
        let told = drawn(&bounded, &samples, 2);
        assert_eq!((told.holds, told.rounds, told.value, told.exact), (Some(true), 1, Some(140.0), false));
        samples.get_mut("x").unwrap()[0].as_mut().unwrap().is_valid = true;
        assert_eq!(drawn(&bounded, &samples, 2).holds, Some(false), "the worst valid run decides");
        // A run that was not valid may have shown no breaker what it trips at.
        samples.get_mut("x").unwrap()[0] = Some(Sample::default());
        assert_eq!(drawn(&bounded, &samples, 2).holds, Some(true));
    }

    #[test]
    fn an_interval_says_how_sure_it_is() {
        let six = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], false).unwrap();
        assert!((six.value - 3.5).abs() < 1e-9 && six.low <= 1.0 && six.high >= 6.0 && six.coverage > 0.95);
        let three = estimate(&[1.0, 2.0, 4.0], true).unwrap();
        assert!((three.value - 2.0).abs() < 1e-9, "in the middle of the logarithms");
        assert!((three.coverage - 0.75).abs() < 1e-9);
        assert_eq!(estimate(&[], false), None);
    }
}
