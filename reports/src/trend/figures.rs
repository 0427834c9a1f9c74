//! Which figures of a result are worth following from run to run, by the names that expectations use.

use std::collections::BTreeMap;

use crate::change_points::Measure;
use crate::result::ResultFile;

/// A figure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    /// Its value; finite.
    pub(super) value: f64,
    /// Whether more of it is worse; `None` where neither is.
    pub(super) more_is_worse: Option<bool>,
    /// A size, or a difference in percent.
    pub(super) measure: Measure,
}

/// Collects finite figures.
#[derive(Default)]
struct Figures(BTreeMap<String, Figure>);

impl Figures {
    fn worse_when_more(&mut self, name: String, value: f64) {
        self.add(name, value, Some(true));
    }

    fn better_when_more(&mut self, name: String, value: f64) {
        self.add(name, value, Some(false));
    }

    /// A difference in percent, of which more is worse.
    fn difference(&mut self, name: String, percent: f64) {
        if percent.is_finite() {
            self.0.insert(name, Figure { value: percent, more_is_worse: Some(true), measure: Measure::Difference });
        }
    }

    fn add(&mut self, name: String, value: f64, more_is_worse: Option<bool>) {
        if value.is_finite() {
            self.0.insert(name, Figure { value, more_is_worse, measure: Measure::Size });
        }
    }
}

/// The figures of a result, by name.
pub(super) fn figures(result: &ResultFile) -> BTreeMap<String, Figure> {
    let mut figures = Figures::default();
    cost(result, &mut figures);
    loads(result, &mut figures);
    resilience(result, &mut figures);
    for (name, peer) in &result.peers {
        if let Some(ratio) = peer.ratio_to_ours {
            figures.worse_when_more(format!("peers.{name}.ratio_to_ours.estimate"), ratio.estimate);
        }
    }
    for (name, capacity) in &result.capacity {
        figures.better_when_more(format!("capacity.{name}.knee_rps.estimate"), capacity.knee_rps.estimate);
    }
    // What no round showed has no value.
    for (name, metric) in result.metrics.iter().filter(|(_, metric)| metric.rounds > 0) {
        figures.difference(format!("metrics.{name}.estimate_pct"), metric.estimate_pct);
    }
    figures.0
}

fn cost(result: &ResultFile, figures: &mut Figures) {
    for (name, gateway) in &result.gateway {
        if let Some(cpu_us) = gateway.cpu_us_per_request {
            figures.worse_when_more(format!("gateway.{name}.cpu_us_per_request"), cpu_us);
        }
        if let Some(rss) = gateway.rss_bytes {
            figures.worse_when_more(format!("gateway.{name}.rss_bytes.peak"), rss.peak as f64);
        }
        figures.better_when_more(format!("gateway.{name}.reuse_ratio"), gateway.reuse_ratio);
    }
}

fn loads(result: &ResultFile, figures: &mut Figures) {
    for (load_name, load) in &result.load {
        for (phase_name, phase) in &load.phases {
            let name = |figure: &str| format!("load.{load_name}.phases.{phase_name}.{figure}");
            if let Some(latency) = phase.latency() {
                figures.worse_when_more(name("latency_us.p50"), latency.p50);
                figures.worse_when_more(name("latency_us.p99"), latency.p99);
            }
            if let Some(success) = phase.success() {
                figures.better_when_more(name("success_ratio"), success);
            }
            if let Some(added) = &phase.added_us {
                figures.worse_when_more(name("added_us.p50"), added.p50);
                figures.worse_when_more(name("added_us.p99"), added.p99);
            }
        }
    }
}

fn resilience(result: &ResultFile, figures: &mut Figures) {
    for (name, breaker) in &result.breakers {
        let told = [("trip_ms", breaker.trip_ms), ("recovery_ms", breaker.recovery_ms)];
        for (figure, value) in told {
            if let Some(value) = value {
                figures.worse_when_more(format!("breakers.{name}.{figure}"), value);
            }
        }
        if breaker.trips > 0 {
            figures.worse_when_more(format!("breakers.{name}.leaked_attempts"), breaker.leaked_attempts as f64);
        }
    }
    for (name, limiter) in &result.limiters {
        for (figure, value) in [("false_admits", limiter.false_admits), ("false_refusals", limiter.false_refusals)] {
            if let Some(value) = value {
                figures.worse_when_more(format!("limiters.{name}.{figure}"), value as f64);
            }
        }
    }
    if let Some(retries) = &result.retries {
        figures.worse_when_more("retries.amplification".to_owned(), retries.amplification);
    }
}
