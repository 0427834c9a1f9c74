//! The stage: finds the route of an exchange.

use http::HeaderMap;
use http::uri::PathAndQuery;

use super::table::{Ask, Found, Params};
use super::{path, rewrite};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;

/// Brings the path to its one form, and finds the route by it; the exchange holds both from then on.
///
/// # Errors
/// 400 for a path that has no one form; 404; 405 with the methods that the path has.
pub fn find<N: Network>(exchange: &mut Exchange<N>, headers: &HeaderMap) -> Result<Params, GatewayError> {
    let normal = path::normalise(exchange.uri.path(), exchange.snapshot.path_rules)
        .map_err(|error| GatewayError::new(Code::BadRequest, error.to_string()).closing())?;
    if let std::borrow::Cow::Owned(normal) = normal {
        exchange.path = Some(normal.into_boxed_str());
    }
    let found = exchange.snapshot.table.find(&Ask {
        host: exchange.host.as_ref().map_or("", |host| &host.name),
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

/// What the upstream is asked for: the path in its one form, rewritten where the route says so.
///
/// # Errors
/// 400 where what comes out of a rewrite cannot be sent.
pub fn target<N: Network>(exchange: &Exchange<N>, params: &Params) -> Result<PathAndQuery, GatewayError> {
    let query = exchange.uri.query();
    if let Some(rewrite) = exchange.route().and_then(|route| route.rewrite.as_ref()) {
        return rewrite.apply(exchange.path(), params, query).map_err(|_| invalid_target());
    }
    if exchange.path.is_none() {
        return exchange.uri.path_and_query().cloned().ok_or_else(invalid_target);
    }
    rewrite::target(exchange.path(), query).map_err(|_| invalid_target())
}

fn invalid_target() -> GatewayError {
    GatewayError::new(Code::BadRequest, "The request target cannot be sent on.")
}
