//! Every metric family: its name (contract, records.md), its kind, its words, and where its samples come from.

mod admin;
mod cache;
mod identity;
mod in_flight;
mod listeners;
mod process;

pub use cache::KeptAnswers;

use std::sync::Arc;

use super::format::{Format, Kind, Page};
use crate::algorithms::breaker::State;
use crate::algorithms::gathering::Reason;
use crate::config::settings::compress::Coding;
use crate::error::Code;
use crate::telemetry::metrics::{
    AskedIssuer, AttemptOutcome, BackedUp, CoalesceResult, Discovered, Ejections, EndpointBreaker, EndpointInFlight,
    EndpointState, EndpointStates, FallbackResult, HedgeResult, HeldPlaces, Keys, LimitDecision, MirrorResult,
    PartResult, Registry, RetryResult, RouteBreaker, RouteTotals, ShedReason, SpanResult, UpstreamHandshake,
    UpstreamTotals, WordResult,
};
use crate::telemetry::process::ProcessStats;

/// What the registry does not hold.
#[derive(Debug, Clone, Default)]
pub struct ScrapeInputs {
    /// In-flight requests of each endpoint, from the balancers.
    pub endpoints: Vec<EndpointInFlight>,
    /// Requests that limits of requests at once count.
    pub held: Vec<HeldPlaces>,
    /// The breaker of each endpoint.
    pub breakers: Vec<EndpointBreaker>,
    /// The breakers that routes have of their own.
    pub route_breakers: Vec<RouteBreaker>,
    /// Ejected endpoints of each upstream.
    pub ejections: Vec<Ejections>,
    /// The endpoints of each upstream by their states.
    pub states: Vec<EndpointStates>,
    /// Fetched keys.
    pub keys: Vec<Keys>,
    /// Issuers that are asked about tokens.
    pub issuers: Vec<AskedIssuer>,
    /// The last reload was refused.
    pub reload_refused: bool,
    /// Some of what is configured is in force only after a restart.
    pub needs_restart: bool,
    /// When the first certificate of a listener ends, and when the first ought to have been replaced, seconds since the
    /// Unix epoch.
    pub certificates: Vec<(String, [i64; 2])>,
    /// The same of the first list of revoked certificates, where a listener has some.
    pub revocation_lists: Vec<(String, [i64; 2])>,
    /// Upstreams whose endpoints are discovered.
    pub discoveries: Vec<Discovered>,
    /// Upstreams that have backups.
    pub backups: Vec<BackedUp>,
    /// Each upstream, and whether it is a shadow: no client waits for it.
    pub shadows: Vec<(Arc<str>, bool)>,
    /// Dropped lines of the access log.
    pub log_dropped: u64,
    /// Writes of the access log that failed, and reopens.
    pub log_write_failures: u64,
    /// The last write failed, or a file that is to be opened anew could not be.
    pub log_failing: bool,
    /// What kept answers come to.
    pub kept: KeptAnswers,
    /// A look at the process.
    pub process: ProcessStats,
}

/// The metrics page. Runs on the control side; its time grows with the number of routes and upstreams in use.
pub fn render(format: Format, registry: &Registry, inputs: &ScrapeInputs) -> Vec<u8> {
    let mut page = Page::new(format);
    routes(&mut page, registry);
    shares(&mut page, registry);
    aggregates(&mut page, registry);
    batches(&mut page, registry);
    upstreams(&mut page, registry);
    endpoints(&mut page, &inputs.endpoints);
    breakers(&mut page, inputs);
    identity::render(&mut page, registry, inputs);
    cache::render(&mut page, &inputs.kept);
    limits(&mut page, registry);
    in_flight::render(&mut page, registry, &inputs.held);
    admin::render(&mut page, registry);
    stores(&mut page, registry);
    gateway(&mut page, registry, inputs);
    process::render(&mut page, &inputs.process);
    page.finish()
}

fn routes(page: &mut Page, registry: &Registry) {
    let series = registry.routes();
    let totals: Vec<(&str, RouteTotals)> =
        series.iter().filter_map(|route| Some((&**route.name(), route.totals()?))).collect();
    page.family(
        "gateway_requests_total",
        Kind::Counter,
        "Requests that have ended, by route, status class and problem code.",
    );
    for (route, totals) in &totals {
        for (class, code, count) in &totals.requests {
            let class = ["1xx", "2xx", "3xx", "4xx", "5xx"][usize::from(*class).clamp(1, 5) - 1];
            let code = code.map_or("ok", Code::as_str);
            page.number(&[("route", route), ("status_class", class), ("code", code)], *count);
        }
    }
    failures(page, &totals);
    page.family("gateway_coalesced_total", Kind::Counter, "Requests that may share a call, by what they came to.");
    for (route, totals) in &totals {
        for (result, count) in CoalesceResult::ALL.iter().zip(totals.coalesced).filter(|(_, count)| *count > 0) {
            page.number(&[("route", route), ("result", result.as_str())], count);
        }
    }
    cache::requests(page, &totals);
    page.family("gateway_mirrored_total", Kind::Counter, "Copies of requests, by what became of them.");
    for (route, totals) in &totals {
        for (result, count) in MirrorResult::ALL.iter().zip(totals.mirrored).filter(|(_, count)| *count > 0) {
            page.number(&[("route", route), ("result", result.as_str())], count);
        }
    }
    page.family(
        "gateway_forward_auth_total",
        Kind::Counter,
        "Requests of which another service was asked whether they pass, by what came of it.",
    );
    for (route, totals) in &totals {
        for (result, count) in WordResult::ALL.iter().zip(totals.words).filter(|(_, count)| *count > 0) {
            page.number(&[("route", route), ("result", result.as_str())], count);
        }
    }
    compression(page, &totals);
    page.family("gateway_request_duration_seconds", Kind::Histogram, "Time from a request's head to its answer's end.");
    for (route, totals) in &totals {
        page.histogram(&[("route", route)], &totals.duration);
    }
    page.family("gateway_overhead_seconds", Kind::Histogram, "Time that the gateway itself added to a request.");
    for (route, totals) in &totals {
        page.histogram(&[("route", route)], &totals.overhead);
    }
}

/// What few requests have beside a status and a code: a deadline of their client's own, words of gRPC, a fallback.
fn failures(page: &mut Page, totals: &[(&str, RouteTotals)]) {
    page.family(
        "gateway_client_deadlines_total",
        Kind::Counter,
        "Requests answered with 5xx as their clients' own deadlines were up; they are in gateway_requests_total too.",
    );
    for (route, totals) in totals.iter().filter(|(_, totals)| totals.own_deadlines > 0) {
        page.number(&[("route", route)], totals.own_deadlines);
    }
    page.family(
        "gateway_grpc_answers_total",
        Kind::Counter,
        "Calls of gRPC, by the status that their callers were told.",
    );
    for (route, totals) in totals {
        for (status, count) in totals.grpc.iter().enumerate().filter(|(_, count)| **count > 0) {
            page.number(&[("route", route), ("grpc_status", itoa::Buffer::new().format(status))], *count);
        }
    }
    page.family(
        "gateway_fallbacks_total",
        Kind::Counter,
        "Failures of an upstream, and what a route's fallback made of them.",
    );
    for (route, totals) in totals {
        for (result, count) in FallbackResult::ALL.iter().zip(totals.fallbacks).filter(|(_, count)| *count > 0) {
            page.number(&[("route", route), ("result", result.as_str())], count);
        }
    }
}

fn shares(page: &mut Page, registry: &Registry) {
    page.family("gateway_split_total", Kind::Counter, "Requests of split routes, by the upstream that they went to.");
    for series in registry.shares() {
        let (route, upstream) = series.names();
        page.number(&[("route", route), ("upstream", upstream)], series.total());
    }
}

fn aggregates(page: &mut Page, registry: &Registry) {
    page.family("gateway_aggregate_parts_total", Kind::Counter, "Parts of aggregates, by what became of them.");
    for series in registry.parts() {
        let (aggregate, part) = series.names();
        for (result, count) in PartResult::ALL.iter().zip(series.totals()).filter(|(_, count)| *count > 0) {
            page.number(&[("aggregate", aggregate), ("part", part), ("result", result.as_str())], count);
        }
    }
}

fn batches(page: &mut Page, registry: &Registry) {
    let series = registry.batches();
    let totals: Vec<_> = series.iter().map(|batch| (&**batch.name(), batch.totals())).collect();
    page.family("gateway_batch_size", Kind::Histogram, "Requests that share a call for many, of each call.");
    for (batch, totals) in &totals {
        page.counts(&[("batch", batch)], &totals.sizes, totals.requests);
    }
    page.family("gateway_batches_sent_total", Kind::Counter, "Calls for many, by why they were made when they were.");
    for (batch, totals) in &totals {
        for (reason, count) in Reason::ALL.iter().zip(totals.reasons).filter(|(_, count)| *count > 0) {
            page.number(&[("batch", batch), ("reason", reason.as_str())], count);
        }
    }
    page.family(
        "gateway_batch_merged_total",
        Kind::Counter,
        "Requests that asked for what another one in their batch asked for.",
    );
    for (batch, totals) in &totals {
        page.number(&[("batch", batch)], totals.merged);
    }
}

fn compression(page: &mut Page, totals: &[(&str, RouteTotals)]) {
    let coded = || {
        totals.iter().flat_map(|(route, totals)| {
            let used = Coding::ALL.iter().zip(totals.compressed).filter(|(_, totals)| totals.answers > 0);
            used.map(move |(coding, totals)| (*route, coding.as_str(), totals))
        })
    };
    page.family(
        "gateway_compressed_answers_total",
        Kind::Counter,
        "Answers that were compressed, by route and coding.",
    );
    for (route, coding, totals) in coded() {
        page.number(&[("route", route), ("coding", coding)], totals.answers);
    }
    page.family(
        "gateway_compressed_bytes_total",
        Kind::Counter,
        "Bytes of answers that were compressed, as they came (before) and as they went (after).",
    );
    for (route, coding, totals) in coded() {
        for (form, bytes) in [("before", totals.before), ("after", totals.after)] {
            page.number(&[("route", route), ("coding", coding), ("form", form)], bytes);
        }
    }
    page.family(
        "gateway_left_uncompressed_total",
        Kind::Counter,
        "Answers that were left as they are, since encoders held all the memory that they may (compress_memory).",
    );
    for (route, totals) in totals.iter().filter(|(_, totals)| totals.left_uncompressed > 0) {
        page.number(&[("route", route)], totals.left_uncompressed);
    }
}

fn upstreams(page: &mut Page, registry: &Registry) {
    let series = registry.upstreams();
    let totals: Vec<(&str, UpstreamTotals)> =
        series.iter().filter_map(|upstream| Some((&**upstream.name(), upstream.totals()?))).collect();
    page.family("gateway_upstream_attempts_total", Kind::Counter, "Attempts that have ended, by upstream and outcome.");
    for (upstream, totals) in &totals {
        for (outcome, count) in AttemptOutcome::ALL.iter().zip(totals.attempts).filter(|(_, count)| *count > 0) {
            page.number(&[("upstream", upstream), ("outcome", outcome.as_str())], count);
        }
    }
    page.family("gateway_retries_total", Kind::Counter, "Retries that have ended, and those that the budget refused.");
    for (upstream, totals) in &totals {
        for (result, count) in RetryResult::ALL.iter().zip(totals.retries).filter(|(_, count)| *count > 0) {
            page.number(&[("upstream", upstream), ("result", result.as_str())], count);
        }
    }
    page.family("gateway_hedges_total", Kind::Counter, "Hedges that have ended, and those that were not sent.");
    for (upstream, totals) in &totals {
        for (result, count) in HedgeResult::ALL.iter().zip(totals.hedges).filter(|(_, count)| *count > 0) {
            page.number(&[("upstream", upstream), ("result", result.as_str())], count);
        }
    }
    page.family(
        "gateway_upstream_stale_replays_total",
        Kind::Counter,
        "Requests sent again on a new connection, as the upstream had closed the pooled one; each within one attempt.",
    );
    for (upstream, totals) in &totals {
        page.number(&[("upstream", upstream)], totals.replays);
    }
    page.family(
        "gateway_upstream_duration_seconds",
        Kind::Histogram,
        "Time from an attempt's start to its answer's head.",
    );
    for (upstream, totals) in &totals {
        page.histogram(&[("upstream", upstream)], &totals.duration);
    }
    page.family(
        "gateway_upstream_connections",
        Kind::Gauge,
        "Open connections to an upstream, in use or idle in a pool.",
    );
    for (upstream, totals) in &totals {
        page.number(&[("upstream", upstream), ("state", "busy")], totals.busy);
        page.number(&[("upstream", upstream), ("state", "idle")], totals.idle);
    }
    page.family("gateway_upstream_connections_opened_total", Kind::Counter, "Connections ever opened to an upstream.");
    for (upstream, totals) in &totals {
        page.number(&[("upstream", upstream)], totals.opened);
    }
    page.family(
        "gateway_upstream_tls_handshakes_total",
        Kind::Counter,
        "TLS handshakes with endpoints of an upstream, by what came of them.",
    );
    for upstream in &series {
        for result in UpstreamHandshake::ALL {
            let count = upstream.handshakes(*result);
            if count > 0 {
                page.number(&[("upstream", upstream.name()), ("result", result.as_str())], count);
            }
        }
    }
}

fn endpoints(page: &mut Page, endpoints: &[EndpointInFlight]) {
    page.family("gateway_endpoint_in_flight", Kind::Gauge, "Requests that an endpoint is serving now.");
    for endpoint in endpoints {
        page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], endpoint.in_flight);
    }
    page.family("gateway_endpoint_attempts_total", Kind::Counter, "Attempts that began at an endpoint.");
    for endpoint in endpoints {
        page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], endpoint.attempts);
    }
    page.family("gateway_endpoint_failures_total", Kind::Counter, "Attempts that failed at an endpoint.");
    for endpoint in endpoints {
        page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], endpoint.failures);
    }
    let about = "Attempts that clients left at an endpoint before the first byte of an answer.";
    page.family("gateway_endpoint_cancelled_total", Kind::Counter, about);
    for endpoint in endpoints {
        page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], endpoint.cancelled);
    }
    let about = "When an endpoint answered last, seconds since the Unix epoch; 0 where it never did.";
    page.family("gateway_endpoint_last_answer_seconds", Kind::Gauge, about);
    for endpoint in endpoints {
        let at = u64::try_from(endpoint.last_answer).unwrap_or(0);
        page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], at);
    }
    page.family(
        "gateway_concurrency_limit",
        Kind::Gauge,
        "How many may wait for an endpoint's answers, while its adaptive limit is in force.",
    );
    for endpoint in endpoints {
        if let Some(limit) = endpoint.limit {
            page.number(&[("upstream", &endpoint.upstream), ("endpoint", &endpoint.endpoint)], limit.into());
        }
    }
}

fn breakers(page: &mut Page, inputs: &ScrapeInputs) {
    page.family("gateway_breaker_state", Kind::Gauge, "An endpoint's breaker: 0 closed, 1 half-open, 2 open.");
    let number = |state| match state {
        State::Closed => 0,
        State::HalfOpen => 1,
        State::Open => 2,
    };
    for breaker in &inputs.breakers {
        page.number(&[("upstream", &breaker.upstream), ("endpoint", &breaker.endpoint)], number(breaker.state));
    }
    page.family(
        "gateway_route_breaker_state",
        Kind::Gauge,
        "The breaker that a route has of its own, of an endpoint: 0 closed, 1 half-open, 2 open.",
    );
    for RouteBreaker { upstream, route, endpoint, state } in &inputs.route_breakers {
        page.number(&[("upstream", upstream), ("route", route), ("endpoint", endpoint)], number(*state));
    }
    page.family("gateway_breaker_trips_total", Kind::Counter, "How often an endpoint's breaker tripped.");
    for breaker in &inputs.breakers {
        for (cause, trips) in &breaker.trips {
            let labels = [("upstream", &*breaker.upstream), ("endpoint", &*breaker.endpoint), ("cause", *cause)];
            page.number(&labels, *trips);
        }
    }
    page.family("gateway_ejections", Kind::Gauge, "Endpoints that are out of balancing now.");
    for ejections in &inputs.ejections {
        page.number(&[("upstream", &ejections.upstream)], ejections.endpoints);
    }
    let about = "1 while backups of an upstream take requests, else 0.";
    page.family("gateway_backups_serving", Kind::Gauge, about);
    for backed in &inputs.backups {
        page.number(&[("upstream", &backed.upstream)], backed.serving.into());
    }
    let about = "1 where no client waits for an upstream: copies of requests (mirror) go there at most; else 0.";
    page.family("gateway_upstream_shadow", Kind::Gauge, about);
    for (upstream, is_shadow) in &inputs.shadows {
        page.number(&[("upstream", upstream)], (*is_shadow).into());
    }
    page.family("gateway_discovery_failing", Kind::Gauge, "1 while an upstream's name cannot be resolved, else 0.");
    for discovered in &inputs.discoveries {
        page.number(&[("upstream", &discovered.upstream)], discovered.failing.into());
    }
    page.family("gateway_endpoints", Kind::Gauge, "Endpoints of an upstream, by the state that they are in.");
    for states in &inputs.states {
        for (state, count) in EndpointState::ALL.iter().zip(states.endpoints) {
            page.number(&[("upstream", &states.upstream), ("state", state.as_str())], count);
        }
    }
}

fn limits(page: &mut Page, registry: &Registry) {
    page.family("gateway_limit_decisions_total", Kind::Counter, "What rate limits decided, by rule and decision.");
    for series in registry.limits() {
        for (decision, count) in LimitDecision::ALL.iter().zip(series.totals()).filter(|(_, count)| *count > 0) {
            page.number(&[("rule", series.name()), ("decision", decision.as_str())], count);
        }
    }
}

fn stores(page: &mut Page, registry: &Registry) {
    let stores = registry.stores();
    page.family("gateway_store_duration_seconds", Kind::Histogram, "Time that a request waited for a store's answer.");
    for store in &stores {
        page.histogram(&[("store", store.name())], &store.duration());
    }
    page.family("gateway_store_degraded", Kind::Gauge, "1 while limits do without the store, else 0.");
    for store in &stores {
        page.number(&[("store", store.name())], u64::from(store.is_degraded()));
    }
}

fn gateway(page: &mut Page, registry: &Registry, inputs: &ScrapeInputs) {
    let gateway = registry.gateway();
    listeners::render(page, registry, inputs);
    page.family("gateway_shed_total", Kind::Counter, "Connections and requests turned away to protect the gateway.");
    for reason in ShedReason::ALL {
        page.number(&[("reason", reason.as_str())], gateway.shed_total(reason));
    }
    page.family(
        "gateway_unbuffered_bodies_total",
        Kind::Counter,
        "Request bodies that `buffer_request` did not gather, since all that are held were as large as they may be.",
    );
    page.number(&[], gateway.unbuffered_total());
    page.family(
        "gateway_log_dropped_total",
        Kind::Counter,
        "Access records dropped because the log could not keep up.",
    );
    page.number(&[], inputs.log_dropped);
    page.family(
        "gateway_log_write_failures_total",
        Kind::Counter,
        "Writes of the access log, and reopens of its file, that failed; each is tried again.",
    );
    page.number(&[], inputs.log_write_failures);
    page.family(
        "gateway_log_failing",
        Kind::Gauge,
        "1 while the access log cannot be written, or its file not be opened anew, else 0.",
    );
    page.number(&[], inputs.log_failing.into());
    page.family("gateway_spans_total", Kind::Counter, "Spans of traced requests, by what became of them.");
    for result in SpanResult::ALL {
        page.number(&[("result", result.as_str())], registry.spans().total(*result));
    }
    page.family("gateway_spans_dropped_total", Kind::Counter, "Spans that no collector has taken.");
    page.number(&[], registry.spans().dropped());
    page.family("gateway_config_version", Kind::Gauge, "The version of the configuration in force.");
    page.number(&[], gateway.config_version());
    page.family("gateway_config_reload_failures_total", Kind::Counter, "Reloads that were refused.");
    page.number(&[], gateway.reload_failures_total());
    page.family("gateway_config_last_reload_ok", Kind::Gauge, "0 while the last reload was refused, else 1.");
    page.number(&[], (!inputs.reload_refused).into());
    page.family(
        "gateway_config_needs_restart",
        Kind::Gauge,
        "1 while something that is configured waits for a restart, else 0.",
    );
    page.number(&[], inputs.needs_restart.into());
    page.family("gateway_worker_loop_delay_seconds", Kind::Histogram, "How late a worker's timers fire.");
    for (worker, totals) in gateway.loop_delays() {
        page.histogram(&[("worker", itoa::Buffer::new().format(worker))], &totals);
    }
    page.family("gateway_panics_total", Kind::Counter, "Bugs met by requests, answered with 500, or beside them.");
    page.number(&[], gateway.panics_total());
    page.family("gateway_build_info", Kind::Gauge, "Always 1; the labels tell the build.");
    page.number(&[("version", crate::build::VERSION), ("commit", crate::build::COMMIT)], 1);
}

#[cfg(test)]
mod tests;
