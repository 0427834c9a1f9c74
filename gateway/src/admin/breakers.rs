//! `/breakers`: what each breaker is, why, and what it does next; and the operator's hand on it.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::State;
use super::view::{place, refusal};
use crate::algorithms::breaker::Mode;
use crate::clock::Clock;
use crate::network::Network;
use crate::telemetry::events::counts;
use crate::telemetry::timestamp::rfc3339;
use crate::upstream::Upstream;
use crate::upstream::scope::Scope;
use crate::upstream::standing::Standing;

pub(super) async fn breakers<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let clock = &state.gateway.shared().clock;
    let upstreams: Vec<Value> =
        state.gateway.upstreams().iter().flat_map(|upstream| of_upstream(upstream, clock)).collect();
    Json(json!({ "breakers": upstreams }))
}

/// The upstream's breaker, then those of its routes.
fn of_upstream<N: Network>(upstream: &Upstream<N>, clock: &Clock) -> Vec<Value> {
    let (active, now) = (upstream.active(), clock.now());
    let of_scope = |scope: &Scope| {
        let endpoints = active.endpoints.iter().zip(&scope.standings).map(|(endpoint, standing)| {
            let mut shown = of_standing(standing, clock, now);
            shown["endpoint"] = (*endpoint.address).into();
            shown
        });
        let mut shown = json!({
            "upstream": &*upstream.name,
            "state": scope.rolled_up().as_str(),
            "endpoints": endpoints.collect::<Vec<_>>(),
        });
        if let Some(route) = &scope.route {
            shown["route"] = (**route).into();
        }
        shown
    };
    active.scopes.iter().map(of_scope).collect()
}

fn of_standing(standing: &Standing, clock: &Clock, now: Instant) -> Value {
    let (look, last) = (standing.guard.look(now), standing.last());
    let at = |at: Instant| Value::from(rfc3339(clock.unix_us(at)));
    let mut shown = json!({
        "endpoint": "",
        "state": look.state.as_str(),
        "mode": look.mode.as_str(),
        "balancing": place(standing.place()),
        "window": counts(&look.counts),
        "trips": standing.trips().map(|(_, count)| count).sum::<u64>(),
    });
    if let Some(change) = last.change {
        shown["cause"] = change.cause.as_str().into();
        shown["since"] = at(change.at);
    }
    // Since the first of its trips, whatever probes came to; checks may be what is wrong, too.
    if let Some(since) = standing.trouble() {
        shown["down_since"] = rfc3339(clock.unix_us_at(since)).into();
    }
    if let Some(trip) = last.trip {
        shown["last_trip"] = json!({ "at": at(trip.at), "cause": trip.cause.as_str(), "window": counts(&trip.counts) });
    }
    if let Some(deadline) = look.deadline {
        let name = if look.state == crate::algorithms::breaker::State::Open { "next_probe" } else { "probe_ends" };
        shown[name] = at(deadline);
        let wait = deadline.saturating_duration_since(now);
        shown[format!("{name}_in_ms")] = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).into();
    }
    shown
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// The route whose own breaker is meant.
    route: Option<String>,
}

/// Opens or closes a breaker until it is told `auto`.
pub(super) async fn force<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    Path((upstream, endpoint, action)): Path<(String, String, String)>,
    Query(Asked { route }): Query<Asked>,
) -> Response {
    let mode = match action.as_str() {
        "open" => Mode::Open,
        "close" => Mode::Closed,
        "auto" => Mode::Auto,
        _ => return refusal(StatusCode::NOT_FOUND, "route_not_found", "An action is open, close or auto."),
    };
    let shared = state.gateway.shared();
    let Some(upstream) = shared.upstreams.find(&upstream) else {
        return refusal(StatusCode::NOT_FOUND, "route_not_found", "There is no upstream of this name.");
    };
    if !upstream.force(&endpoint, route.as_deref(), mode) {
        let detail = "The upstream has no such endpoint, or the route has no breaker of its own.";
        return refusal(StatusCode::NOT_FOUND, "route_not_found", detail);
    }
    Json(json!({ "breakers": of_upstream(&upstream, &shared.clock) })).into_response()
}
