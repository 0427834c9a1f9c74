//! What was configured: the measure that a history is held against.
//!
//! These are the oracles' own values, not the gateway's settings: what judges shares no code with what is judged.
//! Defaults are those of the configuration contract.

use std::collections::BTreeMap;

use crate::history::Name;

const SECOND: u64 = 1_000_000_000;

/// Everything that the oracles have to know of a configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policies {
    /// Upstreams by name.
    pub upstreams: BTreeMap<Name, UpstreamPolicy>,
    /// Rate limits by name.
    pub limits: BTreeMap<Name, LimitPolicy>,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamPolicy {
    /// The weight of each endpoint, in their order.
    pub weights: Vec<u32>,
    /// Which of its endpoints are backups, in their order; empty where none is.
    pub backups: Vec<bool>,
    /// All are used where a smaller share than this is well, in millionths; 0 is never.
    pub panic_below: u32,
    /// Its endpoints' breaker; `None` where there is none.
    pub breaker: Option<BreakerPolicy>,
    /// The share of endpoints that ejection may take out by their breakers, percent; rounded down, and never the last
    /// one.
    pub max_percent: u32,
    /// The gateway checks endpoints beside their requests.
    pub checked: bool,
}

impl Default for UpstreamPolicy {
    fn default() -> Self {
        let (weights, backups) = (Vec::new(), Vec::new());
        Self { weights, backups, panic_below: 0, breaker: None, max_percent: 50, checked: false }
    }
}

/// What counts as a failure (`breaker.failures`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke, or the answer was not HTTP.
    Reset,
    /// A time limit.
    Timeout,
    /// An answer with this status.
    Status(u16),
}

impl Failure {
    /// Reads `connect`, `reset`, `timeout` or a status.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "connect" => Some(Self::Connect),
            "reset" => Some(Self::Reset),
            "timeout" => Some(Self::Timeout),
            _ => text.parse().ok().filter(|status| (100..600).contains(status)).map(Self::Status),
        }
    }
}

/// The parts that a breaker's window is made of.
pub(crate) const BUCKETS: u64 = 10;

/// `[upstreams.NAME.breaker]`.
///
/// The time window is made of ten buckets of a tenth of it each, aligned to the clock's zero: what is looked at is the
/// present bucket and the nine before it. So a policy is exact, and it costs no list of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPolicy {
    /// What counts as a failure.
    pub failures: Vec<Failure>,
    /// The time that is looked at.
    pub window_ns: u64,
    /// Fewer requests in the window decide nothing.
    pub min_requests: u64,
    /// The share of failures that opens it.
    pub failure_ratio: f64,
    /// Failures in a row that open it; 0 is off.
    pub consecutive_failures: u64,
    /// A slower answer counts as slow; `None` is off.
    pub slow_call_ns: Option<u64>,
    /// The share of slow answers that opens it.
    pub slow_ratio: f64,
    /// How long it is open the first time.
    pub open_for_ns: u64,
    /// How long at most, after openings in a row, each twice as long as the one before.
    pub max_open_for_ns: u64,
    /// Attempts at once that try whether the endpoint is back.
    pub probes: u64,
    /// An attempt that tries so, and has no outcome after this time, has failed.
    pub probe_timeout_ns: u64,
    /// Where the buckets begin: the zero of the gateway's clock on the run's clock.
    pub buckets_from_ns: u64,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        let failures = ["connect", "reset", "timeout", "502", "503", "504"];
        Self {
            failures: failures.into_iter().filter_map(Failure::parse).collect(),
            window_ns: 10 * SECOND,
            min_requests: 20,
            failure_ratio: 0.5,
            consecutive_failures: 10,
            slow_call_ns: None,
            slow_ratio: 1.0,
            open_for_ns: 5 * SECOND,
            max_open_for_ns: 60 * SECOND,
            probes: 3,
            probe_timeout_ns: 5 * SECOND,
            buckets_from_ns: 0,
        }
    }
}

impl BreakerPolicy {
    /// How long each part of the window is; at least a nanosecond.
    pub(crate) fn bucket_ns(&self) -> u64 {
        (self.window_ns / BUCKETS).max(1)
    }

    /// How long the n-th opening in a row lasts, from 1.
    pub fn open_for(&self, in_a_row: u32) -> u64 {
        let doubled =
            1_u64.checked_shl(in_a_row.saturating_sub(1)).map_or(u64::MAX, |k| self.open_for_ns.saturating_mul(k));
        doubled.min(self.max_open_for_ns.max(self.open_for_ns))
    }
}

/// `[rate_limits.NAME]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitPolicy {
    /// Tokens that come back …
    pub tokens: u64,
    /// … in this time: `100/s` is 100 in a second, `600/m` is 600 in a minute.
    pub per_ns: u64,
    /// Tokens that can be there at most.
    pub burst: u64,
    /// It counts, and never refuses.
    pub shadow: bool,
}

impl LimitPolicy {
    /// So many a second.
    #[cfg(test)]
    pub fn per_second(tokens: u64, burst: u64) -> Self {
        Self { tokens, per_ns: SECOND, burst, shadow: false }
    }

    /// Tokens a second.
    pub fn rate(&self) -> f64 {
        self.tokens as f64 * SECOND as f64 / self.per_ns as f64
    }
}

/// How far two journals of one run may be apart, since two clocks were read for one event, or a wire lies between.
/// Zero in virtual time where only the gateway's own events are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// From the gateway's decision to the mock's first byte, and back.
    pub transit_ns: u64,
    /// From a decision to its stamp in the gateway.
    pub stamp_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_double_up_to_the_limit() {
        let policy = BreakerPolicy::default();
        let seconds = [1, 2, 3, 4, 5, 6, 70].map(|n| policy.open_for(n) / SECOND);
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn failures_are_read_as_the_configuration_writes_them() {
        assert_eq!(Failure::parse("503"), Some(Failure::Status(503)));
        assert_eq!(Failure::parse("connect"), Some(Failure::Connect));
        assert_eq!([Failure::parse("5xx"), Failure::parse("99"), Failure::parse("")], [None; 3]);
        assert_eq!(BreakerPolicy::default().failures.len(), 6);
    }
}
