//! Answers of the gateway's own that are no problems.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::problem::{Said, describe};
use super::{close_while_draining, cross_origin, edited, secure_own};
use crate::config::settings::route::Fallback;
use crate::context::names::{RATELIMIT, RATELIMIT_POLICY, X_REQUEST_ID};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::ResponseBody;
use crate::telemetry::record::Ended;

/// `OPTIONS *`: the gateway is there.
pub fn options<N: Network>(mut exchange: Box<Exchange<N>>) -> Reply<N> {
    exchange.status = Some(StatusCode::NO_CONTENT);
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    secure_own(&exchange, &mut headers);
    close_while_draining(&exchange, &mut headers);
    exchange.record_answered(&headers);
    Reply::own(StatusCode::NO_CONTENT, headers, ResponseBody::own(Bytes::new(), exchange))
}

/// The route's fixed answer, in place of a problem that the record still names.
///
/// It is not to be kept by caches: it says nothing of the resource. Where it is a 503 too, it says when to come back.
pub fn fallback<N: Network>(mut exchange: Box<Exchange<N>>, problem: &GatewayError) -> Reply<N> {
    let route = exchange.route().map(|route| Arc::clone(&route.settings));
    let Some(Fallback::Answer(answer)) = route.as_ref().and_then(|route| route.fallback.as_ref()) else {
        return super::problem::answer(exchange, problem);
    };
    if let Some(reason) = problem.shed {
        exchange.shed(reason);
    }
    exchange.status = Some(answer.status);
    exchange.code = Some(problem.code);
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(kind) = &answer.content_type {
        headers.insert(header::CONTENT_TYPE, kind.clone());
    }
    if let Some(after) = problem.retry_after.filter(|_| answer.status == StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, whole_seconds(after));
    }
    tell_limits(&exchange, &mut headers);
    cross_origin::tell(&exchange, &mut headers);
    secure_own(&exchange, &mut headers);
    edited::own(&exchange, &mut headers);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    // Framing and the connection are nothing that a route edits.
    if !matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
    }
    if problem.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    close_while_draining(&exchange, &mut headers);
    let body = if exchange.method == http::Method::HEAD { Bytes::new() } else { answer.body.clone() };
    exchange.note_answered(&headers);
    Reply::own(answer.status, headers, ResponseBody::own(body, exchange))
}

/// What the client is told of its limits, where it has some.
pub(super) fn tell_limits<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    if let Some(told) = exchange.limited().and_then(|(applied, limits)| applied.fields(limits)) {
        let told = [(&RATELIMIT_POLICY, told.policy), (&RATELIMIT, told.state)].into_iter();
        headers.extend(told.filter_map(|(name, value)| Some((name.clone(), HeaderValue::from_bytes(&value).ok()?))));
    }
}

/// Whole seconds, rounded up: never earlier than it is worth it (RFC 9110, section 10.2.3).
pub(super) fn whole_seconds(after: Duration) -> HeaderValue {
    HeaderValue::from(after.as_secs() + u64::from(after.subsec_nanos() > 0))
}

/// The client left in the middle of its request, and the record says 499. Hardly anybody reads this: one that has only
/// said that it sends no more, which looks the same from here, is told what is wrong.
pub fn client_left<N: Network>(mut exchange: Box<Exchange<N>>) -> Reply<N> {
    exchange.finish(Ended::ClientLeft);
    let error = GatewayError::new(Code::BadRequest, "The request ended before its body was whole.").closing();
    let (body, kind) = Said::of(&exchange, &error).into_parts();
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    describe(&mut headers, &error, (kind, body.len()));
    secure_own(&exchange, &mut headers);
    Reply::own(error.status(), headers, ResponseBody::own(body, exchange))
}

/// Fields that say nothing but that the connection closes.
pub(super) fn closing() -> HeaderMap {
    HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))])
}
