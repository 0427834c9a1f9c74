//! One piece of memory for each worker, made when the worker first needs it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A value for each worker. A worker that never serves a route never pays for its series.
#[derive(Debug)]
pub(super) struct Shards<T> {
    by_worker: Box<[OnceLock<Box<Padded<T>>>]>,
}

/// Keeps shards of different workers off each other's cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded<T>(T);

impl<T: Default> Shards<T> {
    pub(super) fn new(workers: usize) -> Self {
        Self { by_worker: (0..workers.max(1)).map(|_| OnceLock::new()).collect() }
    }

    /// The worker's own shard; allocates it the first time. A number beyond the last worker counts from the first
    /// again.
    #[inline]
    pub(super) fn of(&self, worker: usize) -> &T {
        let slot = self.by_worker.get(worker).unwrap_or_else(|| &self.by_worker[worker % self.by_worker.len()]);
        &slot.get_or_init(Box::default).0
    }

    /// The shards in use.
    pub(super) fn used(&self) -> impl Iterator<Item = &T> {
        self.by_worker.iter().filter_map(|slot| slot.get()).map(|padded| &padded.0)
    }

    /// The shards in use, with their workers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &T)> {
        self.by_worker.iter().enumerate().filter_map(|(worker, slot)| slot.get().map(|padded| (worker, &padded.0)))
    }
}

/// Adds to a counter. A worker's shard is written by its own thread but for rare cases (a connection that a sibling
/// took over, a task that an embedding program's runtime moved), so the line is seldom contended; but none is lost.
#[inline]
pub(super) fn bump(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// The same for a gauge.
#[inline]
pub(super) fn shift(gauge: &AtomicI64, by: i64) {
    gauge.fetch_add(by, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_made_when_it_is_needed() {
        let shards = Shards::<AtomicU64>::new(3);
        assert_eq!(shards.used().count(), 0);
        bump(shards.of(1), 5);
        bump(shards.of(4), 1);
        assert_eq!(shards.used().map(|shard| shard.load(Ordering::Relaxed)).collect::<Vec<_>>(), [6]);
        assert_eq!(shards.numbered().map(|(worker, _)| worker).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn shards_do_not_share_a_cache_line() {
        let shards = Shards::<AtomicU64>::new(2);
        let line = |shard: &AtomicU64| std::ptr::from_ref(shard).addr() / 64;
        assert_ne!(line(shards.of(0)), line(shards.of(1)));
        assert_eq!(std::ptr::from_ref(shards.of(0)).addr() % 64, 0);
    }
}
