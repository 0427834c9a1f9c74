//! The result of a run in the form of the result contract (`docs/contract/result.md`), and whether it is valid.
//!
//! Latencies are microseconds. A run that was not valid says so with its reasons, before any figure is believed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::environment::Environment;
use crate::recorder::{Phase, Recorder};
use crate::sample::Totals;

/// The version of the contract that is written.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole `result.json` of one load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Always `load` here.
    pub kind: String,
    /// The run's name.
    pub name: String,
    /// The seed of plan and mix.
    pub seed: u64,
    /// The commit that was measured; empty when unknown.
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
    pub load: BTreeMap<String, LoadResult>,
    /// `pass` when valid, else `invalid`.
    pub verdict: String,
}

/// Whether a measurement can be believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// No reason against it.
    pub valid: bool,
    /// Why not, or what to know.
    pub reasons: Vec<String>,
    /// Arrivals dropped at the in-flight bound.
    pub dropped: u64,
    /// How late the pacer was.
    pub pacer_lag_us: Lag,
    /// Achieved over offered requests; 1 in the closed model, which offers nothing of its own.
    pub achieved_over_offered: f64,
    /// CPU time of the driver's thread over the run's time.
    pub client_cpu_ratio: f64,
    /// When the run was steady, from its start.
    pub steady_from_ms: u64,
}

/// Quantiles of the pacer's lag, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Lag {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadResult {
    /// Planned requests a second; in the closed model what was achieved.
    pub offered_rps: f64,
    /// Requests that ended, a second.
    pub achieved_rps: f64,
    /// Requests that ended.
    pub requests: u64,
    /// CPU time of the driver for each request, microseconds.
    pub client_cpu_us_per_request: f64,
    /// Arrival plan's hash, as hexadecimal digits; absent in the closed model.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub plan_hash: Option<String>,
    /// Each phase by name.
    pub phases: BTreeMap<String, PhaseResult>,
}

/// One phase of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// From the intended send time to the end.
    pub latency_us: Quantiles,
    /// From the first byte sent to the end.
    pub service_us: Quantiles,
    /// Service less the mock's residence; absent when no answer told its residence.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub added_us: Option<Quantiles>,
    /// Answers by status; `0` stands for none.
    pub status: BTreeMap<String, u64>,
    /// Outcomes by name.
    pub outcome: OutcomeCounts,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Ok over all arrivals, dropped ones too.
    pub success_ratio: f64,
}

/// Outcomes of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// As expected.
    pub ok: u64,
    /// 429 or 503.
    pub rejected: u64,
    /// Broken, late, or another unexpected answer.
    pub failed: u64,
    /// Never sent: the in-flight bound was reached.
    pub dropped: u64,
    /// Other 4xx.
    pub client_error: u64,
}

/// Quantiles of a histogram, microseconds.
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

impl Quantiles {
    /// Reads a histogram of nanoseconds; all zero when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: micros(histogram.max()) }
    }
}

impl PhaseResult {
    /// The figures of a phase.
    #[must_use]
    pub fn of(phase: &Phase) -> Self {
        Self {
            latency_us: Quantiles::of(&phase.latency),
            service_us: Quantiles::of(&phase.service),
            added_us: (!phase.added.is_empty()).then(|| Quantiles::of(&phase.added)),
            status: phase.status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            outcome: OutcomeCounts {
                ok: phase.ok,
                rejected: phase.rejected,
                failed: phase.failed,
                dropped: phase.dropped,
                client_error: phase.client_error,
            },
            failures: phase.failures.clone(),
            success_ratio: round(phase.success_ratio(), 1e6),
        }
    }
}

/// What was planned: of the open model only.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    /// Arrivals planned in the measured part.
    pub arrivals: u64,
    /// Planned arrivals a second.
    pub rate: f64,
    /// The plan's hash.
    pub hash: u64,
}

impl LoadResult {
    /// The figures of a run; `offered` is `None` in the closed model.
    #[must_use]
    pub fn of(recorder: &Recorder, totals: &Totals, offered: Option<Offered>) -> Self {
        let requests = recorder.phases().iter().map(Phase::requests).sum();
        let achieved_rps = round(requests as f64 * 1e9 / recorder.span_ns() as f64, 10.0);
        let cpu_us = totals.cpu_ns as f64 / 1e3 / totals.finished.max(1) as f64;
        let phases = recorder.phases().iter().map(|phase| (phase.name.clone(), PhaseResult::of(phase))).collect();
        Self {
            offered_rps: offered.map_or(achieved_rps, |offered| round(offered.rate, 10.0)),
            achieved_rps,
            requests,
            client_cpu_us_per_request: round(cpu_us, 100.0),
            plan_hash: offered.map(|offered| format!("{:016x}", offered.hash)),
            phases,
        }
    }
}

impl Validity {
    /// Judges a run by the rules of bench-methods: drops, achieved rate, pacer lag, driver's CPU, stolen time.
    #[must_use]
    pub fn judge(recorder: &Recorder, totals: &Totals, offered: Option<Offered>, steal_ratio: f64) -> Self {
        let client_cpu_ratio = totals.cpu_ns as f64 / totals.wall_ns.max(1) as f64;
        let lag = Quantiles::of(recorder.pacer_lag());
        let mut reasons = Vec::new();
        let ended: u64 = recorder.phases().iter().map(Phase::requests).sum();
        let mut achieved = 1.0;
        if let Some(offered) = offered {
            achieved = ended as f64 / offered.arrivals.max(1) as f64;
            let service = recorder.merged("all").service;
            let service_us = if service.is_empty() { 0.0 } else { micros(service.value_at_quantile(0.5)) };
            let most_lag = (service_us * 0.1).max(200.0);
            if totals.dropped > 0 {
                reasons.push(format!("{} arrivals were dropped at the in-flight bound", totals.dropped));
            }
            if (achieved - 1.0).abs() > 0.01 {
                reasons.push(format!("{:.1} % of the offered requests were achieved", achieved * 100.0));
            }
            if lag.p99 > most_lag {
                reasons.push(format!("the pacer's p99 lag was {:.0} us, more than {most_lag:.0} us", lag.p99));
            }
            if client_cpu_ratio > 0.7 {
                reasons.push(format!("the driver's thread was busy for {:.0} %", client_cpu_ratio * 100.0));
            }
        }
        if steal_ratio > 0.01 {
            reasons.push(format!("the host took {:.1} % of the machine's time", steal_ratio * 100.0));
        }
        if ended == 0 {
            reasons.push("no request ended".to_owned());
        }
        Self {
            valid: reasons.is_empty(),
            reasons,
            dropped: totals.dropped,
            pacer_lag_us: Lag { p50: lag.p50, p99: lag.p99 },
            achieved_over_offered: round(achieved, 1e4),
            client_cpu_ratio: round(client_cpu_ratio, 1e3),
            steady_from_ms: 0,
        }
    }
}

fn micros(ns: u64) -> f64 {
    round(ns as f64 / 1e3, 10.0)
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Observer, Outcome, Sample};

    fn recorder(requests: u64, lag_ns: u64) -> Recorder {
        let mut recorder = Recorder::new("steady", 0);
        for number in 0..requests {
            let intended_ns = number * 1_000_000;
            recorder.lag(intended_ns, lag_ns);
            recorder.sample(&Sample {
                template: 0,
                intended_ns,
                sent_ns: intended_ns,
                head_ns: intended_ns,
                end_ns: intended_ns + 100_000,
                status: 200,
                body_bytes: 0,
                outcome: Outcome::Ok,
                failure: None,
                residence_ns: None,
                endpoint: None,
            });
        }
        recorder
    }

    fn totals(finished: u64, cpu_ns: u64) -> Totals {
        Totals { started: finished, finished, cpu_ns, wall_ns: 1_000_000_000, ..Totals::default() }
    }

    const OFFERED: Option<Offered> = Some(Offered { arrivals: 1_000, rate: 1_000.0, hash: 7 });

    #[test]
    fn a_run_that_kept_its_plan_is_valid() {
        let validity = Validity::judge(&recorder(1_000, 10_000), &totals(1_000, 100), OFFERED, 0.0);
        assert_eq!((validity.valid, validity.reasons.len()), (true, 0));
    }

    #[test]
    fn each_fault_of_a_run_is_a_reason_of_its_own() {
        let mut dropping = totals(1_000, 100);
        dropping.dropped = 1;
        let cases = [
            (recorder(1_000, 10), dropping, 0.0, "dropped"),
            (recorder(980, 10), totals(980, 100), 0.0, "achieved"),
            (recorder(1_000, 300_000), totals(1_000, 100), 0.0, "lag"),
            (recorder(1_000, 10), totals(1_000, 800_000_000), 0.0, "busy"),
            (recorder(1_000, 10), totals(1_000, 100), 0.02, "host"),
        ];
        for (recorder, totals, steal, word) in cases {
            let validity = Validity::judge(&recorder, &totals, OFFERED, steal);
            assert!(!validity.valid);
            assert_eq!(validity.reasons.len(), 1, "{word}: {:?}", validity.reasons);
            assert!(validity.reasons[0].contains(word), "{word}: {:?}", validity.reasons);
        }
    }

    #[test]
    fn a_closed_run_may_use_its_whole_core() {
        assert!(Validity::judge(&recorder(1_000, 0), &totals(1_000, 999_000_000), None, 0.0).valid);
        assert!(!Validity::judge(&recorder(0, 0), &totals(0, 0), None, 0.0).valid, "nothing ended");
    }

    #[test]
    fn figures_are_microseconds() {
        let load = LoadResult::of(&recorder(1_000, 0), &totals(1_000, 5_000_000), OFFERED);
        assert_eq!(load.requests, 1_000);
        assert!((load.client_cpu_us_per_request - 5.0).abs() < 1e-9);
        let p50 = load.phases["steady"].latency_us.p50;
        assert!((p50 - 100.0).abs() < 0.2, "{p50}");
        assert!((load.achieved_rps - 1_000.9).abs() < 0.2, "{}", load.achieved_rps);
    }
}
