//! What changes the gateway: reload and drain.
//!
//! A gateway that is mounted in a program is drained by that: it is told so ([`Gateway::drain_begun`]), and stops when
//! it thinks fit.
//!
//! [`Gateway::drain_begun`]: crate::gateway::Gateway::drain_begun

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

/// The drain begins; the process ends when it is over, and where the gateway is mounted in a program, when that does.
pub(super) async fn drain<N: Network>(Shared(state): Shared<Arc<State<N>>>) -> (StatusCode, Json<Value>) {
    match &state.serves {
        Some(serves) => drop(serves.ask_drain.send_replace(true)),
        None => state.gateway.begin_drain(),
    }
    (StatusCode::ACCEPTED, Json(json!({ "draining": true })))
}
