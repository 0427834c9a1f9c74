//! `/limits`: each rule, what it decided, and its busiest keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::State;
use crate::clock::Clock;
use crate::config::settings::rate_limit::{Mode, OnFailure};
use crate::network::Network;
use crate::rate_limit::Rule;
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
    Json(json!({ "limits": rules, "stores": stores }))
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
    let busiest = rule
        .state
        .busiest
        .top(BUSIEST)
        .into_iter()
        .map(|counted| json!({ "key": &*counted.about, "requests": counted.count, "error": counted.error }));
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
        "busiest": busiest.collect::<Vec<_>>(),
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

fn of_store(store: &Store, clock: &Clock) -> Value {
    let duration = store.series.duration();
    let answers = duration.count();
    let mut shown = json!({
        "name": &*store.settings.name,
        "servers": store.settings.servers.to_string(),
        "mode": store.health.state().as_str(),
        "gateways": store.gateways(),
        "answers": answers,
        "mean_us": duration.sum_ns.checked_div(answers * 1000),
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
