//! `/livez` and `/readyz`, for orchestrators, and the public keys of passports, for services; they need no token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::State;
use crate::network::Network;

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> (StatusCode, &'static str) {
    if state.gateway.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

/// The keys that verify passports; a service may keep them for a minute, and asks again for a `kid` that it does not
/// know.
pub(super) async fn passport_keys<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> Response {
    let none = || serde_json::json!({ "keys": [] });
    let keys = state.gateway.shared().identity.passport_keys().unwrap_or_else(none);
    ([(header::CACHE_CONTROL, "max-age=60")], Json(keys)).into_response()
}
