//! The journal: what happened to each request, in a bounded ring.
//!
//! One ring for each worker, so that workers do not wait for each other; a sequence number orders the whole. When a
//! ring is full its oldest entry is overwritten and counted. Slots are reused, so recording allocates only for paths
//! longer than 64 bytes; what a client chose the length of is kept up to a bound. A request is recorded once, when it
//! is over, so that who reads piece by piece misses nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

mod entry;
mod ring;

pub use entry::{Ended, Entry, Hit, Protocol};
pub(crate) use ring::Record;
use ring::Ring;

/// Entries that are copied under one lock; more would keep a worker waiting for longer than a few requests take.
const BATCH: u64 = 128;

/// The journal of a process.
#[derive(Debug)]
pub(crate) struct Journal {
    rings: Vec<Mutex<Ring>>,
    capacity: usize,
    seq: AtomicU64,
    dropped: AtomicU64,
}

impl Journal {
    /// Room for `capacity` entries over all workers.
    pub(crate) fn new(capacity: usize, workers: usize) -> Self {
        let rings = (0..workers).map(|_| Mutex::default()).collect();
        Self { rings, capacity: (capacity / workers).max(1), seq: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Keeps a record, in the ring of this worker.
    #[inline]
    pub(crate) fn record(&self, worker: usize, record: &Record<'_>) {
        let mut ring = lock(&self.rings[worker]);
        // Numbered under the ring's lock: a reader that holds all locks sees no gap.
        let seq = self.seq.fetch_add(1, Ordering::SeqCst) + 1;
        if ring.push(self.capacity, seq, record) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Up to `limit` entries after this number, in order, with the name and port of each endpoint.
    pub(crate) fn since(&self, seq: u64, limit: usize, endpoints: &[(String, u16)]) -> Vec<Entry> {
        let (mut entries, last) = (Vec::new(), self.recorded());
        let mut from = seq;
        while from < last && entries.len() < limit {
            // The dropped ones have no entries; so do the first batches that lie wholly among them.
            let rings: Vec<_> = self.rings.iter().map(lock).collect();
            let oldest = rings.iter().filter_map(|ring| ring.oldest()).min().unwrap_or(last + 1);
            from = from.max(oldest.saturating_sub(1));
            let until = from.saturating_add(BATCH).min(last);
            let start = entries.len();
            for ring in &rings {
                entries.extend(ring.between(from, until).map(|slot| slot.entry(endpoints)));
            }
            drop(rings);
            entries[start..].sort_unstable_by_key(|entry: &Entry| entry.seq);
            from = until.max(from + 1);
        }
        entries.truncate(limit);
        entries
    }

    /// Entries made so far, the dropped ones too.
    pub(crate) fn recorded(&self) -> u64 {
        self.seq.load(Ordering::SeqCst)
    }

    /// Entries overwritten.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Forgets everything; numbers start at 1 again.
    pub(crate) fn reset(&self) {
        let mut rings: Vec<_> = self.rings.iter().map(lock).collect();
        for ring in &mut rings {
            **ring = Ring::default();
        }
        self.seq.store(0, Ordering::SeqCst);
        self.dropped.store(0, Ordering::Relaxed);
    }
}

/// A poisoned ring is used all the same: its slots are whole values.
fn lock(ring: &Mutex<Ring>) -> std::sync::MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_part_of_it_is_what_a_list_would_give(
            workers in proptest::collection::vec(0usize..3, 0..4000), capacity in 1usize..3000, since in 0u64..4000,
            limit in 0usize..5000,
        ) {
            let journal = Journal::new(capacity * 3, 3);
            let mut lists = [const { Vec::new() }; 3];
            for (at, worker) in workers.iter().enumerate() {
                journal.record(*worker, &Record { request: at as u64, ..Record::default() });
                lists[*worker].push(at as u64 + 1);
            }
            let kept = lists.iter().flat_map(|list| &list[list.len().saturating_sub(capacity)..]);
            let mut expected: Vec<u64> = kept.copied().filter(|seq| *seq > since).collect();
            expected.sort_unstable();
            expected.truncate(limit);
            let found: Vec<u64> = journal.since(since, limit, &[]).iter().map(|entry| entry.seq).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let journal = Journal::new(4, 2);
        for request in 1..=10 {
            journal.record((request % 2) as usize, &Record { request, path: "/a", ..Record::default() });
        }
        let entries = journal.since(0, 100, &[("orders".into(), 80)]);
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!((journal.recorded(), journal.dropped()), (10, 6));
        assert_eq!(entries[0].service, "orders");
        assert_eq!(journal.since(9, 100, &[]).len(), 1);
        journal.reset();
        assert!(journal.since(0, 100, &[]).is_empty() && journal.recorded() == 0);
    }

    #[test]
    fn what_a_client_chose_the_length_of_is_cut() {
        let journal = Journal::new(4, 1);
        let (path, id) = ("/".repeat(100_000), [b'i'; 1000]);
        journal.record(0, &Record { path: &path, method: &path, request_id: &id, ..Record::default() });
        let entry = &journal.since(0, 1, &[])[0];
        let lengths = (entry.path.len(), entry.method.len(), entry.request_id.as_ref().map(String::len));
        assert_eq!(lengths, (512, 32, Some(128)));
    }
}
