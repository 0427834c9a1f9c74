//! What is counted of a batch: how many requests share a call, and why calls were made when they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Shards;
use crate::algorithms::gathering::Reason;

/// The upper bounds of the sizes, inclusive; larger ones are counted behind the last.
const BOUNDS: [u64; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

/// The series of one batch.
#[derive(Debug)]
pub struct BatchSeries {
    name: Arc<str>,
    shards: Shards<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    sizes: [AtomicU64; BOUNDS.len() + 1],
    requests: AtomicU64,
    reasons: [AtomicU64; Reason::ALL.len()],
    merged: AtomicU64,
}

/// The sum over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTotals {
    /// Calls by how many requests shared them: the upper bound (`None` for the last) and the number, not cumulated.
    pub sizes: Vec<(Option<u64>, u64)>,
    /// Requests in all of them.
    pub requests: u64,
    /// Calls by why they were made, in the order of [`Reason::ALL`].
    pub reasons: [u64; Reason::ALL.len()],
    /// Requests that asked for what another one in their batch asked for.
    pub merged: u64,
}

impl BatchSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        Self { name, shards: Shards::new(workers) }
    }

    /// The batch's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A call is made for so many requests.
    pub fn sent(&self, worker: usize, requests: usize, reason: Reason) {
        let (shard, alone) = self.shards.own(worker);
        let requests = requests as u64;
        let slot = BOUNDS.iter().position(|bound| requests <= *bound).unwrap_or(BOUNDS.len());
        alone.bump(&shard.sizes[slot], 1);
        alone.bump(&shard.requests, requests);
        alone.bump(&shard.reasons[reason as usize], 1);
    }

    /// A request asks for what another one in its batch asks for.
    pub fn merged(&self, worker: usize) {
        let (shard, alone) = self.shards.own(worker);
        alone.bump(&shard.merged, 1);
    }

    /// The sum over all workers.
    pub fn totals(&self) -> BatchTotals {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let mut totals = BatchTotals {
            sizes: bounds.map(|bound| (bound, 0)).collect(),
            requests: 0,
            reasons: [0; Reason::ALL.len()],
            merged: 0,
        };
        for shard in self.shards.used() {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            for ((_, total), count) in totals.sizes.iter_mut().zip(&shard.sizes) {
                *total += read(count);
            }
            for (total, count) in totals.reasons.iter_mut().zip(&shard.reasons) {
                *total += read(count);
            }
            totals.requests += read(&shard.requests);
            totals.merged += read(&shard.merged);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_size_and_their_reason() {
        let series = BatchSeries::new("b".into(), 2);
        for (worker, requests, reason) in
            [(0, 1, Reason::Idle), (1, 2, Reason::Window), (0, 3, Reason::Window), (1, 9999, Reason::Full)]
        {
            series.sent(worker, requests, reason);
        }
        series.merged(1);
        let totals = series.totals();
        let counted: Vec<_> = totals.sizes.iter().filter(|(_, count)| *count > 0).copied().collect();
        assert_eq!(counted, [(Some(1), 1), (Some(2), 1), (Some(5), 1), (None, 1)]);
        assert_eq!((totals.requests, totals.reasons, totals.merged), (10_005, [2, 1, 1], 1));
    }
}
