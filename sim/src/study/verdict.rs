//! What follows from figures: pure.
//!
//! A figure is as wanted when its whole interval is, is not when the whole interval is not, and is undecided between.
//! A claim holds when everything that is asked holds. It does not hold when its core does not. What lies between holds
//! in part; and where not one figure of its core decides, nothing is said.

use reports::quantity::in_unit;
use reports::result::{Claim, ClaimFigure, ClaimVerdict};

use super::experiment::{Figure, Kind};

/// Rounds that an estimate needs before anything is said by it.
const LEAST_ROUNDS: u32 = 2;
/// What an interval that holds the truth less often says is an indication.
const SURE: f64 = 0.95;

/// What is asked of a figure, in words; empty when nothing is.
pub fn wanted(figure: &Figure) -> String {
    let told = |value| in_unit(value, figure.unit);
    match (figure.min, figure.max) {
        (Some(min), Some(max)) if (min - max).abs() < f64::EPSILON => told(min),
        (Some(min), Some(max)) => format!("{} to {}", told(min), told(max)),
        (Some(min), None) => format!("at least {}", told(min)),
        (None, Some(max)) => format!("at most {}", told(max)),
        (None, None) => String::new(),
    }
}

/// Whether a figure is as wanted; `None` when nothing is wanted, or nothing follows.
pub fn holds(figure: &Figure, drawn: &ClaimFigure) -> Option<bool> {
    let (low, high) = (drawn.ci_low?, drawn.ci_high?);
    let is_estimate = figure.kind == Kind::Estimate;
    if !figure.is_asked() || (is_estimate && drawn.rounds < LEAST_ROUNDS) {
        return None;
    }
    let (min, max) = (figure.min.unwrap_or(f64::NEG_INFINITY), figure.max.unwrap_or(f64::INFINITY));
    // Sums of floating numbers are off by their last digits.
    let slack = |bound: f64| if bound.is_finite() { bound.abs() * 1e-9 } else { 0.0 };
    if low >= min - slack(min) && high <= max + slack(max) {
        Some(true)
    } else if !is_estimate || high < min || low > max {
        Some(false)
    } else {
        None
    }
}

/// That estimates of a claim were decided by intervals that too few rounds make, in words; `None` where all that decide
/// are as sure as they should be.
pub fn indicated(figures: &[ClaimFigure]) -> Option<String> {
    let decides = |figure: &&ClaimFigure| !figure.wanted.is_empty() && figure.holds.is_some();
    let coverage = figures.iter().filter(decides).filter_map(|figure| figure.coverage).reduce(f64::min)?;
    (coverage < SURE).then(|| {
        format!(
            "indicated, not shown: estimates are decided by intervals that hold the truth {:.0} % of the time; from six \
             rounds on it is 95 %",
            coverage * 100.0
        )
    })
}

/// Judges a claim by its figures.
pub fn judge(claim: &mut Claim) {
    let asked = || claim.figures.iter().filter(|figure| !figure.wanted.is_empty());
    let core: Vec<Option<bool>> = asked().filter(|figure| figure.core).map(|figure| figure.holds).collect();
    let count = |what: Option<bool>| core.iter().filter(|holds| **holds == what).count();
    let (good, bad) = (count(Some(true)), count(Some(false)));
    let all_hold = asked().all(|figure| figure.holds == Some(true));
    claim.verdict = match (good, bad) {
        (0, 0) => ClaimVerdict::NotMeasured,
        (0, _) => ClaimVerdict::DoesNotHold,
        _ if all_hold => ClaimVerdict::Holds,
        _ => ClaimVerdict::HoldsInPart,
    };
    claim.why = why(claim);
}

fn why(claim: &Claim) -> String {
    let asked = || claim.figures.iter().filter(|figure| !figure.wanted.is_empty());
    let list = |figures: Vec<&ClaimFigure>| figures.into_iter().map(told).collect::<Vec<_>>().join("; ");
    let missed = list(asked().filter(|figure| figure.holds == Some(false)).collect());
    let open = list(asked().filter(|figure| figure.holds.is_none()).collect());
    let held = list(asked().filter(|figure| figure.core && figure.holds == Some(true)).collect());
    match claim.verdict {
        ClaimVerdict::Holds => held,
        ClaimVerdict::NotMeasured if claim.figures.iter().all(|figure| figure.value.is_none()) => {
            claim.notes.first().cloned().unwrap_or_else(|| "nothing was measured".to_owned())
        }
        ClaimVerdict::NotMeasured => format!("these rounds do not decide: {open}"),
        ClaimVerdict::DoesNotHold | ClaimVerdict::HoldsInPart => {
            let parts = [("holds: ", held), ("does not: ", missed), ("not decided: ", open)];
            let parts = parts.iter().filter(|(_, text)| !text.is_empty());
            parts.map(|(name, text)| format!("{name}{text}")).collect::<Vec<_>>().join(". ")
        }
    }
}

/// A figure beside what is wanted of it.
fn told(figure: &ClaimFigure) -> String {
    format!("{} {}, wanted {}", figure.name, reports::quantity::claim_value(figure), figure.wanted)
}

#[cfg(test)]
mod tests {
    use reports::result::Unit;

    use super::super::experiment::Draw;
    use super::*;

    const DRAW: Draw = Draw::Of("x", "y");

    fn measured(figure: &Figure, low: f64, high: f64, rounds: u32) -> ClaimFigure {
        let mut told = ClaimFigure {
            name: figure.name.to_owned(),
            wanted: wanted(figure),
            core: figure.is_core,
            value: Some(f64::midpoint(low, high)),
            ci_low: Some(low),
            ci_high: Some(high),
            rounds,
            ..ClaimFigure::default()
        };
        told.holds = holds(figure, &told);
        told
    }

    fn verdict_of(figures: Vec<ClaimFigure>) -> ClaimVerdict {
        let mut claim = Claim { figures, ..Claim::default() };
        judge(&mut claim);
        assert!(!claim.why.is_empty(), "{claim:?}");
        claim.verdict
    }

    #[test]
    fn the_whole_interval_decides() {
        let figure = Figure::timed("t", Unit::Number, DRAW).least(1.0).most(2.0);
        let says = |low, high, rounds| measured(&figure, low, high, rounds).holds;
        assert_eq!(says(1.0, 2.0, 6), Some(true), "the ends are within");
        assert_eq!((says(2.1, 3.0, 6), says(0.1, 0.9, 6)), (Some(false), Some(false)));
        assert_eq!((says(1.5, 2.1, 6), says(0.5, 1.5, 6)), (None, None));
        assert_eq!(says(1.2, 1.3, 1), None, "one run has no interval");
        let exact = Figure::exact("n", Unit::Number, DRAW).most(0.0);
        assert_eq!(measured(&exact, 0.0, 0.0, 1).holds, Some(true));
        assert_eq!(measured(&exact, 0.0, 1.0, 3).holds, Some(false), "one wrong decision is one too many");
        assert_eq!(measured(&Figure::timed("t", Unit::Number, DRAW), 1.0, 2.0, 6).holds, None, "nothing is asked");
    }

    #[test]
    fn what_few_rounds_decide_is_an_indication() {
        let figure = Figure::timed("t", Unit::Number, DRAW).most(2.0);
        let of = |coverage, high| ClaimFigure { coverage: Some(coverage), ..measured(&figure, 1.0, high, 2) };
        assert!(indicated(&[of(0.97, 1.5), of(0.5, 1.5)]).unwrap().contains("50 % of the time"));
        assert_eq!(indicated(&[of(0.97, 1.5)]), None);
        // What decides nothing claims nothing, and what is exact has no interval.
        assert_eq!(indicated(&[of(0.5, 3.0)]), None);
        let exact = measured(&Figure::exact("n", Unit::Number, DRAW).most(2.0), 1.0, 1.0, 1);
        assert_eq!((exact.holds, indicated(std::slice::from_ref(&exact))), (Some(true), None));
    }

    #[test]
    fn a_claim_stands_and_falls_with_its_core() {
        let core = Figure::timed("core", Unit::Number, DRAW).least(1.0).core();
        let side = Figure::timed("side", Unit::Number, DRAW).least(1.0);
        let of = |figure: &Figure, low, high| measured(figure, low, high, 6);
        let (good, bad, open) = (of(&core, 2.0, 3.0), of(&core, 0.0, 0.5), of(&core, 0.5, 2.0));
        let (well, ill) = (of(&side, 2.0, 3.0), of(&side, 0.0, 0.5));
        assert_eq!(verdict_of(vec![good.clone(), well.clone()]), ClaimVerdict::Holds);
        assert_eq!(verdict_of(vec![good.clone(), ill]), ClaimVerdict::HoldsInPart);
        assert_eq!(verdict_of(vec![good.clone(), bad.clone()]), ClaimVerdict::HoldsInPart);
        assert_eq!(verdict_of(vec![good, open.clone()]), ClaimVerdict::HoldsInPart);
        assert_eq!(verdict_of(vec![bad, well.clone()]), ClaimVerdict::DoesNotHold);
        assert_eq!(verdict_of(vec![open, well]), ClaimVerdict::NotMeasured, "what decides nothing proves nothing");
    }

    #[test]
    fn what_was_not_measured_says_why_and_never_holds() {
        assert_eq!(verdict_of(Vec::new()), ClaimVerdict::NotMeasured);
        let mut claim = Claim { notes: vec!["no node here".to_owned()], ..Claim::default() };
        judge(&mut claim);
        assert_eq!(claim.why, "no node here");
    }
}
