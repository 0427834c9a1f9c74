//! The stage: finds the route of an exchange.

use http::HeaderMap;

use super::table::{Ask, Found, Params};
use crate::context::target::routing_host;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;

/// Finds the route; the exchange holds it from then on.
///
/// # Errors
/// 404; 405 with the methods that the path has.
pub fn find<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap) -> Result<Params, GatewayError> {
    let host = exchange.host.as_ref().map_or_else(Default::default, routing_host);
    let found = exchange.snapshot.table.find(&Ask {
        host: &host,
        method: &exchange.method,
        path: exchange.path(),
        query: exchange.uri.query(),
        headers,
    });
    match found {
        Found::Route { index, params } => {
            exchange.route = Some(index);
            Ok(params)
        }
        Found::MethodNotAllowed { allow } => {
            let mut error = GatewayError::new(Code::MethodNotAllowed, "The path does not take this method.");
            error.allow = Some(allow);
            Err(error)
        }
        Found::None => Err(GatewayError::new(Code::RouteNotFound, "No route matches the host and path.")),
    }
}
