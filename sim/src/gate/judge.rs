//! From rounds to verdicts. Pure: the same rounds give the same verdicts.
//!
//! For each metric, head *fails* when it is worse beyond chance and by at least the floor; it *passes* when being worse
//! by the tolerance can be ruled out; otherwise the rounds do not decide. Chance is shared out: over the looks by
//! Pocock's level (see [`crate::statistics::sequential`]), over the metrics by Holm's step-down (Holm, A simple
//! sequentially rejective multiple test procedure, 1979). So equal sides fail in at most `promise.false_alarm` of all
//! runs, however noisy the machine: noise makes a gate blind, not jumpy. One thing needs no statistics: a head that
//! needs more than twice the CPU time in every round ([`is_gross`]).

use reports::result::Verdict;

use super::metric::{Metric, Round};
use super::settings::{Settings, Tolerance};
use crate::statistics::median;
use crate::statistics::power::{Promise, deviation_of, fewest_rounds, rounds_needed, smallest_found};
use crate::statistics::sequential::level_per_look;
use crate::statistics::shift::Shift;

/// A contender that used less of its core than this waited for the driver, or for others.
pub const BUSY: f64 = 0.9;

/// After which rounds the gate looks, and how strict each look is.
#[derive(Debug, Clone, PartialEq)]
pub struct Looks {
    /// Growing numbers of rounds; the last is the end.
    pub at: Vec<usize>,
    /// The level against a false alarm when so many metrics, less one, are still undecided.
    fail_levels: Vec<f64>,
    /// The level against a wrong pass.
    pass_level: f64,
    power: f64,
}

impl Looks {
    /// The looks of these settings, none after more than `most` rounds.
    #[must_use]
    pub fn new(settings: &Settings, most: usize) -> Self {
        let most = most.max(1);
        let mut at: Vec<usize> = settings.promise.looks.iter().copied().filter(|look| *look < most).collect();
        at.push(most);
        let share = |metrics: usize| level_per_look(settings.promise.false_alarm / metrics as f64, &at);
        let fail_levels = (1..=settings.metrics.len()).map(share).collect();
        let pass_level = level_per_look(settings.promise.wrong_pass, &at);
        Self { at, fail_levels, pass_level, power: settings.promise.power }
    }

    /// The most rounds.
    #[must_use]
    pub fn last(&self) -> usize {
        self.at.last().copied().unwrap_or(1)
    }

    /// The level against a false alarm of the metric with the smallest p-value.
    fn strictest(&self) -> f64 {
        self.fail_levels.last().copied().unwrap_or(self.pass_level)
    }

    /// The fewest rounds after which a metric can fail at all, however much worse it is.
    #[must_use]
    pub fn fewest_to_fail(&self) -> usize {
        fewest_rounds(self.strictest())
    }

    /// Share of all intervals that hold the truth, as they are shown.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        1.0 - 2.0 * self.pass_level
    }
}

/// What the rounds say of one metric. Changes are log-ratios, worse being positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Which.
    pub metric: Metric,
    /// The estimated change.
    pub estimate: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the truth: the looks' own, or less where the rounds are too few for it.
    pub coverage: f64,
    /// Chance of as much evidence that head is worse, if it were not.
    pub p_value: f64,
    /// The smallest change that these rounds would have found; infinite where they are too few to fail at all.
    pub found: f64,
    /// The same with twice as many rounds.
    pub found_with_twice: f64,
    /// Rounds that showed the metric.
    pub rounds: usize,
    /// Deviation of single rounds, as the interval shows it.
    pub deviation: f64,
    /// Base's median.
    pub base: f64,
    /// Head's median.
    pub head: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Why it does not pass although its interval would let it.
    pub note: Option<&'static str>,
}

impl Judged {
    /// Rounds that would decide in half of all cases, if the change is what it looks like now; `None` when it is
    /// decided, or when no number of rounds would. They are more than there were: those did not.
    #[must_use]
    pub fn rounds_wanted(&self, settings: &Settings, looks: &Looks) -> Option<usize> {
        if self.verdict != Verdict::Inconclusive || self.note.is_some() {
            return None;
        }
        let tolerance = &settings.metrics[&self.metric];
        let needed = |effect: f64, false_alarm: f64| {
            (effect > 0.0).then(|| rounds_needed(self.deviation, effect, Promise { false_alarm, power: 0.5 })).flatten()
        };
        let to_pass = needed(tolerance.tolerance() - self.estimate, looks.pass_level);
        let to_fail = (self.estimate >= tolerance.floor()).then(|| needed(self.estimate, looks.strictest())).flatten();
        to_pass.into_iter().chain(to_fail).min().map(|wanted| wanted.max(self.rounds + 1))
    }
}

/// Head needs this many times the CPU time of base, and more than is tolerated, in each of so many rounds: no machine
/// makes it so, and no more rounds are needed to see it.
const GROSS: f64 = 2.0;
const GROSS_ROUNDS: usize = 3;

/// Whether head needs so much more CPU time for a request, in every round, that nothing else need be asked. CPU time is
/// not the time that passes: whoever is kept waiting uses none. What the settings tolerate is never gross.
#[must_use]
pub fn is_gross(rounds: &[Round], settings: &Settings) -> bool {
    let tolerated = settings.metrics.get(&Metric::Cpu).map_or(0.0, Tolerance::tolerance);
    let least = GROSS.ln().max(tolerated);
    let gross = |round: &Round| Metric::Cpu.observe(round).is_some_and(|worse| worse >= least);
    rounds.len() >= GROSS_ROUNDS && rounds.iter().all(gross)
}

/// Judges every metric of the settings by these rounds; of no rounds, none.
#[must_use]
pub fn judge(rounds: &[Round], settings: &Settings, looks: &Looks) -> Vec<Judged> {
    if rounds.is_empty() {
        return Vec::new();
    }
    let mut judged: Vec<Judged> = Metric::ALL
        .into_iter()
        .filter(|metric| settings.metrics.contains_key(metric))
        .map(|metric| measure(metric, rounds, settings, looks).unwrap_or_else(|| nothing(metric)))
        .collect();
    for index in holm(&judged.iter().map(|one| one.p_value).collect::<Vec<_>>(), &looks.fail_levels) {
        let one = &mut judged[index];
        if one.estimate >= settings.metrics[&one.metric].floor() {
            (one.verdict, one.note) = (Verdict::Fail, None);
        }
    }
    if let Some(cpu) = judged.iter_mut().find(|one| one.metric == Metric::Cpu && is_gross(rounds, settings)) {
        (cpu.verdict, cpu.note) = (Verdict::Fail, None);
    }
    judged
}

/// The run's verdict: a failed metric fails it; one that must be decided and is not leaves it open. No metric at all
/// decides nothing.
#[must_use]
pub fn overall(judged: &[Judged], settings: &Settings) -> Verdict {
    let undecided = |metric: &Metric| {
        let found = judged.iter().find(|one| one.metric == *metric);
        found.is_none_or(|one| one.verdict == Verdict::Inconclusive)
    };
    if judged.iter().any(|one| one.verdict == Verdict::Fail) {
        return Verdict::Fail;
    }
    let open = settings.metrics.iter().any(|(metric, tolerance)| tolerance.must_decide && undecided(metric));
    if open || judged.is_empty() { Verdict::Inconclusive } else { Verdict::Pass }
}

/// A metric by itself: its figures, and whether it passes.
fn measure(metric: Metric, rounds: &[Round], settings: &Settings, looks: &Looks) -> Option<Judged> {
    let observations: Vec<f64> = rounds.iter().filter_map(|round| metric.observe(round)).collect();
    let shift = Shift::of(&observations)?;
    let tolerance = &settings.metrics[&metric];
    let count = observations.len();
    let (estimate, interval) = (shift.estimate(), shift.interval(looks.pass_level));
    // At small numbers of rounds the interval may leave out more than it should; then it proves nothing.
    let passes = interval.outside <= looks.pass_level && interval.high < tolerance.tolerance();
    let deviation = deviation_of((interval.high - interval.low) / 2.0, count, interval.outside.min(0.49));
    let finding = Promise { false_alarm: looks.strictest(), power: looks.power };
    let found = |rounds| smallest_found(deviation, rounds, finding).max(tolerance.floor());
    let waited = metric == Metric::Rate && core_share(rounds) < BUSY;
    // What was dropped is the worst of head's latencies: it hides a loss, and makes none.
    let is_latency = matches!(metric, Metric::P50 | Metric::P99);
    let unsent = is_latency && rounds.iter().any(|round| round.head.dropped > 0);
    let doubt = match (waited, unsent) {
        (true, _) => Some("its core was not full, so the rate may be the driver's"),
        (false, true) => Some("arrivals of head were dropped, so its worst latencies are missing"),
        (false, false) => None,
    };
    let verdict = if passes && doubt.is_none() { Verdict::Pass } else { Verdict::Inconclusive };
    let middle = |side: fn(&Round, Metric) -> f64| {
        median(&rounds.iter().map(|round| side(round, metric)).filter(|value| value.is_finite()).collect::<Vec<_>>())
    };
    Some(Judged {
        metric,
        estimate,
        low: interval.low,
        high: interval.high,
        coverage: (1.0 - 2.0 * interval.outside.max(looks.pass_level)).max(0.0),
        p_value: shift.p_above(0.0),
        found: found(count),
        found_with_twice: found(2 * count),
        rounds: count,
        deviation,
        base: middle(|round, metric| round.base.value(metric))?,
        head: middle(|round, metric| round.head.value(metric))?,
        verdict,
        note: doubt.filter(|_| passes),
    })
}

/// A metric that no round showed: it is told of all the same, so that nobody takes its absence for a pass.
fn nothing(metric: Metric) -> Judged {
    Judged {
        metric,
        estimate: 0.0,
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
        coverage: 1.0,
        p_value: 1.0,
        found: f64::INFINITY,
        found_with_twice: f64::INFINITY,
        rounds: 0,
        deviation: f64::INFINITY,
        base: 0.0,
        head: 0.0,
        verdict: Verdict::Inconclusive,
        note: Some(match metric {
            Metric::Rate => "no answer was within the objective on either side",
            Metric::Cpu | Metric::P50 | Metric::P99 | Metric::Rss => "no round showed it on both sides",
        }),
    }
}

/// Median over rounds of the smaller of both sides' shares of their core.
fn core_share(rounds: &[Round]) -> f64 {
    let shares: Vec<f64> = rounds.iter().map(|round| round.base.core_share.min(round.head.core_share)).collect();
    median(&shares).unwrap_or(0.0)
}

/// Which of these p-values are significant: the smallest at the level for all, the next at that for all but one, and so
/// on until one is not. `levels[n - 1]` is the level of one among `n`.
fn holm(p_values: &[f64], levels: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|one, other| p_values[*one].total_cmp(&p_values[*other]));
    // The promise was made for all metrics of the settings.
    let significant = order.iter().zip(levels.iter().rev());
    significant.take_while(|(index, level)| p_values[**index] <= **level).map(|(index, _)| *index).collect()
}

#[cfg(test)]
mod tests;
