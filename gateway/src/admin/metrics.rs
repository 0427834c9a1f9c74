//! `/metrics`: Prometheus text, or OpenMetrics for a scraper that asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::State;
use super::problems::felt;
use crate::algorithms::tiers::Serving;
use crate::clock::Clock;
use crate::config::settings::upstream::Endpoints;
use crate::gateway::Gateway;
use crate::network::Network;
use crate::reload::Reloader;
use crate::telemetry::exposition::{Format, KeptAnswers, ScrapeInputs, render};
use crate::telemetry::metrics::{
    BackedUp, Discovered, Ejections, EndpointBreaker, EndpointInFlight, EndpointState, EndpointStates, HeldPlaces,
    RouteBreaker,
};
use crate::telemetry::process::ProcessStats;
use crate::tls::expiry::What;
use crate::upstream::{Endpoint, Upstream};

pub(super) async fn metrics<N: Network>(Shared(state): Shared<Arc<State<N>>>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let body = whole_page(&state.gateway, &state.reloader, format);
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}

/// All that is known of a gateway, and of the process that it is in.
pub(crate) fn whole_page<N: Network>(gateway: &Gateway<N>, reloader: &Reloader<N>, format: Format) -> Vec<u8> {
    let mut inputs = ScrapeInputs { process: ProcessStats::read(), ..inputs(gateway) };
    inputs.reload_refused = reloader.refused().is_some();
    inputs.needs_restart = !reloader.needs_restart().is_empty();
    render(format, &gateway.shared().metrics, &inputs)
}

/// The page of a gateway that has no process of its own, as in simulated time: what it says of a process is zero.
#[must_use]
pub fn metrics_page<N: Network>(gateway: &Gateway<N>) -> Vec<u8> {
    render(Format::Prometheus, &gateway.shared().metrics, &inputs(gateway))
}

/// What the gateway itself knows.
fn inputs<N: Network>(gateway: &Gateway<N>) -> ScrapeInputs {
    let shared = gateway.shared();
    let mut inputs = ScrapeInputs {
        log_dropped: shared.log.dropped(),
        log_write_failures: shared.log.write_failures(),
        log_failing: shared.log.is_failing(),
        keys: shared.identity.keys(),
        issuers: shared.identity.issuers(),
        certificates: shared.tls.expiries(What::Certificate),
        revocation_lists: shared.tls.expiries(What::RevocationList),
        kept: KeptAnswers {
            entries: shared.cache.fill().answers as u64,
            bytes: shared.cache.fill().bytes as u64,
            evicted: shared.cache.evicted(),
        },
        ..ScrapeInputs::default()
    };
    for rule in &gateway.snapshot().in_flight {
        let (name, is_route) = (Arc::clone(&rule.settings.name), rule.is_of_route());
        inputs.held.push(HeldPlaces { name, is_route, requests: rule.state.fill().requests });
    }
    let snapshot = gateway.snapshot();
    let felt = felt(&snapshot.config);
    for upstream in gateway.upstreams() {
        inputs.shadows.push((Arc::clone(&upstream.name), !felt.contains(&*upstream.name)));
        add(&upstream, &shared.clock, &mut inputs);
    }
    inputs
}

/// In seconds since the Unix epoch; 0 where it never answered.
fn last_answer<N: Network>(endpoint: &Endpoint<N>, clock: &Clock) -> i64 {
    endpoint.answers.look(endpoint.in_flight.count() > 0, clock.monotonic_ns(clock.now()));
    endpoint.answers.last().map_or(0, |at| clock.unix_us_at(at) / 1_000_000)
}

/// What an upstream knows of its endpoints.
fn add<N: Network>(upstream: &Upstream<N>, clock: &Clock, inputs: &mut ScrapeInputs) {
    let active = upstream.active();
    for (index, endpoint) in active.endpoints.iter().enumerate() {
        let (name, address) = (Arc::clone(&upstream.name), Arc::clone(&endpoint.address));
        inputs.endpoints.push(EndpointInFlight {
            upstream: Arc::clone(&name),
            endpoint: Arc::clone(&address),
            in_flight: endpoint.in_flight.count().into(),
            attempts: endpoint.passed(clock.monotonic_ns(clock.now())).0,
            failures: endpoint.failures(),
            cancelled: endpoint.answers.left_in_all(),
            last_answer: last_answer(endpoint, clock),
            limit: endpoint.limiter.look().0.limit.filter(|_| active.settings.concurrency.adaptive),
        });
        let mut trips: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (cause, count) in active.scopes.iter().flat_map(|scope| scope.standings[index].trips()) {
            *trips.entry(cause.as_str()).or_default() += count;
        }
        for scope in &active.scopes {
            if let Some(route) = &scope.route {
                let (upstream, route, endpoint) = (Arc::clone(&name), Arc::clone(route), Arc::clone(&address));
                let state = scope.standings[index].guard.state();
                inputs.route_breakers.push(RouteBreaker { upstream, route, endpoint, state });
            }
        }
        let (state, trips) = (endpoint.standing.guard.state(), trips.into_iter().collect());
        inputs.breakers.push(EndpointBreaker { upstream: name, endpoint: address, state, trips });
    }
    if matches!(active.settings.endpoints, Endpoints::Dns(_)) {
        let failing = upstream.lookup.failed().is_some();
        inputs.discoveries.push(Discovered { upstream: Arc::clone(&upstream.name), failing });
    }
    if active.backups.is_some() {
        let serving = active.scopes.iter().any(|scope| scope.serving() != Serving::Primaries);
        inputs.backups.push(BackedUp { upstream: Arc::clone(&upstream.name), serving });
    }
    let states = active.endpoints.iter().map(|endpoint| {
        let standing = &endpoint.standing;
        EndpointState::of(standing.place(), standing.guard.state(), endpoint.health.is_healthy())
    });
    inputs.states.push(EndpointStates::new(Arc::clone(&upstream.name), states));
    let endpoints = active.scope(None).ejected() as u64;
    inputs.ejections.push(Ejections { upstream: Arc::clone(&upstream.name), endpoints });
}
