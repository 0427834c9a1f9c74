//! The warm-up: the scenario's own loads, until their latency is steady.
//!
//! It lasts at least as long as the scenario says, and at most [`most`]; what is not steady by then is said to be so in
//! the result. Loads that overload on purpose never become steady, so they are not asked; nor are those of which too
//! few requests come to show a change. Where no load is asked, the warm-up is as long as the scenario says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use loadgen::clock::Clock;
use loadgen::sample::{Observer, Outcome, Sample, Totals};

use super::drive::{Stretch, flat, start_ns};
use super::error::RunError;
use super::steady::{FEWEST, Steadiness, judge};
use crate::scenario::Scenario;
use crate::scenario::model::{LoadModel, LoadPart};
use crate::statistics::median;

/// The shortest and the longest stretch whose median latency is one figure.
const STRETCH: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(100));
/// How long it may take at least, whatever the scenario says.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a warm-up.
#[derive(Debug, Clone)]
pub(super) struct WarmedUp {
    /// Since when it was steady, milliseconds from its start; `None` when it was not.
    pub(super) steady_from_ms: Option<u64>,
    /// Why it was not.
    pub(super) unsteady: Vec<String>,
    /// How long it took.
    pub(super) lasted: Duration,
    /// Requests that went over the wire.
    pub(super) sent: u64,
    /// Of those, answered.
    pub(super) answered: u64,
}

/// The longest warm-up of a scenario.
pub(super) fn most(scenario: &Scenario) -> Duration {
    (scenario.warm_up * 3).max(scenario.warm_up + PATIENCE)
}

/// How long a stretch is: who asks for a short warm-up has less time for each.
fn length_of_stretch(scenario: &Scenario) -> Duration {
    (scenario.warm_up / 10).clamp(STRETCH.0, STRETCH.1)
}

/// Warms up.
pub(super) fn warm_up(scenario: &Scenario, stretch: &Stretch, stop: &AtomicBool) -> Result<WarmedUp, RunError> {
    let each = length_of_stretch(scenario);
    let stretch = Stretch { lasts: Some(most(scenario)), ..stretch.clone() };
    // One that begins later may be what the gateways are not to have seen before.
    let loads: Vec<LoadPart> = scenario.loads.iter().filter(|load| load.from.is_zero()).cloned().collect();
    if loads.is_empty() {
        return Ok(idle(scenario.warm_up, stretch.clock, stop));
    }
    let watched: Vec<Mutex<Warmth>> = loads.iter().map(|_| Mutex::default()).collect();
    let asked: Vec<(&LoadPart, &Mutex<Warmth>)> =
        loads.iter().zip(&watched).filter(|(load, _)| is_asked(load, most(scenario))).collect();
    let crowds = stretch.gather(&loads)?;
    let start_ns = start_ns(&loads, stretch.clock.now_ns());
    let mut warming: Vec<Warming<'_>> =
        watched.iter().map(|seen| Warming { seen, each, start_ns, sent: 0, answered: 0 }).collect();
    let mut steady_from = None;
    let mut lasted = Duration::ZERO;
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| stretch.drive(&loads, &mut warming, crowds, start_ns));
        while !driver.is_finished() {
            std::thread::sleep(each);
            lasted = Duration::from_nanos(stretch.clock.now_ns().saturating_sub(start_ns));
            // The driver waits for each of these locks: what was seen is copied under it, and judged afterwards.
            let seen = |(_, seen): &(_, &Mutex<Warmth>)| lock(seen).clone();
            let since: Option<Vec<usize>> = asked.iter().map(seen).map(|seen| seen.steady_since()).collect();
            if lasted >= scenario.warm_up
                && let Some(since) = since
            {
                steady_from = Some(since.into_iter().max().unwrap_or(0));
                stretch.stop.store(true, Ordering::Relaxed);
            } else if stop.load(Ordering::Relaxed) {
                stretch.stop.store(true, Ordering::Relaxed);
            }
        }
        driver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let steady_from = steady_from.map(|stretches| stretches as u64 * each.as_millis() as u64);
    let unsteady: Vec<String> =
        asked.iter().filter_map(|(load, seen)| Some(format!("load {}: {}", load.name, lock(seen).doubt()?))).collect();
    Ok(WarmedUp {
        // What nobody doubts is steady at the latest now.
        steady_from_ms: steady_from
            .or_else(|| unsteady.is_empty().then(|| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX))),
        unsteady: if steady_from.is_some() { Vec::new() } else { unsteady },
        lasted,
        sent: warming.iter().map(|load| load.sent).sum(),
        answered: warming.iter().map(|load| load.answered).sum(),
    })
}

/// A warm-up in which nothing is sent.
fn idle(length: Duration, clock: Clock, stop: &AtomicBool) -> WarmedUp {
    let from_ns = clock.now_ns();
    let lasted = || Duration::from_nanos(clock.now_ns().saturating_sub(from_ns));
    while lasted() < length && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(STRETCH.1.min(length));
    }
    WarmedUp { steady_from_ms: Some(0), unsteady: Vec::new(), lasted: lasted(), sent: 0, answered: 0 }
}

/// Whether a load is to become steady: not where it overloads on purpose, nor where so few of its requests come in all
/// of this time that nothing could be said of them. It is sent as it begins, whatever comes of it later.
fn is_asked(load: &LoadPart, most: Duration) -> bool {
    let comes = match load.model {
        LoadModel::Open { arrivals, rate } => flat(arrivals, rate).1 * most.as_secs_f64(),
        LoadModel::Closed | LoadModel::Journey => f64::INFINITY,
    };
    !load.overload && comes >= FEWEST as f64
}

/// What was seen of one load that warms up.
#[derive(Debug, Clone, Default)]
struct Warmth {
    /// Latencies of answers as expected, by the stretch in which they ended.
    stretches: Vec<Vec<u64>>,
    /// Stretches in which requests ended, whatever their answers.
    busy: usize,
    /// The last of them.
    last: Option<usize>,
}

impl Warmth {
    fn saw(&mut self, stretch: usize, latency_ns: Option<u64>) {
        if self.last != Some(stretch) {
            self.last = Some(stretch);
            self.busy += 1;
        }
        let Some(latency_ns) = latency_ns else { return };
        if self.stretches.len() <= stretch {
            self.stretches.resize_with(stretch + 1, Vec::new);
        }
        self.stretches[stretch].push(latency_ns);
    }

    /// The medians of all whole stretches with samples.
    fn figures(&self) -> Vec<f64> {
        // The last one is not whole.
        let whole = &self.stretches[..self.stretches.len().saturating_sub(1)];
        whole
            .iter()
            .filter_map(|latencies| median(&latencies.iter().map(|ns| *ns as f64).collect::<Vec<_>>()))
            .collect()
    }

    /// Since which stretch it is steady.
    fn steady_since(&self) -> Option<usize> {
        match judge(&self.figures()) {
            Steadiness::Since(stretch) => Some(stretch),
            Steadiness::NotYet => None,
        }
    }

    /// Why it is not steady at the end. So few requests that nothing can be said of them are no reason.
    fn doubt(&self) -> Option<String> {
        let figures = self.figures();
        if self.busy == 0 {
            return Some("no request ended".to_owned());
        }
        if figures.len() >= FEWEST {
            return (judge(&figures) == Steadiness::NotYet).then(|| "latency still changed".to_owned());
        }
        // One of each may be the last stretch, which is not whole.
        (self.busy > FEWEST + 1).then(|| "too few requests were answered as expected".to_owned())
    }
}

fn lock(seen: &Mutex<Warmth>) -> std::sync::MutexGuard<'_, Warmth> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The observer of one load that warms up.
struct Warming<'a> {
    seen: &'a Mutex<Warmth>,
    /// The length of a stretch.
    each: Duration,
    start_ns: u64,
    sent: u64,
    answered: u64,
}

impl Observer for Warming<'_> {
    fn sample(&mut self, sample: &Sample) {
        self.sent += u64::from(super::account::was_sent(sample.failure));
        self.answered += u64::from(sample.status != 0);
        let stretch = (sample.end_ns.saturating_sub(self.start_ns) / self.each.as_nanos() as u64) as usize;
        lock(self.seen).saw(stretch, (sample.outcome == Outcome::Ok).then(|| sample.latency_ns()));
    }

    fn dropped(&mut self, _intended_ns: u64) {}

    fn lag(&mut self, _intended_ns: u64, _lag_ns: u64) {}

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}

#[cfg(test)]
mod tests {
    use loadgen::plan::Arrivals;

    use super::*;
    use crate::scenario::model::WayPart;

    fn load(model: LoadModel, overload: bool) -> LoadPart {
        LoadPart {
            name: "main".to_owned(),
            model,
            from: Duration::ZERO,
            duration: Duration::from_secs(1),
            requests: Vec::new(),
            connections: 1,
            max_in_flight: 1,
            timeout: Duration::from_secs(1),
            overload,
            journey: None,
            way: WayPart::default(),
        }
    }

    /// Requests in these stretches, each answered as expected after this time or not.
    fn seen(requests: impl IntoIterator<Item = (usize, Option<u64>)>) -> Warmth {
        let mut warmth = Warmth::default();
        requests.into_iter().for_each(|(stretch, latency_ns)| warmth.saw(stretch, latency_ns));
        warmth
    }

    #[test]
    fn a_load_that_is_too_slow_to_show_a_change_is_not_asked() {
        let open = |rate| LoadModel::Open { arrivals: Arrivals::Poisson, rate };
        let asked = |model, overload| is_asked(&load(model, overload), Duration::from_secs(13));
        assert!(asked(open(100.0), false) && asked(LoadModel::Closed, false));
        assert!(!asked(open(2.0), false), "26 requests in all");
        assert!(!asked(open(100.0), true), "it overloads on purpose");
        let ramp =
            |from| LoadModel::Open { arrivals: Arrivals::Ramp { from, to: 2_000.0, random: false }, rate: 2_000.0 };
        assert!(!asked(ramp(1.0), false), "it warms up at the rate that it begins with");
        assert!(
            asked(ramp(100.0), false) && asked(ramp(0.0), false),
            "from nothing it begins with a tenth of its last"
        );
    }

    #[test]
    fn too_few_requests_are_no_reason_and_failing_ones_are() {
        assert_eq!(seen((0..13).map(|at| (at * 10, Some(1_000)))).doubt(), None, "one a second, of a closed load");
        assert_eq!(seen([]).doubt().as_deref(), Some("no request ended"));
        let failing = seen((0..130).map(|at| (at, None)));
        assert_eq!(failing.doubt().as_deref(), Some("too few requests were answered as expected"));
    }

    #[test]
    fn what_changes_is_doubted_and_what_does_not_is_steady() {
        let steady = seen((0..60).map(|at| (at, Some(1_000))));
        assert_eq!((steady.steady_since(), steady.doubt()), (Some(0), None));
        let growing = seen((0..60).map(|at| (at, Some(1_000 * (at as u64 + 1)))));
        assert_eq!(growing.steady_since(), None);
        assert_eq!(growing.doubt().as_deref(), Some("latency still changed"));
    }

    #[test]
    fn without_a_load_it_takes_as_long_as_it_says() {
        let stop = AtomicBool::new(true);
        let warmed_up = idle(Duration::from_secs(3_600), Clock::start(), &stop);
        assert_eq!((warmed_up.steady_from_ms, warmed_up.unsteady), (Some(0), Vec::new()));
    }
}
