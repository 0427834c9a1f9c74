//! What became of spans.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::labelled::labelled;

labelled! {
    /// What became of a span of a request that was traced.
    pub enum SpanResult, "As written in metrics.";
    /// The collector took it.
    Exported = "exported";
    /// The collector refused it, for good.
    Rejected = "rejected";
    /// It was given up after several tries.
    Unreachable = "unreachable";
    /// There was no room for it. A request that is not traced for this counts as one.
    QueueFull = "queue_full";
    /// Its request had more spans than are kept of one.
    TooMany = "too_many";
    /// It waited when the process ended, or when tracing was turned off.
    Ended = "ended";
}

/// Spans by what became of them.
#[derive(Debug, Default)]
pub struct SpanSeries([AtomicU64; SpanResult::ALL.len()]);

impl SpanSeries {
    /// Counts spans.
    #[cold]
    pub fn count(&self, result: SpanResult, spans: u64) {
        self.0[result as usize].fetch_add(spans, Ordering::Relaxed);
    }

    /// How many came to this.
    pub fn total(&self, result: SpanResult) -> u64 {
        self.0[result as usize].load(Ordering::Relaxed)
    }

    /// How many no collector has taken, and none will.
    pub fn dropped(&self) -> u64 {
        let dropped = SpanResult::ALL.iter().filter(|result| **result != SpanResult::Exported);
        dropped.map(|result| self.total(*result)).sum()
    }
}
