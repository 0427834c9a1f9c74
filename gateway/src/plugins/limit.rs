//! What requests are counted by, of the program's own.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, Method};

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::network::Network;

/// Says what a request is counted by, for `[rate_limits.*]` with `key = "custom:NAME"`. `None`: it counts as its
/// client's address. A closure is one; it is a decision, made at once, and the same each time for the same request:
///
/// ```
/// use gateway::prelude::LimitRequest;
///
/// let organisation = |request: &LimitRequest<'_>| request.path.split('/').nth(2).map(str::to_owned);
/// # let _ = gateway::gateway::Gateway::builder().limit_key("organisation", organisation);
/// ```
pub trait LimitKey: Send + Sync + 'static {
    /// The key. Keys are compared as they are, and shown to operators as hashes.
    fn key(&self, request: &LimitRequest<'_>) -> Option<String>;
}

impl<F: Fn(&LimitRequest<'_>) -> Option<String> + Send + Sync + 'static> LimitKey for F {
    fn key(&self, request: &LimitRequest<'_>) -> Option<String> {
        self(request)
    }
}

/// A request that is to be counted; who asks is known, where its route wants to know.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LimitRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path in the one form in which it was matched.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: Option<&'a str>,
    /// The client's headers, less those that a client cannot set and the credential that was looked at.
    pub headers: &'a HeaderMap,
    /// The name of the route.
    pub route: &'a str,
    /// The request's id, as in its record; not to count by.
    pub request_id: &'a str,
    /// The id of its trace, as in its record; likewise.
    pub trace_id: &'a str,
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
    /// Who asks, where it was proven.
    pub identity: Option<&'a Identity>,
    /// What layers of the program around the gateway have put beside the request.
    pub extensions: &'a Extensions,
}

impl<'a> LimitRequest<'a> {
    pub(crate) fn of<N: Network>(exchange: &'a Exchange<N>, headers: &'a HeaderMap) -> Self {
        Self {
            method: &exchange.method,
            path: exchange.path(),
            query: exchange.uri.query(),
            headers,
            route: exchange.route().map_or("", |route| &route.settings.name),
            request_id: exchange.request_id.as_str(),
            trace_id: std::str::from_utf8(exchange.trace.trace_id_text()).unwrap_or_default(),
            client: exchange.client.ip,
            identity: exchange.identity.as_deref(),
            extensions: &exchange.extensions,
        }
    }
}
