//! One endpoint's state: what is in flight to it, and its idle connections. It lives as long as anything uses it.

use std::sync::Arc;

use http::HeaderValue;

use super::in_flight::InFlight;
use super::pool::Pool;
use crate::config::settings::upstream::Target;
use crate::network::Network;

/// One address of an upstream.
pub struct Endpoint<N: Network> {
    /// As written in the configuration, or as discovered; its name everywhere.
    pub address: Arc<str>,
    /// Where to connect.
    pub target: Target,
    /// The address as a `host` header.
    pub host: HeaderValue,
    /// Requests that it is working on.
    pub in_flight: Arc<InFlight>,
    /// Connections that are open, busy or idle.
    pub connections: Arc<InFlight>,
    /// Connections that are idle.
    pub pool: Pool<N::Stream>,
}

impl<N: Network> Endpoint<N> {
    /// An endpoint that nobody has used yet.
    pub fn new(address: Arc<str>, target: Target, workers: usize) -> Self {
        let host = HeaderValue::from_str(&address).unwrap_or_else(|_| HeaderValue::from_static("invalid"));
        Self { address, target, host, in_flight: Arc::default(), connections: Arc::default(), pool: Pool::new(workers) }
    }
}
