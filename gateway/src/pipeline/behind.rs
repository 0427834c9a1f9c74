//! What came from behind the gateway, before its client gets it: what the program's own stages make of it, and of an
//! upstream's error nothing but the status, where the route says so.

use std::sync::Arc;

use http::HeaderMap;

use super::{Outcome, give};
use crate::exchange::Exchange;
use crate::forward::Failure;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::Held;
use crate::timer::Wait;
use crate::{compose, response};

/// response: the gateway's own answer in the place of an upstream's error.
#[cold]
pub(super) fn intercepted<N: Network>(
    exchange: &Exchange<N>,
    outcome: Result<Outcome<N>, Failure>,
) -> Result<Outcome<N>, Failure> {
    let head = match &outcome {
        Ok(Outcome::Relay(answer)) => &answer.head,
        Ok(Outcome::Taken(taken)) => &taken.0.head,
        Ok(Outcome::Given(given)) => &given.0,
        _ => return outcome,
    };
    let Some(error) = response::intercepted(exchange, head) else { return outcome };
    match outcome {
        Ok(Outcome::Relay(answer)) => compose::discard(answer.source, exchange),
        Ok(Outcome::Taken(taken)) => compose::discard(taken.0.source, exchange),
        _ => {}
    }
    Err(error.into())
}

/// response: the program's own stages see what comes from behind the gateway, in the other order.
#[cold]
pub(super) async fn shown<N: Network>(
    mut exchange: Box<Exchange<N>>,
    headers: &HeaderMap,
    outcome: Result<Outcome<N>, Failure>,
) -> Reply<N> {
    let Some(seen) = exchange.seen.take() else { return give(exchange, headers, outcome) };
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
