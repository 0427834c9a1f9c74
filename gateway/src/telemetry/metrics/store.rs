//! What is counted for a store: how long it takes to answer, and whether it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::shards::Shards;
use super::{DurationHistogram, HistogramTotals};

/// The series of one store.
#[derive(Debug)]
pub struct StoreSeries {
    name: Arc<str>,
    duration: Shards<DurationHistogram>,
    in_vain: AtomicU64,
    degraded: AtomicBool,
}

impl StoreSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        let (in_vain, degraded) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { name, duration: Shards::new(workers), in_vain, degraded }
    }

    /// The store's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A request waited so long for an answer, which came, or did not come in time.
    #[inline]
    pub fn waited(&self, worker: usize, after: Duration) {
        let (histogram, alone) = self.duration.own(worker);
        histogram.record(after, alone);
    }

    /// That was for no answer.
    pub fn waited_in_vain(&self) {
        self.in_vain.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests waited for no answer; they are among those of `duration`.
    pub fn in_vain(&self) -> u64 {
        self.in_vain.load(Ordering::Relaxed)
    }

    /// Whether limits do without it.
    pub fn set_degraded(&self, degraded: bool) {
        self.degraded.store(degraded, Ordering::Relaxed);
    }

    /// Whether limits do without it.
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    /// The sum over all workers.
    pub fn duration(&self) -> HistogramTotals {
        let mut totals = HistogramTotals::default();
        for histogram in self.duration.used() {
            histogram.add_to(&mut totals);
        }
        totals
    }
}
