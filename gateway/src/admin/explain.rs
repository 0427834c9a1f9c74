//! `/explain`: what would happen to a request, and why the other routes did not match.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use super::State;
use super::view::{place, refusal};
use crate::config::settings::Route;
use crate::explain::told::{in_words, line};
use crate::explain::{self, Answer, Explanation, Policies, Question};
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
    /// The name of the listener that it comes by.
    listener: Option<String>,
    /// In which form the answer is wanted; JSON where none is said.
    #[serde(default, rename = "as")]
    form: Form,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Json,
    /// As `gateway explain` prints it.
    Text,
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
    let question = asked.listener.into_iter().fold(question, Question::by_listener);
    let Ok(answer) = answered(Arc::clone(&state), question).await else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", "What explains has ended before its answer.");
    };
    let at_present = answer.policies.as_ref().map(|policies| at_present(&state, policies, answer.routing.as_ref()));
    if let Form::Text = asked.form {
        let text = in_words(&answer) + &at_present.as_ref().map(now_in_words).unwrap_or_default();
        return ([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response();
    }
    match serde_json::to_value(&answer) {
        Ok(mut shown) => {
            if let Some(at_present) = at_present {
                shown["now"] = at_present;
            }
            Json(shown).into_response()
        }
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", &error.to_string()),
    }
}

async fn answered<N: Network>(state: Arc<State<N>>, question: Question) -> Result<Answer, JoinError> {
    in_turn(move || {
        let snapshot = state.gateway.snapshot();
        let clock = &state.gateway.shared().clock;
        let judge = |route: &Route| snapshot.routes.iter().find(|it| it.settings.name == route.name)?.auth.clone();
        explain::answer_with(&snapshot.config, &question, &judge, clock.unix_seconds(clock.now()))
    })
    .await
}

/// Answers on a thread of its own, one question after the other: a password that is tried may take a second to be
/// hashed, and probes, health checks and keys wait for the runtime of the admin.
async fn in_turn<T: Send + 'static>(answer: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    static TURN: Semaphore = Semaphore::const_new(1);
    // It is never closed.
    let turn = TURN.acquire().await.ok();
    let answer = tokio::task::spawn_blocking(move || {
        // Who asked may leave, and the answer is made all the same: its turn ends with it.
        let _turn = turn;
        answer()
    });
    answer.await
}

/// What a configuration cannot tell, a line for each endpoint and store.
fn now_in_words(now: &Value) -> String {
    let mut text = String::new();
    for endpoint in now["endpoints"].as_array().into_iter().flatten() {
        let word = |name: &str| endpoint[name].as_str().unwrap_or_default().replace('_', "-");
        let backup = if endpoint["backup"] == true { ", a backup" } else { "" };
        let checks = if endpoint["healthy"] == false { ", its health checks fail" } else { "" };
        let address = endpoint["address"].as_str().unwrap_or_default();
        let stands = format!("{address}: {}, breaker {}{checks}{backup}", word("balancing"), word("breaker"));
        let what = if text.is_empty() { "now" } else { "" };
        line(&mut text, what, &stands);
    }
    for (name, mode) in now["stores"].as_object().into_iter().flatten() {
        let mode = mode.as_str().unwrap_or_default();
        let what = if text.is_empty() { "now" } else { "" };
        line(&mut text, what, &format!("store {name}: {mode}"));
    }
    text
}

/// What a configuration cannot tell: how the endpoints stand that may get the request, and the stores of its limits.
fn at_present<N: Network>(state: &State<N>, policies: &Policies, routing: Option<&Explanation>) -> Value {
    let mut now = json!({});
    let upstream = state.gateway.upstreams().into_iter().find(|upstream| *upstream.name == *policies.upstream);
    if let Some(upstream) = upstream {
        let active = upstream.active();
        let scope = active.scope(routing.and_then(|routing| routing.route.as_deref()));
        let standings = scope.standings.iter().zip(&active.endpoints).enumerate();
        let endpoints = standings.map(|(index, (standing, endpoint))| {
            json!({
                "address": &*endpoint.address,
                "backup": active.is_backup(index),
                "balancing": place(standing.place()),
                "breaker": standing.guard.state().as_str(),
                "healthy": endpoint.health.is_healthy(),
            })
        });
        now["endpoints"] = endpoints.collect();
        if active.backups.is_some() {
            now["serving"] = scope.serving().as_str().into();
        }
        now["breaker"] = scope.rolled_up().as_str().into();
    }
    let stores = state.gateway.shared().stores.all();
    let used = |name: &str| policies.rate_limits.iter().any(|limit| limit.store_name.as_deref() == Some(name));
    let modes: serde_json::Map<String, Value> = stores
        .iter()
        .filter(|store| used(&store.settings.name))
        .map(|store| (store.settings.name.to_string(), store.health.state().as_str().into()))
        .collect();
    if !modes.is_empty() {
        now["stores"] = modes.into();
    }
    now
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::in_turn;

    #[tokio::test]
    async fn a_question_has_its_turn_until_it_is_answered_though_nobody_waits_any_more() {
        let (begin, mut begun) = tokio::sync::mpsc::channel(1);
        let (go_on, goes_on) = mpsc::sync_channel::<()>(1);
        let first = tokio::spawn(in_turn(move || {
            begin.blocking_send(()).unwrap();
            goes_on.recv().unwrap();
        }));
        begun.recv().await.unwrap();
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        let mut second = std::pin::pin!(in_turn(|| 2));
        for _ in 0..100 {
            assert!(futures_util::poll!(&mut second).is_pending());
            tokio::task::yield_now().await;
        }
        go_on.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 2);
    }
}
