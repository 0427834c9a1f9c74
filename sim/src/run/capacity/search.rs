//! Which rates are tried, and what follows from what they showed. Pure.
//!
//! First the search: rates are doubled until one no longer holds the objective, then the bracket is halved, in ratios.
//! It ends with a knee that is roughly right. Then the sweeps: shares of that knee, each sweep in a random order, so
//! that what drifts hits all alike. Each sweep has a knee of its own, where its tail crosses the objective, and the
//! sweeps' knees give the estimate and its interval (Hodges and Lehmann; Wilcoxon).

use reports::result::{CapacityStep, Ratio};

use crate::statistics::shift::Shift;

/// The shares of the knee that a sweep tries.
pub(super) const SHARES: [f64; 11] = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0];
/// The bracket's ends are this near in the end.
const NEAR: f64 = 1.05;
/// How often the first rate is halved at most, when already that does not hold.
const FLOOR: f64 = 1.0 / 64.0;
/// What an interval of 95 % leaves out on each side.
const OUTSIDE: f64 = 0.025;

/// What one rate showed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) offered_rps: f64,
    pub(super) achieved_rps: f64,
    /// Answers as expected, a second.
    pub(super) good_rps: f64,
    pub(super) success_ratio: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Objective {
    pub(super) p99_us: f64,
    pub(super) success_ratio: f64,
}

impl Objective {
    /// Whether it holds at this rate.
    pub(super) fn holds(&self, seen: &Seen) -> bool {
        seen.p99_us <= self.p99_us && seen.success_ratio >= self.success_ratio
    }
}

/// The search for a knee that is roughly right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Search {
    first: f64,
    most: f64,
    /// The highest rate that held.
    held: Option<f64>,
    /// The lowest above it that did not.
    failed: Option<f64>,
}

impl Search {
    /// A search from this rate on, up to `most`.
    pub(super) fn new(first: f64, most: f64) -> Self {
        Self { first, most, held: None, failed: None }
    }

    /// The next rate to try; `None` when the search is over.
    pub(super) fn next(&self) -> Option<f64> {
        match (self.held, self.failed) {
            (None, None) => Some(self.first.min(self.most)),
            (Some(held), None) => (held < self.most).then(|| (held * 2.0).min(self.most)),
            (None, Some(failed)) => (failed > self.first * FLOOR).then_some(failed / 2.0),
            (Some(held), Some(failed)) => (failed / held > NEAR).then(|| (held * failed).sqrt()),
        }
    }

    /// Takes what a rate showed.
    pub(super) fn told(&mut self, rate: f64, holds: bool) {
        let end = if holds { &mut self.held } else { &mut self.failed };
        *end = Some(rate);
    }

    /// The highest rate that held.
    pub(super) fn knee(&self) -> Option<f64> {
        self.held
    }

    /// Whether a rate was found that does not hold.
    pub(super) fn has_end(&self) -> bool {
        self.failed.is_some()
    }
}

/// Where the tail of one sweep, sorted by rate, crosses the objective: between the last rate that holds and the first
/// that does not, on a straight line in logarithms. The ends of the sweep where it crosses nowhere.
pub(super) fn crossing(sweep: &[Seen], objective: Objective) -> f64 {
    let Some(first_bad) = sweep.iter().position(|seen| !objective.holds(seen)) else {
        return sweep.last().map_or(0.0, |seen| seen.offered_rps);
    };
    let bad = &sweep[first_bad];
    let Some(good) = first_bad.checked_sub(1).map(|index| &sweep[index]) else { return bad.offered_rps };
    let span = (bad.p99_us / good.p99_us).ln();
    // One that fails by its success alone crosses somewhere between.
    let share =
        if bad.p99_us > objective.p99_us && span > 0.0 { (objective.p99_us / good.p99_us).ln() / span } else { 0.5 };
    good.offered_rps * (bad.offered_rps / good.offered_rps).powf(share.clamp(0.0, 1.0))
}

/// Whether a sweep around this knee tries this share of it.
pub(super) fn is_tried(knee: f64, share: f64, most: f64) -> bool {
    // A knee that is the most is tried itself, whatever its last digit.
    knee * share <= most * (1.0 + 1e-9)
}

/// How often the interval of so many repetitions holds the truth: two have none but the one between them, which does so
/// half of the time.
pub(super) fn coverage(repeats: usize) -> Option<f64> {
    // The distribution is that of signed ranks, whatever the figures are.
    let shift = Shift::of(&vec![0.0; repeats])?;
    let coverage = 1.0 - 2.0 * shift.interval(OUTSIDE).outside.max(OUTSIDE);
    Some((coverage.max(0.0) * 1e4).round() / 1e4)
}

/// The estimate of a figure over repetitions, with its interval; on logarithms, since ratios are what differs, and on
/// the figures themselves where one is zero, which has none.
pub(super) fn ratio(values: &[f64]) -> Ratio {
    let has_logs = values.iter().all(|value| *value > 0.0);
    let scaled: Vec<f64> = values.iter().map(|value| if has_logs { value.ln() } else { *value }).collect();
    let Some(shift) = Shift::of(&scaled) else { return Ratio::default() };
    let interval = shift.interval(OUTSIDE);
    let back = |value: f64| if has_logs { value.exp() } else { value };
    let round = |value: f64| (back(value) * 10.0).round() / 10.0;
    Ratio { estimate: round(shift.estimate()), ci_low: round(interval.low), ci_high: round(interval.high) }
}

/// One point of the curve: the same rate in all sweeps.
pub(super) fn step(repeats: &[Seen]) -> CapacityStep {
    let of = |figure: fn(&Seen) -> f64| repeats.iter().map(figure).collect::<Vec<f64>>();
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    // Where nothing was answered there is no latency.
    let latency = |figure| ratio(&of(figure).into_iter().filter(|us| *us > 0.0).collect::<Vec<f64>>());
    CapacityStep {
        offered_rps: mean(of(|seen| seen.offered_rps)).round(),
        achieved_rps: mean(of(|seen| seen.achieved_rps)).round(),
        success_ratio: (mean(of(|seen| seen.success_ratio)) * 1e5).round() / 1e5,
        p50_us: latency(|seen| seen.p50_us),
        p99_us: latency(|seen| seen.p99_us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVE: Objective = Objective { p99_us: 10_000.0, success_ratio: 0.999 };

    /// An M/M/1 queue that serves `capacity` requests a second: its p99 is that of an exponential sojourn time.
    fn queue(capacity: f64, rate: f64) -> Seen {
        let p99_us = if rate < capacity { 4.605_170_2e6 / (capacity - rate) } else { 1e9 };
        Seen {
            offered_rps: rate,
            achieved_rps: rate.min(capacity),
            good_rps: rate.min(capacity),
            success_ratio: 1.0,
            p50_us: p99_us / 6.64,
            p99_us,
        }
    }

    /// The rate at which that queue's p99 is the objective.
    fn knee_of(capacity: f64) -> f64 {
        capacity - 4.605_170_2e6 / OBJECTIVE.p99_us
    }

    fn search(capacity: f64, mut search: Search) -> (Search, usize) {
        let mut tried = 0;
        while let Some(rate) = search.next() {
            search.told(rate, OBJECTIVE.holds(&queue(capacity, rate)));
            tried += 1;
            assert!(tried < 40, "{search:?}");
        }
        (search, tried)
    }

    #[test]
    fn the_search_ends_near_the_knee_wherever_it_begins() {
        for first in [100.0, 1_000.0, 5_000.0, 20_000.0] {
            let (found, tried) = search(6_000.0, Search::new(first, 100_000.0));
            let knee = found.knee().unwrap();
            assert!(knee <= knee_of(6_000.0) && knee > knee_of(6_000.0) / NEAR, "{first}: {knee}");
            assert!(found.has_end() && tried <= 14, "{tried} rates");
        }
    }

    #[test]
    fn what_never_fails_ends_at_the_most_and_what_never_holds_has_no_knee() {
        let (found, _) = search(1e9, Search::new(1_000.0, 30_000.0));
        assert_eq!((found.knee(), found.has_end()), (Some(30_000.0), false));
        let (found, _) = search(1.0, Search::new(1_000.0, 30_000.0));
        assert_eq!(found.knee(), None);
    }

    #[test]
    fn a_sweep_crosses_the_objective_where_the_queue_does() {
        let sweep: Vec<Seen> = SHARES.iter().map(|share| queue(6_000.0, share * 5_500.0)).collect();
        let found = crossing(&sweep, OBJECTIVE);
        assert!((found / knee_of(6_000.0) - 1.0).abs() < 0.05, "{found} beside {}", knee_of(6_000.0));
        // Where nothing fails, and where nothing holds, the ends are all that is known.
        assert_eq!(crossing(&sweep[..3], OBJECTIVE), 0.5 * 5_500.0);
        assert_eq!(crossing(&sweep[8..], OBJECTIVE), 1.25 * 5_500.0);
    }

    #[test]
    fn one_that_fails_by_its_success_alone_crosses_between() {
        let good = queue(6_000.0, 1_000.0);
        let bad = Seen { success_ratio: 0.9, offered_rps: 4_000.0, ..good };
        assert_eq!(crossing(&[good, bad], OBJECTIVE), 2_000.0);
    }

    #[test]
    fn an_interval_holds_its_estimate_and_grows_with_the_spread() {
        let (calm, wild) =
            (ratio(&[98.0, 99.0, 100.0, 101.0, 102.0, 100.0]), ratio(&[50.0, 70.0, 100.0, 140.0, 200.0, 100.0]));
        for one in [calm, wild] {
            assert!(one.ci_low <= one.estimate && one.estimate <= one.ci_high, "{one:?}");
        }
        assert!(wild.ci_high - wild.ci_low > 10.0 * (calm.ci_high - calm.ci_low));
        assert_eq!(ratio(&[]), Ratio::default());
    }

    #[test]
    fn few_repetitions_have_an_interval_that_says_so() {
        assert_eq!([1, 2, 3, 6, 20].map(coverage), [Some(0.0), Some(0.5), Some(0.75), Some(0.95), Some(0.95)]);
        assert_eq!(coverage(0), None);
    }

    #[test]
    fn nothing_is_a_figure_too() {
        let half = ratio(&[100.0, 0.0, 100.0, 0.0, 100.0, 0.0]);
        assert!(half.estimate <= 50.0 && half.ci_low == 0.0, "{half:?}");
        assert_eq!(ratio(&[0.0; 6]), Ratio::default());
        let silent = Seen { good_rps: 0.0, p50_us: 0.0, p99_us: 0.0, ..queue(6_000.0, 1_000.0) };
        let steps = step(&[queue(6_000.0, 1_000.0), silent, queue(6_000.0, 1_000.0)]);
        assert!(steps.p99_us.ci_low > 900.0, "a stretch without answers has no latency: {steps:?}");
    }

    #[test]
    fn a_sweep_stays_below_the_most() {
        let rates = |knee: f64, most: f64| SHARES.iter().filter(|share| is_tried(knee, **share, most)).count();
        assert_eq!(rates(1_000.0, 10_000.0), SHARES.len());
        let below = SHARES.iter().filter(|share| **share <= 1.0).count();
        assert_eq!((rates(10_000.0, 10_000.0), rates(10_000.0 / 3.0 * 3.0, 10_000.0)), (below, below));
    }
}
