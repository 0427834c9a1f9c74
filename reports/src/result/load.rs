//! What a load met, phase by phase.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Quantiles, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// Median.
    #[schemars(range(min = 0.0))]
    pub p50: f64,
    /// 90th percentile.
    #[schemars(range(min = 0.0))]
    pub p90: f64,
    /// 99th percentile.
    #[schemars(range(min = 0.0))]
    pub p99: f64,
    /// 99.9th percentile.
    #[schemars(range(min = 0.0))]
    pub p999: f64,
    /// Largest.
    #[schemars(range(min = 0.0))]
    pub max: f64,
}

/// Quantiles of which only two are always there, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddedQuantiles {
    /// Median.
    #[schemars(range(min = 0.0))]
    pub p50: f64,
    /// 90th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub p90: Option<f64>,
    /// 99th percentile.
    #[schemars(range(min = 0.0))]
    pub p99: f64,
    /// 99.9th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub p999: Option<f64>,
    /// Largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max: Option<f64>,
}

/// One load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Planned requests a second.
    #[schemars(range(min = 0.0))]
    pub offered_rps: f64,
    /// Requests that ended, a second.
    #[schemars(range(min = 0.0))]
    pub achieved_rps: f64,
    /// Requests that ended.
    pub requests: u64,
    /// CPU time of the driver for each request, microseconds.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub client_cpu_us_per_request: f64,
    /// The plan's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{16}$"))]
    pub plan_hash: Option<String>,
    /// Phases by name: `before`, `fault_1` to `fault_n`, `healed` in a scenario.
    pub phases: BTreeMap<String, Phase>,
    /// Journeys by name; of a load of journeys alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub journeys: BTreeMap<String, Journey>,
}

/// What users saw of one journey.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Journey {
    /// Gone to the end.
    pub completed: u64,
    /// Given up, since a step did not come out as expected.
    pub abandoned: u64,
    /// How long a whole one took, thinking included; `null` where nobody went one to its end.
    #[serde(default)]
    pub duration_us: Option<Quantiles>,
    /// Each request by its step's name; of a page's parts `STEP/PART`.
    pub steps: BTreeMap<String, Phase>,
    /// Each step that is a page of several parts, and came whole: from its document's request to the last part's last
    /// byte.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<String, Quantiles>,
}

/// One phase of a load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// From the intended time; `null` where no request ended.
    #[serde(default)]
    pub latency_us: Option<Quantiles>,
    /// From the first byte sent; `null` as the latency is.
    #[serde(default)]
    pub service_us: Option<Quantiles>,
    /// From the first byte sent to the answer's head, less the mock's residence.
    #[serde(default)]
    pub added_us: Option<AddedQuantiles>,
    /// Answers by status, `0` for none.
    #[schemars(extend("propertyNames" = {"pattern": "^(0|[1-5][0-9][0-9])$"}))]
    pub status: BTreeMap<String, u64>,
    /// Outcomes: ok, rejected, failed, dropped, client_error.
    pub outcome: BTreeMap<String, u64>,
    /// Failures by cause.
    #[serde(default)]
    pub failures: BTreeMap<String, u64>,
    /// Ok over all arrivals; `null` where there were none.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub success_ratio: Option<f64>,
}

impl Load {
    /// Answers that were right but for a header: one that was expected was not there, or one that was not to be.
    #[must_use]
    pub fn wrong_headers(&self) -> u64 {
        self.phases.values().filter_map(|phase| phase.failures.get("header")).sum()
    }

    /// The phases in the order of time: `before`, the faults by number, `healed`, others last and by name.
    ///
    /// The file holds them by name, and names alone would put `fault_10` before `fault_2`.
    #[must_use]
    pub fn phases_in_order(&self) -> Vec<(&str, &Phase)> {
        let mut phases: Vec<(&str, &Phase)> = self.phases.iter().map(|(name, phase)| (name.as_str(), phase)).collect();
        phases.sort_by_key(|(name, _)| place(name));
        phases
    }
}

fn place(name: &str) -> (u32, u32) {
    let number = name.strip_prefix("fault_").and_then(|number| number.parse().ok());
    match (name, number) {
        ("warm_up", _) => (0, 0),
        ("before", _) => (1, 0),
        (_, Some(number)) => (2, number),
        ("healed", _) => (3, 0),
        _ => (4, 0),
    }
}

impl Quantiles {
    /// These, where there was anything to count: what took no time at all did not happen.
    #[must_use]
    pub fn some(&self) -> Option<&Self> {
        (self.max > 0.0).then_some(self)
    }
}

impl Journey {
    /// How long a whole one took; `None` where nobody went one to its end.
    #[must_use]
    pub fn duration(&self) -> Option<&Quantiles> {
        self.duration_us.as_ref().filter(|_| self.completed > 0)
    }
}

impl Phase {
    /// How many requests had this outcome; 0 when the file does not say.
    #[must_use]
    pub fn outcome(&self, name: &str) -> u64 {
        self.outcome.get(name).copied().unwrap_or(0)
    }

    /// Arrivals of all outcomes.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.outcome.values().sum()
    }

    /// Whether any request ended, so that latencies are some.
    fn has_ended(&self) -> bool {
        self.arrivals() > self.outcome("dropped")
    }

    /// From the intended time; `None` where no request ended. Results of before have zeros there.
    #[must_use]
    pub fn latency(&self) -> Option<&Quantiles> {
        self.latency_us.as_ref().filter(|_| self.has_ended())
    }

    /// From the first byte sent; `None` as the latency is.
    #[must_use]
    pub fn service(&self) -> Option<&Quantiles> {
        self.service_us.as_ref().filter(|_| self.has_ended())
    }

    /// Its answers by status, as in `200: 625; 429: 626; none: 3`; empty where nothing was counted.
    #[must_use]
    pub fn answers(&self) -> String {
        let answers = self.status.iter().filter(|(_, count)| **count > 0).map(|(status, count)| {
            let status = if status == "0" { "none" } else { status.as_str() };
            format!("{status}: {count}")
        });
        answers.collect::<Vec<_>>().join("; ")
    }

    /// The share of all arrivals that ended as expected; `None` of none.
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        self.success_ratio.filter(|_| self.arrivals() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_in_the_order_of_time() {
        let names = ["healed", "fault_10", "before", "fault_2", "other"];
        let load = Load {
            phases: names.iter().map(|name| ((*name).to_owned(), Phase::default())).collect(),
            ..Load::default()
        };
        let order: Vec<&str> = load.phases_in_order().into_iter().map(|(name, _)| name).collect();
        assert_eq!(order, ["before", "fault_2", "fault_10", "healed", "other"]);
    }

    #[test]
    fn of_nothing_there_is_neither_a_share_nor_a_latency() {
        let of = |outcome: [(&str, u64); 2]| Phase {
            outcome: outcome.map(|(name, count)| (name.to_owned(), count)).into(),
            // As results of before have it.
            latency_us: Some(Quantiles::default()),
            success_ratio: Some(0.0),
            ..Phase::default()
        };
        let told = [[("ok", 0), ("dropped", 0)], [("ok", 0), ("dropped", 3)], [("failed", 1), ("dropped", 0)]]
            .map(|outcome| (of(outcome).success(), of(outcome).latency().is_some()));
        assert_eq!(told, [(None, false), (Some(0.0), false), (Some(0.0), true)]);
    }
}
