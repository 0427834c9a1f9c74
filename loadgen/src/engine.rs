//! The event loop: one thread, one epoll, all connections.
//!
//! Closed model: every connection sends as soon as it has its answer. Open model: a timer wakes the loop at each
//! planned time (a `timerfd`, whose grain is the kernel's high-resolution clock; nothing spins), and a free connection
//! takes the request. Where none is free a new one is opened, up to the in-flight bound; beyond it the arrival is
//! dropped and counted, never delayed.
//!
//! Invariants: each request that was started ends in exactly one sample. Requests of one target never use a connection
//! of another.

mod pacer;
mod run;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use run::run;

use crate::plan::Plan;
use crate::request::Mix;

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
    /// The system refused a timer or an epoll.
    #[error("cannot set up the event loop: {0}")]
    Setup(#[from] std::io::Error),
}
