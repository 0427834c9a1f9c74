//! `/livez` and `/readyz`, for orchestrators; they need no token.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::StatusCode;

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
