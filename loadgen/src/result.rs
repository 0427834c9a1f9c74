//! The result of a run in the form of the result contract (`docs/contract/result.md`), and whether it is valid.
//!
//! Latencies are microseconds. A run that was not valid says so with its reasons, before any figure is believed.

pub mod bounds;
mod journeys;
mod validity;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

pub use journeys::JourneyResult;
pub use validity::{JourneyDoubts, Leeway, journey_doubts};

use crate::environment::Environment;
use crate::recorder::{Interval, Phase, Recorder};
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
    /// Figures over time, a second each.
    #[serde(default)]
    pub timeline: Vec<Moment>,
    /// What was asked of the figures.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// `invalid` when the figures cannot be believed, else `fail` when an expectation does not hold, else `pass`.
    pub verdict: String,
}

/// Figures of one second, of the requests that were to be sent in it. The last part of a run may be shorter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Its start, milliseconds from the start of what is measured.
    pub t_ms: u64,
    /// Of its requests those that ended, a second.
    pub rps: f64,
    /// Median latency, microseconds.
    pub p50: f64,
    /// 99th percentile, microseconds.
    pub p99: f64,
    /// Requests that did not end as expected.
    pub errors: u64,
}

/// One thing asked of the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The figure's name.
    pub figure: String,
    /// Its bound, in words.
    pub bound: String,
    /// Its value; `None` where there is none, as a latency or a share of no requests.
    #[serde(default)]
    pub value: Option<f64>,
    /// Whether the bound holds. That of a value that is not there does not.
    pub holds: bool,
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
    /// CPU time that the driver's thread worked while it sent, over that time.
    pub client_cpu_ratio: f64,
    /// Time that the driver's thread spun meanwhile, over the same. It is no work: a spinning driver is a waiting one.
    #[serde(default)]
    pub client_spin_ratio: f64,
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
    /// Requests that ended, a second of the time for which they were sent: those that hang make it no longer.
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
    /// Each journey by name; of a load of journeys alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub journeys: BTreeMap<String, JourneyResult>,
}

/// One phase of a load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseResult {
    /// From the intended send time to the end; `null` when no request ended.
    #[serde(default)]
    pub latency_us: Option<Quantiles>,
    /// From the first byte sent to the end; `null` as the latency is.
    #[serde(default)]
    pub service_us: Option<Quantiles>,
    /// From the first byte sent to the answer's head; absent when there was no answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_byte_us: Option<Quantiles>,
    /// From the first byte sent to the answer's head, less the mock's residence; absent when no answer told it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub added_us: Option<Quantiles>,
    /// Answers by status; `0` stands for none.
    pub status: BTreeMap<String, u64>,
    /// Outcomes by name.
    pub outcome: OutcomeCounts,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
    /// Ok over all arrivals, dropped ones too; `null` where there were none.
    #[serde(default)]
    pub success_ratio: Option<f64>,
}

/// Outcomes of a phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// As expected.
    pub ok: u64,
    /// 429, or a 503 that is not the service's own.
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

    /// The same; none of an empty one.
    #[must_use]
    pub fn some(histogram: &Histogram<u64>) -> Option<Self> {
        (!histogram.is_empty()).then(|| Self::of(histogram))
    }
}

impl PhaseResult {
    /// The figures of a phase.
    #[must_use]
    pub fn of(phase: &Phase) -> Self {
        Self {
            latency_us: Quantiles::some(&phase.latency),
            service_us: Quantiles::some(&phase.service),
            first_byte_us: Quantiles::some(&phase.first_byte),
            added_us: Quantiles::some(&phase.added),
            status: phase.status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            outcome: OutcomeCounts {
                ok: phase.ok,
                rejected: phase.rejected,
                failed: phase.failed,
                dropped: phase.dropped,
                client_error: phase.client_error,
            },
            failures: phase.failures.clone(),
            success_ratio: phase.success_ratio().map(share),
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
    /// How long the measured part was planned to be, nanoseconds; `None` of a run that was ended early.
    pub length_ns: Option<u64>,
    /// The plan's hash.
    pub hash: u64,
}

impl LoadResult {
    /// The figures of a run; `offered` is `None` in the closed model.
    #[must_use]
    pub fn of(recorder: &Recorder, totals: &Totals, offered: Option<Offered>) -> Self {
        let requests = recorder.phases().iter().map(Phase::requests).sum();
        let achieved_rps = round(requests as f64 * 1e9 / sending_ns(recorder, offered).max(1.0), 10.0);
        let cpu_us = totals.cpu_ns as f64 / 1e3 / totals.finished.max(1) as f64;
        let phases = recorder.phases().iter().map(|phase| (phase.name.clone(), PhaseResult::of(phase))).collect();
        Self {
            offered_rps: offered.map_or(achieved_rps, |offered| round(offered.rate, 10.0)),
            achieved_rps,
            requests,
            client_cpu_us_per_request: round(cpu_us, 100.0),
            plan_hash: offered.map(|offered| format!("{:016x}", offered.hash)),
            phases,
            journeys: BTreeMap::new(),
        }
    }
}

/// For how long requests were sent, nanoseconds: as planned, where the whole plan was sent. Otherwise from the first to
/// the last, and what comes after the last: in the open model the gap to the one that was not sent, in the closed model
/// the answer for which another would have waited.
fn sending_ns(recorder: &Recorder, offered: Option<Offered>) -> f64 {
    let arrivals = arrivals(recorder);
    if let Some(length_ns) = planned_ns(recorder, offered) {
        return length_ns as f64;
    }
    let span_ns = recorder.intended_span_ns() as f64;
    if offered.is_some() && span_ns > 0.0 {
        return span_ns + span_ns / arrivals.saturating_sub(1).max(1) as f64;
    }
    span_ns + recorder.merged("all").latency.value_at_quantile(0.5) as f64
}

/// Requests that were to be sent.
fn arrivals(recorder: &Recorder) -> u64 {
    recorder.phases().iter().map(|phase| phase.requests() + phase.dropped).sum()
}

/// How long a plan was that was kept to its end.
fn planned_ns(recorder: &Recorder, offered: Option<Offered>) -> Option<u64> {
    offered.filter(|offered| arrivals(recorder) >= offered.arrivals).and_then(|offered| offered.length_ns)
}

/// A rest of less than this, nanoseconds, tells no rate: it counts with the second before it.
const LEAST_REST_NS: f64 = 1e8;

impl Moment {
    /// The figures over time of a run.
    #[must_use]
    pub fn all_of(recorder: &Recorder, offered: Option<Offered>) -> Vec<Self> {
        let mut parts: Vec<Part> = recorder.intervals().iter().map(Part::of).collect();
        // A run need not end with a second: what is left has a rate of its own.
        if let Some(last) = parts.last_mut() {
            // A plan begins where seconds do; without one, sending began with the first request.
            let silent_ns = if planned_ns(recorder, offered).is_some() { 0 } else { recorder.silent_ns() };
            let ended_ns = silent_ns as f64 + sending_ns(recorder, offered);
            let rest_ns = ended_ns - last.from_ns.saturating_sub(recorder.from_ns()) as f64;
            last.length_ns = if rest_ns > 0.0 { rest_ns.min(last.length_ns) } else { last.length_ns };
        }
        if let Some(rest) = parts.pop_if(|last| last.length_ns < LEAST_REST_NS) {
            match parts.last_mut() {
                Some(before) => before.add(&rest),
                None => parts.push(rest),
            }
        }
        parts.iter().map(|part| part.moment(recorder.from_ns())).collect()
    }
}

/// A part of a run's time.
struct Part {
    from_ns: u64,
    length_ns: f64,
    requests: u64,
    errors: u64,
    latency: Histogram<u64>,
}

impl Part {
    /// A whole second.
    fn of(interval: &Interval) -> Self {
        let Interval { from_ns, errors, requests, .. } = *interval;
        Self { from_ns, length_ns: 1e9, requests, errors, latency: interval.latency() }
    }

    fn add(&mut self, next: &Self) {
        self.length_ns += next.length_ns;
        (self.requests, self.errors) = (self.requests + next.requests, self.errors + next.errors);
        // Both have the same shape.
        let _ = self.latency.add(&next.latency);
    }

    fn moment(&self, start_ns: u64) -> Moment {
        let latency = Quantiles::of(&self.latency);
        Moment {
            t_ms: self.from_ns.saturating_sub(start_ns) / 1_000_000,
            rps: round(self.requests as f64 * 1e9 / self.length_ns.max(1.0), 10.0),
            p50: latency.p50,
            p99: latency.p99,
            errors: self.errors,
        }
    }
}

fn micros(ns: u64) -> f64 {
    round(ns as f64 / 1e3, 10.0)
}

/// A share, to a millionth below what it is: no failure is too rare to be seen by whoever asks for none.
fn share(value: f64) -> f64 {
    let rounded = round(value, 1e6);
    if rounded > value { ((value * 1e6).floor() / 1e6).max(0.0) } else { rounded }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests;
