//! Our gateway beside others.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AddedQuantiles, Lag};

/// One peer in `sim peers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// What the program says of itself.
    pub version: String,
    /// What it did beside proxying; `bare` for nothing.
    pub chain: String,
    /// Median over rounds.
    #[schemars(range(min = 0.0))]
    pub requests_per_second: f64,
    /// Median over rounds, user and system time of all its processes.
    #[schemars(range(min = 0.0))]
    pub cpu_us_per_request: f64,
    /// Largest seen after a round, all its processes.
    pub rss_bytes: u64,
    /// With every connection busy, over all rounds, each gateway at its own full rate: no latencies at one load.
    pub latency_us: Lag,
    /// CPU per request: the gateway's divided by this peer's; below 1 the gateway is cheaper. Absent for the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio_to_ours: Option<Ratio>,
    /// Anything measured beside: share of a core used, reuse of upstream connections, memory of an idle connection.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A figure with its interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// The estimate; of paired rounds the Hodges-Lehmann estimate.
    pub estimate: f64,
    /// Lower end of the interval.
    pub ci_low: f64,
    /// Upper end.
    pub ci_high: f64,
}

/// One gateway in `sim compare`, scored from the client's and the mocks' journals alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Compared {
    /// What the program says of itself.
    pub version: String,
    /// What its configuration cannot say of what ours says.
    pub lacks: Vec<String>,
    /// From the first failure to the last request at the failing endpoint, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_ms: Option<f64>,
    /// Attempts at the failing endpoint while it was out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaked_attempts: Option<u64>,
    /// From healing to normal service, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_ms: Option<f64>,
    /// Admitted over what the limit allows, less one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_admission: Option<f64>,
    /// Requests that failed at a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_failures: Option<u64>,
    /// Requests that failed at a drain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_failures: Option<u64>,
    /// Share of requests that ended as expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_ratio: Option<f64>,
    /// Latency that it added, request by request, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_us: Option<AddedQuantiles>,
    /// Anything else that was scored, by figure.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}
