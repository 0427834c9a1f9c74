//! The request head as the upstream is sent it: the client's, less what must not pass, plus what the gateway vouches for.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version, header};

use crate::config::settings::route::{HeaderEdits, HostPolicy};
use crate::context::{self, forwarded};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::routing::rewrite;
use crate::routing::table::Params;

/// What the upstream is asked for: the path in its one form, rewritten where the route says so.
///
/// # Errors
/// 400 where the rewritten target is no URI.
pub fn target<N: Network>(exchange: &Exchange<N>, params: &Params) -> Result<PathAndQuery, GatewayError> {
    let query = exchange.uri.query();
    let rewrite = exchange.route().and_then(|route| route.settings.rewrite.as_ref());
    if let Some(rewrite) = rewrite {
        let pattern = exchange.route().map_or("", |route| &route.settings.matches.path);
        return rewrite::apply(rewrite, pattern, exchange.path(), params, query).map_err(|_| invalid_target());
    }
    if exchange.path.is_none() {
        let unchanged = exchange.uri.path_and_query().cloned();
        return unchanged.ok_or_else(invalid_target);
    }
    let target = match query {
        Some(query) => format!("{}?{query}", exchange.path()),
        None => exchange.path().to_owned(),
    };
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).map_err(|_| invalid_target())
}

fn invalid_target() -> GatewayError {
    GatewayError::new(Code::BadRequest, "The request target cannot be sent on.")
}

/// The request for the upstream. The client's headers were screened before: what is added here is the gateway's own,
/// and no `Connection` header of a client can name it away.
pub fn build<N: Network>(
    exchange: &Exchange<N>,
    parts: Parts,
    target: PathAndQuery,
    body: RequestBody,
) -> Request<RequestBody> {
    let mut headers = parts.headers;
    add_context(exchange, &mut headers);
    if let Some(route) = exchange.route() {
        match &route.settings.host {
            HostPolicy::Client => {}
            HostPolicy::Fixed(host) => drop(headers.insert(header::HOST, host.clone())),
            HostPolicy::Upstream => {
                if let Some(endpoint) = &exchange.endpoint {
                    headers.insert(header::HOST, endpoint.host.clone());
                }
            }
        }
        edit(&mut headers, &route.settings.request_headers);
    }
    if !headers.contains_key(header::HOST) {
        // Only an HTTP/1.0 client may leave it out; an HTTP/1.1 request must have one.
        let host = exchange.endpoint.as_ref().map(|endpoint| endpoint.host.clone());
        headers.insert(header::HOST, host.unwrap_or_else(|| HeaderValue::from_static("upstream")));
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    // hyper keeps the case of header names here, when it is asked to.
    *request.extensions_mut() = parts.extensions;
    request
}

fn add_context<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    headers.insert(context::X_REQUEST_ID, exchange.request_id.to_header_value());
    exchange.trace.write_to(headers);
    forwarded::write_to(headers, &exchange.connection.peer, exchange.host.as_ref());
}

/// Applies a route's edits: removals first, so that what is set stays.
pub fn edit(headers: &mut HeaderMap, edits: &HeaderEdits) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name, value.clone());
    }
}
