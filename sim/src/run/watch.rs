//! Sees every request of a load: histograms by phase, and what became of each, for timelines and oracles.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use loadgen::recorder::Recorder;
use loadgen::response::Refusal;
use loadgen::sample::{Failure, Observer, Outcome, Sample, Totals};

/// Requests of one load that are kept one by one: 130 MB of memory. Histograms count all.
const MOST_KEPT: usize = 4_000_000;
/// Refusals of one load whose words are kept.
const MOST_REFUSALS: usize = 500_000;

/// What became of one request. Times are nanoseconds of the run's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) intended_ns: u64,
    pub(super) sent_ns: u64,
    pub(super) end_ns: u64,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) failure: Option<Failure>,
}

impl Seen {
    pub(super) fn latency_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.intended_ns)
    }
}

/// Counts that others look at while the load runs.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) finished: AtomicU64,
    pub(super) not_ok: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// The observer of one load.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) recorder: Recorder,
    pub(super) seen: Vec<Seen>,
    /// What clients were told who were refused.
    pub(super) refusals: Vec<Refusal>,
    /// Requests that were not kept.
    pub(super) not_kept: u64,
    live: Arc<Live>,
}

impl Watch {
    pub(super) fn new(recorder: Recorder, live: Arc<Live>) -> Self {
        Self { recorder, seen: Vec::new(), refusals: Vec::new(), not_kept: 0, live }
    }
}

impl Observer for Watch {
    fn sample(&mut self, sample: &Sample) {
        self.recorder.sample(sample);
        self.live.finished.fetch_add(1, Ordering::Relaxed);
        if sample.outcome != Outcome::Ok {
            self.live.not_ok.fetch_add(1, Ordering::Relaxed);
        }
        self.refusals.extend(sample.refusal.filter(|_| self.refusals.len() < MOST_REFUSALS));
        if self.seen.len() >= MOST_KEPT {
            self.not_kept += 1;
            return;
        }
        self.seen.push(Seen {
            intended_ns: sample.intended_ns,
            sent_ns: sample.sent_ns,
            end_ns: sample.end_ns,
            status: sample.status,
            outcome: sample.outcome,
            failure: sample.failure,
        });
    }

    fn dropped(&mut self, intended_ns: u64) {
        self.recorder.dropped(intended_ns);
        self.live.dropped.fetch_add(1, Ordering::Relaxed);
    }

    fn lag(&mut self, intended_ns: u64, lag_ns: u64) {
        self.recorder.lag(intended_ns, lag_ns);
    }

    fn tick(&mut self, _now_ns: u64, _totals: &Totals) {}
}
