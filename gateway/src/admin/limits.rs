//! `/limits`: each rule, what it decided, and its busiest keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::State;
use crate::network::Network;
use crate::rate_limit::Rule;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::LimitDecision;

/// Keys that are shown of each rule.
const BUSIEST: usize = 10;

pub(super) async fn limits<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let snapshot = state.gateway.snapshot();
    let rules: Vec<Value> = snapshot.limits.iter().map(|rule| of_rule(rule, &snapshot)).collect();
    Json(json!({ "limits": rules }))
}

fn of_rule<N: Network>(rule: &Rule, snapshot: &Snapshot<N>) -> Value {
    let settings = &rule.settings;
    let names_it = |route: &&crate::snapshot::CompiledRoute<N>| route.settings.rate_limits.contains(&settings.name);
    let routes: Vec<&str> = snapshot.routes.iter().filter(names_it).map(|route| &*route.settings.name).collect();
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
        "store": "local",
        "routes": routes,
        "decisions": decisions,
        "keys": { "kept": fill.keys, "max": settings.max_keys, "overflowed_requests": fill.overflowed },
        "busiest": busiest.collect::<Vec<_>>(),
    });
    if let Some(anonymous) = settings.anonymous {
        shown["anonymous"] = json!({ "rate": anonymous.to_string(), "burst": anonymous.burst });
    }
    shown
}
