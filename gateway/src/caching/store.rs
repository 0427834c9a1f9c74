//! Where answers are kept: in memory, for all workers, within a bound; what was not used for longest goes first.
//!
//! Keys are spread over shelves, each behind a lock of its own that is held for a look or a change and never while
//! anybody waits, so that workers seldom meet. Who asks first for what is not there holds a lease on it; others wait
//! for what that comes to, or ask themselves.
//!
//! Invariants: all that is kept never takes more than it may for longer than the change lasts that brought it there;
//! what was asked for before something was invalidated is not kept after that.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use smallvec::SmallVec;
use tokio::sync::watch;

use super::answer::Keeping;
use super::key::{self, Key};
use super::lease::{Lease, Leased, Progress};
use crate::algorithms::hash_ring::stable_hash;
use crate::http1::Fields;

const SHELVES: usize = 16;
/// URIs share a stamp with others; one that changes costs those no more than an answer that is not kept.
const STAMPS: usize = 4096;
/// What an entry takes beside its parts, bytes.
const ENTRY: usize = 256;
/// Who was used so short a time ago is not put in front again, milliseconds.
const JUST_NOW: u64 = 1000;
/// What was waited for in vain is not waited for again so soon, milliseconds.
const IN_VAIN: u64 = 10_000;
/// So many of those are known on a shelf.
const MOST_IN_VAIN: usize = 256;

/// An answer that is kept.
#[derive(Debug)]
pub struct Stored {
    /// Its status.
    pub status: StatusCode,
    /// Its head, less what belongs to a connection and its `age`.
    pub fields: Box<Fields>,
    /// Its whole body.
    pub body: Bytes,
    /// For how long it holds, and for whom.
    pub keeping: Keeping,
    /// When it came, or was confirmed; a tick of the gateway's clock.
    pub came_ms: u64,
}

impl Stored {
    /// Its age, seconds.
    pub fn age(&self, now_ms: u64) -> u32 {
        self.keeping.freshness.age_after(now_ms.saturating_sub(self.came_ms))
    }

    /// The same, stale from now on.
    fn outdated(&self, now_ms: u64) -> Self {
        let mut keeping = self.keeping.clone();
        keeping.freshness.lifetime = keeping.freshness.lifetime.min(self.age(now_ms));
        let (fields, body) = (self.fields.clone(), self.body.clone());
        Self { status: self.status, fields, body, keeping, came_ms: self.came_ms }
    }

    fn bytes(&self) -> usize {
        ENTRY + size_of::<Self>() + self.body.len() + self.fields.block_len() + self.keeping.secondary.bytes()
    }
}

/// A kept body.
struct Body {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// What was found under a key.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Answers to others.
    Others,
    /// An answer to this request, fresh or not.
    It(Arc<Stored>),
}

/// How often a URI, or everything, had been invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    of_uri: u32,
    of_all: u32,
}

/// Where a key is.
#[derive(Debug, Clone, Copy)]
pub struct Place(u64);

impl Place {
    /// Of this key.
    pub fn of(key: &Key) -> Self {
        Self(stable_hash(key.uri()))
    }

    fn shelf(self) -> usize {
        (self.0 >> 32) as usize % SHELVES
    }

    fn stamp(self) -> usize {
        self.0 as usize % STAMPS
    }
}

/// An answer on its way to its place.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// What it is kept under.
    pub key: &'a [u8],
    /// Where.
    pub place: Place,
    /// The stamp when it was asked for.
    pub stamp: Stamp,
    /// The path that its client asked for, where that is not what was sent.
    pub path: Option<&'a str>,
    /// So many answers may be kept under one key.
    pub variants: usize,
}

#[derive(Debug)]
struct Entry {
    key: Arc<[u8]>,
    path: Option<Box<str>>,
    answers: SmallVec<[Arc<Stored>; 1]>,
    /// Its place in the order of use.
    used: u64,
    used_ms: u64,
    bytes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: BTreeMap<Arc<[u8]>, Entry>,
    /// By when they were used last.
    order: BTreeMap<u64, Arc<[u8]>>,
    /// What is being asked for.
    pub(super) leases: HashMap<Arc<[u8]>, watch::Receiver<Progress>>,
    /// What was waited for in vain, until when that is known.
    in_vain: HashMap<Arc<[u8]>, u64>,
}

/// What is kept of a route.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Answers.
    pub answers: usize,
    /// Bytes.
    pub bytes: usize,
}

/// All that is kept.
#[derive(Debug)]
pub struct Store {
    shelves: [Mutex<Shelf>; SHELVES],
    /// When the first in each shelf's order was used.
    oldest: [AtomicU64; SHELVES],
    stamps: Box<[AtomicU32]>,
    all: AtomicU32,
    most: AtomicUsize,
    bytes: AtomicUsize,
    answers: AtomicUsize,
    evicted: AtomicU64,
    uses: AtomicU64,
    /// Tags of routes that are in force.
    tags: Mutex<Vec<u64>>,
    /// Bytes of answers that are on their way here.
    pub(super) coming: AtomicUsize,
    /// Bytes of bodies that are kept, or that clients are still given though they had to make room.
    alive: Arc<AtomicUsize>,
    /// Answers that are asked for anew beside all requests.
    pub(super) refreshing: AtomicUsize,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            shelves: Default::default(),
            oldest: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
            stamps: (0..STAMPS).map(|_| AtomicU32::new(0)).collect(),
            all: AtomicU32::new(0),
            most: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            answers: AtomicUsize::new(0),
            evicted: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            tags: Mutex::default(),
            coming: AtomicUsize::new(0),
            alive: Arc::default(),
            refreshing: AtomicUsize::new(0),
        }
    }
}

impl Store {
    pub(super) fn shelf(&self, place: Place) -> MutexGuard<'_, Shelf> {
        self.lock(place.shelf())
    }

    fn lock(&self, shelf: usize) -> MutexGuard<'_, Shelf> {
        self.shelves[shelf].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// A body that counts for as long as anybody has it.
    pub(super) fn body(&self, bytes: Vec<u8>) -> Bytes {
        self.alive.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Body { bytes, alive: Arc::clone(&self.alive) })
    }

    /// Bytes that all may take.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// What all take now.
    pub fn fill(&self) -> Fill {
        Fill { answers: self.answers.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Answers that had to make room so far.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Puts a bound in force, and the tags of the routes whose answers are kept; others' go.
    pub fn apply(&self, most: usize, tags: &[u64]) {
        self.most.store(most, Ordering::Relaxed);
        *self.tags.lock().unwrap_or_else(PoisonError::into_inner) = tags.to_vec();
        // What is on its way from before is not kept: it may be a gone route's.
        self.all.fetch_add(1, Ordering::AcqRel);
        self.remove_where(|tag, _, _| !tags.contains(&tag));
        self.make_room();
    }

    /// The stamp for what is asked for from now on.
    pub fn stamp(&self, place: Place) -> Stamp {
        Stamp { of_uri: self.stamps[place.stamp()].load(Ordering::Acquire), of_all: self.all.load(Ordering::Acquire) }
    }

    /// Looks for an answer of which this is true, the newest first.
    pub fn find(&self, (key, place): (&[u8], Place), now_ms: u64, is_it: impl Fn(&Stored) -> bool) -> Found {
        let mut shelf = self.shelf(place);
        let Some(entry) = shelf.entries.get_mut(key) else { return Found::Nothing };
        let Some(it) = entry.answers.iter().rev().find(|stored| is_it(stored)).map(Arc::clone) else {
            return Found::Others;
        };
        if now_ms.saturating_sub(entry.used_ms) >= JUST_NOW {
            let (used, before) = (self.next_use(), entry.used);
            (entry.used, entry.used_ms) = (used, now_ms);
            let key = Arc::clone(&entry.key);
            shelf.order.remove(&before);
            shelf.order.insert(used, key);
            self.note_oldest(place.shelf(), &shelf);
        }
        Found::It(it)
    }

    fn note_oldest(&self, at: usize, shelf: &Shelf) {
        let oldest = shelf.order.keys().next().copied().unwrap_or(u64::MAX);
        self.oldest[at].store(oldest, Ordering::Relaxed);
    }

    /// Keeps an answer, in place of those of which `replaces` is true. False where it is too large, its route is gone,
    /// or what it is about was invalidated after it had been asked for.
    pub fn put(&self, parcel: &Parcel<'_>, stored: Stored, replaces: impl Fn(&Stored) -> bool) -> bool {
        let is_known = key::read(parcel.key)
            .is_some_and(|(tag, _)| self.tags.lock().unwrap_or_else(PoisonError::into_inner).contains(&tag));
        let (now_ms, bytes) = (stored.came_ms, stored.bytes());
        // The key stands once, for all that refer to it.
        let names = parcel.key.len() + parcel.path.map_or(0, str::len);
        if !is_known || bytes + names > self.most() {
            return false;
        }
        // Clients that take their time hold what had to make room: nothing more is kept before they have let go of it.
        if self.alive.load(Ordering::Relaxed) > self.most().saturating_mul(2) {
            return false;
        }
        let mut shelf = self.shelf(parcel.place);
        // Within the lock: who invalidates changes the stamp first, and looks here then.
        if self.stamp(parcel.place) != parcel.stamp {
            return false;
        }
        if !shelf.entries.contains_key(parcel.key) {
            let (key, used): (Arc<[u8]>, u64) = (parcel.key.into(), self.next_use());
            self.bytes.fetch_add(names, Ordering::Relaxed);
            let entry = Entry {
                key: Arc::clone(&key),
                path: parcel.path.map(Box::from),
                answers: SmallVec::new(),
                used,
                used_ms: now_ms,
                bytes: names,
            };
            shelf.order.insert(used, Arc::clone(&key));
            shelf.entries.insert(key, entry);
        }
        let Some(entry) = shelf.entries.get_mut(parcel.key) else { return false };
        self.drop_answers(entry, replaces);
        while entry.answers.len() >= parcel.variants.max(1) {
            let gone = entry.answers.remove(0);
            self.forget(entry, &gone);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        entry.answers.push(Arc::new(stored));
        entry.bytes += bytes;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.note_oldest(parcel.place.shelf(), &shelf);
        drop(shelf);
        self.make_room();
        true
    }

    fn drop_answers(&self, entry: &mut Entry, goes: impl Fn(&Stored) -> bool) {
        let mut at = 0;
        while at < entry.answers.len() {
            if goes(&entry.answers[at]) {
                let gone = entry.answers.remove(at);
                self.forget(entry, &gone);
            } else {
                at += 1;
            }
        }
    }

    fn forget(&self, entry: &mut Entry, gone: &Stored) {
        let bytes = gone.bytes();
        entry.bytes = entry.bytes.saturating_sub(bytes);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.answers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes an entry away; how many answers it held.
    fn take_away(&self, at: usize, shelf: &mut Shelf, key: &[u8]) -> usize {
        let Some(entry) = shelf.entries.remove(key) else { return 0 };
        shelf.order.remove(&entry.used);
        self.bytes.fetch_sub(entry.bytes, Ordering::Relaxed);
        self.answers.fetch_sub(entry.answers.len(), Ordering::Relaxed);
        self.note_oldest(at, shelf);
        entry.answers.len()
    }

    /// Lets go of what was not used for longest, until all is within the bound.
    fn make_room(&self) {
        while self.bytes.load(Ordering::Relaxed) > self.most() {
            let oldest = self.oldest.iter().map(|oldest| oldest.load(Ordering::Relaxed)).enumerate();
            let Some((at, _)) = oldest.filter(|(_, used)| *used != u64::MAX).min_by_key(|(_, used)| *used) else {
                return;
            };
            let mut shelf = self.lock(at);
            let Some(key) = shelf.order.values().next().map(Arc::clone) else {
                self.note_oldest(at, &shelf);
                continue;
            };
            let gone = self.take_away(at, &mut shelf, &key);
            self.evicted.fetch_add(gone as u64, Ordering::Relaxed);
        }
    }

    /// Takes those away of which this is true: what has been answered since in another way.
    pub fn remove(&self, (key, place): (&[u8], Place), goes: impl Fn(&Stored) -> bool) {
        let mut shelf = self.shelf(place);
        let Some(entry) = shelf.entries.get_mut(key) else { return };
        self.drop_answers(entry, goes);
        if entry.answers.is_empty() {
            self.take_away(place.shelf(), &mut shelf, key);
        }
    }

    /// Those of which this is true are stale from now on.
    pub fn outdate(&self, (key, place): (&[u8], Place), now_ms: u64, are_so: impl Fn(&Stored) -> bool) {
        let mut shelf = self.shelf(place);
        let Some(entry) = shelf.entries.get_mut(key) else { return };
        entry.answers.iter_mut().filter(|stored| are_so(stored)).for_each(|stored| {
            *stored = Arc::new(stored.outdated(now_ms));
        });
    }

    /// Takes away all that is kept of a URI, and what is on its way.
    pub fn invalidate(&self, key: &Key) -> usize {
        let place = Place::of(key);
        self.stamps[place.stamp()].fetch_add(1, Ordering::AcqRel);
        let mut shelf = self.shelf(place);
        let from = (Bound::Included(key.uri()), Bound::Unbounded);
        let keys: Vec<Arc<[u8]>> = shelf
            .entries
            .range::<[u8], _>(from)
            .map(|(kept, _)| kept)
            .take_while(|kept| kept.starts_with(key.uri()))
            .map(Arc::clone)
            .collect();
        keys.iter().map(|kept| self.take_away(place.shelf(), &mut shelf, kept)).sum()
    }

    /// Takes away what is kept of a route, and what is on its way to any: all of it, or where this is true of the path
    /// that was sent or asked for. How many answers went.
    pub fn purge(&self, tag: u64, is_it: impl Fn(&str) -> bool) -> usize {
        self.all.fetch_add(1, Ordering::AcqRel);
        self.remove_where(|own, target, asked| {
            let sent = std::str::from_utf8(target).unwrap_or("");
            let sent = sent.split_once('?').map_or(sent, |(path, _)| path);
            own == tag && (is_it(sent) || asked.is_some_and(&is_it))
        })
    }

    fn remove_where(&self, goes: impl Fn(u64, &[u8], Option<&str>) -> bool) -> usize {
        let mut gone = 0;
        for at in 0..SHELVES {
            let mut shelf = self.lock(at);
            let is_to_go = |entry: &&Entry| {
                key::read(&entry.key).is_none_or(|(tag, target)| goes(tag, target, entry.path.as_deref()))
            };
            let keys: Vec<Arc<[u8]>> =
                shelf.entries.values().filter(is_to_go).map(|entry| Arc::clone(&entry.key)).collect();
            gone += keys.iter().map(|key| self.take_away(at, &mut shelf, key)).sum::<usize>();
        }
        gone
    }

    /// What is kept of each tag.
    pub fn by_tag(&self) -> HashMap<u64, Fill> {
        let mut all: HashMap<u64, Fill> = HashMap::new();
        for at in 0..SHELVES {
            for entry in self.lock(at).entries.values() {
                if let Some((tag, _)) = key::read(&entry.key) {
                    let fill = all.entry(tag).or_default();
                    (fill.answers, fill.bytes) = (fill.answers + entry.answers.len(), fill.bytes + entry.bytes);
                }
            }
        }
        all
    }

    /// A lease on this key, or what whoever holds it has come to so far. `None`: what comes is nobody else's, as was
    /// found out a moment ago.
    pub fn lease(self: &Arc<Self>, (key, place): (&[u8], Place), now_ms: u64) -> Option<Leased> {
        let mut shelf = self.shelf(place);
        if let Some(under_way) = shelf.leases.get(key) {
            return Some(Leased::ByAnother(under_way.clone()));
        }
        match shelf.in_vain.get(key) {
            Some(until) if now_ms < *until => return None,
            Some(_) => drop(shelf.in_vain.remove(key)),
            None => {}
        }
        let (lease, under_way) = Lease::new(self, key, place);
        shelf.leases.insert(Arc::clone(lease.key()), under_way);
        Some(Leased::Taken(lease))
    }

    /// The lease is over; `in_vain`: others waited for what they were not given.
    pub(super) fn release(&self, (key, place): (&Arc<[u8]>, Place), in_vain: Option<u64>) {
        let mut shelf = self.shelf(place);
        shelf.leases.remove(key);
        if let Some(now_ms) = in_vain {
            if shelf.in_vain.len() >= MOST_IN_VAIN {
                shelf.in_vain.clear();
            }
            shelf.in_vain.insert(Arc::clone(key), now_ms + IN_VAIN);
        }
    }
}

#[cfg(test)]
mod tests;
