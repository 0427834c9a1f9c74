//! One worker's ring of entries: fixed room, slots that are used again.

use smallvec::SmallVec;

use super::entry::{Ended, Entry, Hit, Protocol};

/// The longest method that is kept.
const METHOD: usize = 32;
/// The longest path that is kept.
const PATH: usize = 512;
/// The longest request id that is kept.
const REQUEST_ID: usize = 128;

/// What a worker records; 0 stands for an absent time or status.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    pub arrival_ns: u64,
    pub answer_ns: u64,
    pub end_ns: u64,
    /// The endpoint's number in the process.
    pub endpoint: usize,
    pub connection: u64,
    pub request: u64,
    pub protocol: Protocol,
    pub method: &'a str,
    pub path: &'a str,
    pub status: u16,
    pub ended: Ended,
    pub grpc_status: Option<u8>,
    pub hit: Hit,
    pub rules_version: u64,
    pub waited_ns: Option<u64>,
    pub trace_id: u128,
    /// Empty when there was none.
    pub request_id: &'a [u8],
    pub health_check: bool,
}

/// An entry where it is kept.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) seq: u64,
    arrival_ns: u64,
    answer_ns: u64,
    end_ns: u64,
    connection: u64,
    request: u64,
    rules_version: u64,
    waited_ns: Option<u64>,
    trace_id: u128,
    endpoint: usize,
    status: u16,
    protocol: Protocol,
    ended: Ended,
    grpc_status: Option<u8>,
    hit: Hit,
    method: SmallVec<[u8; 8]>,
    path: SmallVec<[u8; 64]>,
    request_id: SmallVec<[u8; 36]>,
    health_check: bool,
}

impl Slot {
    fn fill(&mut self, seq: u64, record: &Record<'_>) {
        self.seq = seq;
        self.arrival_ns = record.arrival_ns;
        self.answer_ns = record.answer_ns;
        self.end_ns = record.end_ns;
        self.connection = record.connection;
        self.request = record.request;
        self.rules_version = record.rules_version;
        self.waited_ns = record.waited_ns;
        self.trace_id = record.trace_id;
        self.endpoint = record.endpoint;
        self.status = record.status;
        self.protocol = record.protocol;
        self.ended = record.ended;
        self.grpc_status = record.grpc_status;
        self.hit = record.hit;
        self.health_check = record.health_check;
        keep(&mut self.method, record.method.as_bytes(), METHOD);
        keep(&mut self.path, record.path.as_bytes(), PATH);
        keep(&mut self.request_id, record.request_id, REQUEST_ID);
    }

    /// The entry, with the name and port of its endpoint.
    pub(super) fn entry(&self, endpoints: &[(String, u16)]) -> Entry {
        let (service, endpoint) = endpoints.get(self.endpoint).cloned().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Entry {
            seq: self.seq,
            arrival_ns: self.arrival_ns,
            answer_ns: (self.answer_ns != 0).then_some(self.answer_ns),
            end_ns: self.end_ns,
            service,
            endpoint,
            connection: self.connection,
            request: self.request,
            protocol: self.protocol,
            method: text(&self.method),
            path: text(&self.path),
            status: (self.status != 0).then_some(self.status),
            ended: self.ended,
            grpc_status: self.grpc_status,
            rule: self.hit,
            rules_version: self.rules_version,
            waited_ns: self.waited_ns,
            trace_id: (self.trace_id != 0).then(|| format!("{:032x}", self.trace_id)),
            request_id: (!self.request_id.is_empty()).then(|| text(&self.request_id)),
            health_check: self.health_check,
        }
    }
}

/// Keeps the beginning of a text that a client chose the length of.
#[inline]
fn keep<const N: usize>(kept: &mut SmallVec<[u8; N]>, text: &[u8], most: usize)
where
    [u8; N]: smallvec::Array<Item = u8>,
{
    kept.clear();
    kept.extend_from_slice(&text[..text.len().min(most)]);
}

/// A ring of slots.
#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: Vec<Slot>,
    /// Where the next entry goes once the ring is full.
    next: usize,
}

impl Ring {
    /// Keeps a record; true when an older one had to go.
    #[inline]
    pub(super) fn push(&mut self, capacity: usize, seq: u64, record: &Record<'_>) -> bool {
        let at = self.next;
        let full = at < self.slots.len();
        if !full {
            self.slots.push(Slot::default());
        }
        self.slots[at].fill(seq, record);
        self.next = if at + 1 == capacity { 0 } else { at + 1 };
        full
    }

    /// The n-th oldest slot.
    fn nth(&self, n: usize) -> &Slot {
        // Until the ring is full `next` is its length, so the oldest is the first.
        let at = self.next + n;
        &self.slots[if at >= self.slots.len() { at - self.slots.len() } else { at }]
    }

    /// The number of the oldest entry.
    pub(super) fn oldest(&self) -> Option<u64> {
        (!self.slots.is_empty()).then(|| self.nth(0).seq)
    }

    /// Slots with numbers after `from` and up to `until`, in order. A ring is sorted from its oldest slot on.
    pub(super) fn between(&self, from: u64, until: u64) -> impl Iterator<Item = &Slot> {
        let (mut low, mut high) = (0, self.slots.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.nth(middle).seq > from { high = middle } else { low = middle + 1 }
        }
        (low..self.slots.len()).map(|n| self.nth(n)).take_while(move |slot| slot.seq <= until)
    }
}
