//! The journal: what happened to each request, in a bounded ring.
//!
//! One ring for each worker, so that workers do not wait for each other; a sequence number orders the whole. When a
//! ring is full its oldest entry is overwritten and counted. Slots are reused, so recording allocates only for paths
//! longer than 64 bytes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use smallvec::SmallVec;

/// Entries that are copied under one lock; more would keep a worker waiting for longer than a request takes.
const BATCH: u64 = 1024;

/// Which rule hit a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hit {
    /// None.
    #[default]
    None,
    /// The rule at this place in the list.
    Rule(usize),
    /// The request's own header `x-mock-fault`.
    Header,
}

/// One request. Times are nanoseconds of the machine's monotonic clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry's number in the journal, from 1, without gaps but for dropped entries.
    pub seq: u64,
    /// When the request's first byte was read.
    pub arrival_ns: u64,
    /// When the answer's first byte was written; `None` when nothing was.
    pub answer_ns: Option<u64>,
    /// The service's name.
    pub service: String,
    /// The endpoint's port.
    pub endpoint: u16,
    /// The connection's number in the process, from 1.
    pub connection: u64,
    /// The request's number at its endpoint, from 1.
    pub request: u64,
    /// The method as sent.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The answer's status; `None` when no right head was sent.
    pub status: Option<u16>,
    /// The rule that hit.
    pub rule: Hit,
    /// The trace id of the request's `traceparent`, 32 hexadecimal digits.
    pub trace_id: Option<String>,
}

impl Entry {
    /// The entry as the control port shows it.
    pub fn to_json(&self) -> Value {
        let rule = match self.rule {
            Hit::None => Value::Null,
            Hit::Rule(index) => index.into(),
            Hit::Header => "header".into(),
        };
        json!({
            "seq": self.seq, "arrival_ns": self.arrival_ns, "answer_ns": self.answer_ns, "service": self.service,
            "endpoint": self.endpoint, "connection": self.connection, "request": self.request, "method": self.method,
            "path": self.path, "status": self.status, "rule": rule, "trace_id": self.trace_id,
        })
    }
}

/// What a worker records; 0 stands for an absent time or status.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    pub arrival_ns: u64,
    pub answer_ns: u64,
    /// The endpoint's number in the process.
    pub endpoint: usize,
    pub connection: u64,
    pub request: u64,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub hit: Hit,
    pub trace_id: u128,
}

#[derive(Debug)]
struct Slot {
    seq: u64,
    arrival_ns: u64,
    answer_ns: u64,
    endpoint: usize,
    connection: u64,
    request: u64,
    method: SmallVec<[u8; 8]>,
    path: SmallVec<[u8; 64]>,
    status: u16,
    hit: Hit,
    trace_id: u128,
}

#[derive(Debug, Default)]
struct Ring {
    slots: Vec<Slot>,
    /// Where the next entry goes once the ring is full.
    next: usize,
}

impl Ring {
    /// The n-th oldest slot.
    fn nth(&self, n: usize) -> &Slot {
        // Until the ring is full `next` is its length, so the oldest is the first.
        let at = self.next + n;
        &self.slots[if at >= self.slots.len() { at - self.slots.len() } else { at }]
    }

    fn oldest(&self) -> Option<u64> {
        (!self.slots.is_empty()).then(|| self.nth(0).seq)
    }

    /// Slots with numbers after `from` and up to `until`, in order. A ring is sorted from its oldest slot on.
    fn between(&self, from: u64, until: u64) -> impl Iterator<Item = &Slot> {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.nth(middle).seq > from { high = middle } else { low = middle + 1 }
        }
        (low..self.slots.len()).map(|n| self.nth(n)).take_while(move |slot| slot.seq <= until)
    }
}

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
        let at = ring.next;
        if let Some(slot) = ring.slots.get_mut(at) {
            slot.fill(seq, record);
            ring.next = if at + 1 == self.capacity { 0 } else { at + 1 };
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            ring.slots.push(Slot::new(seq, record));
            ring.next = if at + 1 == self.capacity { 0 } else { at + 1 };
        }
    }

    /// Entries after this number, in order, with the name and port of each endpoint.
    pub(crate) fn since(&self, seq: u64, endpoints: &[(String, u16)]) -> Vec<Entry> {
        let (mut entries, last) = (Vec::new(), self.recorded());
        let mut from = seq;
        while from < last {
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

impl Slot {
    fn new(seq: u64, record: &Record<'_>) -> Self {
        let mut slot = Self {
            seq,
            arrival_ns: 0,
            answer_ns: 0,
            endpoint: 0,
            connection: 0,
            request: 0,
            method: SmallVec::new(),
            path: SmallVec::new(),
            status: 0,
            hit: Hit::None,
            trace_id: 0,
        };
        slot.fill(seq, record);
        slot
    }

    fn fill(&mut self, seq: u64, record: &Record<'_>) {
        self.seq = seq;
        self.arrival_ns = record.arrival_ns;
        self.answer_ns = record.answer_ns;
        self.endpoint = record.endpoint;
        self.connection = record.connection;
        self.request = record.request;
        self.method.clear();
        self.method.extend_from_slice(record.method.as_bytes());
        self.path.clear();
        self.path.extend_from_slice(record.path.as_bytes());
        self.status = record.status;
        self.hit = record.hit;
        self.trace_id = record.trace_id;
    }

    fn entry(&self, endpoints: &[(String, u16)]) -> Entry {
        let (service, endpoint) = endpoints.get(self.endpoint).cloned().unwrap_or_default();
        Entry {
            seq: self.seq,
            arrival_ns: self.arrival_ns,
            answer_ns: (self.answer_ns != 0).then_some(self.answer_ns),
            service,
            endpoint,
            connection: self.connection,
            request: self.request,
            method: String::from_utf8_lossy(&self.method).into_owned(),
            path: String::from_utf8_lossy(&self.path).into_owned(),
            status: (self.status != 0).then_some(self.status),
            rule: self.hit,
            trace_id: (self.trace_id != 0).then(|| format!("{:032x}", self.trace_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_part_of_it_is_what_a_list_would_give(
            workers in proptest::collection::vec(0usize..3, 0..4000), capacity in 1usize..3000, since in 0u64..4000,
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
            let found: Vec<u64> = journal.since(since, &[]).iter().map(|entry| entry.seq).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let journal = Journal::new(4, 2);
        for request in 1..=10 {
            journal.record((request % 2) as usize, &Record { request, path: "/a", ..Record::default() });
        }
        let entries = journal.since(0, &[("orders".into(), 80)]);
        assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [7, 8, 9, 10]);
        assert_eq!((journal.recorded(), journal.dropped()), (10, 6));
        assert_eq!(entries[0].service, "orders");
        assert_eq!(journal.since(9, &[]).len(), 1);
        journal.reset();
        assert!(journal.since(0, &[]).is_empty() && journal.recorded() == 0);
    }
}
