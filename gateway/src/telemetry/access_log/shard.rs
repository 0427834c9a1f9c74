//! One worker's waiting lines.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::locked::lock;
use crate::telemetry::record::AccessRecord;
use crate::telemetry::timestamp::Stamper;

/// Bytes for which a line of the quota stands. A usual line has 350 to 450; lines with long paths use up the quota
/// sooner, so that the queue's memory is bounded whatever clients send.
const BYTES_PER_LINE: usize = 512;
/// A worker may always hold this many bytes: the longest line that a request head of 64 KiB can make.
const BYTES_MIN: usize = 512 * 1024;
/// The writer is woken early when this many bytes wait: a few milliseconds at full load.
const WAKE_BYTES: usize = 128 * 1024;
/// A buffer that once held a burst gives back what is beyond this.
const KEEP_BYTES: usize = 256 * 1024;

/// What the worker should do after it handed in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Submitted {
    /// Waiting.
    Queued,
    /// Waiting, and much with it: the writer should hurry.
    Full,
    /// No room: counted and gone.
    Dropped,
}

/// Aligned so that two workers' locks do not share a cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Shard {
    waiting: Mutex<Waiting>,
    /// Lines that may wait, those in the writer's hands included.
    quota: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    buffer: Vec<u8>,
    stamper: Stamper,
    /// Lines in `buffer`.
    lines: usize,
    /// Lines and bytes that the writer took and has not written.
    taken_lines: usize,
    taken_bytes: usize,
}

impl Shard {
    pub(super) fn new(quota: usize) -> Self {
        Self { waiting: Mutex::default(), quota: AtomicUsize::new(quota), dropped: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn submit(&self, record: &AccessRecord<'_>) -> Submitted {
        let quota = self.quota.load(Ordering::Relaxed);
        let mut waiting = self.lock();
        let bytes = waiting.buffer.len() + waiting.taken_bytes;
        let full = bytes >= quota.saturating_mul(BYTES_PER_LINE).max(BYTES_MIN);
        if full || waiting.lines + waiting.taken_lines >= quota {
            drop(waiting);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Submitted::Dropped;
        }
        let Waiting { buffer, stamper, lines, .. } = &mut *waiting;
        record.write_among(buffer, stamper);
        *lines += 1;
        if buffer.len() >= WAKE_BYTES { Submitted::Full } else { Submitted::Queued }
    }

    /// Swaps the waiting lines for an empty buffer; they count as waiting until [`Shard::written`].
    pub(super) fn take(&self, empty: &mut Vec<u8>) {
        debug_assert!(empty.is_empty());
        empty.shrink_to(KEEP_BYTES);
        let mut waiting = self.lock();
        std::mem::swap(&mut waiting.buffer, empty);
        waiting.taken_lines += std::mem::take(&mut waiting.lines);
        waiting.taken_bytes += empty.len();
    }

    /// What was taken has been written.
    pub(super) fn written(&self) {
        let mut waiting = self.lock();
        waiting.taken_lines = 0;
        waiting.taken_bytes = 0;
    }

    /// What was taken has nowhere to go.
    pub(super) fn discarded(&self) {
        let lines = self.lock().taken_lines;
        self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
        self.written();
    }

    /// Lines that wait, those in the writer's hands included.
    pub(super) fn waiting(&self) -> usize {
        let waiting = self.lock();
        waiting.lines + waiting.taken_lines
    }

    /// Whether nothing waits, not even in the writer's hands.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    pub(super) fn set_quota(&self, quota: usize) {
        self.quota.store(quota, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A panic while a line was written leaves at worst half a line: better than no log.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

/// Splits the queue's lines over workers; each may hold at least one.
pub(super) fn quotas(queue: usize, workers: usize) -> impl Iterator<Item = usize> {
    let workers = workers.max(1);
    (0..workers).map(move |worker| (queue / workers + usize::from(worker < queue % workers)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> AccessRecord<'_> {
        AccessRecord::new(0, b"id", "::1", "GET", path, 200)
    }

    #[test]
    fn lines_in_the_writers_hands_still_count() {
        let shard = Shard::new(3);
        let mut taken = Vec::new();
        assert_eq!([shard.submit(&record("/")), shard.submit(&record("/"))], [Submitted::Queued; 2]);
        shard.take(&mut taken);
        assert_eq!(shard.submit(&record("/")), Submitted::Queued);
        assert_eq!(shard.submit(&record("/")), Submitted::Dropped);
        shard.written();
        assert!(!shard.is_empty());
        assert_eq!([shard.submit(&record("/")), shard.submit(&record("/"))], [Submitted::Queued; 2]);
        assert_eq!(shard.submit(&record("/")), Submitted::Dropped);
        assert_eq!((shard.dropped(), taken.iter().filter(|b| **b == b'\n').count()), (2, 2));
    }

    #[test]
    fn long_lines_use_up_the_quota_sooner() {
        let shard = Shard::new(1_000_000);
        shard.set_quota(100);
        let long = "/x".repeat(50_000);
        let results: Vec<_> = (0..20).map(|_| shard.submit(&record(&long))).collect();
        assert_eq!(results.iter().filter(|result| **result == Submitted::Dropped).count(), 14);
        assert_eq!(results[1], Submitted::Full);
    }

    #[test]
    fn quotas_add_up() {
        assert_eq!(quotas(10, 4).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!(quotas(2, 4).collect::<Vec<_>>(), [1, 1, 1, 1]);
        assert_eq!(quotas(5, 0).collect::<Vec<_>>(), [5]);
    }
}
