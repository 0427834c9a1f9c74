//! `intercept`: an upstream's error of which nothing is passed on but its status, and what a client needs to go on.

use http::{HeaderValue, StatusCode, header};

use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::network::Network;
use crate::retry_after::retry_after;

/// What the gateway answers in the place of an answer with this head; `None` where that is passed on.
///
/// When to come back, how to prove who one is and which methods would do are kept: a 401 and a 405 without them would
/// be no answers (RFC 9110, sections 15.5.2 and 15.5.6).
#[inline]
pub fn intercepted<N: Network>(exchange: &Exchange<N>, head: &ResponseHead) -> Option<GatewayError> {
    let intercept = exchange.route()?.settings.intercept.as_ref()?;
    if intercept.has(head.status) { instead_of(exchange, head) } else { None }
}

#[cold]
fn instead_of<N: Network>(exchange: &Exchange<N>, head: &ResponseHead) -> Option<GatewayError> {
    if exchange.is_grpc && head.fields.get("grpc-status").is_some() {
        // It speaks to callers of gRPC, in their words.
        return None;
    }
    let mut error = GatewayError::intercepted(head.status);
    let told = head.fields.get(header::RETRY_AFTER.as_str());
    error.retry_after = told.and_then(|told| retry_after(told, &exchange.shard.shared.clock, exchange.now()));
    match head.status {
        StatusCode::UNAUTHORIZED => error.challenge = all(head, &header::WWW_AUTHENTICATE).map(Box::new),
        StatusCode::METHOD_NOT_ALLOWED => error.allow = all(head, &header::ALLOW),
        _ => {}
    }
    Some(error)
}

/// A list that may be spread over several lines, as one (RFC 9110, section 5.3).
fn all(head: &ResponseHead, name: &http::HeaderName) -> Option<HeaderValue> {
    let lines: Vec<&[u8]> = head.fields.all(name).collect();
    (!lines.is_empty()).then(|| HeaderValue::from_bytes(&lines.join(&b", "[..])).ok()).flatten()
}
