//! A connection of HTTP/2 on which requests are open and from which nothing is heard: whether its client is still there
//! is asked with a ping (RFC 9113, section 6.7). One behind a gateway of addresses that has forgotten it, or one whose
//! machine was switched off, ends no connection and would hold its requests for as long as they last.
//!
//! Whatever comes from the client says that it is there, a pong is one sign of several; and so does it that it takes
//! bytes which had to wait for it. That bytes leave which need not wait says nothing: the system takes them for
//! anybody, for a while.

use std::task::Context;
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use crate::timer::{Deadlines, Wait};

/// The slot of what is waited for: a connection of HTTP/2 does not doze.
const SILENCE: Wait = Wait::Doze;
/// How long an answer to a ping may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How a connection goes, as it is seen in one look.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Bytes that have come.
    pub(super) heard: u64,
    /// Bytes that have left.
    pub(super) written: u64,
    /// Some wait for the client to take them.
    pub(super) waits: bool,
}

impl Seen {
    /// Whether a client is there that does so much since an earlier look.
    fn is_alive_since(&self, before: &Self) -> bool {
        self.heard != before.heard || before.waits && self.written != before.written
    }
}

/// How a connection's silence is met.
pub(super) struct Silence {
    interval: Duration,
    pings: PingPong,
    before: Seen,
    /// It was asked, and nothing has come since.
    asked: bool,
    /// A ping is on its way, or its answer has not been taken.
    pending: bool,
}

impl Silence {
    /// After so much silence it is asked.
    pub(super) fn new(interval: Duration, pings: PingPong) -> Self {
        Self { interval, pings, before: Seen::default(), asked: false, pending: false }
    }

    /// Sets the time until which it may be silent.
    pub(super) fn watch(
        &mut self,
        (deadlines, now): (&Deadlines, Instant),
        (seen, is_in_use): (Seen, bool),
        cx: &mut Context<'_>,
    ) {
        if self.pending {
            self.pending = self.pings.poll_pong(cx).is_pending();
        }
        let is_alive = seen.is_alive_since(&self.before);
        self.before = seen;
        if !is_in_use {
            // Who rests is for `idle_timeout`.
            self.asked = false;
            return deadlines.clear(SILENCE);
        }
        if is_alive || !(deadlines.is_set(SILENCE) || deadlines.has_expired(SILENCE)) {
            self.asked = false;
            deadlines.set(SILENCE, now, Some(self.interval));
        }
    }

    /// Whether its client is gone. Where it has only been silent for the first time, it is asked.
    pub(super) fn is_over(&mut self, deadlines: &Deadlines, now: Instant) -> bool {
        if !deadlines.has_expired(SILENCE) {
            return false;
        }
        if self.asked {
            return true;
        }
        if !self.pending {
            // What fails here ends the connection by itself.
            self.pending = self.pings.send_ping(Ping::opaque()).is_ok();
        }
        self.asked = true;
        deadlines.set(SILENCE, now, Some(PATIENCE));
        false
    }
}
