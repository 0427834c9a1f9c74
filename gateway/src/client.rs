//! A client's connection as its requests see it: who is at the other end, and what it waits for.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;

use crate::clock::{Clock, Since};
use crate::context::{Peer, WebSocketKey};
use crate::exchange::Exchange;
use crate::hints::Hints;
use crate::identity::Identity;
use crate::network::Network;
use crate::timer::{Deadlines, Wait};
use crate::tls::Secured;
use crate::upstream::{Far, Selected};

/// An idle connection gives its buffers back after this long. A connection that carries ten requests a second never
/// does; one that carries fewer pays two allocations more for each, and in return ten thousand that come in a burst
/// share the memory of the few that are awake at once.
const DOZE_AFTER: Duration = Duration::from_millis(250);

/// A client's connection, as its requests see it.
pub struct ClientConnection {
    /// The address at the other end, ready for forwarding headers.
    pub peer: Arc<Peer>,
    /// The number of the listener by which it came, among those that the process was started with; `None` where it came
    /// by none.
    pub listener: Option<u16>,
    /// What its handshake proved; `None` in the clear.
    pub secured: Option<Arc<Secured>>,
    /// Deadlines of whatever the connection waits for.
    pub deadlines: Arc<Deadlines>,
    /// Whether a request is being served.
    pub phase: Arc<PhaseCell>,
    /// How long it may wait for a next request.
    pub idle_timeout: Option<Duration>,
    /// Who asked last, by a token: most connections bring the same one again.
    pub identity: Mutex<Option<Arc<Identity>>>,
    /// The key of a WebSocket that was asked for by an extended CONNECT (RFC 8441).
    pub websocket_key: Option<WebSocketKey>,
    /// Whether it can become a tunnel: somebody is there who goes on with its bytes behind a 101.
    pub can_switch: bool,
    /// Early hints for the client; `None` where nobody would write them.
    pub hints: Option<Hints>,
}

/// A connection that switched protocols: the upstream's end of it.
pub struct Tunnel<N: Network> {
    /// The upstream's stream.
    pub stream: Far<N::Stream>,
    /// What the upstream sent after its 101.
    pub read_ahead: Bytes,
    /// The endpoint's place in flight.
    pub selected: Selected<N>,
    /// Silence that ends it.
    pub idle_timeout: Option<Duration>,
    /// Recorded when the tunnel ends.
    pub exchange: Box<Exchange<N>>,
}

impl ClientConnection {
    /// Whether an answer of this status would open a tunnel: any 2xx does for who asks for a WebSocket by an extended
    /// CONNECT (RFC 8441, section 5), whoever is at its other end.
    pub fn opens_tunnel(&self, status: StatusCode) -> bool {
        self.websocket_key.is_some() && status.is_success()
    }

    /// The connection as one of the requests that share it sees it: with deadlines of its own. It is never idle.
    pub fn of_stream(&self, clock: Clock, websocket_key: Option<WebSocketKey>) -> Self {
        Self {
            peer: Arc::clone(&self.peer),
            listener: self.listener,
            secured: self.secured.clone(),
            deadlines: Deadlines::new(clock),
            phase: Arc::default(),
            idle_timeout: None,
            identity: Mutex::new(None),
            websocket_key,
            can_switch: self.can_switch,
            hints: self.hints.as_ref().map(|_| Hints::default()),
        }
    }

    /// Whether early hints wait to be written to the client.
    #[inline]
    pub fn is_hinted(&self) -> bool {
        self.hints.as_ref().is_some_and(Hints::are_waiting)
    }

    /// A request's head has arrived.
    #[inline]
    pub fn begin(&self) {
        self.phase.set(Phase::Serving);
        self.deadlines.clear(Wait::Idle);
        self.deadlines.clear(Wait::Doze);
        self.deadlines.clear(Wait::Head);
    }

    /// A part of a head has arrived.
    #[inline]
    pub fn begin_head(&self, now: Instant, timeout: Duration) {
        self.phase.set(Phase::Head);
        self.deadlines.clear(Wait::Idle);
        self.deadlines.clear(Wait::Doze);
        self.deadlines.set(Wait::Head, now, Some(timeout));
    }

    /// The answer is over, but its bytes are still being written: the idle time has not begun.
    pub fn rest_anew(&self, now: Instant) {
        if self.phase.get() == Phase::Idle {
            self.rest(self.deadlines.since(now));
        }
    }

    /// The answer is over; a next request may come.
    #[inline]
    pub fn rest(&self, now: Since) {
        self.deadlines.clear(Wait::Exchange);
        self.deadlines.clear(Wait::ResponseBody);
        if let Some(idle) = self.idle_timeout {
            self.deadlines.set_both(now, (Wait::Idle, idle), (Wait::Doze, DOZE_AFTER));
        }
        self.phase.set(Phase::Idle);
    }
}

/// Where a connection is between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// No byte of a next request has come.
    Idle = 0,
    /// A head has begun.
    Head = 1,
    /// A request is being served.
    Serving = 2,
}

/// The phase of a connection, shared by its stream, its service and its driver.
#[derive(Debug, Default)]
pub struct PhaseCell(AtomicU8);

impl PhaseCell {
    /// The phase now.
    #[inline]
    pub fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Serving,
        }
    }

    /// Moves to a phase.
    #[inline]
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}
