//! What changes the gateway: reload and drain.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::State;
use crate::network::Network;
use crate::reload::ReloadReport;

/// 200 when the file is in force, 422 with what is wrong when it is not.
pub(super) async fn reload<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> (StatusCode, Json<ReloadReport>) {
    let report = state.reloader.reload("admin").await;
    let status = if report.ok { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    (status, Json(report))
}

/// The drain begins; the process ends when it is over.
pub(super) async fn drain<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> (StatusCode, Json<Value>) {
    state.ask_drain.send_replace(true);
    (StatusCode::ACCEPTED, Json(json!({ "draining": true })))
}
