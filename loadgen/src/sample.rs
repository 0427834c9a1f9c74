//! What happened to one request.

use std::fmt;

use crate::response::Refusal;

/// How a request ended, as the result contract counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The expected status, and the whole expected body.
    Ok,
    /// 429 that was not expected, a 503 that no service gave, or a gRPC call's 8 or 14: someone refused to do the work.
    Rejected,
    /// Any other answer that was not expected, a broken answer, or none.
    Failed,
    /// A 4xx that was not expected: the request itself was wrong.
    ClientError,
}

impl Outcome {
    /// What a status means that was not expected. A 503 of the service itself is its failure; one of whoever stands
    /// before it, or of a server that does not say what it is, is a refusal.
    #[must_use]
    pub const fn of_unexpected(status: u16, by_mock: bool) -> Self {
        match status {
            429 => Self::Rejected,
            503 if !by_mock => Self::Rejected,
            400..=499 => Self::ClientError,
            _ => Self::Failed,
        }
    }
}

/// Why there was no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connection could not be opened.
    Connect,
    /// The connection ended before the answer did.
    Closed,
    /// The server reset the request's stream (HTTP/2), and the connection goes on.
    Reset,
    /// The answer was no HTTP answer.
    Malformed,
    /// The body had another length than expected.
    Length,
    /// The answer lacked a header that was expected, or had one that was not to be there.
    Header,
    /// The answer did not come in time.
    Timeout,
    /// The answer lacked a value that later steps of a journey need.
    Missing,
    /// A gRPC call ended with another status than 0, or without one.
    Call,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Malformed => "malformed",
            Self::Length => "length",
            Self::Header => "header",
            Self::Timeout => "timeout",
            Self::Missing => "missing",
            Self::Call => "grpc",
        })
    }
}

/// One request from its intended time to its end. All times are nanoseconds of the run's clock.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Number of the template in its mix.
    pub template: usize,
    /// When the plan wanted it sent; in the closed model, when it was sent.
    pub intended_ns: u64,
    /// When its first byte was written.
    pub sent_ns: u64,
    /// When the answer's head was there; the end, when it never came.
    pub head_ns: u64,
    /// When the last byte of the answer was read, or the failure noticed.
    pub end_ns: u64,
    /// The status; 0 when none came.
    pub status: u16,
    /// Body bytes read.
    pub body_bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why there was no whole answer; `None` when there was one.
    pub failure: Option<Failure>,
    /// What the mock says it took itself (`x-mock-residence-ns`).
    pub residence_ns: Option<u64>,
    /// Which endpoint of a mock answered (`x-mock-endpoint`, its port).
    pub endpoint: Option<u16>,
    /// Whose request was refused (429), and until when.
    pub refusal: Option<Refusal>,
}

impl Sample {
    /// A good answer without a body, to the first request, in no time: what tests begin with.
    #[cfg(test)]
    pub(crate) const GOOD: Self = Self {
        template: 0,
        intended_ns: 0,
        sent_ns: 0,
        head_ns: 0,
        end_ns: 0,
        status: 200,
        body_bytes: 0,
        outcome: Outcome::Ok,
        failure: None,
        residence_ns: None,
        endpoint: None,
        refusal: None,
    };

    /// From the intended time to the end: what a user waits.
    #[must_use]
    pub fn latency_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.intended_ns)
    }

    /// From the first byte sent to the end: what the server side took.
    #[must_use]
    pub fn service_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.sent_ns)
    }

    /// From the first byte sent to the answer's head; `None` where none came.
    #[must_use]
    pub fn first_byte_ns(&self) -> Option<u64> {
        (self.status != 0).then(|| self.head_ns.saturating_sub(self.sent_ns))
    }

    /// From the first byte sent to the answer's head, less the mock's own time up to there: what all between took.
    /// A body is left out on both sides, since no head can tell how long it will take.
    #[must_use]
    pub fn added_ns(&self) -> Option<u64> {
        self.residence_ns.map(|residence| self.head_ns.saturating_sub(self.sent_ns).saturating_sub(residence))
    }
}

/// Counts while a run goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests sent, or that could not be.
    pub started: u64,
    /// Requests that ended, in any way.
    pub finished: u64,
    /// Of those, with another outcome than [`Outcome::Ok`].
    pub not_ok: u64,
    /// Arrivals dropped at the in-flight bound.
    pub dropped: u64,
    /// Connections opened.
    pub connections: u64,
    /// How often this machine had no socket for another one: too many open files, no port that is free.
    pub unopened: u64,
    /// Requests in flight at the last tick.
    pub in_flight: u64,
    /// Whether the run ended early: the driver fell hopelessly behind its plan, or a closed load could begin nothing
    /// for long.
    pub gave_up: bool,
    /// When somebody ended the run, nanoseconds from the start.
    pub stopped_ns: Option<u64>,
    /// Requests that had no answer some time after that, and were given up.
    pub given_up: u64,
    /// CPU time that the driver's thread worked, nanoseconds; spinning is not in it.
    pub cpu_ns: u64,
    /// Time that the driver's thread spent looking for news that were not there, nanoseconds.
    pub spun_ns: u64,
    /// CPU time that somebody else had of the driver's thread and worked, nanoseconds.
    pub neighbour_ns: u64,
    /// From the start to the last end, nanoseconds.
    pub wall_ns: u64,
    /// The same times from the start to the last request that was sent, or not long after it; zero where no thread of
    /// the driver sent them. After that it waits for answers, and is no busier than they are.
    pub sending: Spent,
}

/// What became of the time of the driver's thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// CPU time that it worked, nanoseconds.
    pub cpu_ns: u64,
    /// Time that it spent looking for news that were not there, nanoseconds.
    pub spun_ns: u64,
    /// CPU time that somebody else had of it, nanoseconds.
    pub neighbour_ns: u64,
    /// All of it, nanoseconds.
    pub wall_ns: u64,
}

impl Spent {
    /// These nanoseconds as a share of all of it.
    #[must_use]
    pub fn share(&self, ns: u64) -> f64 {
        ns as f64 / self.wall_ns.max(1) as f64
    }
}

impl Totals {
    /// What became of the time while requests were sent; of a load that no thread of the driver sent, of all of it.
    #[must_use]
    pub fn while_sending(&self) -> Spent {
        let Self { cpu_ns, spun_ns, neighbour_ns, wall_ns, sending, .. } = *self;
        if sending.wall_ns > 0 { sending } else { Spent { cpu_ns, spun_ns, neighbour_ns, wall_ns } }
    }
}

/// Sees what the engine does. Calls are on the driver's thread, so they must be quick.
pub trait Observer {
    /// A request ended.
    fn sample(&mut self, sample: &Sample);
    /// An arrival was dropped at the in-flight bound.
    fn dropped(&mut self, intended_ns: u64);
    /// The pacer handled an arrival this much after its intended time.
    fn lag(&mut self, intended_ns: u64, lag_ns: u64);
    /// About ten times a second.
    fn tick(&mut self, now_ns: u64, totals: &Totals);
}
