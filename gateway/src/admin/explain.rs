//! `/explain`: what would happen to a request, and why the other routes did not match.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::State;
use super::view::refusal;
use crate::config::settings::Route;
use crate::explain::{self, Question};
use crate::network::Network;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default = "get")]
    method: String,
    url: String,
    /// `name: value`, separated by line ends.
    #[serde(default)]
    headers: String,
    /// The client's address.
    client: Option<std::net::IpAddr>,
}

fn get() -> String {
    "GET".into()
}

pub(super) async fn explain<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &error.body_text()),
    };
    let headers: Vec<&str> = asked.headers.lines().collect();
    let question = match Question::parse(&asked.method, &asked.url, &headers) {
        Ok(question) => question,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &why),
    };
    let question = asked.client.into_iter().fold(question, Question::asked_from);
    let snapshot = state.gateway.snapshot();
    let clock = &state.gateway.shared().clock;
    let judge = |route: &Route| snapshot.routes.iter().find(|it| it.settings.name == route.name)?.auth.clone();
    let now = clock.unix_seconds(clock.now());
    Json(explain::answer_with(&snapshot.config, &question, &judge, now)).into_response()
}
