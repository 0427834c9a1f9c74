//! A request as its client saw it.

use super::Name;

/// How a request ended for its client (`outcome` in result.json).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered as wanted, whole.
    Ok,
    /// Refused by the gateway on purpose: 429, or a 503 that no upstream gave.
    Rejected,
    /// Answered with an error, broken off, or not answered at all.
    Failed,
    /// Never sent: the driver was at its limit of requests in flight.
    Dropped,
    /// The client's own doing: it left, or what it sent was wrong.
    ClientError,
}

impl From<loadgen::sample::Outcome> for Outcome {
    fn from(outcome: loadgen::sample::Outcome) -> Self {
        use loadgen::sample::Outcome as Sampled;
        match outcome {
            Sampled::Ok => Self::Ok,
            Sampled::Rejected => Self::Rejected,
            Sampled::Failed => Self::Failed,
            Sampled::ClientError => Self::ClientError,
        }
    }
}

/// One request of a load.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRequest {
    /// What the request is called in records, attempts and events; `None` when it is not known.
    pub request_id: Option<Name>,
    /// The load that sent it.
    pub load: Name,
    /// The phase that its planned time falls in (`before`, `fault_1`, `healed`, …).
    pub phase: Name,
    /// The limiter's key that it was sent under, where it has one: a subject, an address.
    pub key: Option<Name>,
    /// When the plan wanted it sent. Latency counts from here.
    pub intended_ns: u64,
    /// When its first byte was written; `None` when it never was.
    pub sent_ns: Option<u64>,
    /// When the answer's head was whole; on sockets, where nobody asks, when the request ended.
    pub head_ns: Option<u64>,
    /// When the answer's last byte had come, or the request was given up.
    pub end_ns: Option<u64>,
    /// The answer's status.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer lacked a header that was expected, or had one that was not to be there.
    pub wrong_header: bool,
    /// What `retry-after` (or `retry_after_ms` of the problem document, which is finer) asked to wait.
    pub retry_after_ns: Option<u64>,
    /// Whole answers that came for it. One, unless something is wrong.
    pub answers: u32,
}

impl ClientRequest {
    /// A request that was planned and nothing more.
    pub fn planned(load: Name, phase: Name, intended_ns: u64) -> Self {
        Self {
            request_id: None,
            load,
            phase,
            key: None,
            intended_ns,
            sent_ns: None,
            head_ns: None,
            end_ns: None,
            status: None,
            outcome: Outcome::Dropped,
            wrong_header: false,
            retry_after_ns: None,
            answers: 0,
        }
    }

    /// It reached the wire, so it has to be answered and recorded.
    pub fn was_sent(&self) -> bool {
        self.sent_ns.is_some()
    }
}
