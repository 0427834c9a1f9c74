//! What an answer of gRPC says of its upstream, in the words that breakers, retries and metrics have: those of HTTP.
//!
//! Callers of gRPC get 200 whatever comes. A server that fails at once says so in an answer of trailers alone, whose
//! `grpc-status` stands in its head; one that fails later says so behind its messages, when the answer has been passed
//! on: that is told to the breaker, the record and its caller's status in metrics.

use http::StatusCode;

use crate::exchange::Exchange;
use crate::http1::ResponseHead;
use crate::network::Network;

/// Also what callers make of a status that gRPC does not have.
const UNKNOWN: u8 = 2;

/// The status that the answer is judged by.
#[inline]
pub(super) fn judged<N: Network>(exchange: &Exchange<N>, head: &ResponseHead) -> StatusCode {
    if exchange.is_grpc { of_grpc(head, exchange.hurried) } else { head.status }
}

/// The status of gRPC that an answer of trailers alone has in its head.
#[inline]
pub(super) fn told<N: Network>(exchange: &Exchange<N>, head: &ResponseHead) -> Option<u8> {
    if exchange.is_grpc { in_head(head) } else { None }
}

#[cold]
fn in_head(head: &ResponseHead) -> Option<u8> {
    let status = head.fields.get("grpc-status").filter(|_| head.status == StatusCode::OK)?;
    Some(number(status).unwrap_or(UNKNOWN))
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
    speaks_of_failure(number(status)?, hurried)
}

/// The same for its number.
fn speaks_of_failure(status: u8, hurried: bool) -> Option<StatusCode> {
    match status {
        14 => Some(StatusCode::SERVICE_UNAVAILABLE),
        4 if !hurried => Some(StatusCode::GATEWAY_TIMEOUT),
        UNKNOWN | 13 | 15 => Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => None,
    }
}

/// What gRPC calls it.
pub(crate) fn name(status: u8) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::from(status)).unwrap_or(&NAMES[usize::from(UNKNOWN)])
}

/// One of the 17 statuses that gRPC has.
fn number(status: &[u8]) -> Option<u8> {
    match status {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'6'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

impl<N: Network> Exchange<N> {
    /// Its caller is told this status of gRPC. One that is none is `UNKNOWN` to callers.
    #[cold]
    pub(crate) fn tells_grpc_status(&mut self, status: &[u8]) {
        self.grpc_status = Some(number(status).unwrap_or(UNKNOWN));
    }

    /// Its answer says in words of gRPC that the upstream failed.
    #[cold]
    pub(crate) fn has_grpc_failure(&self) -> bool {
        self.grpc_status.is_some_and(|status| speaks_of_failure(status, self.hurried).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_the_seventeen_and_some_speak_of_the_upstream() {
        let all: Vec<u8> = (0..=20).filter_map(|status| number(status.to_string().as_bytes())).collect();
        assert_eq!(all, (0..=16).collect::<Vec<u8>>());
        for none in ["", "00", "-1", "1 ", "14\n", "160", "x"] {
            assert_eq!(number(none.as_bytes()), None, "{none}");
        }
        assert_eq!([0, 2, 13, 16, 17].map(name), ["OK", "UNKNOWN", "INTERNAL", "UNAUTHENTICATED", "UNKNOWN"]);
        let failing: Vec<u8> = (0..=16).filter(|status| speaks_of_failure(*status, false).is_some()).collect();
        assert_eq!(failing, [2, 4, 13, 14, 15]);
        assert_eq!(failure(b"4", true), None, "a deadline that its client made short");
    }
}
