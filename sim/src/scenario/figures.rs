//! Which figures a scenario's result will have, by their dotted names.
//!
//! An expectation on any other figure is refused before anything starts. Counts by status or cause are there for every
//! status and cause, as zero where nothing was counted.

use gateway::config::settings::upstream::{Balance, Endpoints};

use loadgen::journey::Journeys;

use super::gateway::Checked;
use super::model::{ExpectPart, KEY_SERVER, Runtime, Scenario};
use super::policy::{is_shared, limits};
use crate::hostile;
use crate::metrics_page::Wanted;

const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];
const OUTCOMES: [&str; 5] = ["ok", "rejected", "failed", "dropped", "client_error"];
/// Figures of each endpoint's breaker.
const BREAKERS: [&str; 10] = [
    "trips",
    "trip_ms",
    "attempts_to_trip",
    "oracle_attempts",
    "trip_error",
    "leaked_attempts",
    "probes_max_concurrent",
    "recovery_ms",
    "recovery_oracle_ms",
    "never_closed",
];
/// Figures of what a gateway holds at rest.
const REST: [&str; 4] = ["before", "after", "grown", "ratio"];
/// Figures of how fast a gateway's memory grew.
const GROWTH: [&str; 3] = ["per_hour", "low", "high"];
/// Figures of each rate limit.
const LIMITERS: [&str; 9] = [
    "offered",
    "admitted",
    "oracle_admitted",
    "false_admits",
    "false_refusals",
    "bound_violation",
    "sustained_error",
    "retry_after_error_ms",
    "fairness_jain",
];
/// Figures that depend on nothing in the scenario.
const OF_EVERY_RUN: [&str; 10] = [
    "retries.amplification",
    "retries.budget_refused",
    "validity.dropped",
    "validity.achieved_over_offered",
    "validity.client_cpu_ratio",
    "validity.steady_from_ms",
    "validity.pacer_lag_us.p50",
    "validity.pacer_lag_us.p99",
    "environment.steal_ratio",
    "events.failed",
];
/// Causes of failures, as `loadgen` names them.
pub(crate) const CAUSES: [&str; 9] =
    ["connect", "closed", "reset", "malformed", "length", "header", "timeout", "missing", "grpc"];

impl ExpectPart {
    /// Every figure that it names.
    pub fn figures(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.figure).chain(&self.above).chain(&self.per)
    }
}

/// Every figure's name, but for `status.NNN`.
pub(super) fn all(scenario: &Scenario, checked: Option<&Checked>) -> Vec<String> {
    let mut names = Vec::new();
    for load in &scenario.loads {
        let load = format!("load.{}", load.name);
        for figure in ["offered_rps", "achieved_rps", "requests", "client_cpu_us_per_request"] {
            names.push(format!("{load}.{figure}"));
        }
        for (phase, _) in scenario.phases() {
            phase_figures(&format!("{load}.phases.{phase}"), &mut names);
        }
    }
    for (load, journey) in scenario.loads.iter().filter_map(|load| Some((load, load.journey.as_ref()?))) {
        journey_figures(&format!("load.{}", load.name), &journey.journeys, &mut names);
    }
    if let Some(load) = scenario.capacity.and_then(|part| scenario.loads.get(part.load)) {
        let figures = ["knee_rps.estimate", "knee_rps.ci_low", "knee_rps.ci_high", "coverage", "goodput_retention"];
        names.extend(figures.map(|figure| format!("capacity.{}.{figure}", load.name)));
        let objective = ["objective_p99_us", "objective_success_ratio"];
        names.extend(objective.map(|figure| format!("capacity.{}.{figure}", load.name)));
    }
    for instance in 0..scenario.gateway.instances {
        for figure in ["cpu_us_per_request", "rss_bytes.idle", "rss_bytes.peak", "rss_bytes.end"] {
            names.push(format!("gateway.{instance}.{figure}"));
        }
        for figure in ["connections_opened", "reuse_ratio"] {
            names.push(format!("gateway.{instance}.{figure}"));
        }
    }
    for load in scenario.alone() {
        names.push(format!("alone.{}.cpu_us_per_request", load.name));
    }
    // Figures are told apart by dots.
    let routes = checked.into_iter().flat_map(|checked| &checked.config.routes);
    for route in routes.filter(|route| !route.name.contains('.')) {
        names.extend(["p50", "p90", "p99"].map(|part| format!("routes.{}.over_slowest_us.{part}", route.name)));
    }
    for part in &scenario.hostile {
        names.extend(hostile::NAMES.map(|figure| format!("hostile.{}.{figure}", part.name)));
    }
    if !scenario.rest.is_zero() {
        let figures = ["rss_bytes", "descriptors"].into_iter().flat_map(|what| REST.map(|one| format!("{what}.{one}")));
        for figure in figures.chain(GROWTH.map(|one| format!("rss_growth.{one}"))) {
            names.extend((0..scenario.gateway.instances).map(|instance| format!("rest.{instance}.{figure}")));
        }
    }
    for figure in ["requests", "answers", "records", "missing", "surplus"] {
        names.push(format!("accounting.{figure}"));
    }
    if let Some(checked) = checked {
        balance_figures(checked, !scenario.faults.is_empty(), &mut names);
    }
    breaker_figures(scenario, checked, &mut names);
    // Decisions are followed up to a gateway's first restart.
    if let Some(checked) = checked.filter(|_| !scenario.restarts()) {
        limiter_figures(scenario, checked, &mut names);
    }
    if scenario.has_key_server() {
        names.extend(["fetches", "failed", "most_in_cooldown"].map(|figure| format!("keys.{figure}")));
        for (phase, _) in scenario.phases() {
            names.extend(["fetches", "failed"].map(|figure| format!("keys.phases.{phase}.{figure}")));
        }
    }
    names.extend(OF_EVERY_RUN.map(str::to_owned));
    if scenario.runtime == Runtime::Virtual {
        names.retain(|name| !is_of_a_machine(name));
        names.push("virtual_time.anomalies".to_owned());
    }
    names
}

/// Whether a figure tells what a machine spent: nothing of that is in a simulated world.
pub(super) fn is_of_a_machine(figure: &str) -> bool {
    let sections = ["alone.", "environment.", "validity.pacer_lag_us.", "validity.client_cpu_ratio"];
    let of_process = figure.split_once(".process_").is_some_and(|(page, _)| page.starts_with("prometheus."));
    sections.iter().any(|section| figure.starts_with(section))
        || figure.contains(".added_us.")
        || figure.ends_with("cpu_us_per_request")
        || (figure.starts_with("gateway.") && figure.contains(".rss_bytes."))
        || of_process
}

/// Whether a figure is a share of something: between 0, none of it, and 1, all of it.
pub(super) fn is_ratio(figure: &str) -> bool {
    const RATIOS: [&str; 8] = [
        "success_ratio",
        "coverage",
        "reuse_ratio",
        "steal_ratio",
        "objective_success_ratio",
        "regret_bad",
        "regret_idle",
        "fairness_jain",
    ];
    let last = figure.rsplit('.').next().unwrap_or_default();
    let of_balance = figure.strip_prefix("balance.").and_then(|rest| rest.split('.').nth(1));
    RATIOS.contains(&last) || of_balance.is_some_and(|part| ["share", "expected_share"].contains(&part))
}

/// Whether a figure may be below zero: a difference, or a sample of a page that nobody here knows.
pub(super) fn is_signed(figure: &str) -> bool {
    const DIFFERENCES: [&str; 7] =
        ["trip_error", "bound_violation", "sustained_error", "retry_after_error_ms", "grown", "low", "per_hour"];
    let last = figure.rsplit('.').next().unwrap_or_default();
    DIFFERENCES.contains(&last) || figure.starts_with("prometheus.") || figure.contains(".rss_growth.")
}

fn breaker_figures(scenario: &Scenario, checked: Option<&Checked>, names: &mut Vec<String>) {
    if !scenario.scores_breakers {
        return;
    }
    for endpoint in scenario.endpoints().filter(|name| name.split('/').next() != Some(KEY_SERVER)) {
        names.extend(BREAKERS.map(|figure| format!("breakers.{endpoint}.{figure}")));
    }
    let upstreams = checked.into_iter().flat_map(|checked| &checked.config.upstreams);
    names.extend(upstreams.map(|upstream| format!("breakers.{}.trips", upstream.name)));
}

/// Whether `name` is the count of a status, as in `load.x.phases.before.status.503` and `hostile.x.status.408`, or of a
/// goodbye, as in `hostile.x.goaway.ENHANCE_YOUR_CALM`.
pub(super) fn is_count(name: &str, all: &[String]) -> bool {
    if let Some((part, code)) = name.rsplit_once(".goaway.") {
        return hostile::CODES.contains(&code) && all.contains(&format!("{part}.ended_by_gateway"));
    }
    let Some((of, status)) = name.rsplit_once(".status.") else { return false };
    let in_range = status.parse::<u16>().is_ok_and(|status| status == 0 || (100..600).contains(&status));
    in_range && ["success_ratio", "ended_by_gateway"].iter().any(|figure| all.contains(&format!("{of}.{figure}")))
}

/// Whether `name` is a sample of a gateway's own page, as in `prometheus.0.gateway_shed_total{reason="h2_flood"}`; why
/// not, where it only seems to be one.
pub(super) fn is_metric(name: &str, instances: usize) -> Result<bool, String> {
    let Some((instance, sample)) = name.strip_prefix("prometheus.").and_then(|rest| rest.split_once('.')) else {
        return Ok(false);
    };
    if instance.parse::<usize>().map_or(true, |number| number >= instances) {
        return Err(format!("there is no gateway {instance}: they are counted from 0"));
    }
    Wanted::parse(sample).map(|_| true)
}

fn phase_figures(phase: &str, names: &mut Vec<String>) {
    for histogram in ["latency_us", "service_us", "added_us"] {
        names.extend(QUANTILES.map(|quantile| format!("{phase}.{histogram}.{quantile}")));
    }
    names.extend(OUTCOMES.map(|outcome| format!("{phase}.outcome.{outcome}")));
    names.extend(CAUSES.map(|cause| format!("{phase}.failures.{cause}")));
    names.push(format!("{phase}.success_ratio"));
}

fn journey_figures(load: &str, journeys: &Journeys, names: &mut Vec<String>) {
    for journey in &journeys.list {
        let name = format!("{load}.journeys.{}", journey.name);
        names.extend(["completed", "abandoned"].map(|figure| format!("{name}.{figure}")));
        names.extend(QUANTILES.map(|quantile| format!("{name}.duration_us.{quantile}")));
        for step in &journey.steps {
            for request in std::iter::once(&step.request).chain(&step.parts) {
                phase_figures(&format!("{name}.steps.{}", request.name), names);
            }
            if !step.parts.is_empty() {
                names.extend(QUANTILES.map(|quantile| format!("{name}.pages.{}.{quantile}", step.name)));
            }
        }
    }
}

fn limiter_figures(scenario: &Scenario, checked: &Checked, names: &mut Vec<String>) {
    for rule in limits(&checked.config).into_keys() {
        let is_told = |figure: &&str| !figure.starts_with("false_") || !is_shared(&checked.config, &rule);
        names.extend(LIMITERS.into_iter().filter(is_told).map(|figure| format!("limiters.{rule}.{figure}")));
        for (phase, _) in scenario.phases() {
            names.extend(["offered", "admitted", "of_rate"].map(|one| format!("limiters.{rule}.phases.{phase}.{one}")));
        }
    }
}

fn balance_figures(checked: &Checked, with_faults: bool, names: &mut Vec<String>) {
    for upstream in &checked.config.upstreams {
        let Endpoints::Static(endpoints) = &upstream.endpoints else { continue };
        for endpoint in endpoints.iter().filter_map(|endpoint| checked.names.get(&*endpoint.address)) {
            for part in ["share", "expected_share"] {
                names.push(format!("balance.{}.{part}.{endpoint}", upstream.name));
            }
        }
        if with_faults {
            names.extend(["regret_bad", "regret_idle"].map(|part| format!("balance.{}.{part}", upstream.name)));
            if matches!(upstream.balance, Balance::ConsistentHash(_)) {
                names.push(format!("balance.{}.moved_keys", upstream.name));
            }
        }
    }
}
