//! Figures over time.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Figures of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// Its start, milliseconds from the run's.
    pub t_ms: u64,
    /// Requests that ended, a second: of `load` those that were to be sent in it, elsewhere those that ended in it.
    #[schemars(range(min = 0.0))]
    pub rps: f64,
    /// Median latency, microseconds, of requests that were to be sent in it.
    #[schemars(range(min = 0.0))]
    pub p50: f64,
    /// 99th percentile of the same, microseconds.
    #[schemars(range(min = 0.0))]
    pub p99: f64,
    /// Those of them that did not end as expected.
    pub errors: u64,
    /// Breaker states by endpoint: `closed`, `open`, `half_open`.
    #[serde(default)]
    pub breaker_states: BTreeMap<String, String>,
    /// Faults that were active.
    #[serde(default)]
    pub fault_active: Vec<String>,
    /// Share of requests that each limit refused, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limiter_refused: BTreeMap<String, f64>,
}
