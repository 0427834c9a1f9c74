//! Base against head, and the gate's own operating characteristic.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ratio, Verdict};

/// One round in which base and head had their turns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Its number.
    pub round: u32,
    /// Who went first: `base` or `head`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first: String,
    /// Base's figures by metric.
    #[serde(default)]
    pub base: BTreeMap<String, f64>,
    /// Head's figures by metric.
    #[serde(default)]
    pub head: BTreeMap<String, f64>,
}

/// One metric's judgement. Percentages are head against base, with worse being positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateMetric {
    /// Hodges-Lehmann estimate of the change.
    pub estimate_pct: f64,
    /// Lower end of the interval.
    pub ci_low_pct: f64,
    /// Upper end.
    pub ci_high_pct: f64,
    /// How often such an interval holds the truth: the gate looks more than once. An exact count has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub coverage: Option<f64>,
    /// The least change that these rounds would have found nine times in ten.
    pub mde_pct: f64,
    /// The most that head may be worse.
    pub tolerance_pct: f64,
    /// Rounds that count.
    pub rounds: u32,
    /// What follows.
    pub verdict: Verdict,
    /// Base's median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<f64>,
    /// Head's median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<f64>,
    /// The smallest change that may fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor_pct: Option<f64>,
    /// The chance of such a change between equal builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// The least change that twice these rounds would have found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mde_with_twice_the_rounds_pct: Option<f64>,
    /// Rounds that would probably decide, where these did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds_wanted: Option<u32>,
}

/// Whoever has too few rounds to find anything writes the largest number there is, since JSON has no other for it.
const NOTHING_FOUND: f64 = 1e100;

impl GateMetric {
    /// The least change that these rounds would have found, in percent; `None` where they are too few to find any.
    #[must_use]
    pub fn least_found(&self) -> Option<f64> {
        Some(self.mde_pct).filter(|least| *least < NOTHING_FOUND)
    }
}

/// How often the gate says what about changes that are known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelfTest {
    /// Pairs recorded for each case.
    pub pairs: u32,
    /// Gates drawn from them for each case.
    pub resamples: u32,
    /// Rounds of each gate, at most.
    pub rounds: u32,
    /// Each known change.
    pub cases: Vec<SelfTestCase>,
}

/// One known change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfTestCase {
    /// Its name, such as `A/A`.
    pub name: String,
    /// How much slower head is by construction; 0 in A/A.
    pub slow_down_pct: f64,
    /// Pairs that were recorded of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<u32>,
    /// Rounds that a gate took until it decided, the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<f64>,
    /// How often the gate said fail: of equal builds by any metric (false alarms), of slower ones by CPU time.
    pub fail_rate: Ratio,
    /// How often it said pass.
    #[serde(default)]
    pub pass_rate: f64,
    /// How often it could not decide.
    #[serde(default)]
    pub inconclusive_rate: f64,
    /// The rate that is asked for: at most in A/A, at least elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<f64>,
}
