//! What is counted for a part of an aggregate: what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Shards;

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartResult {
    /// It is in the answer.
    Ok,
    /// It was answered with a status that is no success.
    Status,
    /// It was not there in its time.
    Timeout,
    /// Nobody was asked: no endpoint, an open breaker, a limit.
    Refused,
    /// There was no connection, or it broke.
    Failed,
    /// Its answer is no JSON, too large, or no HTTP.
    Invalid,
    /// A value that it needs was not there.
    Unasked,
    /// It was given up: its client left, or another part failed without which there is no answer.
    Cancelled,
}

impl PartResult {
    /// Every result, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Ok,
        Self::Status,
        Self::Timeout,
        Self::Refused,
        Self::Failed,
        Self::Invalid,
        Self::Unasked,
        Self::Cancelled,
    ];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Unasked => "unasked",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The series of one part of one aggregate.
#[derive(Debug)]
pub struct PartSeries {
    aggregate: Arc<str>,
    part: Arc<str>,
    shards: Shards<[AtomicU64; PartResult::ALL.len()]>,
}

impl PartSeries {
    pub(super) fn new(aggregate: Arc<str>, part: Arc<str>, workers: usize) -> Self {
        Self { aggregate, part, shards: Shards::new(workers) }
    }

    /// The names of the aggregate and of the part.
    pub fn names(&self) -> (&str, &str) {
        (&self.aggregate, &self.part)
    }

    /// Counts what became of the part once.
    #[inline]
    pub fn settled(&self, worker: usize, result: PartResult) {
        let (counts, alone) = self.shards.own(worker);
        alone.bump(&counts[result as usize], 1);
    }

    /// The sum over all workers, in the order of [`PartResult::ALL`].
    pub fn totals(&self) -> [u64; PartResult::ALL.len()] {
        let mut totals = [0; PartResult::ALL.len()];
        for counts in self.shards.used() {
            for (total, count) in totals.iter_mut().zip(counts) {
                *total += count.load(Ordering::Relaxed);
            }
        }
        totals
    }
}
