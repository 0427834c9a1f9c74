//! What an answer of gRPC says of its upstream, in the words that breakers, retries and metrics have: those of HTTP.
//!
//! Callers of gRPC get 200 whatever comes. A server that fails at once says so in an answer of trailers alone, whose
//! `grpc-status` stands in its head; one that fails later says so behind its messages, when the answer has been passed
//! on: that
//! is told to the breaker alone.

use http::StatusCode;

use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::network::Network;

/// The status that the answer is judged by.
#[inline]
pub(super) fn judged<N: Network>(exchange: &Exchange<N>, head: &ResponseHead) -> StatusCode {
    if exchange.is_grpc { of_grpc(head, exchange.hurried) } else { head.status }
}

/// As gRPC maps the statuses of HTTP, the other way round. What says something of the call alone (not found, invalid,
/// refused to this caller) is no failure of the upstream; nor is a deadline that the client made short.
#[cold]
fn of_grpc(head: &ResponseHead, hurried: bool) -> StatusCode {
    if head.status != StatusCode::OK {
        return head.status;
    }
    head.fields.get("grpc-status").and_then(|status| failure(status, hurried)).unwrap_or(head.status)
}

/// The status of HTTP for one of gRPC that speaks of a failure of the upstream.
pub(crate) fn failure(status: &[u8], hurried: bool) -> Option<StatusCode> {
    match status {
        b"14" => Some(StatusCode::SERVICE_UNAVAILABLE),
        b"4" if !hurried => Some(StatusCode::GATEWAY_TIMEOUT),
        b"2" | b"13" | b"15" => Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => None,
    }
}
