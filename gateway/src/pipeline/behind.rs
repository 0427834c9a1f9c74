//! What came from behind the gateway, before its client gets it: what the program's own stages make of it, and of an
//! upstream's error nothing but the status, where the route says so.

use std::sync::Arc;
use std::time::Duration;

use super::{Outcome, give};
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::forward::Failure;
use crate::network::Network;
use crate::reply::Reply;
use crate::request_fields::RequestFields;
use crate::response_body::Held;
use crate::timer::Wait;
use crate::{caching, response};

/// The longest that is waited for what an upstream has to say of its error, which nobody hears: where a copy is kept
/// for the next who asks, and where it is read for its connection alone.
const KEPT: Duration = Duration::from_secs(1);
const UNHEARD: Duration = Duration::from_millis(20);
/// The most of it that is read where no copy is kept, so that the connection can be used again.
const UNHEARD_BYTES: usize = 64 * 1024;

/// response: what the gateway answers in the place of an upstream's error; `None` for most, which are passed on.
#[inline]
pub(super) fn intercepted<N: Network>(
    exchange: &Exchange<N>,
    outcome: &Result<Outcome<N>, Failure>,
) -> Option<GatewayError> {
    let head = match outcome {
        Ok(Outcome::Relay(answer)) => &answer.head,
        Ok(Outcome::Taken(taken)) => &taken.0.head,
        Ok(Outcome::Given(given)) => &given.0,
        _ => return None,
    };
    response::intercepted(exchange, head)
}

/// The rest of an answer that is not passed on. A copy may be kept of it all the same: for the next who asks.
pub(super) async fn unheard<N: Network>(exchange: &mut Exchange<N>, outcome: Result<Outcome<N>, Failure>) {
    let source = match outcome {
        Ok(Outcome::Relay(answer)) => answer.source,
        Ok(Outcome::Taken(taken)) => taken.0.source,
        _ => return,
    };
    let longest = if exchange.is_kept() { KEPT } else { UNHEARD };
    if !exchange.is_kept() && source.leg.length_left().is_some_and(|left| left > UNHEARD_BYTES as u64) {
        return;
    }
    let left = exchange.time_left(exchange.now()).unwrap_or(longest).min(longest);
    caching::take_in(exchange, source, (UNHEARD_BYTES, left)).await;
}

/// response: the program's own stages see what comes from behind the gateway, in the other order.
#[cold]
pub(super) async fn shown<N: Network>(
    exchange: Box<Exchange<N>>,
    headers: &RequestFields,
    outcome: Result<Outcome<N>, Failure>,
) -> Reply<N> {
    // A copy: the exchange keeps them, to tell them its end.
    let Some(seen) = exchange.seen.clone() else { return give(exchange, headers, outcome) };
    let (shared, deadlines) = (Arc::clone(&exchange.shard.shared), Arc::clone(&exchange.connection.deadlines));
    let (now, timeout) = (exchange.now(), exchange.timeout);
    let (held, response) = match outcome {
        Ok(Outcome::Relay(answer)) => response::lend(exchange, answer),
        Ok(Outcome::Handled(response)) => (Held::Own(exchange), *response),
        other => return give(exchange, headers, other),
    };
    deadlines.set(Wait::Exchange, now, timeout);
    let response = seen.after(&shared, &deadlines, response).await;
    deadlines.clear(Wait::Exchange);
    match response {
        Ok(response) => response::handled(held, response),
        Err(error) => response::lost(held, &error),
    }
}
