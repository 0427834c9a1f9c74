//! How breakers and limiters did beside their oracles.
//!
//! What did not happen has no figure: a breaker that never tripped has no trip time. So most are optional, and written
//! as
//! `null` then, since the contract names them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One endpoint's breaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Breaker {
    /// How often it went from closed to open.
    pub trips: u64,
    /// From the first attempt that counts as failed to the trip, milliseconds; the worst over all trips.
    pub trip_ms: Option<f64>,
    /// Failed attempts until the trip.
    pub attempts_to_trip: Option<u64>,
    /// The smallest number of the same attempts that the configured policy needs.
    pub oracle_attempts: Option<u64>,
    /// Attempts to trip less the oracle's.
    pub trip_error: Option<i64>,
    /// Attempts started while it was open that were no probes.
    pub leaked_attempts: u64,
    /// The most probes at one time.
    pub probes_max_concurrent: u64,
    /// From the end of the fault to the breaker's closing, milliseconds; the worst. None when it never closed.
    pub recovery_ms: Option<f64>,
    /// The least that the configured policy allows, milliseconds.
    pub recovery_oracle_ms: Option<f64>,
    /// Faults that were over, and after which it never closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_closed: Option<u64>,
    /// Its changes of state, in order of time.
    pub transitions: Vec<Transition>,
}

/// A breaker's change of state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// When, milliseconds from the run's start.
    pub t_ms: f64,
    /// The state left: `closed`, `open` or `half_open`.
    #[serde(default)]
    pub from: String,
    /// The state entered.
    pub to: String,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

/// One rate limit's accuracy, by exact replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limiter {
    /// Requests that met the rule.
    pub offered: u64,
    /// Requests that it let pass.
    pub admitted: u64,
    /// Requests that the oracle let pass.
    pub oracle_admitted: u64,
    /// Passed, though the oracle refused; absent where the rule's buckets are in a store that gateways share.
    pub false_admits: Option<u64>,
    /// Refused, though the oracle let pass; absent as those.
    pub false_refusals: Option<u64>,
    /// The most that any window held above burst plus rate times its length, requests; at most 0 is right.
    pub bound_violation: Option<f64>,
    /// The admitted rate under twice the limit or more, against the limit, as a share.
    pub sustained_error: Option<f64>,
    /// Between the promise of `Retry-After` and the first admission of who obeyed it, milliseconds.
    pub retry_after_error_ms: Option<f64>,
    /// Jain's index over keys: 1 is equal.
    pub fairness_jain: Option<f64>,
    /// What was decided in each phase.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<String, LimiterPhase>,
}

impl Limiter {
    /// What a table tells of it first, where there is little room.
    pub const COUNTS: [&str; 5] = ["offered", "admitted", "oracle", "false admits", "false refusals"];

    /// The same as numbers; what is not known has none.
    #[must_use]
    pub fn counts(&self) -> [Option<u64>; 5] {
        let [offered, admitted, oracle] = [self.offered, self.admitted, self.oracle_admitted].map(Some);
        [offered, admitted, oracle, self.false_admits, self.false_refusals]
    }
}

/// What a rate limit decided in one phase.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimiterPhase {
    /// Requests that met the rule.
    pub offered: u64,
    /// Requests that it let pass.
    pub admitted: u64,
    /// What passed over what the rate gave, of keys that asked for as much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_rate: Option<f64>,
}
