//! `[admin]`: the operator's own address.

use std::fmt;
use std::net::SocketAddr;

/// `[admin]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin API listens. Off loopback it needs a token.
    pub address: SocketAddr,
    /// The bearer token that every call but the probes needs, read from the environment variable `token_env`.
    pub token: Option<String>,
}

impl fmt::Debug for Admin {
    /// The token is a secret, and settings are logged and shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "(secret)");
        f.debug_struct("Admin").field("address", &self.address).field("token", &token).finish()
    }
}
