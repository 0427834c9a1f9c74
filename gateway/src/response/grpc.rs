//! What went wrong, as callers of gRPC are told: an answer of trailers alone, 200 with a status of gRPC
//! (gRPC over HTTP/2, "Trailers-Only"). The record keeps the status that others get.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::cross_origin;
use super::own::tell_limits;
use crate::algorithms::grpc_web::Web;
use crate::context::names::X_REQUEST_ID;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::ResponseBody;
use crate::telemetry::metrics::ShedReason;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// When a client's own retries are worth it (gRFC A6).
const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What a message may not hold as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

const DEADLINE_EXCEEDED: u16 = 4;
const UNKNOWN: u16 = 2;
const NOT_FOUND: u16 = 5;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;
const UNAUTHENTICATED: u16 = 16;

/// The status of gRPC for a problem. As gRPC maps the statuses of HTTP, but where the problem says more: time that ran
/// out, and limits, are no reason to try again at once, which `UNAVAILABLE` is to many clients.
fn status(code: Code) -> u16 {
    match code {
        Code::Unauthorized => UNAUTHENTICATED,
        Code::Forbidden => PERMISSION_DENIED,
        Code::RouteNotFound | Code::MethodNotAllowed => UNIMPLEMENTED,
        Code::ItemNotFound => NOT_FOUND,
        Code::RequestTimeout | Code::UpstreamTimeout => DEADLINE_EXCEEDED,
        Code::BodyTooLarge | Code::UriTooLong | Code::HeadersTooLarge | Code::RateLimited => RESOURCE_EXHAUSTED,
        Code::BadRequest | Code::ExpectationFailed | Code::Internal | Code::ClientUnknown | Code::RequestLoop => {
            INTERNAL
        }
        Code::Misdirected
        | Code::NotCached
        | Code::UpstreamConnect
        | Code::UpstreamReset
        | Code::UpstreamInvalid
        | Code::UpstreamError
        | Code::PartFailed
        | Code::BatchFailed
        | Code::NoEndpoint
        | Code::BreakerOpen
        | Code::Overloaded
        | Code::LimitStoreDown
        | Code::IdentityUnavailable
        | Code::AuthorityUnavailable
        | Code::ConnectTimeout => UNAVAILABLE,
    }
}

/// As callers would map the status of an upstream's answer that is no gRPC (gRPC, "HTTP to gRPC Status Code Mapping").
fn of_http(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// Turns a failure into the answer of its exchange, whose status and code are set already.
pub(super) fn answer<N: Network>(mut exchange: Box<Exchange<N>>, error: &GatewayError) -> Reply<N> {
    let mut headers = HeaderMap::with_capacity(8);
    describe(&mut headers, &exchange, error);
    if let Some(told) = headers.get(GRPC_STATUS) {
        exchange.tells_grpc_status(told.as_bytes());
    }
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    if let Some(challenge) = &error.challenge {
        headers.insert(header::WWW_AUTHENTICATE, (**challenge).clone());
    }
    tell_limits(&exchange, &mut headers);
    if error.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if cross_origin::is_told(&exchange) {
        cross_origin::tell(&exchange, &mut headers);
        headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("grpc-status, grpc-message"));
    }
    super::secure_own(&exchange, &mut headers);
    super::edited::problem(&exchange, &mut headers);
    super::close_while_draining(&exchange, &mut headers);
    exchange.note_answered(&headers);
    Reply::own(StatusCode::OK, headers, ResponseBody::own(Bytes::new(), exchange))
}

/// The trailers that end an answer which breaks off behind its head.
pub fn trailers(code: Code) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert(GRPC_STATUS, HeaderValue::from(status(code)));
    trailers.insert(GRPC_MESSAGE, HeaderValue::from_static(code.title()));
    trailers
}

/// The headers by which a failure is told.
pub(super) fn describe<N: Network>(headers: &mut HeaderMap, exchange: &Exchange<N>, error: &GatewayError) {
    let kind = exchange.speech.web.map_or("application/grpc", Web::own_type);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // To who knows nothing of gRPC it is a success.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Whose own time is up has nothing to come back for.
    let is_late = exchange.hurried && error.shed == Some(ShedReason::Deadline);
    headers.insert(
        GRPC_STATUS,
        HeaderValue::from(match error.code {
            _ if is_late => DEADLINE_EXCEEDED,
            Code::UpstreamError => of_http(error.status()),
            code => status(code),
        }),
    );
    if let Ok(message) = message(&error.detail) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(after) = error.retry_after.filter(|_| !is_late) {
        headers.insert(GRPC_PUSHBACK, HeaderValue::from(whole_milliseconds(after)));
    }
}

fn message(detail: &str) -> Result<HeaderValue, header::InvalidHeaderValue> {
    HeaderValue::try_from(percent_encode(detail.as_bytes(), ESCAPED).to_string())
}

/// Rounded up: who comes back then is not too early.
fn whole_milliseconds(after: Duration) -> u64 {
    u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_a_header_can_hold() {
        assert_eq!(message("No route matches.").unwrap(), "No route matches.");
        assert_eq!(message("100 % of ä\r\n").unwrap(), "100 %25 of %C3%A4%0D%0A");
    }

    #[test]
    fn only_what_may_be_tried_again_is_unavailable() {
        for (code, expected) in [
            (Code::Unauthorized, 16),
            (Code::RouteNotFound, 12),
            (Code::RateLimited, 8),
            (Code::UpstreamTimeout, 4),
            (Code::BreakerOpen, 14),
            (Code::Internal, 13),
        ] {
            assert_eq!(status(code), expected, "{code}");
        }
        assert_eq!(whole_milliseconds(Duration::from_micros(1)), 1);
    }
}
