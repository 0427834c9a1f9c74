//! An upstream's answer as the client gets it: less what belongs to the connection behind, plus the request's id.

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderValue, Response, header};

use crate::context::names::X_REQUEST_ID;
use crate::context::remove_from_response;
use crate::exchange::Exchange;
use crate::forward::upgrade::{self, Switched};
use crate::forward::{Answer, head};
use crate::network::Network;
use crate::response_body::ResponseBody;

/// What an upstream runs on is nobody's business (security.md, B6).
const TELLTALES: [http::HeaderName; 2] = [header::SERVER, http::HeaderName::from_static("x-powered-by")];

/// Passes an answer on, its body as it streams.
pub fn relay<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> Response<ResponseBody<N>> {
    let (mut parts, ()) = answer.response.into_parts();
    dress(&exchange, &mut parts.headers);
    if exchange.shard.shared.draining.load(Ordering::Relaxed) {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    exchange.status = Some(parts.status);
    exchange.answered = Some(exchange.now());
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    // The version is the client connection's matter.
    parts.version = http::Version::HTTP_11;
    Response::from_parts(parts, ResponseBody::relay(exchange, answer.source, idle_timeout))
}

/// Passes a switch to WebSocket on; the tunnel begins once it is written.
pub fn switch<N: Network>(
    mut exchange: Box<Exchange<N>>,
    answer: Response<()>,
    switched: Switched<N>,
) -> Response<ResponseBody<N>> {
    let mut response = answer.map(|()| ResponseBody::Empty);
    dress(&exchange, response.headers_mut());
    upgrade::mark(response.headers_mut());
    exchange.status = Some(response.status());
    exchange.answered = Some(exchange.now());
    switched.leave_with(exchange);
    response
}

fn dress<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    remove_from_response(headers);
    for telltale in &TELLTALES {
        headers.remove(telltale);
    }
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    if let Some(route) = exchange.route() {
        head::edit(headers, &route.settings.response_headers);
    }
}
