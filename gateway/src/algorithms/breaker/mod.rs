//! A circuit breaker: when to leave something alone that fails, and how to find out that it is well again.
//!
//! **Closed**: everything passes, and outcomes are counted in a window of time. It **trips** when so many failures came
//! in a row, or when the share of failures, or of slow answers, in the window is too large; each outcome is judged when
//! it comes. **Open**: nothing passes for a time, which doubles each time that probes fail, up to a limit. Then it is
//! **half-open**, by time alone: a number of probes pass. When all of them did well it closes; when one did not, or had
//! no outcome in time, it opens again. So nothing that hangs keeps it half-open for ever.
//!
//! Where somebody checks the endpoint beside its requests, probes wait until a check did well: no request is spent on
//! an endpoint that is still down.
//!
//! A neutral outcome (a client that left, 429) counts nowhere. A probe that ends so gives its place to another: it
//! neither opens nor closes. So does one whose time is up while most of it went to its client, which was still sending;
//! its outcome counts when it comes.
//!
//! An answer is judged by its **head**, and may **break off** behind it. Then that success was a failure after all: in
//! its own place in the row, and among those of the window. A probe that breaks off has failed too, and where it was
//! one that closed the breaker, that opens again for twice as long. What breaks off when its head has left the window
//! only adds to the failures there: an endpoint that lets go of streams after hours has not failed in a row.
//!
//! Sources: the three states are Nygard's ("Release It!", 2007). Buckets of time instead of a moving average, so that
//! the decision does not depend on the rate of requests, as linkerd2-proxy came to (PR #4561). The limit on a probe's
//! time answers resilience4j #903, where a probe that hangs wedges the breaker.

mod machine;
#[cfg(test)]
mod model;
mod row;
#[cfg(test)]
mod tests;
mod window;

use std::time::{Duration, Instant};

pub use machine::Breaker;

/// When a breaker trips, and how it recovers. Shares are in millionths, so that they are compared exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The time that is looked at.
    pub window: Duration,
    /// Fewer outcomes in the window than this decide nothing by their shares; at least 1.
    pub min_requests: u32,
    /// The share of failures that trips it.
    pub failure_share: u32,
    /// Failures in a row that trip it; `None` is off.
    pub consecutive_failures: Option<u32>,
    /// The share of slow answers that trips it; `None` is off, and then a slow probe does well too.
    pub slow_share: Option<u32>,
    /// How long it is open the first time.
    pub open_for: Duration,
    /// How long at most.
    pub max_open_for: Duration,
    /// Probes that have to do well; at least 1.
    pub probes: u32,
    /// A probe without an outcome after this time has failed, unless it was its client that took most of it.
    pub probe_timeout: Duration,
}

/// One whole, in the units of shares.
pub const WHOLE: u32 = 1_000_000;

impl Policy {
    /// As `min_requests`, more than any window holds: the largest number that the configuration takes.
    pub const NEVER: u32 = 1_000_000_000;

    /// Whether anything can trip it. Where nothing can, outcomes need not be counted.
    pub fn can_trip(&self) -> bool {
        self.consecutive_failures.is_some() || self.min_requests < Self::NEVER
    }

    /// Whether this can open it while it is closed.
    pub fn trips_for(&self, cause: Cause) -> bool {
        match cause {
            Cause::ConsecutiveFailures => self.consecutive_failures.is_some(),
            Cause::FailureRatio => self.min_requests < Self::NEVER,
            Cause::SlowRatio => self.slow_share.is_some() && self.min_requests < Self::NEVER,
            // One of those that closed it, whose answer broke off.
            Cause::ProbeFailed => self.can_trip(),
            Cause::Operator => true,
            Cause::ProbeSlow | Cause::ProbeTimeout | Cause::CheckFailed | Cause::Timer | Cause::ProbesPassed => false,
        }
    }
}

/// How an attempt went, to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Success,
    /// Well, but slowly.
    Slow,
    /// Not well.
    Failure,
    /// It says nothing.
    Neutral,
}

/// What a breaker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Everything passes.
    Closed,
    /// Probes pass.
    HalfOpen,
    /// Nothing passes.
    Open,
}

impl State {
    /// As written in records, events and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Why a breaker changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// The share of failures in the window.
    FailureRatio,
    /// The share of slow answers in the window.
    SlowRatio,
    /// A probe failed, or broke off behind its head.
    ProbeFailed,
    /// A probe was slow.
    ProbeSlow,
    /// A probe had no outcome in time.
    ProbeTimeout,
    /// The check that comes before probes failed, or did not come.
    CheckFailed,
    /// It has been open for long enough.
    Timer,
    /// All probes did well.
    ProbesPassed,
    /// Somebody said so.
    Operator,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::ConsecutiveFailures,
        Self::FailureRatio,
        Self::SlowRatio,
        Self::ProbeFailed,
        Self::ProbeSlow,
        Self::ProbeTimeout,
        Self::CheckFailed,
        Self::Timer,
        Self::ProbesPassed,
        Self::Operator,
    ];

    /// As written in events, metrics and the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRatio => "failure_ratio",
            Self::SlowRatio => "slow_ratio",
            Self::ProbeFailed => "probe_failed",
            Self::ProbeSlow => "probe_slow",
            Self::ProbeTimeout => "probe_timeout",
            Self::CheckFailed => "check_failed",
            Self::Timer => "timer",
            Self::ProbesPassed => "probes_passed",
            Self::Operator => "operator",
        }
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Outcomes do.
    Auto,
    /// An operator wants it open, until told otherwise.
    Open,
    /// An operator wants it closed, until told otherwise.
    Closed,
}

impl Mode {
    /// As written in the admin API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What the window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Outcomes that were not neutral.
    pub requests: u32,
    /// Failures among them.
    pub failures: u32,
    /// Slow answers among them.
    pub slow: u32,
    /// Failures in a row up to now, however old.
    pub consecutive: u32,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// From this.
    pub from: State,
    /// To this.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When it came to pass. A change by time alone has the time at which it was due, also where it is seen later.
    pub at: Instant,
    /// What the window held.
    pub counts: Counts,
}

/// Leave to make one attempt. It belongs to the state that gave it: an outcome that comes after a change counts no
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub(super) generation: u32,
    /// The number of the probe, where it is one.
    pub(super) probe: Option<u32>,
    /// Where its answer's head counted as a success.
    pub(super) head: Option<Head>,
}

/// Where an answer's head counted as a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its place among outcomes.
    pub(super) place: u32,
    /// The bucket of the window.
    pub(super) bucket: u32,
}

impl Ticket {
    /// Leave for an attempt that is no probe: what a closed breaker gives, without being asked, in its generation.
    pub fn plain(generation: u32) -> Self {
        Self { generation, probe: None, head: None }
    }

    /// Whether the attempt is a probe.
    pub fn is_probe(self) -> bool {
        self.probe.is_some()
    }
}
