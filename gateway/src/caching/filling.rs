//! A copy of an answer that is taken while it streams to its client, and kept once it is whole.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;

use super::answer::Keeping;
use super::lease::Lease;
use super::store::{Parcel, Place, Stamp, Store, Stored};
use crate::http1::Fields;
use crate::request_fields::RequestFields;

/// The least that is taken at once, bytes.
const STEP: usize = 1024;

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) to: Destination,
    pub(super) status: StatusCode,
    pub(super) fields: Box<Fields>,
    pub(super) keeping: Keeping,
    /// When its head came.
    pub(super) came_ms: u64,
    /// How much is to come, where that is known.
    pub(super) expected: Option<u64>,
    /// The most that is kept, bytes.
    pub(super) most: usize,
    pub(super) body: Vec<u8>,
    pub(super) room: Room,
    pub(super) lease: Option<Lease>,
}

/// Where it is kept.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) key: Vec<u8>,
    pub(super) place: Place,
    pub(super) stamp: Stamp,
    /// The path that its client asked for, where that is not what was sent.
    pub(super) path: Option<Box<str>>,
    pub(super) variants: usize,
    /// The request's headers.
    pub(super) headers: RequestFields,
}

impl Destination {
    /// Keeps an answer there, in place of what was kept for the same requests.
    pub(super) fn put(&self, store: &Store, stored: Stored) -> bool {
        let parcel = Parcel {
            key: &self.key,
            place: self.place,
            stamp: self.stamp,
            path: self.path.as_deref(),
            variants: self.variants,
        };
        store.put(&parcel, stored, |other| other.keeping.secondary.is_for(&self.headers))
    }
}

/// What copies on their way take, of what all of them may: half as much as all that is kept.
#[derive(Debug)]
pub(super) struct Room {
    store: Arc<Store>,
    bytes: usize,
}

impl Room {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), bytes: 0 }
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn grow(&mut self, more: usize) -> bool {
        let before = self.store.coming.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > self.store.most() / 2 {
            self.store.coming.fetch_sub(more, Ordering::Relaxed);
            return false;
        }
        self.bytes += more;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.store.coming.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Filling {
    /// Adds what has come; false where it is more than is kept.
    pub(super) fn add(&mut self, data: &[u8]) -> bool {
        let needed = self.body.len() + data.len();
        if needed > self.most {
            return false;
        }
        if needed > self.body.capacity() {
            let told = self.expected.and_then(|told| usize::try_from(told).ok()).filter(|told| *told >= needed);
            // As the bytes come, and never for what is only announced.
            let grown = needed.next_power_of_two().max(STEP);
            let capacity = told.map_or(grown, |told| grown.min(told));
            if !self.room.grow(capacity - self.room.bytes.min(capacity)) {
                return false;
            }
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(data);
        true
    }

    /// All has come: keeps it.
    pub(super) fn finish(self, now_ms: u64) {
        let Self { to, status, fields, keeping, came_ms, expected, mut body, room, lease, .. } = self;
        let is_whole = expected.is_none_or(|told| told == body.len() as u64);
        body.shrink_to_fit();
        let stored = Stored { status, fields, body: room.store().body(body), keeping, came_ms };
        let is_kept = is_whole && to.put(room.store(), stored);
        if let Some(lease) = lease {
            lease.ends(is_kept, now_ms);
        }
    }

    /// It is not kept, and who waits is told so.
    pub(super) fn give_up(self, now_ms: u64) {
        if let Some(lease) = self.lease {
            lease.ends(false, now_ms);
        }
    }
}
