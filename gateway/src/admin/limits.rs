//! `/limits`: each rule, what it decided, and its busiest keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::State;
use crate::algorithms::space_saving::Counted;
use crate::clock::Clock;
use crate::config::settings::rate_limit::{Mode, OnFailure};
use crate::network::Network;
use crate::rate_limit::{Busiest, InFlightRule, Rule, Shown};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::telemetry::metrics::LimitDecision;
use crate::telemetry::timestamp::rfc3339;

/// Keys that are shown of each rule.
const BUSIEST: usize = 10;

pub(super) async fn limits<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let snapshot = state.gateway.snapshot();
    let rules: Vec<Value> = snapshot.limits.iter().map(|rule| of_rule(rule, &snapshot)).collect();
    let clock = &state.gateway.shared().clock;
    let stores: Vec<Value> = state.gateway.shared().stores.all().iter().map(|store| of_store(store, clock)).collect();
    let in_flight: Vec<Value> = snapshot.in_flight.iter().map(|rule| of_places(rule, &snapshot)).collect();
    Json(json!({ "limits": rules, "in_flight": in_flight, "stores": stores }))
}

fn of_rule<N: Network>(rule: &Rule, snapshot: &Snapshot<N>) -> Value {
    let settings = &rule.settings;
    // As they are configured: of a split there is one more for each upstream in the snapshot.
    let named = snapshot.config.routes.iter().filter(|route| route.rate_limits.contains(&settings.name));
    let routes: Vec<&str> = named.map(|route| &*route.name).collect();
    let decisions: serde_json::Map<String, Value> = LimitDecision::ALL
        .iter()
        .zip(rule.state.series.totals())
        .map(|(decision, count)| (decision.as_str().to_owned(), count.into()))
        .collect();
    let fill = rule.cells().fill();
    let busiest = of_keys(&rule.state.busiest);
    let mut shown = json!({
        "name": &*settings.name,
        "key": settings.key.to_string(),
        "rate": settings.rate.to_string(),
        "burst": settings.rate.burst,
        "cost": settings.cost,
        "shadow": settings.shadow,
        "store": settings.shared.as_ref().map_or("local", |shared| &*shared.store),
        "routes": routes,
        "decisions": decisions,
        "keys": { "kept": fill.keys, "max": settings.max_keys, "overflowed_requests": fill.overflowed },
        "busiest": busiest,
    });
    if let Some(anonymous) = settings.anonymous {
        shown["anonymous"] = json!({ "rate": anonymous.to_string(), "burst": anonymous.burst });
    }
    if let Some(shared) = &settings.shared {
        shown["mode"] = match shared.mode {
            Mode::Exact => "exact".into(),
            Mode::Leased(_) => "leased".into(),
        };
        shown["on_store_failure"] = match shared.on_failure {
            OnFailure::Open => "open".into(),
            OnFailure::Closed => "closed".into(),
            OnFailure::LocalShare => "local_share".into(),
        };
        shown["tabs"] = rule.state.tabs.len().into();
    }
    if settings.shared.as_ref().is_some_and(|shared| matches!(shared.mode, Mode::Leased(_))) {
        let (keys, tokens) = rule.state.leases.held();
        shown["leases"] = json!({ "keys": keys, "tokens": tokens });
    }
    shown
}

/// The keys that were counted most.
fn of_keys(busiest: &Busiest) -> Vec<Value> {
    let of_key = |counted: Counted<Arc<Shown>>| {
        let mut shown = json!({ "key": &*counted.about.key, "requests": counted.count, "error": counted.error });
        if let Some(provider) = &counted.about.provider {
            shown["provider"] = (&**provider).into();
        }
        shown
    };
    busiest.top(BUSIEST).into_iter().map(of_key).collect()
}

/// A limit of requests at once.
fn of_places<N: Network>(rule: &InFlightRule, snapshot: &Snapshot<N>) -> Value {
    let (settings, fill) = (&rule.settings, rule.state.fill());
    let mut shown = json!({ "name": &*settings.name, "max": settings.most, "in_flight": fill.requests });
    let Some(series) = &rule.state.series else {
        shown["of"] = "route".into();
        return shown;
    };
    let decisions: serde_json::Map<String, Value> =
        [LimitDecision::Admitted, LimitDecision::Refused, LimitDecision::ShadowRefused]
            .iter()
            .map(|decision| (decision.as_str().to_owned(), series.totals()[*decision as usize].into()))
            .collect();
    let named = snapshot.config.routes.iter().filter(|route| route.rate_limits.contains(&settings.name));
    shown["of"] = "key".into();
    shown["key"] = settings.key.to_string().into();
    shown["shadow"] = settings.shadow.into();
    shown["routes"] = named.map(|route| &*route.name).collect::<Vec<&str>>().into();
    shown["decisions"] = decisions.into();
    shown["keys"] = json!({ "now": fill.keys, "max": settings.max_keys, "overflowed_requests": fill.overflowed });
    shown["refused_most"] = of_keys(&rule.state.refused).into();
    shown
}

fn of_store(store: &Store, clock: &Clock) -> Value {
    // In this order: a wait is counted before it is known to be in vain.
    let in_vain = store.series.in_vain();
    let duration = store.series.duration();
    let waits = duration.count();
    let mut shown = json!({
        "name": &*store.settings.name,
        "servers": store.settings.servers.to_string(),
        "mode": store.health.state().as_str(),
        "gateways": store.gateways(),
        "waits": waits,
        "answers": waits.saturating_sub(in_vain),
        "mean_us": duration.sum_ns.checked_div(waits * 1000),
        "p50_us": duration.quantile_ns(0.5).map(|ns| ns / 1000),
        "p99_us": duration.quantile_ns(0.99).map(|ns| ns / 1000),
    });
    if let Some(since) = store.health.down_since() {
        shown["since"] = rfc3339(clock.unix_us(since)).into();
    }
    if let Some((at, reason)) = store.health.last_failure() {
        shown["last_failure"] = json!({ "at": rfc3339(clock.unix_us(at)), "reason": reason });
    }
    shown
}
