//! What a route gives where its upstream cannot: a fixed answer, or what another upstream answers.
//!
//! It covers the failures that the gateway would else answer itself with 502, 503 or 504 from the moment it turned to
//! the upstream: no endpoint, every breaker open, a limit of the upstream's, attempts that met no connection, a broken
//! one, no answer in time or none that is HTTP. What an upstream answered is never replaced, whatever its status, and
//! nothing is once an answer has begun; nor is what the client did wrong, or what the gateway refuses for itself.
//!
//! The other upstream is asked like any: its own endpoints, breakers, retries, budget and passport, within what is left
//! of the exchange's time, and only where sending the request a second time is safe. Where it fails too, or answers
//! 5xx, the client is told of the first problem, which is the one that somebody has to mend.

use super::attempt::{Failure, Tried};
use super::retry::{can_go_again, take_body};
use super::{head, retry};
use crate::config::settings::route::Fallback;
use crate::context::survey::is_grpc;
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::http1::RequestHead;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::response_body::Answer;
use crate::telemetry::metrics::FallbackResult;
use crate::upstream::Selected;
use crate::upstream::stage::select_stand_in;

/// Whether the route's fallback stands in for this failure.
#[cold]
pub(super) fn can_cover<N: Network>(exchange: &Exchange<N>, failure: &Failure) -> bool {
    matches!(failure, Failure::Problem(problem) if covers(exchange, problem))
}

fn covers<N: Network>(exchange: &Exchange<N>, problem: &GatewayError) -> bool {
    if exchange.stands_in || !matches!(problem.code.status().as_u16(), 502..=504) {
        return false;
    }
    match exchange.route().and_then(|route| route.settings.fallback.as_ref()) {
        None => false,
        Some(Fallback::Upstream(_)) => true,
        Some(Fallback::Answer(answer)) => {
            // To a gRPC client, an answer that is no gRPC is a failure of another kind.
            let is_understood =
                !exchange.is_grpc || answer.content_type.as_ref().is_some_and(|kind| is_grpc(kind.as_bytes()));
            is_understood && !exchange.connection.opens_tunnel(answer.status)
        }
    }
}

/// Where the route's own upstream has no endpoint to give: an endpoint of the one that stands in, which is asked in its
/// place from then on.
///
/// # Errors
/// What the client is told where nothing stands in.
#[cold]
pub fn instead<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    mut problem: GatewayError,
) -> Result<Selected<N>, Failure> {
    exchange.count_shed(&mut problem);
    if !covers(exchange, &problem) {
        return Err(problem.into());
    }
    if is_fixed(exchange) {
        return Err(give_fixed(exchange, Box::new(problem)));
    }
    stand_in(exchange, headers, problem.into()).map_err(Failure::Problem)
}

/// Where a request's time is up that waited for another one's call: what it would be told had it asked for itself.
#[cold]
pub fn late<N: Network>(exchange: &mut Exchange<N>) -> Failure {
    let problem = GatewayError::upstream_late();
    let is_covered = covers(exchange, &problem);
    exchange.gives_up_call();
    if !is_covered {
        return problem.into();
    }
    if is_fixed(exchange) {
        return give_fixed(exchange, Box::new(problem));
    }
    // No time is left to ask another one in.
    count(exchange, FallbackResult::Unsent);
    problem.into()
}

/// Where the route's own upstream has failed and another may be asked: its endpoint, and the body from its beginning.
/// What was tried is of no more use then, and the head, of whose lines the first `plain` bytes hold, is for the other.
pub(super) fn turn<N: Network>(
    exchange: &mut Exchange<N>,
    head: &mut RequestHead,
    plain: &mut usize,
    tried: &mut Tried<N>,
) -> Option<(Selected<N>, RequestBody)> {
    let lost = tried.as_ref().err().filter(|lost| can_cover(exchange, &lost.failure))?;
    if is_fixed(exchange) {
        return None;
    }
    let is_safe = lost.nothing_sent || retry::may_be_sent_twice(exchange);
    if !is_safe || exchange.is_out_of_time(exchange.now()) || !can_go_again(tried) {
        count(exchange, FallbackResult::Unsent);
        return None;
    }
    let body = take_body(tried)?;
    let lost = tried.as_mut().err()?;
    let Failure::Problem(mut problem) = std::mem::replace(&mut lost.failure, Failure::ClientLeft) else { return None };
    exchange.count_shed(&mut problem);
    let before = exchange.passport.clone();
    match stand_in(exchange, &head.headers, problem) {
        Ok(selected) => {
            head::renew_passport(exchange, head, plain, before.as_deref());
            head::name_endpoint(exchange, &mut head.headers, &selected.endpoint);
            Some((selected, body))
        }
        Err(problem) => {
            lost.failure = Failure::Problem(problem);
            None
        }
    }
}

/// Makes of the last attempt what the client is told.
///
/// # Errors
/// As `forward`.
pub(super) fn conclude<N: Network>(exchange: &mut Exchange<N>, tried: Tried<N>) -> Result<Answer<N>, Failure> {
    if !exchange.stands_in {
        return tried.map_err(|lost| match lost.failure {
            Failure::Problem(problem) if covers(exchange, &problem) && is_fixed(exchange) => {
                give_fixed(exchange, problem)
            }
            failure => failure,
        });
    }
    let failed = match &tried {
        Ok(answer) => answer.judged.is_server_error(),
        Err(lost) => matches!(&lost.failure, Failure::Problem(problem) if problem.code.status().is_server_error()),
    };
    if let Some(problem) = exchange.covered.take_if(|_| failed) {
        count(exchange, FallbackResult::Failed);
        return Err(Failure::Problem(problem));
    }
    if tried.is_ok() {
        count(exchange, FallbackResult::Upstream);
    }
    tried.map_err(|lost| lost.failure)
}

/// Picks an endpoint of the upstream that stands in for this problem; the problem again where it has none.
fn stand_in<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    problem: Box<GatewayError>,
) -> Result<Selected<N>, Box<GatewayError>> {
    match select_stand_in(exchange, headers) {
        Ok(selected) => {
            // Whatever comes of it, this is what went wrong.
            exchange.code = Some(problem.code);
            exchange.covered = Some(problem);
            exchange.renew_passport();
            Ok(selected)
        }
        Err(_) => {
            count(exchange, FallbackResult::Failed);
            Err(problem)
        }
    }
}

fn is_fixed<N: Network>(exchange: &Exchange<N>) -> bool {
    let fallback = exchange.route().and_then(|route| route.settings.fallback.as_ref());
    matches!(fallback, Some(Fallback::Answer(_)))
}

fn give_fixed<N: Network>(exchange: &Exchange<N>, problem: Box<GatewayError>) -> Failure {
    count(exchange, FallbackResult::Fixed);
    Failure::Covered(problem)
}

fn count<N: Network>(exchange: &Exchange<N>, result: FallbackResult) {
    if let Some(route) = exchange.route() {
        route.series.fell_back(exchange.shard.index, result);
    }
}
