//! The way of a request on a route whose answers are kept: what is kept is given; else the upstream is asked as ever,
//! and a copy of its answer may be kept as it passes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Outcome, coalesced, mirrored, part, select};
use crate::caching::Looked;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::forward::Failure;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::telemetry::recorder::Calls;
use crate::timer::Watch;
use crate::{caching, compose, forward, response, routing};

/// cache: what is kept; else what the upstream says, of which a copy may be kept.
pub(super) async fn cached<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    target: &PathQuery,
) -> Result<Outcome<N>, Failure> {
    if exchange.timed {
        forward::deadline::begin(exchange, headers);
    }
    if exchange.route().is_some_and(|route| route.settings.compress.is_some()) {
        response::note_accepted(exchange, headers);
    }
    match caching::look(exchange, headers, target).await {
        Looked::Kept(kept) => return Ok(Outcome::Given(Box::new(kept))),
        Looked::Meanwhile(kept, refresh) => {
            refreshed(exchange, *refresh, target);
            return Ok(Outcome::Given(Box::new(kept)));
        }
        Looked::Absent => {
            let detail = "Nothing that is kept would do, and the request wants nothing else (only-if-cached).";
            return Err(GatewayError::new(Code::NotCached, detail).into());
        }
        Looked::Ask => {}
    }
    let mut outcome = Box::pin(asked(exchange, headers, (target, true))).await;
    if exchange.cache.is_some()
        && let Some(anew) = asks_anew(exchange, &outcome)
    {
        if let Ok(Outcome::Relay(answer)) = outcome {
            compose::discard(answer.source, exchange);
        }
        *headers = anew;
        forward::deadline::arm(exchange);
        exchange.upstream_head = None;
        outcome = Box::pin(asked(exchange, headers, (target, false))).await;
    }
    kept(exchange, outcome)
}

/// What the upstream is asked once more, where its answer confirms what is not kept.
fn asks_anew<N: Network>(exchange: &mut Exchange<N>, outcome: &Result<Outcome<N>, Failure>) -> Option<RequestFields> {
    let head = match outcome {
        Ok(Outcome::Relay(answer)) => &answer.head,
        Ok(Outcome::Taken(taken)) => &taken.0.head,
        Ok(Outcome::Given(given)) => &given.0,
        _ => return None,
    };
    caching::asks_anew(exchange, head)
}

/// Asks the upstream as ever, with others where calls are shared. The first time a copy is sent where the route wants
/// one.
async fn asked<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    (target, is_first): (&PathQuery, bool),
) -> Result<Outcome<N>, Failure> {
    if exchange.route().is_some_and(|route| route.settings.coalesce)
        && let Some(outcome) = coalesced(exchange, headers, target).await?
    {
        return Ok(outcome);
    }
    let selected = select(exchange, headers)?;
    if is_first && exchange.route().is_some_and(|route| route.mirror.is_some()) {
        mirrored(exchange, headers, target, &mut RequestBody::Empty);
    }
    let headers = std::mem::take(headers);
    let mut request = forward::head::build(exchange, &selected, headers, target.clone(), RequestBody::Empty);
    forward::forward(exchange, selected, &mut request).await.map(Outcome::Relay)
}

/// What a request is given that the upstream was asked for: its answer, or what is kept in the place of that.
fn kept<N: Network>(exchange: &mut Exchange<N>, asked: Result<Outcome<N>, Failure>) -> Result<Outcome<N>, Failure> {
    let instead = match &asked {
        Ok(Outcome::Relay(answer)) => caching::answered(exchange, answer, 0),
        Ok(Outcome::Taken(taken)) => {
            let read = taken.1.parts().iter().map(|part| part.len() as u64).sum();
            let instead = caching::answered(exchange, &taken.0, read);
            taken.1.parts().iter().for_each(|part| exchange.keep_part(part));
            instead
        }
        Ok(Outcome::Given(given)) => caching::given(exchange, &given.0, &given.1),
        Err(Failure::Problem(problem) | Failure::Covered(problem)) => caching::instead(exchange, problem.status()),
        Ok(_) | Err(Failure::ClientLeft) => None,
    };
    let Some(instead) = instead else { return asked };
    match asked {
        Ok(Outcome::Relay(answer)) => compose::discard(answer.source, exchange),
        Err(Failure::Problem(mut problem) | Failure::Covered(mut problem)) => {
            exchange.count_shed(&mut problem);
            exchange.note_problem(&RequestFields::new(), &problem);
            // Its client is answered all the same; who looks after the upstream is told.
            exchange.code = Some(problem.code);
        }
        Ok(_) | Err(Failure::ClientLeft) => {}
    }
    Ok(Outcome::Given(Box::new(instead)))
}

/// A request that may have changed something is answered: where that went well, what any route keeps of its URL goes.
#[cold]
pub(super) fn changed<N: Network>(exchange: &Exchange<N>, outcome: &Result<Outcome<N>, Failure>) {
    let status = match outcome {
        Ok(Outcome::Relay(answer)) => answer.head.status,
        Ok(Outcome::Handled(answer)) => answer.status(),
        Ok(_) | Err(_) => return,
    };
    if !status.is_success() && !status.is_redirection() {
        return;
    }
    let routes = &exchange.snapshot.routes;
    for (index, target) in routing::stage::targets(exchange, |index| routes[index].cache.is_some()) {
        if let Some(route) = &routes[index].cache {
            caching::forget(exchange, route, &target);
        }
    }
}

/// Asks for an answer anew of which a stale one was given, by a task of its own.
fn refreshed<N: Network>(exchange: &Exchange<N>, refresh: caching::Refresh, target: &PathQuery) {
    let (headers, caching, place) = refresh.into_parts();
    let mut call = exchange.shared_call(&Calls::shared());
    call.cache = Some(caching);
    let deadlines = Arc::clone(&call.connection.deadlines);
    let call = compose::Call { exchange: call, headers, target: target.clone(), body: RequestBody::Empty };
    let shared = Arc::clone(&exchange.shard.shared);
    tokio::spawn(async move {
        let work = async {
            let called = compose::called(part(call), &mut Watch::new(deadlines)).await;
            caching::refresh(called.exchange, called.answer.ok()).await;
        };
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            shared.metrics.gateway().panicked();
        }
        drop(place);
    });
}
