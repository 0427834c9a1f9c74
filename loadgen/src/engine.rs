//! The event loop: one thread, one epoll, all connections of all loads.
//!
//! Closed model: every connection sends as soon as it has its answer. Open model: a plan says when to send, and a free
//! connection takes the request; the one that rested longest, so that load spreads over all of them as that of many
//! users does. Where none is free a new one is opened, up to the in-flight bound; beyond it the arrival is dropped and
//! counted, never delayed. How the loop waits for the next time is its [`Pacing`].
//!
//! Several loads run side by side on one thread and one clock, each with its own plan, bounds and observer. Somebody
//! else may have a share of that thread: see [`run_all_beside`].
//!
//! Invariants: each request that was started ends in exactly one sample. Requests of one target never use a connection
//! of another, nor those of one load a connection of another. A request costs no memory of its own: buffers belong to
//! connections and are used again.

mod driver;
mod lane;
mod pacing;
mod poller;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use driver::{run, run_all, run_all_beside};
pub use pacing::Pacing;

use crate::plan::Plan;
use crate::request::Mix;
use crate::sample::Observer;

/// When requests are sent.
#[derive(Debug, Clone)]
pub enum Model {
    /// As fast as the answers come, until either bound is reached.
    Closed {
        /// Most requests to send.
        requests: Option<u64>,
        /// Longest time to send for.
        duration: Option<Duration>,
    },
    /// When the plan says.
    Open(Plan),
}

/// What a run needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What to send, and where.
    pub mix: Mix,
    /// When to send.
    pub model: Model,
    /// Connections opened before the start; the closed model uses exactly these.
    pub connections: usize,
    /// Open model: most requests in flight, so also most connections.
    pub max_in_flight: usize,
    /// Longest time for one request; then it has failed and its connection is closed.
    pub timeout: Duration,
    /// Set from outside to end the run early.
    pub stop: Arc<AtomicBool>,
}

/// One of several loads that run side by side.
pub struct Load<'a> {
    /// What it sends, and when.
    pub settings: Settings,
    /// Who sees what happens.
    pub observer: &'a mut dyn Observer,
}

/// When and how several loads run.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// When plans begin, on the run's clock. Connections are opened before; a time that has passed means at once.
    pub start_ns: u64,
    /// How the driver waits.
    pub pacing: Pacing,
}

/// What a connection may take to be opened, and to be taken by a server that others on the machine keep from its work.
const OPENING: Duration = Duration::from_micros(150);

/// How long before a start so many connections should be asked for: a plan that begins before they are open is late
/// from its first request on.
#[must_use]
pub fn opening(connections: usize) -> Duration {
    OPENING * u32::try_from(connections).unwrap_or(u32::MAX)
}

/// Somebody who shares the driver's thread: does what is to be done now, without waiting, and says whether there was
/// anything.
pub type Neighbour<'a> = &'a mut dyn FnMut() -> bool;

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A target took no connection before the start.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The target.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// It takes connections, and no handshake.
    #[error("no TLS with {address}: {source}")]
    Handshake {
        /// The target.
        address: std::net::SocketAddr,
        /// What is wrong.
        source: std::io::Error,
    },
    /// It takes connections, and answers in another protocol.
    #[error(
        "no HTTP/2 with {address}: to its first bytes it says `{said}`; leave --http2 out, or ask one that speaks it"
    )]
    NoHttp2 {
        /// The target.
        address: std::net::SocketAddr,
        /// The first line of what it said.
        said: String,
    },
    /// The system refused an epoll.
    #[error("cannot set up the event loop: {0}")]
    Setup(#[from] std::io::Error),
}
