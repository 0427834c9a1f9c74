//! What a gateway cost, and how it spread requests.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One gateway instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gateway {
    /// User and system time for each request, microseconds; none in virtual time, where nothing costs anything.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub cpu_us_per_request: Option<f64>,
    /// Resident memory; none in virtual time.
    #[serde(default)]
    pub rss_bytes: Option<Rss>,
    /// Upstream connections opened, counted at the mocks.
    pub connections_opened: u64,
    /// One less connections over requests, counted at the mocks.
    #[schemars(range(max = 1.0))]
    pub reuse_ratio: f64,
    /// Instructions for each request, where they can be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions_per_request: Option<f64>,
}

/// Resident memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rss {
    /// Before the load.
    pub idle: u64,
    /// The most seen.
    pub peak: u64,
    /// After the load.
    pub end: u64,
}

/// How requests were spread over an upstream's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Balance {
    /// Share of requests by endpoint.
    pub share: BTreeMap<String, f64>,
    /// Share by weight.
    #[serde(default)]
    pub expected_share: BTreeMap<String, f64>,
    /// Requests sent to an unhealthy endpoint, over those offered; perfect is 0.
    #[serde(default)]
    pub regret_bad: Option<f64>,
    /// Requests of its fair share that a healthy endpoint did not get, over those offered; perfect is 0.
    #[serde(default)]
    pub regret_idle: Option<f64>,
    /// Keys that went elsewhere although their home was well; only with `consistent_hash`, where there were faults.
    #[serde(default)]
    pub moved_keys: Option<f64>,
}

/// What retries did to the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retries {
    /// Upstream attempts over client requests, counted at the mocks.
    pub amplification: f64,
    /// Retries that the budget refused, where the gateways could tell.
    pub budget_refused: Option<u64>,
}
