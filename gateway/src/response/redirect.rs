//! Answers of routes without an upstream: a redirect, or one that is always the same.

use axum::extract::OriginalUri;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::own::tell_limits;
use super::{close_while_draining, cross_origin, edited, problem, secure_own};
use crate::config::settings::own_answer::{OwnAnswer, Redirect};
use crate::config::settings::route::FixedAnswer;
use crate::context::forwarded;
use crate::context::names::X_REQUEST_ID;
use crate::context::target::routing_host;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::response_body::ResponseBody;

/// What the route answers itself to a request with these headers; `target` is where a redirect leads, on its host.
pub fn own<N: Network>(exchange: Box<Exchange<N>>, received: &RequestFields, target: &PathQuery) -> Reply<N> {
    let settings = exchange.route().map(|route| std::sync::Arc::clone(&route.settings));
    match settings.as_ref().and_then(|route| route.own_answer.as_deref()) {
        Some(OwnAnswer::Fixed(answer)) => fixed(exchange, received, answer),
        Some(OwnAnswer::Redirect(redirect)) => {
            // A new path is the one that clients know.
            let keeps_path = exchange.route().is_none_or(|route| route.rewrite.is_none());
            let whole = if keeps_path { before_nesting(&exchange, target) } else { None };
            lead(exchange, redirect, received, whole.as_ref().unwrap_or(target))
        }
        // One that is registered has answered.
        Some(OwnAnswer::Handler(_)) | None => {
            refuse(exchange, received, &GatewayError::new(Code::Internal, "The route has no answer."))
        }
    }
}

/// The same URL over TLS. 308: a method other than GET stays what it is.
pub fn to_https<N: Network>(exchange: Box<Exchange<N>>, received: &RequestFields, target: &PathQuery) -> Reply<N> {
    let redirect = over_tls(exchange.snapshot.config.server.https_port);
    let whole = before_nesting(&exchange, target);
    lead(exchange, &redirect, received, whole.as_ref().unwrap_or(target))
}

/// The target as clients know it, where a router of the program has taken a prefix off before the gateway saw the path
/// (`Router::nest_service`), and says so.
fn before_nesting<N: Network>(exchange: &Exchange<N>, target: &PathQuery) -> Option<PathQuery> {
    let asked = exchange.extensions.get::<OriginalUri>()?.0.path();
    let seen = exchange.uri.path();
    let (prefix, rest) = match asked.strip_suffix(seen) {
        Some(prefix) => (prefix, target.as_str()),
        // The prefix alone, of which `/` is left.
        None if seen == "/" => (asked, target.as_str().strip_prefix('/')?),
        None => return None,
    };
    if prefix.is_empty() { None } else { format!("{prefix}{rest}").parse().ok() }
}

/// What leads there.
pub(crate) fn over_tls(port: u16) -> Redirect {
    let status = StatusCode::PERMANENT_REDIRECT;
    Redirect { status, secure: Some(true), host: None, port: Some(port), strip_query: false }
}

fn refuse<N: Network>(exchange: Box<Exchange<N>>, received: &RequestFields, error: &GatewayError) -> Reply<N> {
    exchange.note_problem(received, error);
    problem::answer(exchange, error)
}

fn lead<N: Network>(
    exchange: Box<Exchange<N>>,
    redirect: &Redirect,
    received: &RequestFields,
    target: &PathQuery,
) -> Reply<N> {
    // Scheme and host are of one mind: where a trusted proxy tells of the client's own connection, both are what it
    // tells.
    let told = exchange.peer_trusted.then(|| forwarded::told_host(received, &exchange.snapshot.trusted)).flatten();
    let asked = told.as_ref().or(exchange.host().map(|host| &host.value));
    let Some(location) = location(redirect, (exchange.secure, asked), target) else {
        let detail = "A redirect needs the host that was asked for.";
        return refuse(exchange, received, &GatewayError::new(Code::BadRequest, detail));
    };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::LOCATION, location);
    give(exchange, received, (redirect.status, headers, Bytes::new()))
}

/// A whole URL, whatever of it changes: a path alone could be read as another host's (`//host`). `came_secure` and
/// `asked` are of the request: whether it came over TLS, and its host.
pub(crate) fn location(
    redirect: &Redirect,
    (came_secure, asked): (bool, Option<&HeaderValue>),
    target: &PathQuery,
) -> Option<HeaderValue> {
    let secure = redirect.secure.unwrap_or(came_secure);
    let scheme = if secure { "https" } else { "http" };
    let target = if redirect.strip_query { target.path() } else { target.as_str() };
    let moves = redirect.host.is_some() || secure != came_secure;
    let url = match (&redirect.host, redirect.port) {
        // As it was asked for, port and all.
        (None, None) if !moves => format!("{scheme}://{}{target}", asked?.to_str().ok()?),
        (host, port) => {
            let asked = asked.map(routing_host).unwrap_or_default();
            let host = Some(host.as_deref().unwrap_or(&asked)).filter(|host| !host.is_empty())?;
            match port.filter(|port| *port != if secure { 443 } else { 80 }) {
                Some(port) => format!("{scheme}://{host}:{port}{target}"),
                None => format!("{scheme}://{host}{target}"),
            }
        }
    };
    url.try_into().ok()
}

fn fixed<N: Network>(exchange: Box<Exchange<N>>, received: &RequestFields, answer: &FixedAnswer) -> Reply<N> {
    let mut headers = HeaderMap::with_capacity(8);
    if let Some(kind) = &answer.content_type {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    give(exchange, received, (answer.status, headers, answer.body.clone()))
}

fn give<N: Network>(
    mut exchange: Box<Exchange<N>>,
    received: &RequestFields,
    (status, mut headers, body): (StatusCode, HeaderMap, Bytes),
) -> Reply<N> {
    exchange.status = Some(status);
    tell_limits(&exchange, &mut headers);
    cross_origin::tell(&exchange, &mut headers);
    secure_own(&exchange, &mut headers);
    edited::own(&exchange, &mut headers);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    // Framing and the connection are nothing that a route edits.
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    close_while_draining(&exchange, &mut headers);
    exchange.note_own(status, received);
    exchange.note_answered(&headers);
    let body = if exchange.method == Method::HEAD { Bytes::new() } else { body };
    Reply::own(status, headers, ResponseBody::own(body, exchange))
}
