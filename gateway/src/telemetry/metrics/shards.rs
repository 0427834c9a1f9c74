//! One piece of memory for each worker, made when the worker first needs it.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::locked::lock;

/// A value for each worker, in two parts: one that its own thread alone writes, without locked instructions, and one
/// for whoever else counts on the worker's behalf (a sibling that took a connection over, a task that an embedding
/// program's runtime moved). A worker that never serves a route never pays for its series.
#[derive(Debug)]
pub(super) struct Shards<T> {
    alone: Box<[OnceLock<Box<Padded<T>>>]>,
    shared: Box<[OnceLock<Box<Padded<T>>>]>,
}

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The gateway whose workers own their threads, and how many of them there are. A program may have several, and each
/// may hand requests to one that is mounted in it: two workers of one number would both be alone with its shard.
static OWNER: Mutex<(usize, usize)> = Mutex::new((0, 0));

/// Makes this thread a worker's own, of the gateway that is at this address: what it counts for that worker nobody else
/// writes. Not beside another gateway's workers: what is counted here is then shared, as it is by any other thread.
#[must_use]
pub(crate) fn own_thread(gateway: usize, worker: usize) -> OwnThread {
    let mut owner = lock(&OWNER);
    let is_own = owner.1 == 0 || owner.0 == gateway;
    if is_own {
        *owner = (gateway, owner.1 + 1);
        WORKER.set(worker);
    }
    OwnThread { is_own }
}

/// This thread is a worker's for as long as this is there.
#[derive(Debug)]
pub(crate) struct OwnThread {
    is_own: bool,
}

impl Drop for OwnThread {
    fn drop(&mut self) {
        if self.is_own {
            WORKER.set(usize::MAX);
            lock(&OWNER).1 -= 1;
        }
    }
}

/// Whether this thread is that worker's own.
#[inline]
pub(crate) fn is_own_thread(worker: usize) -> bool {
    WORKER.get() == worker
}

/// Whether only this thread writes a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone(bool);

impl Alone {
    /// Any thread may write.
    #[cfg(test)]
    pub(super) const SHARED: Self = Self(false);

    /// Adds to a counter.
    #[inline]
    pub(super) fn bump(self, counter: &AtomicU64, by: u64) {
        if self.0 {
            counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        } else {
            bump(counter, by);
        }
    }

    /// Moves a gauge.
    #[inline]
    pub(super) fn shift(self, gauge: &AtomicI64, by: i64) {
        if self.0 {
            gauge.store(gauge.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
        } else {
            shift(gauge, by);
        }
    }
}

/// Keeps shards of different workers off each other's cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded<T>(T);

impl<T: Default> Shards<T> {
    pub(super) fn new(workers: usize) -> Self {
        let slots = || (0..workers.max(1)).map(|_| OnceLock::new()).collect();
        Self { alone: slots(), shared: slots() }
    }

    /// The worker's shard, which any thread may write; allocates it the first time. A number beyond the last worker
    /// counts from the first again.
    #[inline]
    pub(super) fn of(&self, worker: usize) -> &T {
        &self.shared[worker % self.shared.len()].get_or_init(Box::default).0
    }

    /// The worker's shard that this thread is to write, and whether it is alone with it.
    #[inline]
    pub(super) fn own(&self, worker: usize) -> (&T, Alone) {
        match self.alone.get(worker) {
            Some(slot) if is_own_thread(worker) => (&slot.get_or_init(Box::default).0, Alone(true)),
            _ => (self.of(worker), Alone(false)),
        }
    }

    /// The shards in use.
    pub(super) fn used(&self) -> impl Iterator<Item = &T> {
        self.numbered().map(|(_, shard)| shard)
    }

    /// The shards in use, with their workers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (usize, &T)> {
        let slots = self.alone.iter().enumerate().chain(self.shared.iter().enumerate());
        slots.filter_map(|(worker, slot)| slot.get().map(|padded| (worker, &padded.0)))
    }
}

/// Adds to a counter that any thread may write.
#[inline]
pub(super) fn bump(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// The same for a gauge.
#[inline]
fn shift(gauge: &AtomicI64, by: i64) {
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
    fn a_worker_and_those_who_count_for_it_lose_nothing() {
        let shards = Shards::<AtomicU64>::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _own = own_thread(7, 1);
                for _ in 0..10_000 {
                    let (shard, alone) = shards.own(1);
                    alone.bump(shard, 1);
                }
            });
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let (shard, alone) = shards.own(1);
                    alone.bump(shard, 1);
                }
            });
        });
        assert_eq!(shards.used().map(|shard| shard.load(Ordering::Relaxed)).sum::<u64>(), 20_000);
    }

    #[test]
    fn workers_of_two_gateways_that_count_for_a_third_lose_nothing() {
        let shards = Shards::<AtomicU64>::new(1);
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for gateway in [8, 9] {
                let (shards, both) = (&shards, &both);
                scope.spawn(move || {
                    let _own = own_thread(gateway, 0);
                    both.wait();
                    for _ in 0..100_000 {
                        let (shard, alone) = shards.own(0);
                        alone.bump(shard, 1);
                    }
                    // Neither goes before the other has begun.
                    both.wait();
                });
            }
        });
        assert_eq!(shards.used().map(|shard| shard.load(Ordering::Relaxed)).sum::<u64>(), 200_000);
        let _own = own_thread(9, 0);
        let is_alone = shards.own(0).1.0;
        assert!(is_alone || OWNER.lock().unwrap().0 != 9, "those who had it have gone");
    }

    #[test]
    fn shards_do_not_share_a_cache_line() {
        let shards = Shards::<AtomicU64>::new(2);
        let line = |shard: &AtomicU64| std::ptr::from_ref(shard).addr() / 64;
        assert_ne!(line(shards.of(0)), line(shards.of(1)));
        assert_eq!(std::ptr::from_ref(shards.of(0)).addr() % 64, 0);
    }
}
