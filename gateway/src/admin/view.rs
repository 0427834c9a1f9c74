//! What the admin API shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::drain::{self, Progress};
use super::{State, problems};
use crate::algorithms::ejection::Place;
use crate::clock::Clock;
use crate::config::settings::Config;
use crate::config::settings::upstream::{Concurrency, Endpoints};
use crate::config::settings::upstream_tls::UpstreamTls;
use crate::gateway::Gateway;
use crate::network::Network;
use crate::telemetry::events::LastFailure;
use crate::telemetry::metrics::ShedReason;
use crate::telemetry::process::resident_bytes;
use crate::telemetry::timestamp::rfc3339;
use crate::upstream::lookup::FailedLookup;
use crate::upstream::way::TlsWay;
use crate::upstream::{Endpoint, Upstream};

/// A problem document of the admin API.
pub(super) fn refusal(status: StatusCode, code: &str, detail: &str) -> Response {
    let document = json!({
        "type": format!("urn:portcullis:problem:{code}"),
        "title": status.canonical_reason().unwrap_or(""),
        "status": status.as_u16(),
        "detail": detail,
        "code": code,
    });
    let mut response = (status, Json(document)).into_response();
    let problem = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, problem);
    response
}

pub(super) async fn not_found() -> Response {
    let there = "There are / /livez /readyz /metrics /status /problems /config /upstreams /breakers /limits /routes /requests /explain /events /cache /jwks.json /openapi.json /docs, \
                 POST /reload, POST /drain, POST /cache/purge and POST /breakers/{upstream}/{endpoint}/{open|close|auto}.";
    refusal(StatusCode::NOT_FOUND, "route_not_found", there)
}

pub(super) async fn method_not_allowed() -> Response {
    let detail = "/reload, /drain, /cache/purge and /breakers/... take POST, everything else takes GET.";
    refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

pub(super) async fn status<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let shared = state.gateway.shared();
    let snapshot = state.gateway.snapshot();
    let now = shared.clock.now();
    let uptime = now.saturating_duration_since(state.started);
    // Once: all that is said of it is of one moment.
    let drain = drain::progress(&state);
    let (problems, healed) = problems::told(&state, drain.as_ref());
    Json(json!({
        "version": crate::build::VERSION,
        "commit": crate::build::COMMIT,
        "config": { "version": snapshot.version, "file": state.reloader.path() },
        "uptime_seconds": uptime.as_secs(),
        // Events have times of the machine's monotonic clock: this says what time of day they were.
        "clock": {
            "monotonic_ns": shared.clock.monotonic_ns(now),
            "started_ns": shared.clock.monotonic_ns(state.started),
            "unix_us": shared.clock.unix_us(now),
        },
        "problems": problems,
        "healed": healed,
        "draining": drain.is_some(),
        "drain": drain.as_ref().map(|progress| progress.told(&shared.clock)),
        "workers": state.gateway.shards().len(),
        // A program that mounts the gateway has them.
        "connections": drain.as_ref().map_or_else(|| drain::connections(&state), Progress::connections),
        "worker_connections": state.serves.as_ref().map(|serves| worker_connections(&serves.loads)).unwrap_or_default(),
        "routes": snapshot.config.routes.len(),
        "upstreams": snapshot.config.upstreams.len(),
        "panics": shared.metrics.gateway().panics_total(),
        "overload": overload(&state.gateway),
        "access_log_dropped": shared.log.dropped(),
        "access_log_write_failures": shared.log.write_failures(),
        "events_missed": shared.events.missed(),
        "documents": state.documents.told(),
        "warnings": state.reloader.warnings(),
        "last_reload": state.reloader.last(),
    }))
}

fn worker_connections(loads: &[Arc<AtomicUsize>]) -> Vec<usize> {
    loads.iter().map(|load| load.load(Ordering::Relaxed)).collect()
}

/// What protects the gateway from load, and what it does now.
fn overload<N: Network>(gateway: &Gateway<N>) -> Value {
    let shared = gateway.shared();
    let server = &gateway.snapshot().config.server;
    let workers: Vec<Value> = gateway
        .shards()
        .iter()
        .map(|shard| {
            json!({
                "refused_part": (shard.gate.refused_part() * 1000.0).round() / 1000.0,
                "reading_paused": shard.gate.is_paused(),
                "held_connections": shard.gate.held(),
            })
        })
        .collect();
    let shed = |reason: &ShedReason| (reason.as_str().to_owned(), shared.metrics.gateway().shed_total(*reason).into());
    json!({
        // Counted only while it is limited.
        "in_flight": server.max_in_flight.map(|_| shared.in_flight.count()),
        "max_in_flight": server.max_in_flight,
        "resident_bytes": resident_bytes(),
        "shed_above_rss": server.shed_above_rss,
        "workers": workers,
        "shed": ShedReason::ALL.iter().map(shed).collect::<serde_json::Map<String, Value>>(),
    })
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn routes<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    Json(json!({ "routes": route_list(&state.gateway.snapshot()) }))
}

pub(super) fn route_list<N: Network>(snapshot: &crate::snapshot::Snapshot<N>) -> Vec<Value> {
    snapshot
        .routes
        .iter()
        // What follows are the calls of aggregates.
        .take(snapshot.config.routes.len())
        .map(|route| {
            let settings = &route.settings;
            json!({
                "name": &*settings.name,
                "listeners": settings.matches.listeners.iter().map(|name| &**name).collect::<Vec<_>>(),
                "hosts": settings.matches.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "path": &*settings.matches.path,
                "path_regex": settings.matches.path_regex.as_ref().map(|regex| &*regex.written),
                "clients": Some(settings.matches.clients.to_string()).filter(|told| !told.is_empty()),
                "methods": settings.matches.methods.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "priority": settings.matches.priority,
                "criticality": settings.criticality.as_str(),
                "upstream": Some(&*settings.upstream).filter(|name| !name.is_empty()),
                "split": settings.split.as_ref().map(|split| split.described()),
                "mirror": settings.mirror.as_ref().map(ToString::to_string),
                "parts": settings.aggregate.as_ref().map(|aggregate| aggregate.described()),
                "batch": settings.batch.as_ref().map(|batch| batch.described()),
                "own_answer": settings.own_answer.as_ref().map(ToString::to_string),
                "forward_auth": settings.forward_auth.as_ref().map(ToString::to_string),
                "origin": settings.origin.as_ref().map(ToString::to_string),
                "max_in_flight": settings.max_in_flight,
                "timeout_ms": settings.timeout.map(millis),
                "max_body": route.max_body,
                "grpc_web": settings.grpc_web,
                "coalesce": settings.coalesce,
                "early_hints": settings.early_hints.told(),
                "intercept": settings.intercept.as_ref().map(ToString::to_string),
                "cache": settings.cache.as_ref().map(ToString::to_string),
                "hedge": settings.hedge.as_ref().map(|hedge| json!({
                    "after": hedge.to_string(),
                    "now_us": route.hedging.as_ref().and_then(|hedging| hedging.after()).map(micros),
                })),
                "fallback": settings.fallback.as_ref().map(ToString::to_string),
            })
        })
        .collect()
}

pub(super) async fn upstreams<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let upstreams: Vec<Value> = state
        .gateway
        .upstreams()
        .iter()
        .map(|upstream| {
            let active = upstream.active();
            let Concurrency { max_in_flight, adaptive, .. } = active.settings.concurrency;
            let endpoints: Vec<Value> = active
                .endpoints
                .iter()
                .zip(&active.weights)
                .enumerate()
                .map(|(index, (endpoint, weight))| {
                    let idle = endpoint.idle_connections();
                    let clock = &state.gateway.shared().clock;
                    let now_ns = clock.monotonic_ns(clock.now());
                    let (seen, (_, passed)) = (endpoint.seen(now_ns), endpoint.passed(now_ns));
                    json!({
                        "address": &*endpoint.address,
                        "weight": weight,
                        "backup": active.is_backup(index),
                        "in_flight": endpoint.in_flight.count(),
                        "connections": endpoint.connections.count(),
                        "idle_connections": idle,
                        "attempts_per_second": passed.map(|passed| thousandths(passed.begun)),
                        "failing_per_second": passed.map(|passed| thousandths(passed.failed)),
                        "in_flight_ms": passed.and_then(|passed| passed.stays).map(|stays| thousandths(stays * 1e3)),
                        "last_answer": last_answer(endpoint, clock),
                        "unanswered": unanswered(endpoint, clock),
                        "cancelled": endpoint.answers.left_in_all(),
                        "last_failure": last_failure(endpoint, clock),
                        "balancing": place(endpoint.standing.place()),
                        "breaker": endpoint.standing.guard.state().as_str(),
                        "reasons": active.reasons(index),
                        "out_since": endpoint.standing.trouble().map(|at| rfc3339(clock.unix_us_at(at))),
                        "latency_us": seen.latency.map(|seconds| (seconds * 1e6).round()),
                        "failing": seen.latency.map(|_| (seen.failing * 1e3).round() / 1e3),
                        "last_check": endpoint.health.last().as_deref(),
                        "adaptive": adaptive.then(|| limiter(endpoint)),
                        "tls": endpoint.way().tls().map(|tls| tls_of(tls, clock)),
                    })
                })
                .collect();
            let discovery = match &active.settings.endpoints {
                Endpoints::Static(_) => Value::Null,
                Endpoints::Dns(dns) => format!("{}:{}", dns.host, dns.port).into(),
            };
            json!({
                "name": &*upstream.name,
                "protocol": active.settings.protocol.name(),
                "discovery": discovery,
                "discovery_failed": discovery_failed(upstream, &state.gateway.shared().clock),
                // Counted only while it is limited.
                "in_flight": max_in_flight.map(|_| upstream.in_flight.count()),
                "max_in_flight": max_in_flight,
                // Of all routes but those that have breakers of their own.
                "serving": active.backups.as_ref().map(|_| active.scope(None).serving().as_str()),
                "endpoints": endpoints,
            })
        })
        .collect();
    Json(json!({ "upstreams": upstreams }))
}

fn thousandths(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// What the last attempt that failed there came to.
fn last_failure<N: Network>(endpoint: &Endpoint<N>, clock: &Clock) -> Option<Value> {
    let LastFailure { at_ns, outcome, status, detail } = endpoint.last_failure()?;
    let at = rfc3339(clock.unix_us_at(at_ns));
    Some(json!({ "at": at, "outcome": outcome.as_str(), "status": status, "detail": detail.as_deref() }))
}

/// When it was seen to have answered.
fn last_answer<N: Network>(endpoint: &Endpoint<N>, clock: &Clock) -> Option<String> {
    endpoint.answers.look(endpoint.in_flight.count() > 0, clock.monotonic_ns(clock.now()));
    endpoint.answers.last().map(|at| rfc3339(clock.unix_us_at(at)))
}

/// Since when requests have waited for it, or were left by their clients, and none was answered.
fn unanswered<N: Network>(endpoint: &Endpoint<N>, clock: &Clock) -> Option<Value> {
    let now = clock.monotonic_ns(clock.now());
    let silence = endpoint.answers.look(endpoint.in_flight.count() > 0, now)?;
    let for_ms = now.saturating_sub(silence.since) / 1_000_000;
    let since = rfc3339(clock.unix_us_at(silence.since));
    Some(json!({ "since": since, "for_ms": for_ms, "clients_left": silence.left }))
}

/// The last lookup of an upstream's name, if it failed.
fn discovery_failed<N: Network>(upstream: &Upstream<N>, clock: &Clock) -> Value {
    let shown = |failed: FailedLookup| {
        let [at, since] = [failed.at, failed.since].map(|at| rfc3339(clock.unix_us(at)));
        json!({ "at": at, "since": since, "detail": failed.why })
    };
    upstream.lookup.failed().map_or(Value::Null, shown)
}

/// How each upstream that speaks TLS is believed; those that nobody checks are seen at once.
pub(super) fn upstreams_tls(config: &Config) -> serde_json::Map<String, Value> {
    let secured = config.upstreams.iter().filter_map(|upstream| Some((&upstream.name, upstream.tls.as_ref()?)));
    secured.map(|(name, tls)| (name.to_string(), trust(tls))).collect()
}

fn trust(tls: &UpstreamTls) -> Value {
    json!({
        "insecure": tls.is_insecure(),
        "believes": tls.trust.as_str(),
        "own_certificate": tls.certificate.is_some(),
    })
}

/// How an endpoint proves who it is, and the last handshake, if that failed.
fn tls_of(tls: &TlsWay, clock: &Clock) -> Value {
    let mut shown = trust(tls.settings());
    shown["name"] = tls.name().into();
    shown["failed"] = tls.failed().map_or(Value::Null, |failed| {
        json!({
            "at": rfc3339(clock.unix_us(failed.at)),
            "reason": failed.why.kind.as_str(),
            "detail": failed.why.to_string(),
        })
    });
    shown
}

/// An endpoint's adaptive limit: who waits for its answers, how many may, and how long they take without a queue.
fn limiter<N: Network>(endpoint: &Endpoint<N>) -> Value {
    let (look, waiting) = endpoint.limiter.look();
    json!({
        "waiting": waiting,
        "limit": look.limit,
        "base_ms": look.base.map(|base| (base.as_secs_f64() * 1e6).round() / 1e3),
    })
}

/// A place in balancing, in words.
pub(super) fn place(place: Place) -> &'static str {
    match place {
        Place::In => "in",
        Place::Ejected => "ejected",
        Place::Capped => "capped",
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use http::Method;

    use super::*;
    use crate::admin::probes::tests::state;
    use crate::context::RequestId;
    use crate::roll_call::{Present, RollCall};

    fn enter(roll_call: &RollCall, began: std::time::Instant) -> Arc<Present> {
        roll_call.enter(Present {
            request_id: RequestId::mint([1, 2]),
            route: None,
            method: Method::GET,
            path: "/".into(),
            client: IpAddr::from([127, 0, 0, 1]),
            began,
            is_part: false,
            asks: Mutex::default(),
        })
    }

    #[test]
    fn all_that_one_answer_says_of_a_drain_is_of_one_moment() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _entered = runtime.enter();
        let (gateway, state) = state("[[routes]]\npath = '/'\nanswer = { body = 'x' }\n");
        gateway.begin_drain();
        let (shared, stop) = (gateway.shared(), std::sync::atomic::AtomicBool::new(false));
        shared.roll_call.begin();
        let began = shared.clock.now();
        let told = std::thread::scope(|scope| {
            // Requests come and go without a pause.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop([enter(&shared.roll_call, began), enter(&shared.roll_call, began)]);
                }
            });
            let ask = |_| status(Shared(Arc::clone(&state))).now_or_never().unwrap().0;
            let told: Vec<Value> = (0..500).map(ask).collect();
            stop.store(true, Ordering::Relaxed);
            told
        });
        for told in told {
            let requests = &told["drain"]["requests"];
            let problem = told["problems"].as_array().unwrap().iter().find(|problem| problem["what"] == "drain");
            let why = problem.unwrap()["why"].as_str().unwrap();
            assert!(why.starts_with(&format!("it waits for {requests} request")), "{requests}: {why}");
        }
    }
}
