//! Where one endpoint stands: its breaker, its place in balancing, and since when.
//!
//! It belongs to the endpoint and outlives configuration. Beside the endpoint's own there is one for each route that
//! has a breaker of its own.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::Guard;
use crate::algorithms::breaker::{Cause, Policy, State, Transition};
use crate::algorithms::ejection::Place;

/// No time.
const NEVER: u64 = 0;

/// One endpoint's standing.
#[derive(Debug)]
pub struct Standing {
    /// Its breaker.
    pub guard: Guard,
    place: AtomicU8,
    /// Since when it is troubled, nanoseconds of the monotonic clock; `NEVER` while it is not.
    troubled_since: AtomicU64,
    /// When it came, or came back, into a set that was in use: nanoseconds of the monotonic clock, or `NEVER`.
    returned: AtomicU64,
    trips: [AtomicU64; Cause::ALL.len()],
    last: Mutex<Last>,
}

/// What happened last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Last {
    /// The last change of state.
    pub change: Option<Transition>,
    /// The last trip.
    pub trip: Option<Transition>,
}

impl Standing {
    /// A standing without a stain.
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            guard: Guard::new(policy, now),
            place: AtomicU8::new(Place::In as u8),
            troubled_since: AtomicU64::new(NEVER),
            returned: AtomicU64::new(NEVER),
            trips: Default::default(),
            last: Mutex::default(),
        }
    }

    /// Its place in balancing.
    #[inline]
    pub fn place(&self) -> Place {
        match self.place.load(Ordering::Relaxed) {
            0 => Place::In,
            1 => Place::Ejected,
            _ => Place::Capped,
        }
    }

    /// Gives it a place; the one that it had.
    pub(super) fn move_to(&self, place: Place) -> Place {
        let before = self.place();
        self.place.store(place as u8, Ordering::Relaxed);
        before
    }

    /// Since when it is troubled, if it is. `now_ns` is a time of the monotonic clock, which all standings share.
    pub(super) fn troubled_since(&self, is_troubled: bool, now_ns: u64) -> u64 {
        let since = match self.troubled_since.load(Ordering::Relaxed) {
            _ if !is_troubled => NEVER,
            NEVER => now_ns.max(1),
            since => since,
        };
        self.troubled_since.store(since, Ordering::Relaxed);
        since
    }

    /// Since when it is troubled, nanoseconds of the monotonic clock; `None` while it is not.
    pub fn trouble(&self) -> Option<u64> {
        Some(self.troubled_since.load(Ordering::Relaxed)).filter(|since| *since != NEVER)
    }

    /// Whether nothing keeps requests from it.
    pub(super) fn is_well(&self) -> bool {
        self.place() == Place::In && self.guard.is_closed()
    }

    /// It takes requests from now on, and did not before.
    pub(super) fn set_returned(&self, now_ns: u64) {
        self.returned.store(now_ns.max(1), Ordering::Relaxed);
    }

    /// When it came, or came back.
    pub(super) fn returned(&self) -> Option<u64> {
        Some(self.returned.load(Ordering::Relaxed)).filter(|returned| *returned != NEVER)
    }

    /// How long it has been taking requests, where it did not always.
    pub(super) fn age(&self, now_ns: u64) -> Option<Duration> {
        self.returned().map(|returned| Duration::from_nanos(now_ns.saturating_sub(returned)))
    }

    /// Keeps a change of state in mind.
    pub(super) fn remember(&self, change: &Transition) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.change = Some(*change);
        if change.from == State::Closed {
            last.trip = Some(*change);
            self.trips[change.cause as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What happened last.
    pub fn last(&self) -> Last {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it tripped, by cause: those for which it may trip, though it never did, and those for which it did.
    pub fn trips(&self) -> impl Iterator<Item = (Cause, u64)> {
        let policy = self.guard.policy();
        let counted = |cause: Cause| (cause, self.trips[cause as usize].load(Ordering::Relaxed));
        Cause::ALL.into_iter().map(counted).filter(move |(cause, count)| *count > 0 || policy.trips_for(*cause))
    }
}
