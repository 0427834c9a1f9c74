//! An upstream's answer as the client gets it: less what belongs to the connection behind, plus the request's id.

use std::sync::{Arc, PoisonError};

use http::{HeaderMap, Response, header};

use super::close_while_draining;
use crate::client::Tunnel;
use crate::context::names::X_REQUEST_ID;
use crate::context::{mark_websocket, remove_from_response};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::response_body::{Answer, ResponseBody, Source};

/// What an upstream runs on is nobody's business (security.md, B6).
const TELLTALES: [http::HeaderName; 2] = [header::SERVER, http::HeaderName::from_static("x-powered-by")];

/// Passes an answer on, its body as it streams.
pub fn relay<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> Response<ResponseBody<N>> {
    let (mut parts, ()) = answer.response.into_parts();
    dress(&exchange, &mut parts.headers);
    close_while_draining(&exchange, &mut parts.headers);
    exchange.status = Some(parts.status);
    exchange.answered = Some(exchange.now());
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    // The version is the client connection's matter.
    parts.version = http::Version::HTTP_11;
    Response::from_parts(parts, ResponseBody::relay(exchange, answer.source, idle_timeout))
}

/// Passes a switch to WebSocket on; the tunnel waits with the client's connection until the 101 is written.
pub fn switch<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> Response<ResponseBody<N>> {
    let mut response = answer.response.map(|()| ResponseBody::Empty);
    dress(&exchange, response.headers_mut());
    mark_websocket(response.headers_mut());
    exchange.status = Some(response.status());
    exchange.answered = Some(exchange.now());
    let connection = Arc::clone(&exchange.connection);
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    let Source { connection: upstream, selected } = answer.source;
    let (stream, read_ahead, open) = upstream.into_stream();
    let tunnel = Tunnel { stream, read_ahead, open, selected, idle_timeout, exchange };
    *connection.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tunnel));
    response
}

fn dress<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    remove_from_response(headers);
    for telltale in &TELLTALES {
        headers.remove(telltale);
    }
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    if let Some(route) = exchange.route() {
        route.settings.response_headers.apply(headers);
    }
}
