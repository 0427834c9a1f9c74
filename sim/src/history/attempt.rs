//! An exchange as the mock of an endpoint saw it.

use super::{Endpoint, Name};

/// The fault rule that hit an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hit {
    /// None: the mock answered as it always does.
    #[default]
    None,
    /// The rule at this place in the mock's list.
    Rule(usize),
    /// The request's own header.
    Header,
}

/// How an attempt ended at the mock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A whole answer with this status.
    Answered(u16),
    /// The connection was reset, or closed without a right answer.
    Broken,
    /// An answer that was less than it promised, or was not HTTP.
    Invalid,
    /// The other side went first: a timeout of the gateway, a cancelled hedge, or a client that left.
    Abandoned,
}

/// One exchange with an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The connection's number at the mock.
    pub connection: u64,
    /// The client's request that it was made for; `None` when it is not known.
    pub request_id: Option<Name>,
    /// When the request's first byte came.
    pub arrival_ns: u64,
    /// When the answer's first byte left; `None` when nothing was answered.
    pub answer_ns: Option<u64>,
    /// When it was over: the answer's last byte, the break, or the moment at which the other side had gone; `None` when
    /// that was not seen.
    pub end_ns: Option<u64>,
    /// How it ended.
    pub ending: Ending,
    /// The rule that hit it.
    pub hit: Hit,
    /// A check that the gateway made by itself (a health path), no request of a client.
    pub health_check: bool,
}

impl Attempt {
    /// When its outcome was known, as well as the mock can tell.
    pub fn known_ns(&self) -> u64 {
        self.end_ns.or(self.answer_ns).unwrap_or(self.arrival_ns).max(self.arrival_ns)
    }
}
