//! What the gateways can carry: a load's rate is raised until its objective no longer holds.
//!
//! The loads are warm already. One is sent at other rates, the others beside it at their own. Afterwards the measured
//! part of the scenario runs as always, at the rate that is written, so that its figures also show what an overload
//! left behind. `search` says which rates are tried.
//!
//! Invariant: a rate at which the driver itself was short of time decides nothing; the run says so, and is not valid.

mod search;

use std::sync::atomic::Ordering;
use std::time::Duration;

use loadgen::clock::duration_ns;
use loadgen::recorder::Recorder;
use loadgen::sample::{Observer, Outcome, Sample, Totals};
use rand_pcg::Pcg64;
use rand_pcg::rand_core::SeedableRng;
use reports::result::{Capacity, Ratio};

use self::search::{Objective, SHARES, Search, Seen, coverage, crossing, is_tried, ratio, step};
use super::drive::{Stretch, start_ns};
use super::error::RunError;
use super::progress::Progress;
use crate::rounds::order::shuffled;
use crate::scenario::Scenario;
use crate::scenario::model::{CapacityPart, LoadModel, LoadPart};

/// The search draws from other seeds than the measured part.
const SEED: u64 = 0x6361_7061_6369_7479;
/// A driver that works for more than this share of its time is what limits.
const BUSY_DRIVER: f64 = 0.85;
/// How often a rate is tried at which the driver was short of time: once may be the machine's.
const TRIES: u32 = 3;
/// A driver that is later than this share of the objective, at p99, measures itself.
const MOST_LAG: f64 = 0.1;

/// What a search came to.
#[derive(Debug)]
pub(super) struct Searched {
    /// The load's name.
    pub(super) load: String,
    pub(super) capacity: Capacity,
    /// Requests that went over the wire, and those that were answered.
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// Why it says nothing, or less than it should.
    pub(super) reasons: Vec<String>,
}

/// Searches, where the scenario asks for it.
pub(super) fn search(
    scenario: &Scenario,
    stretch: &Stretch,
    progress: &Progress,
) -> Result<Option<Searched>, RunError> {
    let Some(part) = &scenario.capacity else { return Ok(None) };
    let LoadModel::Open { rate, .. } = scenario.loads[part.load].model else { return Ok(None) };
    let objective = Objective { p99_us: micros(part.p99), success_ratio: part.success };
    let mut bench = Bench { scenario, part, stretch, progress, tried: 0, sent: 0, answered: 0, short: Vec::new() };
    let mut search = Search::new(rate, part.most_rps);
    let mut reasons = Vec::new();
    while let Some(rate) = search.next().filter(|_| !bench.is_stopped()) {
        let mut seen = bench.drive(rate)?;
        for _ in 1..TRIES {
            if bench.forgive(rate) {
                seen = bench.drive(rate)?;
            }
        }
        // Higher rates would show the driver, and not the gateway.
        if bench.is_short(rate) {
            reasons.push(format!("the driver itself was short of time at {rate:.0} requests/s"));
            break;
        }
        search.told(rate, objective.holds(&seen));
    }
    if !search.has_end() && reasons.is_empty() {
        reasons.push(format!("the objective held up to {:.0} requests/s, the most that was tried", part.most_rps));
    }
    let mut capacity = Capacity {
        objective_p99_us: objective.p99_us,
        objective_success_ratio: objective.success_ratio,
        ..Capacity::default()
    };
    match search.knee() {
        Some(knee) => reasons.extend(sweep(&mut bench, objective, knee, &mut capacity)?),
        None => reasons.push("the objective held at no rate that was tried".to_owned()),
    }
    let load = scenario.loads[part.load].name.clone();
    let reasons = reasons.into_iter().map(|reason| format!("capacity of {load}: {reason}")).collect();
    Ok(Some(Searched { load, capacity, sent: bench.sent, answered: bench.answered, reasons }))
}

/// Draws the curve around a knee that is roughly right; reasons against it.
fn sweep(
    bench: &mut Bench<'_>,
    objective: Objective,
    knee: f64,
    capacity: &mut Capacity,
) -> Result<Vec<String>, RunError> {
    let mut rng = Pcg64::seed_from_u64(bench.scenario.seed ^ SEED);
    let mut by_share: Vec<Vec<Seen>> = vec![Vec::new(); SHARES.len()];
    let mut knees = Vec::new();
    bench.short.clear();
    for _ in 0..bench.part.repeats {
        let shares = shuffled(SHARES.len(), &mut rng);
        for index in shares.into_iter().filter(|index| is_tried(knee, SHARES[*index], bench.part.most_rps)) {
            if bench.is_stopped() {
                return Ok(Vec::new());
            }
            by_share[index].push(bench.drive(knee * SHARES[index])?);
        }
        let last: Vec<Seen> = by_share.iter().filter_map(|repeats| repeats.last().copied()).collect();
        knees.push(crossing(&last, objective));
    }
    capacity.knee_rps = ratio(&knees);
    capacity.coverage = coverage(knees.len());
    capacity.steps = by_share.iter().filter(|repeats| !repeats.is_empty()).map(|repeats| step(repeats)).collect();
    let goodput = |share: f64| {
        let index = SHARES.iter().position(|one| (one - share).abs() < 1e-9)?;
        // One above the most was not tried, and has no value.
        let repeats = Some(&by_share[index]).filter(|repeats| !repeats.is_empty())?;
        Some(ratio(&repeats.iter().map(|seen| seen.good_rps).collect::<Vec<f64>>()))
    };
    if let (Some(Ratio { estimate: at_knee, .. }), Some(above)) = (goodput(1.0), goodput(1.5)) {
        capacity.goodput_retention = (at_knee > 0.0).then(|| (above.estimate / at_knee * 1e4).round() / 1e4);
    }
    // Above the knee the driver may be late: nothing is read off there but what was answered.
    let short = bench.short.iter().filter(|rate| **rate <= knee * 1.01).count();
    let told = format!("the driver itself was short of time in {short} of the stretches up to the knee");
    Ok((short > 0).then_some(told).into_iter().collect())
}

/// What the stretches of a search share, and what they add up to.
struct Bench<'a> {
    scenario: &'a Scenario,
    part: &'a CapacityPart,
    stretch: &'a Stretch,
    progress: &'a Progress,
    tried: u64,
    sent: u64,
    answered: u64,
    /// Rates at which the driver was short of time.
    short: Vec<f64>,
}

impl Bench<'_> {
    fn is_stopped(&self) -> bool {
        self.stretch.stop.load(Ordering::Relaxed)
    }

    fn is_short(&self, rate: f64) -> bool {
        self.short.last() == Some(&rate)
    }

    /// Whether the driver was short of time at this rate; forgotten, since it is tried again.
    fn forgive(&mut self, rate: f64) -> bool {
        let was_short = self.is_short(rate);
        if was_short {
            self.short.pop();
        }
        was_short
    }

    /// Sends at this rate for a step's time.
    fn drive(&mut self, rate: f64) -> Result<Seen, RunError> {
        self.tried += 1;
        let mut loads: Vec<LoadPart> = self.scenario.loads.clone();
        if let LoadModel::Open { rate: own, .. } = &mut loads[self.part.load].model {
            *own = rate;
        }
        let stretch = Stretch {
            seed: self.stretch.seed ^ SEED.wrapping_mul(self.tried),
            lasts: Some(self.part.step),
            ..self.stretch.clone()
        };
        let start_ns = start_ns(&loads, stretch.clock.now_ns());
        let until_ns = start_ns + duration_ns(self.part.step);
        let mut steps: Vec<Step> = loads.iter().map(|_| Step::new(start_ns, until_ns)).collect();
        let crowds = stretch.gather(&loads)?;
        // The driver pins the thread that it is on.
        let driven = std::thread::scope(|scope| {
            let driver = scope.spawn(|| stretch.drive(&loads, &mut steps, crowds, start_ns));
            driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        self.sent += steps.iter().map(|step| step.sent).sum::<u64>();
        self.answered += steps.iter().map(|step| step.answered).sum::<u64>();
        let (one, totals) = (&steps[self.part.load], &driven.totals[self.part.load]);
        let offered = stretch.offered(&loads[self.part.load], self.part.load);
        let seen = seen(one, offered.map_or(0, |offered| offered.arrivals), self.part.step);
        if is_short(&one.recorder, totals, micros(self.part.p99)) {
            self.short.push(rate);
        }
        let (p99_ms, success) = (seen.p99_us / 1e3, seen.success_ratio * 100.0);
        self.progress.say(&format!("{rate:.0} requests/s: p99 {p99_ms:.2} ms, {success:.2} % as expected"));
        Ok(seen)
    }
}

/// The figures of one stretch with so many arrivals. Rates are of what ended while requests were sent: the last answers
/// of an overload come after the last arrival, and one that hangs would thin out all others.
fn seen(step: &Step, arrivals: u64, lasted: Duration) -> Seen {
    let all = step.recorder.merged("all");
    let at = |quantile: f64| all.latency.value_at_quantile(quantile) as f64 / 1e3;
    let seconds = lasted.as_secs_f64();
    Seen {
        offered_rps: arrivals as f64 / seconds,
        achieved_rps: step.ended as f64 / seconds,
        good_rps: step.good as f64 / seconds,
        success_ratio: all.ok as f64 / arrivals.max(1) as f64,
        p50_us: at(0.5),
        p99_us: at(0.99),
    }
}

/// Whether what was measured is the driver's.
fn is_short(recorder: &Recorder, totals: &Totals, objective_us: f64) -> bool {
    // While it waits for the last answers it has nothing to do.
    let spent = totals.while_sending();
    let busy = spent.share(spent.cpu_ns + spent.neighbour_ns);
    let lag_us = recorder.pacer_lag().value_at_quantile(0.99) as f64 / 1e3;
    busy > BUSY_DRIVER || totals.gave_up || lag_us > objective_us * MOST_LAG
}

fn micros(duration: Duration) -> f64 {
    duration_ns(duration) as f64 / 1e3
}

/// The observer of one load in one stretch.
struct Step {
    recorder: Recorder,
    /// When the last request is planned at the latest.
    until_ns: u64,
    sent: u64,
    answered: u64,
    /// Requests that ended until then, and those of them that did as expected.
    ended: u64,
    good: u64,
}

impl Step {
    fn new(start_ns: u64, until_ns: u64) -> Self {
        Self { recorder: Recorder::new("step", start_ns), until_ns, sent: 0, answered: 0, ended: 0, good: 0 }
    }
}

impl Observer for Step {
    fn sample(&mut self, sample: &Sample) {
        self.sent += u64::from(super::account::was_sent(sample.failure));
        self.answered += u64::from(sample.status != 0);
        if sample.end_ns <= self.until_ns {
            self.ended += 1;
            self.good += u64::from(sample.outcome == Outcome::Ok);
        }
        self.recorder.sample(sample);
    }

    fn dropped(&mut self, intended_ns: u64) {
        self.recorder.dropped(intended_ns);
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        self.recorder.lag(intended_ns, lag_ns);
    }

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}

#[cfg(test)]
mod tests {
    use loadgen::sample::Spent;

    use super::*;

    #[test]
    fn a_driver_is_short_by_the_time_in_which_it_sent() {
        let recorder = Recorder::new("step", 0);
        let sending = Spent { cpu_ns: 900, wall_ns: 1_000, ..Spent::default() };
        let totals = |sending| Totals { cpu_ns: 950, wall_ns: 10_000, sending, ..Totals::default() };
        assert!(is_short(&recorder, &totals(sending), 1e6), "one that hung made the stretch ten times as long");
        let beside = Spent { cpu_ns: 450, neighbour_ns: 450, ..sending };
        assert!(is_short(&recorder, &totals(beside), 1e6), "the mocks had its thread too");
        assert!(!is_short(&recorder, &totals(Spent { cpu_ns: 500, ..sending }), 1e6));
    }

    #[test]
    fn one_request_that_hangs_thins_out_no_other() {
        let mut step = Step::new(0, 1_000_000_000);
        let sample = |intended_ns: u64, end_ns: u64, outcome| Sample {
            template: 0,
            intended_ns,
            sent_ns: intended_ns,
            head_ns: end_ns,
            end_ns,
            status: 200,
            body_bytes: 0,
            outcome,
            failure: None,
            residence_ns: None,
            endpoint: None,
            refusal: None,
        };
        for number in 0..100 {
            let (at, outcome) = (number * 10_000_000, if number < 10 { Outcome::Failed } else { Outcome::Ok });
            step.sample(&sample(at, if number == 50 { 10_000_000_000 } else { at + 1_000 }, outcome));
        }
        let seen = seen(&step, 100, Duration::from_secs(1));
        assert_eq!((seen.offered_rps, seen.achieved_rps, seen.good_rps), (100.0, 99.0, 89.0));
        assert_eq!(seen.success_ratio, 0.9, "it came, however late");
    }
}
