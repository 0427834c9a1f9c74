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
    /// How often the interval of that ratio holds the truth: 95 % from six rounds on; of one round never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ratio_coverage: Option<f64>,
    /// Anything measured beside: share of a core used, reuse of upstream connections, memory of an idle connection.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Peer {
    /// Whether the interval of the ratio says something. A result that does not tell how sure it is had enough rounds,
    /// as far as anybody knows.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.ratio_coverage.is_none_or(|coverage| coverage >= SURE)
    }

    /// What the interval of the ratio says of our cost beside this peer's: whether it is less, or is not; `None` where
    /// it shows no difference, or too few rounds show anything.
    #[must_use]
    pub fn ours_is_less(&self) -> Option<bool> {
        let ratio = self.ratio_to_ours.filter(|_| self.is_sure())?;
        match (ratio.ci_low, ratio.ci_high) {
            (_, high) if high < 1.0 => Some(true),
            (low, _) if low > 1.0 => Some(false),
            _ => None,
        }
    }
}

/// An interval says something when it holds the truth so often.
const SURE: f64 = 0.95;

/// What stands over the ratios and their intervals, of which each says how often it holds the truth.
#[must_use]
pub fn ratio_title<'a>(peers: impl Iterator<Item = &'a Peer>) -> String {
    match peers.filter_map(|peer| peer.ratio_coverage).reduce(f64::min) {
        Some(coverage) if coverage > 0.0 => format!("ours/theirs ({:.0} %)", coverage * 100.0),
        Some(_) => "ours/theirs (no interval)".to_owned(),
        None => "ours/theirs".to_owned(),
    }
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
