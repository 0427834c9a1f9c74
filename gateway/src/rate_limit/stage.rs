//! The stage: lets a request through, or says when to come back.

use http::HeaderMap;

use super::Phase;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::network::Network;

/// Asks the limits of the request's route that run in this phase. A route without limits pays one look.
///
/// # Errors
/// 429 `rate_limited`.
#[inline]
pub fn admit<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap, phase: Phase) -> Result<(), GatewayError> {
    match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) if limits.has(phase) => charge(exchange, headers, phase),
        _ => Ok(()),
    }
}

#[inline(never)]
fn charge<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap, phase: Phase) -> Result<(), GatewayError> {
    // Identity may have taken its time; before it a request is as old as its head.
    let at = if phase == Phase::Edge { exchange.started } else { exchange.now() };
    let now = exchange.shard.shared.clock.monotonic_ns(at);
    let mut applied = exchange.limits.take().unwrap_or_default();
    let outcome = match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) => limits.charge(exchange, headers, phase, (&mut applied, now)),
        None => Ok(()),
    };
    exchange.limits = Some(applied);
    outcome
}
