//! Where a run was measured, and whether its figures can be believed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// The processor's name.
    pub cpu: String,
    /// Logical processors.
    #[schemars(range(min = 1))]
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
    #[schemars(range(min = 0.0))]
    pub steal_ratio: f64,
    /// What two equal builds differ by, as a share.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub noise_aa: Option<f64>,
}

/// Whether a run can be believed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validity {
    /// It can.
    pub valid: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// What to know of it, whether it can or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Something of what happened is not known, or an event did not happen: then not even counts are all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Arrivals dropped.
    pub dropped: u64,
    /// The pacer's lag.
    pub pacer_lag_us: Lag,
    /// Achieved over offered.
    #[schemars(range(min = 0.0))]
    pub achieved_over_offered: f64,
    /// CPU time of the driver over the run's time.
    #[schemars(range(min = 0.0))]
    pub client_cpu_ratio: f64,
    /// When it was steady, milliseconds from its start.
    pub steady_from_ms: u64,
}

/// Two quantiles, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Median.
    #[schemars(range(min = 0.0))]
    pub p50: f64,
    /// 99th percentile.
    #[schemars(range(min = 0.0))]
    pub p99: f64,
}

impl Lag {
    /// The larger of each.
    #[must_use]
    pub const fn worst(self, other: Self) -> Self {
        Self { p50: self.p50.max(other.p50), p99: self.p99.max(other.p99) }
    }
}
