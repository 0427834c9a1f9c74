//! The ring of events and those who follow it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::event::{Event, Stamped};
use super::kind::{Kind, Kinds};
use crate::telemetry::told::Voice;

/// Events that are kept: a follower that takes turns of a second misses none of 30,000 attempts a second. Memory is
/// taken as events come.
const KEPT: usize = 32_768;

/// Events that a follower takes at once, so that it never holds the lock for longer than some microseconds.
const BATCH: usize = 256;

/// The events of a process.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    /// How many followers ask for each kind that is reported on demand.
    asked: [AtomicU32; Kind::ALL.len()],
    missed: AtomicU64,
    changed: watch::Sender<u64>,
    /// Where goes what is said of them beside.
    voice: Voice,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Stamped>>,
    /// The number of the last event.
    last: u64,
    capacity: usize,
}

impl Ring {
    fn push(&mut self, event: Arc<Stamped>) -> u64 {
        self.last = event.seq;
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(event);
        self.last
    }

    /// The number of the oldest event that is kept; the next one's where there is none.
    fn oldest(&self) -> u64 {
        self.last + 1 - self.events.len() as u64
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::with_capacity(KEPT)
    }
}

impl Events {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            ring: Mutex::new(Ring { capacity, ..Ring::default() }),
            asked: Default::default(),
            missed: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            voice: Voice::default(),
        }
    }

    /// None yet, of a gateway that speaks so.
    pub fn of(voice: Voice) -> Self {
        Self { voice, ..Self::default() }
    }

    /// Where goes what is said of events beside.
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Whether an event of this kind is of use to anybody. Ask before making one of a frequent kind.
    #[inline]
    pub fn wants(&self, kind: Kind) -> bool {
        !kind.is_frequent() || self.asked[kind as usize].load(Ordering::Relaxed) > 0
    }

    /// Reports an event that happened at this time of the machine's monotonic clock.
    pub fn report(&self, ts_ns: u64, event: Event) {
        if !self.wants(event.kind()) {
            return;
        }
        let last = {
            let mut ring = self.lock();
            let seq = ring.last + 1;
            ring.push(Arc::new(Stamped { seq, ts_ns, event }))
        };
        // Two reporters may come here in the other order; the number never goes back.
        self.changed.send_modify(|known| *known = last.max(*known));
    }

    /// Events that some follower was too slow for.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Follows these kinds from the event after number `after`; `None` is from now on.
    pub fn follow(self: &Arc<Self>, kinds: Kinds, after: Option<u64>) -> Follower {
        for kind in kinds.frequent() {
            self.asked[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        let changed = self.changed.subscribe();
        let last = self.lock().last;
        // A number of another process' life is no place in this ring.
        let next = after.map_or(last, |after| after.min(last)) + 1;
        Follower { events: Arc::clone(self), kinds, next, changed }
    }

    /// Follows these kinds, beginning with the last `count` of them that are kept.
    pub fn follow_last(self: &Arc<Self>, kinds: Kinds, count: usize) -> Follower {
        let mut follower = self.follow(kinds, None);
        let ring = self.lock();
        let of_kind = ring.events.iter().rev().filter(|event| follower.kinds.has(event.event.kind()));
        if let Some(first) = of_kind.take(count).last() {
            follower.next = follower.next.min(first.seq);
        }
        drop(ring);
        follower
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads events in their order.
#[derive(Debug)]
pub struct Follower {
    events: Arc<Events>,
    kinds: Kinds,
    /// The number of the next event to look at.
    next: u64,
    changed: watch::Receiver<u64>,
}

/// What a follower gets at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events that were overwritten before this follower came to them, of any kind.
    pub missed: u64,
    /// The events, oldest first.
    pub events: Vec<Arc<Stamped>>,
}

impl Follower {
    /// The next events; waits until there are some. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Batch {
        loop {
            let batch = self.take();
            if batch.missed > 0 || !batch.events.is_empty() {
                return batch;
            }
            if self.changed.wait_for(|last| *last >= self.next).await.is_err() {
                // The sender lives in `events`, which this holds.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is there now, which may be nothing of interest.
    pub(super) fn take(&mut self) -> Batch {
        let mut batch = Batch::default();
        let ring = self.events.lock();
        let oldest = ring.oldest();
        batch.missed = oldest.saturating_sub(self.next);
        self.next = self.next.max(oldest);
        // At most a ring's length, which fits.
        let skip = (self.next - oldest) as usize;
        for event in ring.events.iter().skip(skip).take(BATCH) {
            self.next = event.seq + 1;
            if self.kinds.has(event.event.kind()) {
                batch.events.push(Arc::clone(event));
            }
        }
        drop(ring);
        self.events.missed.fetch_add(batch.missed, Ordering::Relaxed);
        batch
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for kind in self.kinds.frequent() {
            self.events.asked[kind as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::RequestId;
    use crate::telemetry::metrics::AttemptOutcome;

    fn attempt() -> Event {
        let (upstream, endpoint) = (Arc::from("u"), Arc::from("e"));
        let request_id = RequestId::mint([1, 2]);
        Event::Attempt {
            request_id,
            upstream,
            endpoint,
            start_ns: 1,
            end_ns: 2,
            outcome: AttemptOutcome::Ok,
            status: None,
            key: 0,
        }
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.events.iter().map(|event| event.seq).collect()
    }

    #[tokio::test]
    async fn a_follower_sees_what_comes_after_it_in_order() {
        let events = Arc::new(Events::default());
        events.report(1, Event::Drain);
        let mut follower = events.follow(Kinds::rare(), None);
        let mut from_the_start = events.follow(Kinds::rare(), Some(0));
        events.report(2, Event::Drain);
        events.report(3, Event::Drain);
        assert_eq!(numbers(&follower.next().await), [2, 3]);
        assert_eq!(numbers(&from_the_start.next().await), [1, 2, 3]);
        let later = tokio::spawn(async move { numbers(&follower.next().await) });
        tokio::task::yield_now().await;
        events.report(4, Event::Drain);
        assert_eq!(later.await.unwrap(), [4]);
    }

    #[tokio::test]
    async fn a_follower_may_begin_with_the_last_few_of_its_kinds() {
        let events = Arc::new(Events::default());
        let _asks = events.follow([Kind::Attempt].into_iter().collect(), None);
        for ts in 0..4 {
            events.report(ts, Event::Drain);
            events.report(ts, attempt());
        }
        assert_eq!(numbers(&events.follow_last(Kinds::rare(), 2).next().await), [5, 7]);
        assert_eq!(numbers(&events.follow_last(Kinds::rare(), 100).next().await), [1, 3, 5, 7]);
        assert!(events.follow_last(Kinds::rare(), 0).take().events.is_empty());
    }

    #[tokio::test]
    async fn a_slow_follower_loses_the_oldest_and_is_told_how_many() {
        let events = Arc::new(Events::with_capacity(4));
        let mut follower = events.follow(Kinds::rare(), None);
        for ts in 0..10 {
            events.report(ts, Event::Drain);
        }
        let batch = follower.next().await;
        assert_eq!((batch.missed, numbers(&batch)), (6, vec![7, 8, 9, 10]));
        assert_eq!(events.missed(), 6);
    }

    #[tokio::test]
    async fn a_frequent_kind_is_reported_only_while_somebody_asks() {
        let events = Arc::new(Events::default());
        assert!(!events.wants(Kind::Attempt) && events.wants(Kind::Drain));
        events.report(1, attempt());
        let mut follower = events.follow([Kind::Attempt].into_iter().collect(), Some(0));
        assert!(events.wants(Kind::Attempt));
        events.report(2, Event::Drain);
        events.report(3, attempt());
        let batch = follower.next().await;
        assert_eq!(batch.events.iter().map(|event| event.ts_ns).collect::<Vec<_>>(), [3], "not the one before it");
        drop(follower);
        assert!(!events.wants(Kind::Attempt));
    }

    #[tokio::test]
    async fn a_place_beyond_the_last_event_is_now() {
        let events = Arc::new(Events::default());
        events.report(1, Event::Drain);
        let mut follower = events.follow(Kinds::rare(), Some(900));
        events.report(2, Event::Drain);
        assert_eq!(numbers(&follower.next().await), [2]);
    }

    #[tokio::test]
    async fn more_than_a_batch_comes_in_several() {
        let events = Arc::new(Events::default());
        let mut follower = events.follow(Kinds::rare(), None);
        for ts in 0..BATCH as u64 + 5 {
            events.report(ts, Event::Drain);
        }
        assert_eq!(follower.next().await.events.len(), BATCH);
        assert_eq!(follower.next().await.events.len(), 5);
    }
}
