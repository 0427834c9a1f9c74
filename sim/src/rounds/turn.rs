//! One turn: a stretch of load through one contender, and what it showed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hdrhistogram::Histogram;
use loadgen::clock::Clock;
use loadgen::control::{Answer, ControlError, call};
use loadgen::engine::{Model, RunError, Settings, run};
use loadgen::plan::{Arrivals, Plan};
use loadgen::recorder::Recorder;
use loadgen::request::{Mix, TemplateError};
use loadgen::target::Target;
use serde_json::Value;

use super::luggage::{Luggage, Speech};
use crate::children::Child;
use crate::process::{Process, Usage};

/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Open load: most requests in flight, for each connection that is opened before the start.
const IN_FLIGHT_PER_CONNECTION: usize = 4;

/// Who has the turn.
#[derive(Debug, Clone, Copy)]
pub struct Arm<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its process; `None` for the mock itself.
    pub process: Option<&'a Process>,
    /// Where it takes requests.
    pub address: SocketAddr,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Each connection sends as soon as it has its answer: for cost.
    Closed,
    /// So many a second, at random times: for latency.
    Open(f64),
}

/// What is the same for all turns.
#[derive(Debug)]
pub struct Road<'a> {
    /// The mock behind every contender.
    pub mock: &'a Child,
    /// Bytes of each answer.
    pub body: u64,
    /// Client connections; over HTTP/2, requests at once.
    pub connections: usize,
    /// Seed of what the load draws.
    pub seed: u64,
    /// What is spoken, and what requests carry.
    pub luggage: &'a Luggage,
    /// Set from outside to end a turn early.
    pub stop: &'a Arc<AtomicBool>,
}

/// What one turn showed.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Requests that ended.
    pub finished: u64,
    /// Of those, with another answer than expected.
    pub not_ok: u64,
    /// Arrivals dropped at the driver's bound.
    pub dropped: u64,
    /// How long it took, nanoseconds.
    pub wall_ns: u64,
    /// CPU time of the contender, microseconds; 0 for the mock itself.
    pub cpu_us: f64,
    /// Resident memory of the contender afterwards, bytes.
    pub rss_bytes: u64,
    /// CPU time of the driver over the turn's time.
    pub driver_share: f64,
    /// Share of upstream requests on a connection that was open already.
    pub reuse_ratio: f64,
    /// Requests at the mock for each that ended.
    pub calls_per_request: f64,
    /// From the intended time to the end, nanoseconds.
    pub latency: Histogram<u64>,
    /// How late the driver was, nanoseconds, median.
    pub lag_p50_ns: u64,
    /// The same, 99th percentile.
    pub lag_p99_ns: u64,
}

/// Why a turn did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// A contender gives other bytes than the mock.
    #[error("{name} {told}")]
    OtherBytes {
        /// Who.
        name: String,
        /// What it answered, and what the mock.
        told: String,
    },
    /// The load did not start.
    #[error("{0}")]
    Run(#[from] RunError),
    /// The request cannot be sent.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A control request failed.
    #[error("{0}")]
    Control(#[from] ControlError),
}

impl Turn {
    /// Requests that ended, a second.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        self.finished as f64 * 1e9 / self.wall_ns.max(1) as f64
    }

    /// CPU time of the contender for each request, microseconds.
    #[must_use]
    pub fn cpu_us_per_request(&self) -> f64 {
        self.cpu_us / self.finished.max(1) as f64
    }

    /// CPU time of the contender over the turn's time: 1 is one core.
    #[must_use]
    pub fn core_share(&self) -> f64 {
        self.cpu_us * 1e3 / self.wall_ns.max(1) as f64
    }

    /// A quantile of the latency, microseconds.
    #[must_use]
    pub fn latency_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl Road<'_> {
    /// Where `/bytes/N` is at this address.
    #[must_use]
    pub fn target(&self, address: SocketAddr) -> Target {
        bytes_target(address, self.body)
    }

    /// Checks that a contender gives what the mock gives.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub fn check_bytes(&self, arm: Arm<'_>) -> Result<(), TurnError> {
        if self.luggage.speech != Speech::Http1 || !self.luggage.requests.is_empty() {
            return self.check_one(arm);
        }
        let ask = |address| self.luggage.call(&self.target(address));
        let (direct, through) = (ask(self.mock.ready.listeners[0])?, ask(arm.address)?);
        let same = direct == through && direct.status == 200 && direct.body.len() as u64 == self.body;
        if same {
            Ok(())
        } else {
            Err(TurnError::OtherBytes { name: arm.name.to_owned(), told: told(&through, &direct) })
        }
    }

    /// Checks one answer, in what is spoken: its length, or what somebody's own requests expect.
    fn check_one(&self, arm: Arm<'_>) -> Result<(), TurnError> {
        let settings = self.settings(arm, Model::Closed { requests: Some(1), duration: None })?;
        let mut recorder = Recorder::new("check", 0);
        let totals = run(settings, Clock::start(), &mut recorder)?;
        if totals.finished == 1 && totals.not_ok == 0 {
            return Ok(());
        }
        let statuses: Vec<String> = recorder.merged("all").status.keys().map(ToString::to_string).collect();
        let told = match statuses.join(", ").as_str() {
            "" | "0" => "does not answer a request".to_owned(),
            statuses => format!("answered {statuses}, which is not as expected"),
        };
        Err(TurnError::OtherBytes { name: arm.name.to_owned(), told })
    }

    fn settings(&self, arm: Arm<'_>, model: Model) -> Result<Settings, TurnError> {
        // Straight to the mock nobody routes, rewrites or proves anything, so that only bytes are asked for.
        let templates = match arm.process {
            Some(_) => self.luggage.templates(arm.name, arm.address, self.body),
            None => vec![self.luggage.template(arm.name, arm.address, self.body)],
        };
        let mix = Mix::with_tokens(&templates, self.seed, self.luggage.key.as_ref())?;
        Ok(Settings {
            mix: mix.speaking(self.luggage.protocol())?,
            model,
            connections: self.luggage.connections(self.connections),
            max_in_flight: self.connections * IN_FLIGHT_PER_CONNECTION,
            timeout: REQUEST_TIMEOUT,
            stop: Arc::clone(self.stop),
        })
    }

    /// One turn.
    ///
    /// # Errors
    /// When the load cannot start, or the mock does not tell its counters.
    pub fn turn(&self, arm: Arm<'_>, pace: Pace, length: Duration) -> Result<Turn, TurnError> {
        let model = match pace {
            Pace::Closed => Model::Closed { requests: None, duration: Some(length) },
            Pace::Open(rate) => {
                let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
                Model::Open(Plan::new(Arrivals::Poisson, rate, length_ns, self.seed))
            }
        };
        let settings = self.settings(arm, model)?;
        let mut recorder = Recorder::new("steady", 0);
        let usage = || arm.process.map(Process::settled_usage).unwrap_or_default();
        let counted_before = mock_counters(self.mock)?;
        let used_before: Usage = usage();
        let totals = run(settings, Clock::start(), &mut recorder)?;
        let used_after = usage();
        let counted_after = mock_counters(self.mock)?;
        let accepts = counted_after.0.saturating_sub(counted_before.0) as f64;
        let calls = counted_after.1.saturating_sub(counted_before.1) as f64;
        Ok(Turn {
            finished: totals.finished,
            not_ok: totals.not_ok,
            dropped: totals.dropped,
            wall_ns: totals.wall_ns,
            cpu_us: used_after.cpu_us.saturating_sub(used_before.cpu_us) as f64,
            rss_bytes: used_after.rss_bytes,
            driver_share: totals.cpu_ns as f64 / totals.wall_ns.max(1) as f64,
            reuse_ratio: 1.0 - accepts / calls.max(1.0),
            calls_per_request: calls / totals.finished.max(1) as f64,
            latency: recorder.phases()[0].latency.clone(),
            lag_p50_ns: recorder.pacer_lag().value_at_quantile(0.5),
            lag_p99_ns: recorder.pacer_lag().value_at_quantile(0.99),
        })
    }
}

/// The latencies of several turns as one histogram: percentiles are never averaged.
#[must_use]
pub fn merged<'a>(latencies: impl IntoIterator<Item = &'a Histogram<u64>>) -> Histogram<u64> {
    let mut latencies = latencies.into_iter();
    let mut all = latencies
        .next()
        .cloned()
        .unwrap_or_else(|| Histogram::new(3).unwrap_or_else(|error| unreachable!("three digits are allowed: {error}")));
    for latency in latencies {
        all.add(latency).unwrap_or_else(|error| unreachable!("histograms of one shape merge: {error}"));
    }
    all
}

/// How a contender's answer differs from the mock's.
fn told(through: &Answer, direct: &Answer) -> String {
    let of = |answer: &Answer| format!("{} with {} bytes", answer.status, answer.body.len());
    let same = (through.status, through.body.len()) == (direct.status, direct.body.len());
    let bytes = if same { ", other ones" } else { "" };
    format!("answered {}{bytes}, and the mock {}", of(through), of(direct))
}

/// Where `/bytes/BODY` is at this address.
#[must_use]
pub fn bytes_target(address: SocketAddr, body: u64) -> Target {
    Target::plain(address, &format!("/bytes/{body}"))
}

/// Connections that the mock took, and requests that it answered.
fn mock_counters(mock: &Child) -> Result<(u64, u64), TurnError> {
    let address = mock.ready.control.unwrap_or(mock.ready.listeners[0]);
    let target = Target::plain(address, "/counters");
    let answer = call(&target, "GET", &[])?;
    let counters: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let endpoints = counters["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |key: &str| endpoints.iter().filter_map(|endpoint| endpoint[key].as_u64()).sum();
    Ok((sum("accepts"), sum("requests")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut latencies = Histogram::new(3).unwrap();
        values.into_iter().for_each(|value| latencies.record(value).unwrap());
        latencies
    }

    #[test]
    fn a_bad_round_stays_in_the_percentiles_of_all() {
        // Nine quiet rounds, and one in which everything took a hundred times as long.
        let quiet = latencies(1..=100);
        let all: Vec<_> =
            (0..9).map(|_| quiet.clone()).chain([latencies((1..=100).map(|value| value * 100))]).collect();
        let merged = merged(&all);
        assert_eq!(merged.len(), 1_000);
        assert!(merged.value_at_quantile(0.99) > 8_000, "the median of p99 over rounds is 99");
    }

    #[test]
    fn what_a_contender_answered_stands_beside_what_the_mock_did() {
        let answer = |status, bytes: &[u8]| Answer { status, body: bytes.to_vec() };
        let mock = answer(200, b"0123");
        assert_eq!(told(&answer(502, b"oh"), &mock), "answered 502 with 2 bytes, and the mock 200 with 4 bytes");
        let other = told(&answer(200, b"3210"), &mock);
        assert_eq!(other, "answered 200 with 4 bytes, other ones, and the mock 200 with 4 bytes");
    }

    #[test]
    fn no_turns_have_no_latency() {
        assert_eq!(merged([]).value_at_quantile(0.99), 0);
    }
}
