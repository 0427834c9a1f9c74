//! The stage: an endpoint for the exchange.

use http::HeaderMap;

use super::selection::{self, Ask, Selected};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;

/// Picks an endpoint of the route's upstream; the exchange names it in its record.
///
/// # Errors
/// 503 `no_endpoint`.
pub fn select<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap) -> Result<Selected<N>, GatewayError> {
    let Some(route) = exchange.route() else {
        return Err(GatewayError::new(Code::Internal, "The request has no route."));
    };
    let ask = Ask { client: exchange.client.ip, headers, path: exchange.path(), bits: exchange.shard.random() };
    let selected = selection::select(&route.upstream, &ask)?;
    exchange.endpoint = Some(std::sync::Arc::clone(&selected.endpoint));
    Ok(selected)
}
