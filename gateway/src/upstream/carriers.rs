//! The connections of HTTP/2 to one endpoint: a few for each worker.
//!
//! A call goes by the first connection of its worker that has room, so that surplus connections grow idle and close.
//! Where none has room one is opened. Whoever comes meanwhile waits for it, as many as it is expected to carry; only
//! beyond them another one is opened beside it. At the endpoint's limit of connections calls go by the siblings'.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::carrier::{Carrier, Shared};
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
        Self { shelves: (0..workers.max(1)).map(|_| Shelf::default()).collect() }
    }

    fn shelf(&self, worker: usize) -> MutexGuard<'_, Kept> {
        self.shelves[worker % self.shelves.len()].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a call on a connection of this worker.
    pub(crate) fn enter(&self, worker: usize) -> Option<Shared> {
        let mut kept = self.shelf(worker);
        let found = kept.carriers.iter().find_map(Carrier::enter);
        if found.is_none() {
            kept.carriers.retain(|carrier| !carrier.is_retired());
        }
        found
    }

    /// The same on a sibling's: its calls are woken from another thread, which costs more than one's own.
    pub(crate) fn borrow(&self, worker: usize) -> Option<Shared> {
        let workers = self.shelves.len();
        (1..workers).find_map(|step| self.enter((worker + step) % workers))
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
        if kept.carriers.iter().any(|carrier| !carrier.is_retired() && carrier.room() == 0) {
            return Turn::Full;
        }
        let Some(permit) = permit() else {
            return kept.openings.last().map_or(Turn::Full, |underway| Turn::Wait(underway.done.clone()));
        };
        let (sender, done) = watch::channel(None);
        let done = Awaited { done, is_blamed: Arc::default() };
        let (number, room) = (kept.next, kept.room.unwrap_or(MOST_CALLS));
        kept.next += 1;
        kept.openings.push(Underway { number, seats: room.saturating_sub(1), done: done.clone() });
        let first = Seat::default();
        Turn::Open(Opening { number, worker, sender, first: Arc::clone(&first), permit }, done, first)
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

    /// Lets go of connections of one worker that are closed, idle for too long, too many, or too old.
    pub(super) fn sweep(&self, worker: usize, now: Instant, limits: &Pool) {
        let mut idle = 0;
        self.shelf(worker).carriers.retain(|carrier| {
            idle += usize::from(carrier.is_idle());
            let is_kept = !carrier.is_retired() && !carrier.is_due(now, limits) && idle <= limits.max_idle_per_worker;
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
    use bytes::Bytes;

    use super::*;
    use crate::clock::Clock;
    use crate::http2;
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::connection::OpenConnection;
    use crate::upstream::in_flight::InFlight;
    use crate::upstream::transport::Transport;

    /// A connection to an upstream that allows so many calls.
    async fn carrier(permit: Permit, most: u32) -> Arc<Carrier> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let mut builder = h2::server::Builder::new();
            let mut connection =
                builder.max_concurrent_streams(most).handshake::<_, Bytes>(far).await.expect("a handshake");
            while connection.accept().await.is_some() {}
        });
        let opened = http2::open(Transport::Plain(near), Clock::system()).await.expect("a connection");
        let open = OpenConnection::new(permit, Metrics::new(1).upstream("up"), 0);
        Carrier::start(opened, false, Clock::system(), open)
    }

    #[tokio::test]
    async fn who_opens_a_connection_has_a_place_on_it_though_others_come_first() {
        let (carriers, permits) = (Carriers::new(1), Arc::<InFlight>::default());
        let Turn::Open(opening, done, first) = carriers.turn(0, || permits.try_enter(9)) else {
            panic!("nothing is there or under way");
        };
        let (permit, tell) = opening.into_parts();
        tell(&carriers, Ok(carrier(permit, 1).await));
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
        tell(&carriers, Ok(carrier(permit, 1).await));
        assert!(carriers.enter(0).is_some());
    }
}
