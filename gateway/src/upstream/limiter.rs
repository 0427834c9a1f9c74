//! An endpoint's adaptive limit, shared by all workers: the pure limit behind a lock, and what a pick reads beside it.
//!
//! Counted is who waits for an answer's head. A stream that runs for an hour takes no place in the endpoint's queue,
//! nor does a request whose client is still sending.
//! A pick reads two atomics and takes a place; an answer takes the lock for some tens of instructions.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::in_flight::{InFlight, Permit};
use crate::algorithms::adaptive_limit::{AdaptiveLimit, End, Look};
use crate::algorithms::criticality::Criticality;

/// In place of a limit: none.
const NONE: u32 = u32::MAX;

/// The adaptive limit of one endpoint. It outlives configuration.
#[derive(Debug)]
pub struct Limiter {
    /// The limit in force.
    limit: AtomicU32,
    /// When time alone changes something: nanoseconds since `epoch`.
    due: AtomicU64,
    epoch: Instant,
    /// A request has met the limit since it was last moved.
    refused: AtomicBool,
    waiting: Arc<InFlight>,
    machine: Mutex<AdaptiveLimit>,
}

impl Limiter {
    /// Nothing is known, nothing is limited.
    pub fn new(now: Instant) -> Self {
        let machine = AdaptiveLimit::new(now);
        let limiter = Self {
            limit: AtomicU32::new(NONE),
            due: AtomicU64::new(0),
            epoch: now,
            refused: AtomicBool::new(false),
            waiting: Arc::default(),
            machine: Mutex::new(machine),
        };
        limiter.change(|_| ());
        limiter
    }

    /// Whether a request of this class would find a place. One that does not has met the limit.
    #[inline]
    pub(super) fn has_room(&self, class: Criticality, highest: Criticality, now: Instant) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        let has_room = limit == NONE || self.waiting.count() < class.places(limit, highest);
        if !has_room {
            self.refused(now);
        }
        has_room
    }

    /// Takes a place, if there is one.
    #[inline]
    pub(super) fn enter(&self, class: Criticality, highest: Criticality, now: Instant) -> Option<Permit> {
        if self.epoch + Duration::from_nanos(self.due.load(Ordering::Relaxed)) <= now {
            self.tick(now);
        }
        let limit = self.limit.load(Ordering::Relaxed);
        let places = if limit == NONE { NONE } else { class.places(limit, highest) };
        self.waiting.try_enter(places)
    }

    /// A place for a request that had one before it waited for its client.
    pub(super) fn come_back(&self) -> Permit {
        self.waiting.enter()
    }

    /// A request found no place.
    fn refused(&self, now: Instant) {
        self.refused.store(true, Ordering::Relaxed);
        if self.epoch + Duration::from_nanos(self.due.load(Ordering::Relaxed)) <= now {
            self.tick(now);
        }
    }

    /// An attempt that held this place has come to its end.
    #[inline]
    pub(super) fn settle(&self, place: Permit, end: End, took: Duration, now: Instant) {
        drop(place);
        let (waiting, refused) = (self.waiting.count(), self.refused.swap(false, Ordering::Relaxed));
        self.change(|machine| machine.settle(now, end, took, waiting, refused));
    }

    /// How it stands, and how many wait.
    pub fn look(&self) -> (Look, u32) {
        (self.machine.lock().unwrap_or_else(PoisonError::into_inner).look(), self.waiting.count())
    }

    #[cold]
    fn tick(&self, now: Instant) {
        let (waiting, refused) = (self.waiting.count(), self.refused.swap(false, Ordering::Relaxed));
        self.change(|machine| machine.tick(now, waiting, refused));
    }

    fn change(&self, change: impl FnOnce(&mut AdaptiveLimit)) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut machine);
        let due = machine.due().saturating_duration_since(self.epoch).as_nanos();
        self.due.store(u64::try_from(due).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.limit.store(machine.limit().unwrap_or(NONE), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: Criticality = Criticality::Normal;

    #[test]
    fn places_are_given_back_and_a_limit_is_exact() {
        #[expect(clippy::disallowed_methods, reason = "an origin for a time that is moved by hand")]
        let zero = Instant::now();
        let at = |ms: u64| zero + Duration::from_millis(ms);
        let limiter = Limiter::new(zero);
        // Answers take 10 ms, so that there is a base; then a hundred wait and nothing comes.
        for ms in 1..200 {
            let place = limiter.enter(NORMAL, NORMAL, at(ms)).unwrap();
            limiter.settle(place, End::Answered, Duration::from_millis(10), at(ms));
        }
        let mut waiting: Vec<Permit> =
            (0..100).map(|ms| limiter.enter(NORMAL, NORMAL, at(200 + ms)).unwrap()).collect();
        waiting.extend((300..900).step_by(50).filter_map(|ms| limiter.enter(NORMAL, NORMAL, at(ms))));
        assert!(!limiter.has_room(NORMAL, NORMAL, at(900)), "there is a limit, and it is met");
        assert!(limiter.enter(NORMAL, NORMAL, at(901)).is_none());
        let (look, count) = limiter.look();
        assert!(look.limit.is_some_and(|limit| limit <= count), "{look:?}, {count} wait");
        waiting.clear();
        assert_eq!(limiter.look().1, 0);
        let limit = limiter.look().0.limit.unwrap();
        let low = Criticality::Low.places(limit, NORMAL);
        let taken: Vec<Permit> = std::iter::from_fn(|| limiter.enter(Criticality::Low, NORMAL, at(902))).collect();
        assert_eq!(taken.len(), low as usize, "the less critical has fewer places");
        assert!(limiter.enter(NORMAL, NORMAL, at(902)).is_some());
    }
}
