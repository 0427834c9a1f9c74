//! The stage: an endpoint for the exchange.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::selection::{self, Ask, Selected};
use super::state::Upstream;
use crate::algorithms::breaker::State;
use crate::algorithms::tiers::Serving;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_fields::RequestFields;

/// Picks an endpoint of the route's upstream; the exchange names it in its record.
///
/// # Errors
/// 503 `breaker_open`, `no_endpoint`.
pub fn select<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) -> Result<Selected<N>, GatewayError> {
    let selected = own(exchange).and_then(|upstream| pick(exchange, upstream, headers, None, &[]));
    match &selected {
        Ok(selected) => exchange.turn_to(selected),
        Err(error) if error.code == Code::BreakerOpen => exchange.breaker = Some(State::Open.as_str()),
        Err(_) => {}
    }
    selected
}

/// Picks an endpoint for another attempt: not one of those that were tried, as long as there is another.
///
/// # Errors
/// As `select`; the exchange is as before then.
pub fn select_again<N: Network>(
    exchange: &mut Exchange<N>,
    hash: u64,
    tried: &[Arc<Endpoint<N>>],
) -> Result<Selected<N>, GatewayError> {
    let selected = pick(exchange, own(exchange)?, &RequestFields::new(), Some(hash), tried)?;
    exchange.turn_to(&selected);
    Ok(selected)
}

/// Picks an endpoint of the upstream that stands in for the route's own, which is the one that is asked from then on.
///
/// # Errors
/// As `select`, and where the route has none; the exchange is as before then.
pub fn select_stand_in<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
) -> Result<Selected<N>, GatewayError> {
    let stand_in = exchange.route().and_then(|route| route.stand_in.as_ref()).ok_or_else(no_route)?;
    let selected = pick(exchange, stand_in, headers, None, &[])?;
    exchange.stands_in = true;
    exchange.turn_to(&selected);
    Ok(selected)
}

/// An endpoint of the upstream that is asked, for an attempt beside others; the exchange stays as it is. That one is
/// slow is no reason to ask a backup whose turn it is not.
pub fn select_beside<N: Network>(exchange: &Exchange<N>, hash: u64, asked: &[Arc<Endpoint<N>>]) -> Option<Selected<N>> {
    let upstream = own(exchange).ok()?;
    let selected = pick(exchange, upstream, &RequestFields::new(), Some(hash), asked).ok()?;
    let is_its_turn = || upstream.active().scope(own_breaker(exchange)).serving() != Serving::Primaries;
    (!selected.endpoint.is_backup() || is_its_turn()).then_some(selected)
}

/// Picks an endpoint of who says whether a request may pass, none that was tried if there is another; the exchange
/// stays as it is.
///
/// # Errors
/// As `select`.
pub fn select_authority<N: Network>(
    exchange: &Exchange<N>,
    headers: &RequestFields,
    upstream: &Upstream<N>,
    tried: &[Arc<Endpoint<N>>],
) -> Result<Selected<N>, GatewayError> {
    let ask = Ask {
        client: exchange.client.ip,
        headers,
        path: exchange.path(),
        bits: exchange.shard.random(),
        route: None,
        hash: None,
        tried,
        criticality: exchange.criticality(),
    };
    selection::select(upstream, &ask)
}

fn own<N: Network>(exchange: &Exchange<N>) -> Result<&Arc<Upstream<N>>, GatewayError> {
    exchange.upstream().ok_or_else(no_route)
}

fn no_route() -> GatewayError {
    GatewayError::new(Code::Internal, "The request has no route.")
}

/// The route's name, where it has a breaker of its own.
#[inline]
fn own_breaker<N: Network>(exchange: &Exchange<N>) -> Option<&str> {
    let settings = &exchange.route()?.settings;
    settings.breaker.is_some().then_some(&*settings.name)
}

fn pick<N: Network>(
    exchange: &Exchange<N>,
    upstream: &Upstream<N>,
    headers: &RequestFields,
    hash: Option<u64>,
    tried: &[Arc<Endpoint<N>>],
) -> Result<Selected<N>, GatewayError> {
    let settings = &exchange.route().ok_or_else(no_route)?.settings;
    let ask = Ask {
        client: exchange.client.ip,
        headers,
        path: exchange.path(),
        bits: exchange.shard.random(),
        route: settings.breaker.is_some().then_some(&*settings.name),
        hash,
        tried,
        criticality: settings.criticality,
    };
    selection::select(upstream, &ask)
}

impl<N: Network> Exchange<N> {
    /// The next attempt goes to this endpoint.
    fn turn_to(&mut self, selected: &Selected<N>) {
        self.endpoint = Some(Arc::clone(&selected.endpoint));
        self.breaker = Some(selected.met);
    }
}
