//! The request body's limit, and the body as it will stream.

use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::{BodyLimits, RequestBody, Source};
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
    let timeout = route.settings.timeout;
    exchange.timeout = timeout;
    exchange.connection.deadlines.set(Wait::Exchange, exchange.started, timeout);
    if declared_length.zip(max_bytes).is_some_and(|(declared, max)| declared > max) {
        return Err(
            GatewayError::new(Code::BodyTooLarge, "The request body is larger than this route allows.").closing()
        );
    }
    if source.is_end_stream() {
        return Ok(RequestBody::Empty);
    }
    let server = &exchange.snapshot.config.server;
    let limits = BodyLimits { max_bytes, idle: server.body_idle_timeout, total: server.body_total_timeout };
    let deadlines = std::sync::Arc::clone(&exchange.connection.deadlines);
    let clock = exchange.shard.shared.clock.clone();
    let rules = std::sync::Arc::clone(&exchange.snapshot.header_rules);
    let (body, progress) = RequestBody::new(source, limits, deadlines, clock, rules);
    exchange.request_body = progress;
    Ok(body)
}
