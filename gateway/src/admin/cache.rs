//! `/cache`: what is kept of each route, and how often it was of use; and the operator's hand on it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::State;
use super::view::refusal;
use crate::network::Network;
use crate::telemetry::metrics::CacheUse;

pub(super) async fn cache<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Json<Value> {
    let shared = state.gateway.shared();
    let (all, mut by_tag) = (shared.cache.fill(), shared.cache.by_tag());
    let mut routes = shared.cache_tags.all();
    routes.sort();
    let of_route = |(name, tag): (Arc<str>, u64)| {
        let fill = by_tag.remove(&tag).unwrap_or_default();
        let cached = shared.metrics.route(&name).totals().map(|totals| totals.cached).unwrap_or_default();
        let requests = CacheUse::ALL.iter().zip(cached).map(|(by, count)| (by.as_str().to_owned(), count.into()));
        json!({
            "route": &*name,
            "entries": fill.answers,
            "bytes": fill.bytes,
            "requests": requests.collect::<Map<String, Value>>(),
        })
    };
    let routes: Vec<Value> = routes.into_iter().map(of_route).collect();
    Json(json!({
        "bytes": all.bytes,
        "max_bytes": shared.cache.most(),
        "entries": all.answers,
        "evicted": shared.cache.evicted(),
        "routes": routes,
    }))
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// The route whose answers go.
    route: Option<String>,
    /// Those to this path, in any spelling, or to all that begin with what stands before a last star.
    path: Option<String>,
}

/// Lets go of what is kept of a route.
pub(super) async fn purge<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    Query(Asked { route, path }): Query<Asked>,
) -> Response {
    let shared = state.gateway.shared();
    let Some(tag) = route.as_deref().and_then(|route| shared.cache_tags.find(route)) else {
        let detail = "`route` names no route that has a cache.";
        return refusal(StatusCode::NOT_FOUND, "route_not_found", detail);
    };
    if path.as_deref().is_some_and(|path| !path.starts_with('/')) {
        let detail = "`path` begins with a slash; a star at its end stands for whatever follows.";
        return refusal(StatusCode::BAD_REQUEST, "bad_request", detail);
    }
    let (below, forms) = match path.as_deref().map(|path| (path, path.strip_suffix('*'))) {
        None => (Some(""), Vec::new()),
        Some((_, Some(begin))) => (Some(begin), Vec::new()),
        Some((path, None)) => {
            let forms = state.gateway.snapshot().forms_of(route.as_deref().unwrap_or_default(), path);
            (None, forms)
        }
    };
    let is_it = |kept: &str| below.is_some_and(|begin| kept.starts_with(begin)) || forms.iter().any(|it| it == kept);
    let purged = shared.cache.purge(tag, is_it);
    Json(json!({ "purged": purged })).into_response()
}
