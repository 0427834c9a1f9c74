//! The request body's limit, the body as it will stream, and as it is read before where its route hangs on it or wants
//! it whole.

use std::sync::Arc;
use std::task::Poll;

use http_body::Body as _;
use serde_json::Value;

use super::attempt::{Failure, body_failure};
use super::{deadline, grpc_web};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::held_bytes::Gathered;
use crate::jws::parse_json;
use crate::network::Network;
use crate::request_body::{BodyFault, BodyLimits, Read, RequestBody, Source};
use crate::telemetry::metrics::ShedReason;
use crate::timer::Wait;

/// Refuses a body that says itself that it is too large; wraps any other, so that it is counted as it streams.
///
/// # Errors
/// 413.
pub fn prepare<N: Network>(
    exchange: &mut Exchange<N>,
    declared_length: Option<u64>,
    source: Source,
) -> Result<RequestBody, GatewayError> {
    let Some(route) = exchange.route() else { return Ok(RequestBody::Empty) };
    let max_bytes = route.max_body;
    exchange.timeout = exchange.given_time();
    deadline::arm(exchange);
    refuse_declared(exchange, declared_length)?;
    if source.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    let mut body = wrap(exchange, max_bytes, source);
    if exchange.speech.web.is_some() {
        grpc_web::read(exchange, &mut body);
    }
    let passed = exchange.request_body.as_ref().map_or(0, |progress| progress.bytes());
    if max_bytes.is_some_and(|max| passed > max) {
        return Err(GatewayError::body_too_large());
    }
    Ok(body)
}

/// Refuses a body that says itself that it is too large; also before anybody is asked about the request.
///
/// # Errors
/// 413.
#[inline]
pub fn refuse_declared<N: Network>(exchange: &Exchange<N>, declared_length: Option<u64>) -> Result<(), GatewayError> {
    let Some(declared) = declared_length else { return Ok(()) };
    let most = exchange.route().and_then(|route| route.max_body);
    if most.is_some_and(|most| declared > most) { Err(GatewayError::body_too_large()) } else { Ok(()) }
}

/// Refuses any byte of a body: for what takes none. One that has not told its length may turn out to be empty: its end
/// is waited for as long as any body's.
///
/// # Errors
/// 413; 400 and 408 of a body that is malformed or slow.
pub async fn refuse<N: Network>(exchange: &mut Exchange<N>, mut body: RequestBody) -> Result<(), Failure> {
    if matches!(body, RequestBody::Empty) {
        return Ok(());
    }
    // Of what routing has read already nothing would come a second time.
    let passed = exchange.request_body.as_ref().map_or(0, |progress| progress.bytes());
    if passed > 0 || body.size_hint().lower() > 0 {
        return Err(none_is_taken().into());
    }
    let room = exchange.snapshot.config.server.body_match_memory;
    match gather(exchange, &mut body, (0, room)).await? {
        Read::Whole(_) => Ok(()),
        Read::Longer | Read::NoRoom => Err(none_is_taken().into()),
    }
}

/// What a client is told that sends a body where none is taken.
fn none_is_taken() -> GatewayError {
    GatewayError::new(Code::BodyTooLarge, "This takes no request body.").closing()
}

fn wrap<N: Network>(exchange: &mut Exchange<N>, max_bytes: Option<u64>, source: Source) -> RequestBody {
    let server = &exchange.snapshot.config.server;
    let limits = BodyLimits { max_bytes, idle: server.body_idle_timeout, total: server.body_total_timeout };
    let deadlines = Arc::clone(&exchange.connection.deadlines);
    let clock = exchange.shard.shared.clock.clone();
    let rules = Arc::clone(&exchange.snapshot.header_rules);
    let (body, progress) = RequestBody::new(source, limits, deadlines, clock, rules);
    exchange.request_body = progress;
    body
}

/// Whether a body may decide about the route: some route looks into bodies, and this one is not too long for all of
/// them. A call of gRPC-Web is no JSON.
#[inline]
pub fn may_decide<N: Network>(exchange: &Exchange<N>, declared_length: Option<u64>, source: &Source) -> bool {
    let Some(limit) = exchange.snapshot.table.body_limit() else { return false };
    !source.is_end_stream()
        && exchange.speech.web.is_none()
        && declared_length.is_none_or(|length| length <= limit as u64)
}

/// Reads a body for routing, as far as a route that it may take looks, and puts it back: what is sent later begins with
/// its first byte. `None` where it is longer, or no JSON.
///
/// # Errors
/// 400 and 408 of a body that is malformed or slow; 503 where such bodies take as much memory as they may; the client
/// left.
pub async fn read<N: Network>(
    exchange: &mut Exchange<N>,
    (source, declared_length): (&mut Source, Option<u64>),
    limit: usize,
) -> Result<Option<(Value, usize)>, Failure> {
    if declared_length.is_some_and(|length| length > limit as u64) {
        return Ok(None);
    }
    let mut body = wrap(exchange, None, std::mem::replace(source, Source::Empty));
    let room = exchange.snapshot.config.server.body_match_memory;
    match gather(exchange, &mut body, (limit, room)).await? {
        Read::Whole(bytes) => {
            *source = body.put_back();
            Ok(parse_json(&bytes).ok().map(|value| (value, bytes.len())))
        }
        Read::Longer => {
            *source = body.put_back();
            Ok(None)
        }
        Read::NoRoom => Err(no_room().into()),
    }
}

/// Reads a body to its end before an endpoint is picked, as far as the route says (`buffer_request`): a service that
/// has a worker for each request then waits for no client. A longer body streams on from its first byte, and so does
/// one for which there is no room: nothing is decided by it, and the room may be full of other clients' bodies.
///
/// # Errors
/// 400, 408 and 413 of a body that is malformed, slow or too large; the client left.
pub async fn hold<N: Network>(exchange: &mut Exchange<N>, body: &mut RequestBody) -> Result<(), Failure> {
    let most = exchange.route().and_then(|route| route.settings.buffer_request).unwrap_or_default();
    if matches!(body, RequestBody::Empty) || body.size_hint().lower() > most as u64 {
        return Ok(());
    }
    // Slow clients of such routes leave the other half to those whose route hangs on their body, and to what is
    // composed.
    let room = exchange.snapshot.config.server.body_match_memory / 2;
    if let Read::NoRoom = gather(exchange, body, (most, room)).await? {
        exchange.shard.shared.metrics.gateway().unbuffered();
    }
    body.rewind();
    body.keep_no_more();
    took_time(exchange);
    Ok(())
}

/// Lends a body to the program's own stages, of which one may want all of it, or put another one in its place.
pub fn lend<N: Network>(exchange: &mut Exchange<N>, source: &mut Source) -> RequestBody {
    let most = exchange.route().and_then(|route| route.max_body);
    wrap(exchange, most, std::mem::replace(source, Source::Empty))
}

/// Takes it back: what is sent on begins with its first byte.
pub fn take_back<N: Network>(exchange: &mut Exchange<N>, source: &mut Source, body: RequestBody) {
    let was_read = body.was_read();
    *source = body.put_back();
    if was_read {
        took_time(exchange);
    }
}

/// Who is asked with the little time that a slow client has left is not to blame.
fn took_time<N: Network>(exchange: &mut Exchange<N>) {
    let passed = exchange.now().saturating_duration_since(exchange.started);
    exchange.hurried |= exchange.timeout.is_some_and(|given| passed > given / 2);
}

#[cold]
fn no_room() -> GatewayError {
    let detail = "The gateway holds as many request bodies as it may.";
    GatewayError::shed(ShedReason::RoutingBodies, detail).closing()
}

/// Reads a body to its end, or beyond so many bytes, in the route's time, while all that is held takes no more than so
/// much room.
async fn gather<N: Network>(
    exchange: &mut Exchange<N>,
    body: &mut RequestBody,
    (limit, room): (usize, usize),
) -> Result<Read, Failure> {
    let deadlines = Arc::clone(&exchange.connection.deadlines);
    deadlines.set_since(Wait::Exchange, exchange.since, exchange.given_time());
    let room = Gathered::new(&exchange.shard.held, room);
    body.gather(room);
    let read = std::future::poll_fn(|cx| {
        if deadlines.has_expired(Wait::Exchange) {
            return Poll::Ready(Err(BodyFault::Stalled));
        }
        exchange.answer_roll_call(None);
        body.poll_gathered(limit, cx)
    });
    let began = exchange.now();
    let read = read.await;
    exchange.awaited += exchange.now().saturating_duration_since(began);
    read.map_err(body_failure)
}
