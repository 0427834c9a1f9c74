//! An upstream's answer as the client gets it: less what belongs to the connection behind, plus the request's id.

use bytes::Bytes;
use http::header::{AGE, CONNECTION, SET_COOKIE, UPGRADE};
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};

use super::{add_to_relayed, compress, cross_origin, edited, grpc_web, is_draining, problem};
use crate::client::Tunnel;
use crate::context::names::{CACHE_STATUS, RATELIMIT, RATELIMIT_POLICY, X_REQUEST_ID, streams};
use crate::context::survey::{is_grpc, is_web};
use crate::context::{announce_what_passes_in, mark_websocket, remove_from_response};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1::{AnswerHead, Fields, ResponseHead};
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::{Answer, Behind, ResponseBody, Source};

/// Passes an answer on, its body as it streams.
pub fn relay<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> Reply<N> {
    let status = answer.head.status;
    if exchange.is_grpc {
        note_grpc(&mut exchange, status, &answer.head.fields);
    }
    let mut fields = answer.head.fields;
    let translation = if exchange.speech.web.is_some() { grpc_web::prepare(&mut exchange, &mut fields) } else { None };
    let fields = with_affinity(&exchange, &answer.source, status, fields);
    exchange.status = Some(status);
    let mut fields = dress(&exchange, fields);
    if status == StatusCode::UPGRADE_REQUIRED {
        tell_upgrade(&exchange, &mut fields);
    }
    let settings = exchange.route().map(|route| &route.settings);
    let idle_timeout = settings.and_then(|settings| settings.idle_timeout);
    let compresses = settings.is_some_and(|settings| settings.compress.is_some());
    note_stream(&mut exchange, &answer.source, &fields);
    let leg = &answer.source.leg;
    let told = (leg.length_left(), leg.is_over());
    let packing = compresses.then(|| compress::prepare(&exchange, status, &mut *fields, told)).flatten();
    exchange.note_relayed(&fields);
    let body = match (packing, translation) {
        (None, None) => ResponseBody::relay(exchange, answer.source, idle_timeout),
        (Some(packing), _) => ResponseBody::packed(exchange, answer.source, idle_timeout, packing),
        (None, Some(translation)) => ResponseBody::web(exchange, answer.source, idle_timeout, translation),
    };
    Reply { status, head: AnswerHead::Wire(fields), body }
}

/// What a call came to, where its head says so, and whether that can be said behind it: web pages, which do not see
/// trailers, have them among the messages.
fn note_grpc<N: Network>(exchange: &mut Exchange<N>, status: StatusCode, fields: &Fields) {
    if let Some(told) = fields.get("grpc-status") {
        exchange.tells_grpc_status(told);
    }
    let has_trailers = hear_call(exchange, status, fields);
    exchange.speech.tells_behind = exchange.version == Version::HTTP_2 && has_trailers;
}

/// Whether what the call came to stands behind its messages; what is heard of it is noted.
pub(super) fn hear_call<N: Network>(exchange: &mut Exchange<N>, status: StatusCode, fields: &Fields) -> bool {
    let has_trailers = fields.get("content-type").is_some_and(|kind| is_grpc(kind) && !is_web(kind));
    // Another status of HTTP says it by itself.
    let is_told = fields.get("grpc-status").is_some() || status != StatusCode::OK;
    exchange.speech.is_told = has_trailers.then_some(is_told);
    has_trailers
}

/// Notes whether it is a stream, which may be silent for as long as there is nothing to say. One that tells its length
/// is none.
#[inline]
pub(super) fn note_stream<N: Network>(exchange: &mut Exchange<N>, source: &Source<N>, fields: &Fields) {
    if source.leg.length_left().is_none() {
        exchange.speech.streams = fields.get("content-type").is_some_and(streams);
    }
}

/// Passes an answer on of whose body some has been read.
pub fn relay_behind<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>, behind: Behind) -> Reply<N> {
    let status = answer.head.status;
    let fields = with_affinity(&exchange, &answer.source, status, answer.head.fields);
    exchange.status = Some(status);
    let fields = dress(&exchange, fields);
    note_stream(&mut exchange, &answer.source, &fields);
    exchange.note_relayed(&fields);
    let head = AnswerHead::Wire(fields);
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    Reply { status, head, body: ResponseBody::relay_behind(exchange, answer.source, idle_timeout, behind) }
}

/// Passes on an answer that several get, or that was kept.
pub fn given<N: Network>(mut exchange: Box<Exchange<N>>, head: ResponseHead, body: Bytes) -> Reply<N> {
    let status = head.status;
    exchange.status = Some(status);
    let mut fields = dress(&exchange, head.fields);
    let compresses = exchange.route().is_some_and(|route| route.settings.compress.is_some());
    let told = (Some(body.len() as u64), body.is_empty());
    let packing = compresses.then(|| compress::prepare(&exchange, status, &mut *fields, told)).flatten();
    exchange.note_relayed(&fields);
    // What is kept of a GET answers HEAD too.
    let body = if exchange.method == Method::HEAD { Bytes::new() } else { body };
    let body = match packing {
        None => ResponseBody::own(body, exchange),
        Some(packing) => ResponseBody::packed_whole(exchange, body, packing),
    };
    Reply { status, head: AnswerHead::Wire(fields), body }
}

/// The cookie that brings a client back to its endpoint, where the route has one to give.
#[inline]
fn with_affinity<N: Network>(
    exchange: &Exchange<N>,
    source: &Source<N>,
    status: StatusCode,
    mut fields: Box<Fields>,
) -> Box<Fields> {
    if let Some(cookie) = source.selected.cookie(exchange.secure)
        && !status.is_server_error()
    {
        fields.push_more(&[(&SET_COOKIE, &cookie)]);
    }
    fields
}

/// Passes on what another service says to a request that may not pass.
pub fn refused<N: Network>(mut exchange: Box<Exchange<N>>, head: ResponseHead, body: Bytes) -> Reply<N> {
    exchange.status = Some(head.status);
    exchange.code = match head.status {
        StatusCode::UNAUTHORIZED => Some(Code::Unauthorized),
        StatusCode::FORBIDDEN => Some(Code::Forbidden),
        _ => None,
    };
    let mut fields = unedited(&exchange, head.fields);
    edited::refused(&exchange, &mut fields);
    exchange.note_relayed(&fields);
    let fields = AnswerHead::Wire(fields);
    let body = if exchange.method == Method::HEAD { Bytes::new() } else { body };
    Reply { status: head.status, head: fields, body: ResponseBody::own(body, exchange) }
}

/// Passes a switch to WebSocket on; the tunnel goes with the 101 to whoever writes that.
pub fn switch<N: Network>(mut exchange: Box<Exchange<N>>, answer: Answer<N>) -> Reply<N> {
    let Source { leg, selected, .. } = answer.source;
    let Some((stream, read_ahead)) = leg.into_tunnel() else {
        return problem::answer(exchange, &GatewayError::new(Code::UpstreamReset, "The upstream is gone."));
    };
    let status = answer.head.status;
    let mut headers = dress(&exchange, answer.head.fields).to_map();
    mark_websocket(&mut headers);
    exchange.record_answered(&headers);
    exchange.status = Some(status);
    exchange.answered = Some(exchange.now());
    let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
    let tunnel = Tunnel { stream, read_ahead, selected, idle_timeout, exchange };
    Reply::own(status, headers, ResponseBody::Switched(Box::new(tunnel)))
}

/// A 426 says what to switch to (RFC 9110, section 15.5.22): what the upstream says of that is of its own connection,
/// and there is one thing that its client could switch to here.
#[cold]
fn tell_upgrade<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    let takes_websockets = exchange.route().is_some_and(|route| route.settings.websocket);
    if takes_websockets && exchange.version == Version::HTTP_11 {
        fields.push_more(&[(&UPGRADE, "websocket"), (&CONNECTION, "upgrade")]);
    }
}

/// What an upstream runs on is nobody's business (security.md, B6); the request's id is the gateway's.
fn is_not_passed(name: &[u8]) -> bool {
    match (name.len(), name.first().map_or(0, |first| first | 0x20)) {
        (6, b's') => name.eq_ignore_ascii_case(b"server"),
        (12, b'x') => name.eq_ignore_ascii_case(b"x-powered-by") || name.eq_ignore_ascii_case(b"x-request-id"),
        _ => false,
    }
}

/// Removes what ends here: a service that sends back what it got does not hand the passport to the client, who could
/// show it to that service by another way.
#[inline]
fn withhold<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if remove_from_response(fields, is_not_passed) {
        announce_what_passes_in(fields, &exchange.snapshot.header_rules);
    }
    if exchange.passport.is_some() {
        withhold_passport(exchange, fields);
    }
}

#[inline(never)]
fn withhold_passport<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    if let Some(office) = &exchange.snapshot.passport {
        fields.retain(|name| !name.eq_ignore_ascii_case(office.header().as_str().as_bytes()));
    }
}

/// The gateway's limits take the place of what the upstream says of its own: a client can obey one of them.
#[inline(never)]
fn tell_limits<N: Network>(exchange: &Exchange<N>, fields: &mut Fields) {
    let Some((applied, limits)) = exchange.limited().filter(|(applied, limits)| applied.is_told(limits)) else {
        return;
    };
    fields.retain(|name| !is_of_limits(name));
    let mut line = fields.begin(&RATELIMIT_POLICY);
    applied.tell_policy(limits, |part| line.put(part));
    line.end();
    let mut line = fields.begin(&RATELIMIT);
    applied.tell_state(limits, |part| line.put(part));
    line.end();
}

/// Whether a field tells of limits.
#[inline]
fn is_of_limits(name: &[u8]) -> bool {
    match (name.len(), name.first().map_or(0, |first| first | 0x20)) {
        (9, b'r') => name.eq_ignore_ascii_case(b"ratelimit"),
        (16, b'r') => name.eq_ignore_ascii_case(b"ratelimit-policy"),
        _ => false,
    }
}

/// An upstream's fields as stages see them: what is added to them comes when they are given to the client.
pub(super) fn received<N: Network>(
    exchange: &Exchange<N>,
    source: &Source<N>,
    status: StatusCode,
    fields: Box<Fields>,
) -> Box<Fields> {
    let mut fields = with_affinity(exchange, source, status, fields);
    withhold(exchange, &mut fields);
    fields
}

/// What the service says to the client that let the request pass, beside what is there.
#[cold]
fn tell_client(told: &HeaderMap, fields: &mut Fields) {
    let lines: Vec<(&HeaderName, &str)> =
        told.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?))).collect();
    fields.push_more(&lines);
}

/// What the client is told of the cache (RFC 9211); how old a kept answer is (RFC 9111, section 5.1).
#[cold]
fn tell_cache((age, told): (Option<u32>, Option<String>), fields: &mut Fields) {
    if let Some(age) = age {
        fields.push_more(&[(&AGE, itoa::Buffer::new().format(age))]);
    }
    if let Some(told) = &told {
        fields.push_more(&[(&CACHE_STATUS, told)]);
    }
}

fn dress<N: Network>(exchange: &Exchange<N>, fields: Box<Fields>) -> Box<Fields> {
    let mut fields = unedited(exchange, fields);
    edited::relayed(exchange, &mut fields);
    fields
}

/// All that is said of an answer but for its route's edits, which come last.
#[inline]
fn unedited<N: Network>(exchange: &Exchange<N>, mut fields: Box<Fields>) -> Box<Fields> {
    withhold(exchange, &mut fields);
    fields.push(&X_REQUEST_ID, exchange.request_id.as_bytes());
    if exchange.limits.is_some() {
        tell_limits(exchange, &mut fields);
    }
    if exchange.snapshot.adds_to_answers {
        add_to_relayed(exchange, &mut fields);
    }
    if let Some(told) = &exchange.told_client {
        tell_client(told, &mut fields);
    }
    if let Some(cache) = &exchange.cache {
        tell_cache(cache.fields(), &mut fields);
    }
    if cross_origin::is_told(exchange) {
        cross_origin::tell_in(exchange, &mut fields);
    }
    fields.closes = is_draining(exchange);
    fields
}
