//! Many runs as one result: searches for capacity, searches for failures, suites.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ratio, ResultFile, Verdict};

/// Latency against load, and the most that holds the objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Capacity {
    /// The p99 that must hold, microseconds.
    pub objective_p99_us: f64,
    /// The share of requests that must succeed.
    pub objective_success_ratio: f64,
    /// The highest rate that holds both, requests a second.
    pub knee_rps: Ratio,
    /// How often such intervals hold the truth: 95 % of six sweeps and more, of fewer less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Rates that were tried, in any order.
    pub steps: Vec<CapacityStep>,
    /// Goodput at 1.5 times the knee over that at the knee.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput_retention: Option<f64>,
}

/// One rate that was tried.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityStep {
    /// Planned requests a second.
    pub offered_rps: f64,
    /// Requests that ended, a second.
    pub achieved_rps: f64,
    /// Share that ended as expected.
    pub success_ratio: f64,
    /// Median latency over repetitions, microseconds.
    pub p50_us: Ratio,
    /// 99th percentile over repetitions, microseconds.
    pub p99_us: Ratio,
}

/// Many seeds in virtual time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Explore {
    /// Seeds that were run.
    pub seeds: u64,
    /// The first of them; the others follow.
    pub first_seed: u64,
    /// Checks made, by invariant.
    pub checks: BTreeMap<String, u64>,
    /// Seeds that broke an invariant, the first found first.
    pub failed: Vec<FailedSeed>,
    /// Time simulated, seconds.
    pub virtual_seconds: f64,
    /// Time taken, seconds.
    pub wall_seconds: f64,
    /// Hash over all traces: the same seeds and commit give the same.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_hash: String,
}

/// A seed that broke an invariant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// Which invariant.
    pub invariant: String,
    /// What was seen.
    #[serde(default)]
    pub detail: String,
    /// The shrunk scenario's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
}

/// One scenario of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuiteScenario {
    /// Its name.
    pub name: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// Expectations that it had.
    #[serde(default)]
    pub expectations: u64,
    /// Expectations that did not hold, and what made it invalid, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What to know of it beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The seed that it ran with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Its folder beside the suite's result, where its own page is; none where it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl SuiteScenario {
    /// All that is told beside its verdict: reasons, then notes.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.reasons.iter().cloned().chain(self.notes.iter().map(|note| format!("note: {note}"))).collect()
    }
}

/// How bad a verdict is: the worst first.
pub(crate) fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Invalid => 1,
        Verdict::Inconclusive => 2,
        Verdict::Pass => 3,
    }
}

impl ResultFile {
    /// The scenarios of a suite, those that fail first: whoever reads them wants to know why. Equals stay in their
    /// order.
    #[must_use]
    pub fn scenarios_worst_first(&self) -> Vec<&SuiteScenario> {
        let mut scenarios: Vec<&SuiteScenario> = self.scenarios.iter().collect();
        scenarios.sort_by_key(|scenario| weight(scenario.verdict));
        scenarios
    }

    /// Forgets where the pages of a suite's scenarios are: they are not beside where this goes.
    pub fn leave_pages(&mut self) {
        self.scenarios.iter_mut().for_each(|scenario| scenario.folder = None);
    }

    /// The seed that everything was drawn from; none of a suite whose scenarios had each its own.
    #[must_use]
    pub fn shared_seed(&self) -> Option<u64> {
        let differs = |scenario: &SuiteScenario| scenario.seed.is_some_and(|seed| seed != self.seed);
        (!self.scenarios.iter().any(differs)).then_some(self.seed)
    }
}
