//! A connection of HTTP/2 to an endpoint, which carries many calls at once, and the task that drives it.
//!
//! It lives as long as somebody holds it: its endpoint, for calls to come, and each call. When nobody does any more it
//! says goodbye and closes; so to retire it is to let go of it. It holds its place among the endpoint's open
//! connections until its stream is closed.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use tokio::sync::oneshot;

use super::connection::OpenConnection;
use super::transport::Transport;
use crate::clock::Clock;
use crate::config::settings::upstream::Pool;
use crate::http2::{Call, Heard, Hearing, MOST_CALLS, Opened};
use crate::network::ByteStream;

/// How long a connection that nobody holds may take for its goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A call that is given up before says nothing of a connection on which nothing has come.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that has its number of calls for so long, and is open, is not closed for them: calls that last, as
/// streams of events, may never be over.
const SETTLED: Duration = Duration::from_secs(10);

/// It takes calls.
const YOUNG: u8 = 0;
/// It has had its time, and takes calls only where no other connection may be opened.
const OLD: u8 = 1;
/// It takes no new call.
const RETIRED: u8 = 2;

/// How many calls a connection of an endpoint takes in all before the endpoint closes it (GOAWAY), as the last one that
/// turned others away has shown. Without that, as many calls as were turned away would go at once by the next
/// connection, which turns away most of them again.
#[derive(Debug)]
pub(super) struct Taken(AtomicUsize);

impl Default for Taken {
    fn default() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }
}

impl Taken {
    /// So many; without a bound where none is known.
    pub(super) fn most(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A connection took so many, and turned others away.
    pub(super) fn learn(&self, taken: usize) {
        self.0.store(taken.max(1), Ordering::Relaxed);
    }

    /// It is not so many: another one was not closed for them.
    fn forget(&self, most: usize) {
        let _ = self.0.compare_exchange(most, usize::MAX, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// The connection.
pub(crate) struct Carrier {
    requests: SendRequest<Bytes>,
    encrypted: bool,
    hearing: Arc<Hearing>,
    clock: Clock,
    opened: Instant,
    /// One of the above; it only grows.
    age: AtomicU8,
    load: Mutex<Load>,
    taken: Arc<Taken>,
    /// Somebody has told the breaker that it broke.
    is_blamed: AtomicBool,
    /// Gone when nobody holds the connection any more.
    _held: oneshot::Sender<Infallible>,
}

/// What it carries.
struct Load {
    calls: usize,
    /// Calls that have come so far; those that had when it last began to carry any.
    entered: usize,
    before: usize,
    /// As many as it is expected to take in all.
    most: usize,
    /// Since when it has them.
    full_since: Option<Instant>,
    /// So many it took, where it has turned others away.
    took: usize,
    /// It has carried a call before: the upstream may have closed it for being idle.
    is_used: bool,
    idle_since: Instant,
    /// `None` once the stream is closed.
    open: Option<OpenConnection>,
}

impl Load {
    /// Whether it is expected to take one more call. Once it has come to its number, those that it has taken show it:
    /// it is closed, or takes more than the one before.
    fn takes_more(&mut self, taken: &Taken, clock: &Clock) -> bool {
        if self.entered < self.most {
            return true;
        }
        let now = clock.now();
        let has_settled = now.saturating_duration_since(*self.full_since.get_or_insert(now)) >= SETTLED;
        if self.entered - self.calls < self.most && !has_settled {
            return false;
        }
        taken.forget(self.most);
        self.most = usize::MAX;
        true
    }
}

impl Carrier {
    /// On a connection that has just been opened; begins to drive it.
    pub(super) fn start<S: ByteStream>(
        opened: Opened<Transport<S>>,
        encrypted: bool,
        clock: Clock,
        mut open: OpenConnection,
        taken: Arc<Taken>,
    ) -> Arc<Self> {
        let Opened { requests, connection, hearing } = opened;
        let now = clock.now();
        let (held, dropped) = oneshot::channel();
        // Until somebody comes for it.
        open.park();
        let (most, took) = (taken.most(), usize::MAX);
        let load = Load {
            calls: 0,
            entered: 0,
            before: 0,
            most,
            full_since: None,
            took,
            is_used: false,
            idle_since: now,
            open: Some(open),
        };
        let carrier = Arc::new(Self {
            requests,
            encrypted,
            hearing,
            clock,
            opened: now,
            age: AtomicU8::new(YOUNG),
            load: Mutex::new(load),
            taken,
            is_blamed: AtomicBool::new(false),
            _held: held,
        });
        tokio::spawn(drive(connection, dropped, Arc::downgrade(&carrier)));
        carrier
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that it may carry at once, as the upstream says now.
    pub(super) fn room(&self) -> usize {
        self.requests.current_max_send_streams().min(MOST_CALLS)
    }

    /// Whether it takes no new call, and nobody needs to look at it again.
    pub(super) fn is_retired(&self) -> bool {
        self.age.load(Ordering::Relaxed) == RETIRED
    }

    /// Takes no new call from now on, and counts no more among the endpoint's connections.
    pub(super) fn retire(&self) {
        self.age.store(RETIRED, Ordering::Relaxed);
        if let Some(open) = &mut self.load().open {
            open.give_way();
        }
    }

    /// Whether it takes calls as long as it has room.
    pub(super) fn is_young(&self) -> bool {
        self.age.load(Ordering::Relaxed) == YOUNG
    }

    /// Whether it carries nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.load().calls == 0
    }

    /// Whether it has had its time and carries nothing. One that carries calls when its time is over is old from then
    /// on.
    pub(super) fn is_due(&self, now: Instant, limits: &Pool) -> bool {
        // A time that cannot be added up never comes.
        let is_past = |from: Instant, time| from.checked_add(time).is_some_and(|until| now >= until);
        let has_lived = is_past(self.opened, limits.max_lifetime);
        if has_lived {
            self.age.fetch_max(OLD, Ordering::Relaxed);
        }
        let load = self.load();
        load.calls == 0 && (has_lived || is_past(load.idle_since, limits.idle_timeout))
    }

    /// A place for a call, if there is one; an upstream that said that it closes gives none, and one that is expected
    /// to close with the calls that it has.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Shared> {
        self.place(Load::takes_more)
    }

    /// The same where no other connection may be opened, whatever is expected.
    pub(crate) fn enter_all_the_same(self: &Arc<Self>) -> Option<Shared> {
        self.place(|_, _, _| true)
    }

    fn place(self: &Arc<Self>, takes_more: impl FnOnce(&mut Load, &Taken, &Clock) -> bool) -> Option<Shared> {
        if self.is_retired() {
            return None;
        }
        let room = self.room();
        let mut requests = self.requests.clone();
        if let Poll::Ready(Err(_)) = requests.poll_ready(&mut Context::from_waker(Waker::noop())) {
            self.retire();
            return None;
        }
        let mut load = self.load();
        if load.calls >= room || !takes_more(&mut load, &self.taken, &self.clock) {
            return None;
        }
        load.calls += 1;
        load.entered += 1;
        if load.calls == 1 {
            load.before = load.entered - 1;
            if let Some(open) = &mut load.open {
                open.take();
            }
        }
        let is_reused = std::mem::replace(&mut load.is_used, true);
        let was_idle = load.calls == 1;
        drop(load);
        let (began, reads) = (self.clock.now(), self.hearing.reads());
        let place = Place { carrier: Arc::clone(self), is_reused, was_idle, began, reads };
        Some(Shared { call: Call::new(requests, self.encrypted, self.hearing.most_fields()), place })
    }
}

/// Moves the connection's bytes until it ends. One that nobody holds any more has a moment for its goodbye.
async fn drive<S: ByteStream>(
    mut connection: Connection<Heard<Transport<S>>, Bytes>,
    dropped: oneshot::Receiver<Infallible>,
    carrier: Weak<Carrier>,
) {
    tokio::select! {
        // Calls learn of its end by themselves.
        _ = &mut connection => {}
        _ = dropped => drop(tokio::time::timeout(GOODBYE, &mut connection).await),
    }
    drop(connection);
    if let Some(carrier) = carrier.upgrade() {
        carrier.retire();
        carrier.load().open = None;
    }
}

/// A call on a connection that others share.
pub struct Shared {
    /// The call.
    pub(super) call: Call,
    /// Its place; given back after the call is gone.
    pub(super) place: Place,
}

/// A call's place on its connection.
pub struct Place {
    carrier: Arc<Carrier>,
    is_reused: bool,
    /// It carried nothing when the call came.
    was_idle: bool,
    began: Instant,
    /// What had been heard of the connection when the call began.
    reads: u64,
}

impl Place {
    /// As if its connection had had its number of calls since then.
    #[cfg(test)]
    pub(super) fn was_full(&self, since: Instant) {
        self.carrier.load().full_since = Some(since);
    }

    /// Whether the connection had carried another call before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the connection carried no other call when this one came.
    pub(super) fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Whether the upstream has said that it ends the connection for an error.
    pub(super) fn was_ended_for_an_error(&self) -> bool {
        self.carrier.hearing.has_complained()
    }

    /// Whether it is for the caller to tell that the connection broke: that is one failure, however many it carried.
    pub(super) fn is_mine_to_blame(&self) -> bool {
        !self.carrier.is_blamed.swap(true, Ordering::Relaxed)
    }

    /// Whether the upstream takes an extended CONNECT (RFC 8441, section 3).
    pub(super) fn takes_extended_connect(&self) -> bool {
        self.carrier.requests.is_extended_connect_protocol_enabled()
    }

    /// The connection closes, and has taken so many calls before this one, with which it has not begun. One that had
    /// carried nothing for a while was closed for that, which says nothing of a number.
    #[cold]
    pub(super) fn turned_away(&self, taken: usize) {
        let Carrier { load, taken: known, .. } = &*self.carrier;
        let mut load = load.lock().unwrap_or_else(PoisonError::into_inner);
        // The first of those that are turned away tells, in whatever order they learn of it.
        if taken < load.took {
            let before = std::mem::replace(&mut load.took, taken);
            if taken > load.before {
                known.learn(taken);
            } else {
                known.forget(before);
            }
        }
    }

    /// The call's time ran out. Where nothing at all has come since it began, nobody knows whether anybody is at the
    /// other end: new calls go by another connection.
    pub(super) fn timed_out(&self) {
        if self.carrier.hearing.reads() == self.reads {
            self.carrier.retire();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = self.carrier.clock.now();
        // Whose clients are less patient than the gateway would never learn that nobody is at the other end.
        if now.saturating_duration_since(self.began) >= PATIENCE {
            self.timed_out();
        }
        let mut load = self.carrier.load();
        load.calls -= 1;
        if load.calls == 0 {
            load.idle_since = now;
            if let Some(open) = &mut load.open {
                open.park();
            }
        }
    }
}
