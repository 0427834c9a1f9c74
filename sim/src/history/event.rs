//! What the gateway told of its own decisions (records.md, "Events").

use super::{Endpoint, Name};

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Traffic passes.
    Closed,
    /// Refused.
    Open,
    /// Probes pass.
    HalfOpen,
}

impl BreakerState {
    /// As written in events and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// Reads what [`Self::as_str`] writes; `half-open` too.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "closed" => Some(Self::Closed),
            "open" => Some(Self::Open),
            "half_open" | "half-open" => Some(Self::HalfOpen),
            _ => None,
        }
    }
}

/// How the gateway saw an attempt end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seen {
    /// An answer with this status.
    Status(u16),
    /// No connection was made.
    Connect,
    /// The connection broke, or its answer was not HTTP.
    Reset,
    /// A time limit ended it.
    Timeout,
    /// The client left, or a hedge won elsewhere: nothing that tells of the endpoint.
    Cancelled,
}

/// One rule that a request was held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The rule's name.
    pub rule: Name,
    /// The key, or its hash.
    pub key: Name,
    /// Tokens that the request takes.
    pub cost: u64,
}

/// What an event tells.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A breaker changed its state.
    Breaker {
        /// The upstream.
        upstream: Name,
        /// Its endpoint; `None` for the roll-up of the whole upstream.
        endpoint: Option<Endpoint>,
        /// The state before.
        from: BreakerState,
        /// The state now.
        to: BreakerState,
        /// Why, in the gateway's words.
        cause: Name,
    },
    /// An endpoint left balancing or came back.
    Ejection {
        /// The endpoint.
        endpoint: Endpoint,
        /// It is out now.
        out: bool,
        /// It would be out, but the cap keeps it in; traffic to it is no leak.
        capped: bool,
        /// Why.
        reason: Name,
    },
    /// A request was held against the rules of one stage; all of them had to admit it, or none was charged.
    Limit {
        /// The request.
        request_id: Option<Name>,
        /// The rules, in the order of the route.
        asked: Vec<Asked>,
        /// The rule that refused; `None` when all admitted.
        refused_by: Option<Name>,
    },
    /// An attempt ended. Sent only while a run asks for it.
    Attempt {
        /// The request.
        request_id: Option<Name>,
        /// The endpoint.
        endpoint: Endpoint,
        /// When it began: before the connection was made.
        start_ns: u64,
        /// How it ended; the event's time is when.
        seen: Seen,
        /// The key that the endpoint was picked by, as the gateway writes it; `None` where it was not.
        key: Option<Name>,
    },
    /// A configuration came into force, or was refused.
    Reload {
        /// Its version.
        version: u64,
        /// It is in force.
        ok: bool,
    },
    /// The gateway began to drain.
    Drain,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When the decision was taken.
    pub at_ns: u64,
    /// The gateway that told it, from 0.
    pub gateway: usize,
    /// What.
    pub kind: EventKind,
}
