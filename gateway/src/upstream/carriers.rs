//! The connections of HTTP/2 to one endpoint: a few for each worker.
//!
//! A call goes by the first connection of its worker that has room, so that surplus connections grow idle and close.
//! Where none has room one is opened. Whoever comes meanwhile waits for it, as many as it is expected to carry; only
//! beyond them another one is opened beside it. Where the endpoint closes its connections after a number of calls, none
//! gets more than that many before they are over. At the endpoint's limit of connections calls go by the siblings',
//! also by those that they are opening, and by old ones, which else take no new call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::carrier::{Carrier, Shared, Taken};
use super::dial::DialError;
use super::in_flight::Permit;
use crate::config::settings::upstream::Pool;
use crate::http2::MOST_CALLS;

/// What came of opening a connection.
pub(crate) type Outcome = Result<Arc<Carrier>, NoCarrier>;

/// Why there is no connection; told to all who waited for it.
#[derive(Debug, Clone)]
pub(crate) enum NoCarrier {
    /// It could not be opened.
    Failed(Arc<DialError>),
    /// Its time was up.
    Late,
}

/// Connections, by worker.
pub(crate) struct Carriers {
    shelves: Box<[Shelf]>,
    taken: Arc<Taken>,
}

/// Aligned so that two workers never share a cache line.
#[repr(align(128))]
#[derive(Default)]
struct Shelf(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    carriers: Vec<Arc<Carrier>>,
    openings: Vec<Underway>,
    /// Numbers openings.
    next: u64,
    /// Calls that the last connection had room for.
    room: Option<usize>,
}

/// A connection that is being opened.
struct Underway {
    number: u64,
    /// Calls that may still wait for it.
    seats: usize,
    done: Awaited,
}

/// A connection that is being opened, for those who wait for it.
#[derive(Clone)]
pub(crate) struct Awaited {
    done: watch::Receiver<Option<Outcome>>,
    /// Somebody has said that it is late.
    is_blamed: Arc<AtomicBool>,
}

impl Awaited {
    /// What came of it.
    pub(crate) async fn outcome(&mut self) -> Outcome {
        match self.done.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(NoCarrier::Late)),
            // Its worker has come to its end.
            Err(_) => Err(NoCarrier::Late),
        }
    }

    /// Whether it is for the caller to say that it is late: one connection is one failure, however many wait for it.
    pub(crate) fn is_mine_to_blame(&self) -> bool {
        !self.is_blamed.swap(true, Ordering::Relaxed)
    }
}

/// To be carried out by whoever gets it.
pub(crate) struct Opening {
    number: u64,
    worker: usize,
    sender: watch::Sender<Option<Outcome>>,
    /// A call's place on it, taken before others learn of it.
    first: Seat,
    /// Its place among the endpoint's connections.
    pub(crate) permit: Permit,
}

/// Where who opened a connection finds its place on it: newcomers could fill it before those who wait are woken.
pub(crate) type Seat = Arc<Mutex<Option<Shared>>>;

/// What a call can do that finds no room.
pub(crate) enum Turn {
    /// Wait for a connection that is being opened.
    Wait(Awaited),
    /// Open one, and wait for it like the others.
    Open(Opening, Awaited, Seat),
    /// There may be no further one.
    Full,
}

impl Carriers {
    /// No connections yet, for this many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self { shelves: (0..workers.max(1)).map(|_| Shelf::default()).collect(), taken: Arc::default() }
    }

    /// What is known of how many calls a connection takes.
    pub(super) fn taken(&self) -> &Arc<Taken> {
        &self.taken
    }

    fn shelf(&self, worker: usize) -> MutexGuard<'_, Kept> {
        self.shelves[worker % self.shelves.len()].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call on a connection of this worker.
    pub(crate) fn enter(&self, worker: usize) -> Option<Shared> {
        let mut kept = self.shelf(worker);
        let found = kept.carriers.iter().filter(|carrier| carrier.is_young()).find_map(Carrier::enter);
        if found.is_none() {
            kept.carriers.retain(|carrier| !carrier.is_retired());
        }
        found
    }

    /// The same where no other may be opened: on a sibling's, whose calls are woken from another thread, which costs
    /// more than one's own; or else on one that is old.
    pub(crate) fn borrow(&self, worker: usize) -> Option<Shared> {
        let workers = self.shelves.len();
        let siblings = (1..workers).find_map(|step| self.enter((worker + step) % workers));
        let any = |step| self.shelf((worker + step) % workers).carriers.iter().find_map(Carrier::enter_all_the_same);
        siblings.or_else(|| (0..workers).find_map(any))
    }

    /// What a call can do that found no room; `permit` gives the place of a further connection.
    pub(crate) fn turn(&self, worker: usize, permit: impl FnOnce() -> Option<Permit>) -> Turn {
        let mut kept = self.shelf(worker);
        // Of one whose task was dropped nobody will hear.
        kept.openings.retain(|underway| underway.done.done.has_changed().is_ok());
        if let Some(underway) = kept.openings.iter_mut().find(|underway| underway.seats > 0) {
            underway.seats -= 1;
            return Turn::Wait(underway.done.clone());
        }
        // One that allows no call now would get no other answer on a further connection.
        if kept.carriers.iter().any(|carrier| carrier.is_young() && carrier.room() == 0) {
            return Turn::Full;
        }
        let Some(permit) = permit() else {
            let own = kept.openings.last().map(|underway| underway.done.clone());
            drop(kept);
            return own.or_else(|| self.siblings_opening(worker)).map_or(Turn::Full, Turn::Wait);
        };
        let (sender, done) = watch::channel(None);
        let done = Awaited { done, is_blamed: Arc::default() };
        let (number, room) = (kept.next, kept.room.unwrap_or(MOST_CALLS).min(self.taken.most()));
        kept.next += 1;
        kept.openings.push(Underway { number, seats: room.saturating_sub(1), done: done.clone() });
        let first = Seat::default();
        Turn::Open(Opening { number, worker, sender, first: Arc::clone(&first), permit }, done, first)
    }

    /// A connection that a sibling is opening. The caller holds no shelf.
    fn siblings_opening(&self, worker: usize) -> Option<Awaited> {
        let workers = self.shelves.len();
        (1..workers).find_map(|step| {
            let kept = self.shelf((worker + step) % workers);
            let mut openings = kept.openings.iter().filter(|underway| underway.done.done.has_changed().is_ok());
            openings.next_back().map(|underway| underway.done.clone())
        })
    }

    /// Keeps a connection that has been opened, and tells those who wait what came of it.
    fn opened(&self, worker: usize, number: u64, sender: &watch::Sender<Option<Outcome>>, outcome: Outcome) {
        let mut kept = self.shelf(worker);
        kept.openings.retain(|underway| underway.number != number);
        if let Ok(carrier) = &outcome {
            kept.room = Some(carrier.room().max(1));
            kept.carriers.push(Arc::clone(carrier));
        }
        drop(kept);
        sender.send_replace(Some(outcome));
    }

    /// Lets go of connections of one worker that are closed, and of those that carry nothing and have been idle for too
    /// long, are too many, or too old.
    pub(super) fn sweep(&self, worker: usize, now: Instant, limits: &Pool) {
        let mut idle = 0;
        self.shelf(worker).carriers.retain(|carrier| {
            if carrier.is_retired() {
                return false;
            }
            let is_idle = carrier.is_idle();
            idle += usize::from(is_idle);
            let is_surplus = is_idle && idle > limits.max_idle_per_worker;
            let is_kept = !carrier.is_due(now, limits) && !is_surplus;
            if !is_kept {
                carrier.retire();
            }
            is_kept
        });
    }

    /// Connections that carry nothing, over all workers.
    pub(super) fn idle(&self) -> usize {
        let idle = |worker| self.shelf(worker).carriers.iter().filter(|carrier| carrier.is_idle()).count();
        (0..self.shelves.len()).map(idle).sum()
    }
}

impl Opening {
    /// Takes it apart: its place among the connections, and who is to be told.
    pub(super) fn into_parts(self) -> (Permit, impl FnOnce(&Carriers, Outcome)) {
        let Self { number, worker, sender, first, permit } = self;
        let tell = move |carriers: &Carriers, outcome: Outcome| {
            if let Ok(carrier) = &outcome {
                *first.lock().unwrap_or_else(PoisonError::into_inner) = carrier.enter();
            }
            carriers.opened(worker, number, &sender, outcome);
        };
        (permit, tell)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::clock::Clock;
    use crate::http2;
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::connection::OpenConnection;
    use crate::upstream::in_flight::InFlight;
    use crate::upstream::transport::Transport;

    /// A connection to an upstream that allows so many calls.
    async fn carrier(permit: Permit, most: u32, taken: &Arc<Taken>) -> Arc<Carrier> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut builder = h2::server::Builder::new();
            let mut connection =
                builder.max_concurrent_streams(most).handshake::<_, Bytes>(far).await.expect("a handshake");
            while connection.accept().await.is_some() {}
        });
        let opened = http2::open(Transport::Plain(near), Clock::system()).await.expect("a connection");
        let open = OpenConnection::new(permit, Metrics::new(1).upstream("up"), 0);
        Carrier::start(opened, false, Clock::system(), open, Arc::clone(taken))
    }

    /// One that may idle, of connections that live a minute.
    fn limits() -> Pool {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        Pool {
            connect_timeout: minute,
            idle_timeout: hour,
            max_idle_per_worker: 1,
            max_lifetime: minute,
            max_connections: None,
        }
    }

    /// A worker opens a connection for one call, which is on it.
    async fn open(carriers: &Carriers, worker: usize, permits: &Arc<InFlight>, most: u32) -> Shared {
        let Turn::Open(opening, ..) = carriers.turn(worker, || permits.try_enter(9)) else {
            panic!("nothing has room or is under way");
        };
        let (permit, tell) = opening.into_parts();
        tell(carriers, Ok(carrier(permit, most, carriers.taken()).await));
        carriers.enter(worker).expect("a place")
    }

    #[tokio::test]
    async fn a_connection_gets_as_many_calls_as_the_one_before_it_took_until_they_are_over() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        carriers.taken().learn(3);
        let Turn::Open(opening, ..) = carriers.turn(0, || permits.try_enter(9)) else { panic!("nothing is there") };
        for _ in 0..2 {
            assert!(matches!(carriers.turn(0, || permits.try_enter(9)), Turn::Wait(_)), "it takes three");
        }
        assert!(matches!(carriers.turn(0, || permits.try_enter(9)), Turn::Open(..)), "and not a fourth");
        let (permit, tell) = opening.into_parts();
        tell(&carriers, Ok(carrier(permit, 100, carriers.taken()).await));
        // Who opened it has left: that was one.
        let mut calls = vec![carriers.enter(0).expect("a second"), carriers.enter(0).expect("a third")];
        assert!(carriers.enter(0).is_none());
        calls.pop();
        assert!(carriers.enter(0).is_none(), "one of them may be what it closes with");
        assert!(carriers.borrow(0).is_some(), "none but this one can be had");
        calls.pop();
        assert!(carriers.enter(0).is_some(), "it was not closed");
        assert_eq!(carriers.taken().most(), usize::MAX);
    }

    #[tokio::test]
    async fn a_connection_that_stays_open_with_its_number_of_lasting_calls_takes_more() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let seen = Clock::system().now();
        // Who opens it is the first, and leaves.
        carriers.taken().learn(2);
        let lasting = open(&carriers, 0, &permits, 100).await;
        assert!(carriers.enter(0).is_none());
        lasting.place.was_full(seen.checked_sub(Duration::from_secs(11)).expect("the machine has run for that long"));
        assert!(carriers.enter(0).is_some(), "ten seconds later it is still there");
        assert_eq!(carriers.taken().most(), usize::MAX);
    }

    #[tokio::test]
    async fn the_first_call_that_is_turned_away_tells_how_many_were_taken() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let one = open(&carriers, 0, &permits, 100).await;
        for (taken, known) in [(7, 7), (5, 5), (6, 5)] {
            one.place.turned_away(taken);
            assert_eq!(carriers.taken().most(), known);
        }
        drop(one);
        // It had carried nothing for a while: that is why it is closed.
        let idle = carriers.enter(0).expect("a place");
        idle.place.turned_away(4);
        idle.place.turned_away(2);
        assert_eq!(carriers.taken().most(), usize::MAX);
    }

    #[tokio::test]
    async fn an_old_connection_that_carries_calls_is_used_on_where_no_other_may_be_opened() {
        let (carriers, permits) = (Carriers::new(2), Arc::<InFlight>::default());
        let long = open(&carriers, 0, &permits, 100).await;
        let later = Clock::system().now() + Duration::from_secs(61);
        carriers.sweep(0, later, &limits());
        assert!(carriers.enter(0).is_none() && carriers.enter(1).is_none(), "a young one is better");
        for worker in 0..2 {
            assert!(matches!(carriers.turn(worker, || permits.try_enter(1)), Turn::Full));
            assert!(carriers.borrow(worker).is_some(), "none can be had");
        }
        assert!(matches!(carriers.turn(0, || permits.try_enter(2)), Turn::Open(..)), "one can be had");
        carriers.sweep(0, later, &limits());
        assert!(carriers.borrow(0).is_some(), "it carries a call");
        drop(long);
        carriers.sweep(0, later, &limits());
        assert!(carriers.borrow(0).is_none());
        assert!(matches!(carriers.turn(1, || permits.try_enter(1)), Turn::Open(..)), "its place is free");
    }

    #[tokio::test]
    async fn a_busy_connection_is_not_let_go_because_others_are_idle() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(open(&carriers, 0, &permits, 1).await);
        }
        let busy = calls.pop();
        drop(calls);
        carriers.sweep(0, Clock::system().now(), &limits());
        assert_eq!(carriers.idle(), 1, "of two idle ones");
        drop(busy);
        assert_eq!(carriers.idle(), 2);
    }

    #[tokio::test]
    async fn at_the_limit_a_connection_that_a_sibling_opens_is_waited_for() {
        let (carriers, permits) = (Carriers::new(3), Arc::<InFlight>::default());
        let Turn::Open(opening, ..) = carriers.turn(1, || permits.try_enter(1)) else {
            panic!("nothing is there or under way");
        };
        for worker in [0, 2] {
            assert!(matches!(carriers.turn(worker, || permits.try_enter(1)), Turn::Wait(_)), "worker {worker}");
        }
        drop(opening);
        assert!(matches!(carriers.turn(0, || None), Turn::Full), "of one that was given up nobody will hear");
    }

    #[tokio::test]
    async fn who_opens_a_connection_has_a_place_on_it_though_others_come_first() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let Turn::Open(opening, done, first) = carriers.turn(0, || permits.try_enter(9)) else {
            panic!("nothing is there or under way");
        };
        let (permit, tell) = opening.into_parts();
        tell(&carriers, Ok(carrier(permit, 1, carriers.taken()).await));
        assert!(done.done.borrow().is_some() && carriers.enter(0).is_none(), "its one place is taken");
        drop(first.lock().unwrap().take().expect("by who opened it"));
        assert!(carriers.enter(0).is_some());
    }

    #[tokio::test]
    async fn of_all_who_wait_for_a_late_connection_one_is_to_say_so() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let Turn::Open(opening, mut opener, _) = carriers.turn(0, || permits.try_enter(9)) else {
            panic!("nothing is there or under way");
        };
        let Turn::Wait(other) = carriers.turn(0, || permits.try_enter(9)) else { panic!("one is under way") };
        let (_permit, tell) = opening.into_parts();
        tell(&carriers, Err(NoCarrier::Late));
        assert!(matches!(opener.outcome().await, Err(NoCarrier::Late)));
        let blamed = [other.is_mine_to_blame(), opener.is_mine_to_blame(), other.is_mine_to_blame()];
        assert_eq!(blamed, [true, false, false]);
        let Turn::Open(_, next, _) = carriers.turn(0, || permits.try_enter(9)) else { panic!("it is over") };
        assert!(next.is_mine_to_blame(), "another connection, another word");
    }

    #[tokio::test]
    async fn the_place_of_who_opened_a_connection_and_left_is_free() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let Turn::Open(opening, ..) = carriers.turn(0, || permits.try_enter(9)) else {
            panic!("nothing is there or under way");
        };
        let (permit, tell) = opening.into_parts();
        tell(&carriers, Ok(carrier(permit, 1, carriers.taken()).await));
        assert!(carriers.enter(0).is_some());
    }
}
