//! The stage: an endpoint for the exchange.

use http::HeaderMap;

use super::selection::{self, Ask, Selected};
use crate::algorithms::breaker::State;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;

/// Picks an endpoint of the route's upstream; the exchange names it in its record.
///
/// # Errors
/// 503 `breaker_open`, `no_endpoint`.
pub fn select<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap) -> Result<Selected<N>, GatewayError> {
    let Some(route) = exchange.route() else {
        return Err(GatewayError::new(Code::Internal, "The request has no route."));
    };
    let own_breaker = route.settings.breaker.is_some();
    let ask = Ask {
        client: exchange.client.ip,
        headers,
        path: exchange.path(),
        bits: exchange.shard.random(),
        route: own_breaker.then_some(&*route.settings.name),
    };
    match selection::select(&route.upstream, &ask) {
        Ok(selected) => {
            exchange.endpoint = Some(std::sync::Arc::clone(&selected.endpoint));
            exchange.breaker = Some(selected.met);
            Ok(selected)
        }
        Err(error) => {
            exchange.breaker = (error.code == Code::BreakerOpen).then_some(State::Open.as_str());
            Err(error)
        }
    }
}
