//! What is counted for an upstream that shares a route's requests with others: how often it was chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Shards;

/// The series of one upstream of one split.
#[derive(Debug)]
pub struct ShareSeries {
    route: Arc<str>,
    upstream: Arc<str>,
    shards: Shards<AtomicU64>,
}

impl ShareSeries {
    pub(super) fn new(route: Arc<str>, upstream: Arc<str>, workers: usize) -> Self {
        Self { route, upstream, shards: Shards::new(workers) }
    }

    /// The names of the route and of the upstream.
    pub fn names(&self) -> (&str, &str) {
        (&self.route, &self.upstream)
    }

    /// Counts a request that it got.
    #[inline]
    pub fn chosen(&self, worker: usize) {
        let (count, alone) = self.shards.own(worker);
        alone.bump(count, 1);
    }

    /// The sum over all workers.
    pub fn total(&self) -> u64 {
        self.shards.used().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}
