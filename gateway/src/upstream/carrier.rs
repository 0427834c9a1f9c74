//! A connection of HTTP/2 to an endpoint, which carries many calls at once, and the task that drives it.
//!
//! It lives as long as somebody holds it: its endpoint, for calls to come, and each call. When nobody does any more it
//! says goodbye and closes; so to retire it is to let go of it. It holds its place among the endpoint's open
//! connections until its stream is closed.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering};
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

/// It takes calls.
const YOUNG: u8 = 0;
/// It has had its time, and takes calls only where no other connection may be opened.
const OLD: u8 = 1;
/// It takes no new call.
const RETIRED: u8 = 2;

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
    /// Gone when nobody holds the connection any more.
    _held: oneshot::Sender<Infallible>,
}

/// What it carries.
struct Load {
    calls: usize,
    /// It has carried a call before: the upstream may have closed it for being idle.
    is_used: bool,
    idle_since: Instant,
    /// `None` once the stream is closed.
    open: Option<OpenConnection>,
}

impl Carrier {
    /// On a connection that has just been opened; begins to drive it.
    pub(super) fn start<S: ByteStream>(
        opened: Opened<Transport<S>>,
        encrypted: bool,
        clock: Clock,
        mut open: OpenConnection,
    ) -> Arc<Self> {
        let Opened { requests, connection, hearing } = opened;
        let now = clock.now();
        let (held, dropped) = oneshot::channel();
        // Until somebody comes for it.
        open.park();
        let load = Load { calls: 0, is_used: false, idle_since: now, open: Some(open) };
        let carrier = Arc::new(Self {
            requests,
            encrypted,
            hearing,
            clock,
            opened: now,
            age: AtomicU8::new(YOUNG),
            load: Mutex::new(load),
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

    /// A place for a call, if there is one; an upstream that said that it closes gives none.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Shared> {
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
        if load.calls >= room {
            return None;
        }
        load.calls += 1;
        if load.calls == 1
            && let Some(open) = &mut load.open
        {
            open.take();
        }
        let is_reused = std::mem::replace(&mut load.is_used, true);
        let was_idle = load.calls == 1;
        drop(load);
        let (began, reads) = (self.clock.now(), self.hearing.reads());
        let place = Place { carrier: Arc::clone(self), is_reused, was_idle, began, reads };
        Some(Shared { call: Call::new(requests, self.encrypted), place })
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
    /// Whether the connection had carried another call before.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Whether the connection carried no other call when this one came.
    pub(super) fn was_idle(&self) -> bool {
        self.was_idle
    }

    /// Whether the upstream takes an extended CONNECT (RFC 8441, section 3).
    pub(super) fn takes_extended_connect(&self) -> bool {
        self.carrier.requests.is_extended_connect_protocol_enabled()
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
