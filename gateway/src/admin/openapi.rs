//! `/openapi.json`: what clients may ask the gateway for, as one document of OpenAPI 3.1; and the page that shows it.
//!
//! The page carries no data, as the dashboard's does. It sends requests to the listeners, which are other origins than
//! its own: so its policy names them, and they alone. Nothing is passed on for it: a request that it sends is the
//! browser's, with what the browser may send, and its answer is read only where the route lets this origin (`cors`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;

use super::State;
use super::view::refusal;
use crate::network::Network;
use crate::openapi::{Asked, Listening};

/// The longest name of a host.
const MAX_HOST: usize = 253;

#[derive(Deserialize)]
pub(super) struct Parameters {
    /// Only what a client finds that asks for this host.
    host: Option<String>,
    /// Only what a client finds that comes by the listener of this name.
    listener: Option<String>,
}

pub(super) async fn document<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    asked: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => Asked {
            host: asked.host.map(|host| host.to_ascii_lowercase()).filter(|host| !host.is_empty()),
            listener: asked.listener.filter(|name| !name.is_empty()),
        },
        Err(error) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &error.body_text()),
    };
    if asked.host.as_deref().is_some_and(|host| !is_host(host)) {
        return refusal(StatusCode::BAD_REQUEST, "bad_request", "host is a host's name, without a port.");
    }
    if asked.listener.as_deref().is_some_and(|name| state.documents.listeners_named(name).is_empty()) {
        return refusal(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "listener is the name of a listener, and none is called so.",
        );
    }
    let text = state.documents.document(asked).await;
    if text.is_empty() {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The document could not be put together.");
    }
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// The page's files.
pub(super) fn page<N: Network>() -> Router<Arc<State<N>>> {
    let file = |kind: &'static str, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/docs", get(docs::<N>))
        .route("/docs.css", file("text/css; charset=utf-8", include_str!("docs/docs.css")))
        .route("/docs.js", file("text/javascript; charset=utf-8", include_str!("docs/docs.js")))
        .route("/schema.js", file("text/javascript; charset=utf-8", include_str!("docs/schema.js")))
        .route("/try.js", file("text/javascript; charset=utf-8", include_str!("docs/try.js")))
}

async fn docs<N: Network>(Shared(state): Shared<Arc<State<N>>>, headers: HeaderMap) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut response = ([(CONTENT_TYPE, "text/html; charset=utf-8")], include_str!("docs/index.html")).into_response();
    if let Ok(policy) = HeaderValue::from_str(&super::access::policy(&origins(state.documents.listeners(), host))) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    super::access::of_page(&state, &headers, response)
}

/// The listeners as the browser reaches them that asks for the page at this host, for its policy.
fn origins(listeners: &[Listening], host: &str) -> String {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    // What is no name must not get into a policy.
    let is_name = bare.map_or_else(|| is_host(name), |bare| bare.parse::<std::net::Ipv6Addr>().is_ok());
    let name = if is_name { name } else { "localhost" };
    listeners.iter().map(|listening| format!(" {}", listening.origin(name))).collect()
}

/// Whether it is a host's name or an address, without a port.
fn is_host(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !text.is_empty() && text.len() <= MAX_HOST && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_listeners_and_nothing_that_a_host_smuggles_in() {
        let at = |address: &str, is_secure| Listening { address: address.parse().unwrap(), is_secure };
        let listeners = [at("127.0.0.1:8080", false), at("0.0.0.0:8443", true)];
        assert_eq!(origins(&listeners, "10.0.0.7:9901"), " http://127.0.0.1:8080 https://10.0.0.7:8443");
        assert_eq!(origins(&listeners[1..], "[::1]:9901"), " https://[::1]:8443");
        for bad in ["", "a; script-src *", "*", "a b", "[::1;]", "x'y"] {
            assert_eq!(origins(&listeners[1..], bad), " https://localhost:8443", "{bad}");
        }
    }
}
