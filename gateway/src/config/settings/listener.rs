//! `[[listeners]]`: the addresses that clients connect to.

use std::net::SocketAddr;

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// `false`: one socket and an accept thread. `true`: a socket for each worker, the kernel spreads connections.
    pub reuse_port: bool,
}
