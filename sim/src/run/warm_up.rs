//! The warm-up: the scenario's own loads, until their latency is steady.
//!
//! It lasts at least as long as the scenario says, and at most [`most`]; what is not steady by then is said to be so in
//! the result. Loads that overload on purpose never become steady, so they are not asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use loadgen::sample::{Observer, Outcome, Sample, Totals};

use super::drive::{Stretch, start_ns};
use super::error::RunError;
use super::steady::{Steadiness, judge};
use crate::scenario::Scenario;
use crate::scenario::model::LoadPart;
use crate::statistics::median;

/// One stretch whose median latency is one figure.
const STRETCH: Duration = Duration::from_millis(100);
/// How long it may take at least, whatever the scenario says.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a warm-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarmedUp {
    /// Since when it was steady, milliseconds from its start; `None` when it was not.
    pub(super) steady_from_ms: Option<u64>,
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

/// Warms up.
pub(super) fn warm_up(scenario: &Scenario, stretch: &Stretch, stop: &AtomicBool) -> Result<WarmedUp, RunError> {
    let stretch = Stretch { lasts: Some(most(scenario)), ..stretch.clone() };
    // One that begins later may be what the gateways are not to have seen before.
    let loads: Vec<LoadPart> = scenario.loads.iter().filter(|load| load.from.is_zero()).cloned().collect();
    let watched: Vec<Mutex<Vec<Vec<u64>>>> = loads.iter().map(|_| Mutex::default()).collect();
    let crowds = stretch.gather(&loads)?;
    let start_ns = start_ns(&loads, stretch.clock.now_ns());
    let mut warming: Vec<Warming<'_>> =
        watched.iter().map(|stretches| Warming { stretches, start_ns, sent: 0, answered: 0 }).collect();
    let mut steady_from = None;
    let mut lasted = Duration::ZERO;
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| stretch.drive(&loads, &mut warming, crowds, start_ns));
        while !driver.is_finished() {
            std::thread::sleep(STRETCH);
            lasted = Duration::from_nanos(stretch.clock.now_ns().saturating_sub(start_ns));
            let asked = || loads.iter().zip(&watched).filter(|(load, _)| !load.overload);
            let since: Option<Vec<usize>> = asked().map(|(_, stretches)| steady_since(stretches)).collect();
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
    Ok(WarmedUp {
        steady_from_ms: steady_from.map(|stretches| stretches as u64 * STRETCH.as_millis() as u64),
        lasted,
        sent: warming.iter().map(|load| load.sent).sum(),
        answered: warming.iter().map(|load| load.answered).sum(),
    })
}

/// Since which stretch a load is steady, by the medians of all whole stretches with samples.
fn steady_since(stretches: &Mutex<Vec<Vec<u64>>>) -> Option<usize> {
    let mut stretches = stretches.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // The last one is not whole.
    stretches.pop();
    let figures: Vec<f64> = stretches
        .iter()
        .filter_map(|latencies| median(&latencies.iter().map(|ns| *ns as f64).collect::<Vec<_>>()))
        .collect();
    match judge(&figures) {
        Steadiness::Since(stretch) => Some(stretch),
        Steadiness::NotYet => None,
    }
}

/// The observer of one load that warms up.
struct Warming<'a> {
    /// Latencies by the stretch in which they ended.
    stretches: &'a Mutex<Vec<Vec<u64>>>,
    start_ns: u64,
    sent: u64,
    answered: u64,
}

impl Observer for Warming<'_> {
    fn sample(&mut self, sample: &Sample) {
        self.sent += u64::from(super::account::was_sent(sample.failure));
        self.answered += u64::from(sample.status != 0);
        if sample.outcome != Outcome::Ok {
            return;
        }
        let index = (sample.end_ns.saturating_sub(self.start_ns) / STRETCH.as_nanos() as u64) as usize;
        let mut stretches = self.stretches.lock().unwrap_or_else(PoisonError::into_inner);
        if stretches.len() <= index {
            stretches.resize_with(index + 1, Vec::new);
        }
        stretches[index].push(sample.latency_ns());
    }

    fn dropped(&mut self, _intended_ns: u64) {}

    fn lag(&mut self, _intended_ns: u64, _lag_ns: u64) {}

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}
