//! `[admin]`: the operator's own address.

use std::net::SocketAddr;

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin API listens. Off loopback it needs a token.
    pub address: SocketAddr,
    /// The bearer token that every call but the probes needs, read from the environment variable `token_env`.
    pub token: Option<String>,
}
