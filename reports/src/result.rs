//! The types of a result file. Latencies are microseconds, from the intended send time.
//!
//! Sections that later kinds of run add are kept as they are in [`ResultFile::other`], so that an older reader loses
//! nothing of a newer file of the same version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version that is written, and the only one that is read.
pub const SCHEMA_VERSION: u32 = 1;

/// The JSON Schema of a result file.
pub const SCHEMA: &str = include_str!("../schema/result.schema.json");

/// One `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What kind of run wrote it.
    pub kind: Kind,
    /// The run's name.
    pub name: String,
    /// The seed that everything random was drawn from.
    pub seed: u64,
    /// The commit measured; empty when unknown.
    pub commit: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The command line.
    pub command: String,
    /// Where it was measured.
    pub environment: Environment,
    /// Whether it can be believed.
    pub validity: Validity,
    /// Each load by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub load: BTreeMap<String, Load>,
    /// Each gateway instance by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gateway: BTreeMap<String, Gateway>,
    /// Balance by upstream.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub balance: BTreeMap<String, Balance>,
    /// Each peer by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<String, Peer>,
    /// Figures over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Moment>,
    /// What was expected, and whether it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Expectation>,
    /// The run's verdict.
    pub verdict: Verdict,
    /// Sections that this version of the reader has no types for.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What kind of run wrote a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A scenario.
    Run,
    /// The load generator alone.
    Load,
    /// The demonstration.
    Demo,
    /// Many seeds in virtual time.
    Explore,
    /// Base against head.
    Gate,
    /// The gate measured by itself.
    SelfTest,
    /// A scenario against other gateways.
    Compare,
    /// The same work through other gateways.
    Peers,
    /// The figures of the article.
    Article,
    /// Many scenarios.
    Suite,
}

/// What a run concluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything expected holds.
    Pass,
    /// Something expected does not hold.
    Fail,
    /// The figures do not decide.
    Inconclusive,
    /// The figures cannot be believed.
    Invalid,
}

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The processor's name.
    pub cpu: String,
    /// Logical processors.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, bytes.
    pub memory: u64,
    /// The frequency governor.
    pub governor: String,
    /// Which part ran on which core.
    pub pinning: String,
    /// Versions by name.
    pub versions: BTreeMap<String, String>,
    /// Share of time that the host took.
    pub steal_ratio: f64,
    /// What two equal builds differ by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_aa: Option<f64>,
}

/// Whether a run can be believed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// It can.
    pub valid: bool,
    /// Why not, or what to know.
    pub reasons: Vec<String>,
    /// Arrivals dropped.
    pub dropped: u64,
    /// The pacer's lag.
    pub pacer_lag_us: Lag,
    /// Achieved over offered.
    pub achieved_over_offered: f64,
    /// CPU time of the driver over the run's time.
    pub client_cpu_ratio: f64,
    /// When it was steady.
    pub steady_from_ms: u64,
}

/// Two quantiles, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Quantiles, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Planned requests a second.
    pub offered_rps: f64,
    /// Requests that ended, a second.
    pub achieved_rps: f64,
    /// Requests that ended.
    pub requests: u64,
    /// CPU time of the driver for each request, microseconds.
    #[serde(default)]
    pub client_cpu_us_per_request: f64,
    /// The plan's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Phases by name.
    pub phases: BTreeMap<String, Phase>,
}

/// One phase of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// From the intended time.
    pub latency_us: Quantiles,
    /// From the first byte sent.
    pub service_us: Quantiles,
    /// Service less the mock's residence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_us: Option<Quantiles>,
    /// Answers by status, `0` for none.
    pub status: BTreeMap<String, u64>,
    /// Outcomes: ok, rejected, failed, dropped, client_error.
    pub outcome: BTreeMap<String, u64>,
    /// Failures by cause.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Ok over all arrivals.
    pub success_ratio: f64,
}

/// One gateway instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// User and system time for each request, microseconds.
    pub cpu_us_per_request: f64,
    /// Resident memory.
    pub rss_bytes: Rss,
    /// Upstream connections opened, counted at the mocks.
    pub connections_opened: u64,
    /// One less connections over requests, counted at the mocks.
    pub reuse_ratio: f64,
}

/// Resident memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rss {
    /// Before the load.
    pub idle: u64,
    /// The most seen.
    pub peak: u64,
    /// After the load.
    pub end: u64,
}

/// How requests were spread over an upstream's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// Share of requests by endpoint.
    pub share: BTreeMap<String, f64>,
    /// Share by weight.
    #[serde(default)]
    pub expected_share: BTreeMap<String, f64>,
}

/// One peer in `sim peers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// What the program says of itself.
    pub version: String,
    /// What it did beside proxying; `bare` for nothing.
    pub chain: String,
    /// Median over rounds.
    pub requests_per_second: f64,
    /// Median over rounds, user and system time of all its processes.
    pub cpu_us_per_request: f64,
    /// Largest seen after a round, all its processes.
    pub rss_bytes: u64,
    /// Medians over rounds of p50 and p99.
    pub latency_us: Lag,
    /// CPU per request: the gateway's divided by this peer's; below 1 the gateway is cheaper. Absent for the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio_to_ours: Option<Ratio>,
    /// Anything measured beside: share of a core used, reuse of upstream connections, memory of an idle connection.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A ratio with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Hodges-Lehmann estimate over paired rounds.
    pub estimate: f64,
    /// Lower end of the interval.
    pub ci_low: f64,
    /// Upper end.
    pub ci_high: f64,
}

/// Figures of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Its start, milliseconds from the run's.
    pub t_ms: u64,
    /// Requests that ended, a second.
    pub rps: f64,
    /// Median latency, microseconds.
    pub p50: f64,
    /// 99th percentile, microseconds.
    pub p99: f64,
    /// Requests that did not end as expected.
    pub errors: u64,
    /// Breaker states by endpoint.
    #[serde(default)]
    pub breaker_states: BTreeMap<String, String>,
    /// Faults that were active.
    #[serde(default)]
    pub fault_active: Vec<String>,
}

/// One expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The figure's name.
    pub figure: String,
    /// Its bound, in words.
    pub bound: String,
    /// Its value.
    pub value: f64,
    /// Whether the bound holds.
    pub holds: bool,
}

/// Why a file is no result that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no result.
    #[error("{path}: not a result file: {source}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("{path}: schema version {found}, this program reads {SCHEMA_VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
}

impl ResultFile {
    /// Reads a result file.
    ///
    /// # Errors
    /// When it cannot be read, is no result, or has another version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let path_buf = || path.to_path_buf();
        let text = std::fs::read_to_string(path).map_err(|source| ReadError::File { path: path_buf(), source })?;
        let result: Self =
            serde_json::from_str(&text).map_err(|source| ReadError::Form { path: path_buf(), source })?;
        if result.schema_version != SCHEMA_VERSION {
            return Err(ReadError::Version { path: path_buf(), found: result.schema_version });
        }
        Ok(result)
    }

    /// The file's text, with a line end at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| unreachable!("a result is plain data and always JSON: {error}"));
        format!("{json}\n")
    }
}
