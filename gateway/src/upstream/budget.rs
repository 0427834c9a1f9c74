//! An upstream's retry budget over all workers.
//!
//! Each worker counts its requests in slots of its own, with no lock and on no line that others write; they are added
//! up only when somebody wants a retry. Who serves for a worker on another thread counts in slots beside them: what it
//! adds between the worker's load and its store would be lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::algorithms::retry_budget::{Allowance, Budget, SLOT, SLOTS};
use crate::telemetry::metrics::is_own_thread;

/// Slots that a worker keeps; a power of two above those that are looked at.
const KEPT: usize = 16;

/// A retry budget.
#[derive(Debug)]
pub struct RetryBudget {
    /// Of each worker's own thread, which alone writes there.
    alone: Box<[Requests]>,
    /// Of whoever else serves for the worker: a sibling, a task of a program's own runtime.
    shared: Box<[Requests]>,
    spent: Mutex<Budget>,
}

/// One worker's requests: each slot's number, of which the low 32 bits stand above, and how many there were.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Requests([AtomicU64; KEPT]);

impl RetryBudget {
    /// A budget that nothing has been paid into.
    pub fn new(workers: usize) -> Self {
        let rows = || (0..workers.max(1)).map(|_| Requests::default()).collect();
        Self { alone: rows(), shared: rows(), spent: Mutex::default() }
    }

    /// Counts a request. `ticks_ms` is the time in milliseconds of any clock that all callers share.
    #[inline]
    pub fn deposit(&self, worker: usize, ticks_ms: u64) {
        let slot = slot_of(ticks_ms);
        let (row, is_alone) = self.row(worker, is_own_thread(worker));
        let counter = &row.0[slot as usize % KEPT];
        let now = counter.load(Ordering::Relaxed);
        if now >> 32 == slot & 0xffff_ffff {
            if is_alone {
                counter.store(now + 1, Ordering::Relaxed);
            } else {
                // Those that begin a slot together may lose what the others counted so far: a retry fewer.
                counter.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            counter.store(slot << 32 | 1, Ordering::Relaxed);
        }
    }

    /// Where a thread counts for a worker, and whether nobody else writes there.
    #[inline]
    fn row(&self, worker: usize, is_own: bool) -> (&Requests, bool) {
        match self.alone.get(worker) {
            Some(row) if is_own => (row, true),
            _ => (&self.shared[worker % self.shared.len()], false),
        }
    }

    /// Takes one retry out, if there is one left.
    pub fn withdraw(&self, ticks_ms: u64, allowance: Allowance) -> bool {
        let slot = slot_of(ticks_ms);
        let requests = self.requests(slot);
        self.spent.lock().unwrap_or_else(PoisonError::into_inner).spend(slot, requests, allowance)
    }

    fn requests(&self, slot: u64) -> u64 {
        let is_recent = |packed: &u64| (slot.wrapping_sub(packed >> 32) & 0xffff_ffff) < SLOTS;
        let counters = self.alone.iter().chain(&self.shared).flat_map(|requests| &requests.0);
        counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .filter(is_recent)
            .map(|packed| packed & 0xffff_ffff)
            .sum()
    }
}

fn slot_of(ticks_ms: u64) -> u64 {
    ticks_ms / SLOT.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_all_workers_count_for_a_second() {
        let budget = RetryBudget::new(2);
        let allowance = Allowance { share: 500_000, min_per_second: 0 };
        for request in 0..20 {
            budget.deposit(request % 2, 1_000 + request as u64);
        }
        assert_eq!((0..50).filter(|_| budget.withdraw(1_900, allowance)).count(), 10);
        assert!(!budget.withdraw(2_100, allowance), "what is a second old is no ground for a retry");
    }

    #[test]
    fn what_a_workers_own_thread_counts_nobody_else_writes_and_all_of_it_counts() {
        let budget = RetryBudget::new(2);
        for worker in 0..5 {
            let ((own, is_alone), (other, is_alone_too)) = (budget.row(worker, true), budget.row(worker, false));
            assert_eq!((is_alone, is_alone_too), (worker < 2, false), "{worker}");
            assert_eq!(std::ptr::eq(own, other), worker >= 2, "{worker}: a number beyond the last has none of its own");
        }
        let slot = slot_of(1_000);
        for is_own in [true, false] {
            budget.row(1, is_own).0.0[slot as usize % KEPT].store(slot << 32 | 3, Ordering::Relaxed);
        }
        assert_eq!(budget.requests(slot), 6);
    }
}
