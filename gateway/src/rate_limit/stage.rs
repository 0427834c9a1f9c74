//! The stage: lets a request through, or says when to come back.

use std::future::Future;
use std::pin::Pin;

use super::Phase;
use super::shared::Asking;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;

/// What a store has to be asked for, boxed: no other request pays for its size.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<(), GatewayError>> + Send + 'a>>;

/// Asks the limits of the request's route that run in this phase. A route without limits pays one look. Where buckets
/// are in a store, what is left to do comes back.
///
/// # Errors
/// 429 `rate_limited`; 503 `overloaded` where the route has as many requests as it may, `limit_store_down` where a rule
/// wants that.
#[inline]
pub fn admit<'a, N: Network>(
    exchange: &'a mut Exchange<N>,
    headers: &'a RequestFields,
    phase: Phase,
) -> Result<Option<Pending<'a>>, GatewayError> {
    let (has, asks, holds) = match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) => (limits.has(phase), limits.asks(phase), limits.holds(phase)),
        None => return Ok(None),
    };
    if holds {
        hold(exchange, headers, phase)?;
    }
    if has {
        charge(exchange, headers, phase)?;
    }
    Ok(asks.then(|| Box::pin(ask(exchange, headers, phase)) as Pending<'a>))
}

/// The time of a phase. Identity may have taken its time; before it a request is as old as its head, unless its body
/// was waited for, since its route hung on that: whoever opens requests now and ends them later is judged later.
fn time<N: Network>(exchange: &Exchange<N>, phase: Phase) -> u64 {
    let is_young = phase == Phase::Edge && exchange.awaited.is_zero();
    let clock = &exchange.shard.shared.clock;
    let since = if is_young { exchange.since } else { clock.since(exchange.now()) };
    clock.monotonic_ns_of(since)
}

#[inline(never)]
fn charge<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields, phase: Phase) -> Result<(), GatewayError> {
    let now = time(exchange, phase);
    let mut applied = exchange.limits.take().unwrap_or_default();
    let outcome = match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) => limits.charge(exchange, headers, phase, (&mut applied, now)),
        None => Ok(()),
    };
    exchange.limits = Some(applied);
    outcome
}

/// Takes the request's places among those that are under way, until its exchange ends.
#[inline(never)]
fn hold<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields, phase: Phase) -> Result<(), GatewayError> {
    let mut holding = exchange.held.take().unwrap_or_default();
    let mut applied = exchange.limits.take();
    let outcome = match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) => limits.hold(exchange, headers, phase, (&mut holding, applied.as_deref_mut())),
        None => Ok(()),
    };
    exchange.held = Some(holding);
    exchange.limits = applied;
    outcome
}

async fn ask<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    phase: Phase,
) -> Result<(), GatewayError> {
    let now = time(exchange, phase);
    let mut applied = exchange.limits.take().unwrap_or_default();
    let outcome = match exchange.route().and_then(|route| route.limits.as_deref()) {
        Some(limits) => {
            let exchange = &*exchange;
            Asking { limits, exchange, headers, applied: &mut applied, now }.ask(phase).await
        }
        None => Ok(()),
    };
    exchange.limits = Some(applied);
    outcome
}
