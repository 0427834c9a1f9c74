//! The rings of events and those who follow them.
//!
//! Kinds that come with each request have a ring of their own: whoever asks for attempts, in the very minute in which
//! everybody wants to know what happened, pushes out nothing that is rare. Numbers go through both.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::event::{Event, Stamped};
use super::kind::{Kind, Kinds};
use crate::locked::lock;
use crate::telemetry::told::Voice;

/// Events that are kept in each of the two rings: a follower that takes turns of a second misses none of 30,000
/// attempts a second. Memory is taken as events come.
const KEPT: usize = 32_768;

/// Events that a follower takes at once, so that it never holds the lock for longer than some microseconds.
const BATCH: usize = 256;

/// The events of a process.
#[derive(Debug)]
pub struct Events {
    rings: Mutex<Rings>,
    /// How many followers ask for each kind that is reported on demand.
    asked: [AtomicU32; Kind::ALL.len()],
    missed: AtomicU64,
    changed: watch::Sender<u64>,
    /// The file that they are written to, and why it does not take them; `None` while it does, or where there is none.
    file_fails: Mutex<Option<(PathBuf, String)>>,
    /// Where goes what is said of them beside.
    voice: Voice,
}

#[derive(Debug, Default)]
struct Rings {
    /// What is told whoever asks, and what is told on demand alone.
    both: [Ring; 2],
    /// The number of the last event.
    last: u64,
    capacity: usize,
}

/// Where in `Rings` the events of a kind are.
fn ring_of(kind: Kind) -> usize {
    usize::from(kind.is_frequent())
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Stamped>>,
    /// How many were dropped, the oldest first.
    dropped: u64,
    /// The number of the last of these.
    last_dropped: u64,
}

impl Rings {
    fn push(&mut self, event: Arc<Stamped>) -> u64 {
        self.last = event.seq;
        let ring = &mut self.both[ring_of(event.event.kind())];
        if ring.events.len() == self.capacity
            && let Some(oldest) = ring.events.pop_front()
        {
            ring.dropped += 1;
            ring.last_dropped = oldest.seq;
        }
        ring.events.push_back(event);
        self.last
    }
}

impl Ring {
    /// The place of the first event from this number on, counted from the first that ever came here. Of those that are
    /// gone nobody knows which numbers they had: they are taken to be as many as there may be.
    fn place_from(&self, seq: u64) -> u64 {
        let gone = self.last_dropped.saturating_add(1).saturating_sub(seq);
        if gone > 0 {
            return self.dropped.saturating_sub(gone);
        }
        self.dropped + self.events.partition_point(|event| event.seq < seq) as u64
    }

    /// What is at a place; `None` where nothing has come there yet.
    fn at(&self, place: u64) -> Option<&Arc<Stamped>> {
        let index = usize::try_from(place.checked_sub(self.dropped)?).ok()?;
        self.events.get(index)
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
            rings: Mutex::new(Rings { capacity, ..Rings::default() }),
            asked: Default::default(),
            missed: AtomicU64::new(0),
            changed: watch::Sender::new(0),
            file_fails: Mutex::default(),
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
            let mut rings = self.lock();
            let seq = rings.last + 1;
            rings.push(Arc::new(Stamped { seq, ts_ns, event }))
        };
        // Two reporters may come here in the other order; the number never goes back.
        self.changed.send_modify(|known| *known = last.max(*known));
    }

    /// Events that some follower was too slow for.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// The file that they are written to, and why it does not take them; `None` while it does.
    pub fn file_fails(&self) -> Option<(PathBuf, String)> {
        lock(&self.file_fails).clone()
    }

    /// Follows these kinds from the event after number `after`; `None` is from now on.
    pub fn follow(self: &Arc<Self>, kinds: Kinds, after: Option<u64>) -> Follower {
        for kind in kinds.frequent() {
            self.asked[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        let changed = self.changed.subscribe();
        let rings = self.lock();
        // A number that is not reached yet is of another process' life: all of this one is new to who has it.
        let after = after.map_or(rings.last, |after| if after > rings.last { 0 } else { after });
        let next = after + 1;
        let places = rings.both.each_ref().map(|ring| ring.place_from(next));
        drop(rings);
        Follower { events: Arc::clone(self), follows: followed(kinds), kinds, places, next, changed }
    }

    /// Follows these kinds, beginning with the last `count` of them that are kept.
    pub fn follow_last(self: &Arc<Self>, kinds: Kinds, count: usize) -> Follower {
        let mut follower = self.follow(kinds, None);
        let rings = self.lock();
        let [mut rare, mut frequent] = rings.both.each_ref().map(|ring| {
            let newest_first = ring.events.iter().rev().filter(move |event| kinds.has(event.event.kind()));
            newest_first.map(|event| event.seq).peekable()
        });
        let mut first = None;
        for _ in 0..count {
            let newer = if rare.peek() > frequent.peek() { rare.next() } else { frequent.next() };
            if newer.is_none() {
                break;
            }
            first = newer;
        }
        if let Some(first) = first.filter(|first| *first < follower.next) {
            follower.places = rings.both.each_ref().map(|ring| ring.place_from(first));
            // Else it would wait for a new one where it finds none of its kinds in the first look.
            follower.next = first;
        }
        drop(rings);
        follower
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        lock(&self.rings)
    }
}

/// Which of the two rings have events of these kinds: nobody is told that others were overwritten.
fn followed(kinds: Kinds) -> [bool; 2] {
    let mut rings = [false; 2];
    for kind in Kind::ALL.iter().filter(|kind| kinds.has(**kind)) {
        rings[ring_of(*kind)] = true;
    }
    rings
}

/// Somebody who reads events in their order.
#[derive(Debug)]
pub struct Follower {
    events: Arc<Events>,
    kinds: Kinds,
    /// In which rings it looks.
    follows: [bool; 2],
    /// The next place to look at in each.
    places: [u64; 2],
    /// No event before this number is of interest any more.
    next: u64,
    changed: watch::Receiver<u64>,
}

/// What a follower gets at once.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events that were overwritten before this follower came to them: of any kind that comes on demand where it asks
    /// for one of these, and of any other where it asks for one of those.
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

    /// What this follower writes to, and why that does not take it, if it does not.
    pub(super) fn tell_of_file(&self, path: &Path, fails: Option<&str>) {
        *lock(&self.events.file_fails) = fails.map(|why| (path.to_owned(), why.to_owned()));
    }

    /// Whether it has looked at all that is there: else what was taken last says nothing of what is behind it.
    pub(super) fn is_at_end(&self) -> bool {
        self.next > self.events.lock().last
    }

    /// What is there now, which may be nothing of interest.
    pub(crate) fn take(&mut self) -> Batch {
        let mut batch = Batch::default();
        let rings = self.events.lock();
        for at in (0..2).filter(|at| self.follows[*at]) {
            let dropped = rings.both[at].dropped;
            batch.missed += dropped.saturating_sub(self.places[at]);
            self.places[at] = dropped.max(self.places[at]);
        }
        let mut looked = 0;
        while looked < BATCH {
            let next = [0, 1].map(|at| if self.follows[at] { rings.both[at].at(self.places[at]) } else { None });
            let at = match next {
                [Some(rare), Some(frequent)] => usize::from(frequent.seq < rare.seq),
                [Some(_), None] => 0,
                [None, Some(_)] => 1,
                [None, None] => break,
            };
            let Some(event) = next[at] else { break };
            if self.kinds.has(event.event.kind()) {
                batch.events.push(Arc::clone(event));
            }
            self.places[at] += 1;
            looked += 1;
        }
        if looked < BATCH {
            self.next = rings.last + 1;
        }
        drop(rings);
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

    #[tokio::test(start_paused = true)]
    async fn the_last_few_are_seen_without_another_though_many_others_are_between() {
        let events = Arc::new(Events::default());
        events.report(0, Event::Drain);
        for ts in 1..=600 {
            events.report(ts, Event::Tracing { failed: None });
        }
        events.report(601, Event::Drain);
        let mut follower = events.follow_last([Kind::Drain].into_iter().collect(), 2);
        for number in [1, 602] {
            let next = tokio::time::timeout(std::time::Duration::from_secs(1), follower.next()); // virtual time
            assert_eq!(numbers(&next.await.unwrap()), [number]);
        }
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
    async fn whoever_asks_for_attempts_pushes_out_nothing_that_is_rare() {
        let events = Arc::new(Events::with_capacity(4));
        let mut attempts = events.follow([Kind::Attempt].into_iter().collect(), None);
        let both = [Kind::Attempt, Kind::Drain].into_iter().collect();
        let mut all = events.follow(both, None);
        events.report(1, Event::Drain);
        for ts in 2..12 {
            events.report(ts, attempt());
        }
        events.report(12, Event::Drain);
        events.report(13, attempt());
        let mut late = events.follow(Kinds::rare(), Some(0));
        assert_eq!(numbers(&late.next().await), [1, 12], "and nothing was missed");
        assert_eq!(numbers(&events.follow_last(Kinds::rare(), 9).next().await), [1, 12]);
        assert_eq!(numbers(&events.follow_last(both, 3).next().await), [11, 12, 13], "in their order");
        assert_eq!(events.missed(), 0);
        let batch = attempts.next().await;
        assert_eq!((batch.missed, numbers(&batch)), (7, vec![9, 10, 11, 13]));
        let batch = all.next().await;
        assert_eq!((batch.missed, numbers(&batch)), (7, vec![1, 9, 10, 11, 12, 13]));
        assert_eq!(events.missed(), 14);
        // Who comes back is told of no more than there may have been.
        let batch = events.follow(both, Some(6)).next().await;
        assert_eq!((batch.missed, numbers(&batch)), (2, vec![9, 10, 11, 12, 13]));
    }

    #[tokio::test]
    async fn who_comes_back_after_a_restart_sees_all_of_the_new_life() {
        let events = Arc::new(Events::default());
        events.report(1, Event::Drain);
        let mut follower = events.follow(Kinds::rare(), Some(900));
        events.report(2, Event::Drain);
        assert_eq!(numbers(&follower.next().await), [1, 2]);
        let mut follower = events.follow(Kinds::rare(), Some(2));
        events.report(3, Event::Drain);
        assert_eq!(numbers(&follower.next().await), [3]);
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
