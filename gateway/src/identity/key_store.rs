//! Keys that are fetched: what requests use of them, and how they ask for more.
//!
//! Requests read; one task on the control runtime (`key_keeper.rs`) writes. A request whose key is missing waits for
//! the next fetch, within bounds: so many may wait, for so long, and a key that was not there after a fetch is not
//! waited for again until another is allowed. Until then a few names are waited for and no more: an issuer does not
//! begin with many keys at once, and who invents names does. While the last fetch brought nothing nobody waits at all:
//! a request only asks for the next one.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::RandomState;
use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::turns::Waiter;
use crate::config::settings::identity::FetchedKeys;
use crate::jws::KeySet;

/// Requests that may wait for keys at once.
const MAX_WAITING: u32 = 256;
/// Names of missing keys that are remembered between two fetches.
const MAX_MISSING: usize = 1024;
/// Names of missing keys that are waited for until a fetch may begin.
const MAX_AWAITED: usize = 8;
/// The longest that a request waits until a fetch may begin.
const MAX_WAIT: Duration = Duration::from_secs(6);
/// The longest that one fetch takes.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Keys that should have been fetched again so long ago, and could not be, are used no more (security.md, H10).
pub(super) const MAX_STALE: Duration = Duration::from_secs(24 * 3600);

/// Keys that were fetched.
pub(super) struct Fetched {
    /// Ready to be used.
    pub(super) set: KeySet,
    /// Each as text, to tell which are new and which are gone.
    pub(super) jwks: BTreeSet<String>,
    /// When.
    pub(super) at: Instant,
}

/// A fetch that has ended.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    /// Its number, from 1.
    number: u64,
    /// When it began.
    began: Option<Instant>,
}

/// A source of keys, and what was fetched from it.
pub(super) struct KeyStore {
    /// Where from, and how often.
    pub(super) source: FetchedKeys,
    current: ArcSwapOption<Fetched>,
    /// Counts up whenever a key is taken back.
    number: AtomicU64,
    /// Wakes the keeper: somebody needs a key, or nobody needs the store any more.
    pub(super) wake: Arc<Notify>,
    /// The last fetch that has ended, well or not.
    rounds: watch::Sender<Round>,
    waiting: AtomicU32,
    /// Somebody needed a key since the last fetch began, and did not wait for it.
    is_wanted: AtomicBool,
    /// When the last fetch began.
    began: Mutex<Option<Instant>>,
    /// It has not ended yet.
    is_fetching: AtomicBool,
    /// The last one that ended brought nothing.
    is_failing: AtomicBool,
    /// Why not.
    failure: Mutex<Option<String>>,
    /// After which round these were not there.
    missing: Mutex<(u64, HashSet<u64>)>,
    /// After which round these are waited for, before the next may begin.
    awaited: Mutex<(u64, HashSet<u64>)>,
    hasher: RandomState,
    kept: AtomicBool,
}

impl KeyStore {
    pub(super) fn new(source: FetchedKeys) -> Self {
        Self {
            source,
            current: ArcSwapOption::empty(),
            number: AtomicU64::new(0),
            wake: Arc::default(),
            rounds: watch::Sender::default(),
            waiting: AtomicU32::new(0),
            is_wanted: AtomicBool::new(false),
            began: Mutex::default(),
            is_fetching: AtomicBool::new(false),
            is_failing: AtomicBool::new(false),
            failure: Mutex::default(),
            missing: Mutex::default(),
            awaited: Mutex::default(),
            hasher: RandomState::new(),
            kept: AtomicBool::new(false),
        }
    }

    /// One of the same place as `before`, with other times: its keys are in force from the start.
    pub(super) fn after(before: &Self, source: FetchedKeys) -> Self {
        let mut store = Self::new(source);
        store.current = ArcSwapOption::new(before.keys());
        store.number = AtomicU64::new(before.number());
        store.began = Mutex::new(*before.began.lock().unwrap_or_else(PoisonError::into_inner));
        store.is_failing = AtomicBool::new(before.is_failing());
        store.failure = Mutex::new(before.failure());
        store
    }

    /// The keys, where there are some.
    pub(super) fn keys(&self) -> Option<Arc<Fetched>> {
        self.current.load_full()
    }

    /// The number of the keys: another one once a key is taken back.
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Whether this caller is the one who is to keep it fresh.
    pub(super) fn claim(&self) -> bool {
        !self.kept.swap(true, Ordering::Relaxed)
    }

    /// Whether somebody needs keys that are not there.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.is_wanted.load(Ordering::Relaxed)
    }

    /// Puts keys in force, or takes them away. What was verified with a key that is gone is verified anew: first the
    /// keys change, then their number, so that nothing verified with old keys has the new number.
    pub(super) fn put(&self, fetched: Option<Fetched>) {
        let fetched = fetched.map(Arc::new);
        let before = self.current.swap(fetched.clone());
        let gone = before.is_some_and(|before| match &fetched {
            Some(fetched) => !before.jwks.is_subset(&fetched.jwks),
            None => true,
        });
        if gone {
            self.number.fetch_add(1, Ordering::Release);
        }
    }

    /// Takes the keys away where nobody has vouched for them for too long.
    pub(super) fn let_go_of_stale(&self, now: Instant) {
        let lasts = self.source.refresh + MAX_STALE;
        if self.keys().is_some_and(|keys| now.saturating_duration_since(keys.at) > lasts) {
            self.put(None);
        }
    }

    /// Why the last fetch brought nothing, if it did not.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps why a fetch brought nothing, or that it did.
    pub(super) fn note(&self, failure: Option<&str>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure.map(str::to_owned);
    }

    /// A fetch begins.
    pub(super) fn begin(&self, now: Instant) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.is_fetching.store(true, Ordering::Relaxed);
        self.is_wanted.store(false, Ordering::Relaxed);
    }

    /// How long no fetch may begin for a missing key; one that is under way is as good. The first one of all was for no
    /// missing key (`key_schedule.rs`).
    fn cooling(&self, round: u64, now: Instant) -> Duration {
        if self.is_fetching.load(Ordering::Relaxed) || (round == 1 && !self.is_failing()) {
            return Duration::ZERO;
        }
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.map_or(Duration::ZERO, |began| (began + self.source.cooldown).saturating_duration_since(now))
    }

    /// A fetch has ended, and brought a key set or not.
    pub(super) fn end_round(&self, failed: bool) {
        self.is_fetching.store(false, Ordering::Relaxed);
        self.is_failing.store(failed, Ordering::Relaxed);
        if !failed {
            // Who came during the fetch has what it brought.
            self.is_wanted.store(false, Ordering::Relaxed);
        }
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        self.rounds.send_modify(|round| *round = Round { number: round.number + 1, began });
    }

    /// Whether the last fetch brought nothing.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Waits for the next fetch, where it may bring the key of this name. Not for a server that failed a moment ago: it
    /// is asked again as soon as it may be, and until it answers nobody waits for it a second time.
    pub(super) async fn fetched_again(&self, kid: &[u8], now: Instant) -> Looked {
        let mut rounds = self.rounds.subscribe();
        let round = rounds.borrow_and_update().number;
        // After the round was looked at: one that ends in between is waited for by nobody.
        if self.is_failing() {
            self.is_wanted.store(true, Ordering::Relaxed);
            self.wake.notify_one();
            return Looked::Unable;
        }
        let hash = self.hasher.hash_one(kid);
        let cooling = self.cooling(round, now);
        let is_missing = !cooling.is_zero() && self.is_missing(round, hash);
        if !self.kept.load(Ordering::Relaxed) || is_missing || cooling > MAX_WAIT {
            return Looked::Enough;
        }
        if !cooling.is_zero() && !self.may_await(round, hash) {
            // One of them may be a key that its issuer has just begun to use, and nobody has asked about it.
            self.is_wanted.store(true, Ordering::Relaxed);
            self.wake.notify_one();
            return Looked::Unable;
        }
        let Some(_waits) = Waiter::join_below(&self.waiting, MAX_WAITING) else { return Looked::Unable };
        self.wake.notify_one();
        // A fetch that is under way, and then one of discovery's two halves after the other.
        match tokio::time::timeout(cooling + 3 * FETCH_TIMEOUT, rounds.changed()).await {
            Ok(Ok(())) => Looked::Again { began: rounds.borrow().began },
            Ok(Err(_)) | Err(_) => Looked::Unable,
        }
    }

    /// Whether this key was not there after the last fetch.
    fn is_missing(&self, round: u64, hash: u64) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.0 == round && missing.1.contains(&hash)
    }

    /// After a fetch this key was still not there.
    pub(super) fn not_there(&self, kid: &[u8]) {
        let round = self.rounds.borrow().number;
        note(&self.missing, round, self.hasher.hash_one(kid), MAX_MISSING);
    }

    /// Whether this key is one of the few that are waited for after this round.
    fn may_await(&self, round: u64, hash: u64) -> bool {
        note(&self.awaited, round, hash, MAX_AWAITED)
    }
}

/// Notes a name beside the others of a round, of which there are so many at most. Whether it is one of them.
fn note(names: &Mutex<(u64, HashSet<u64>)>, round: u64, hash: u64, most: usize) -> bool {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.0 != round {
        *names = (round, HashSet::new());
    }
    let has_room = names.1.len() < most;
    names.1.contains(&hash) || (has_room && names.1.insert(hash))
}

impl Drop for KeyStore {
    fn drop(&mut self) {
        // So that its keeper ends.
        self.wake.notify_one();
    }
}

/// Whether a key that was missing has been looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// A fetch has ended that began then, and brought a key set or not.
    Again { began: Option<Instant> },
    /// It has been before, or is not worth it: what is known counts.
    Enough,
    /// Nobody can say now: its server failed a moment ago, or too many wait already.
    Unable,
}
