//! What the stories need: a gateway on free ports, a client that sees bytes, a process, and ways to wait for events.

mod browser;
mod client;
mod collector;
mod events;
mod front;
mod gateway;
pub(crate) mod h2;
pub(crate) mod h2_upstream;
pub(crate) mod inside;
mod process;
mod redis;
mod tls;
mod tokens;
mod wait;

pub(crate) use browser::Browser;
pub(crate) use client::{Answer, Client, Echo};
pub(crate) use collector::{Collector, GrpcCollector, Seen, traced};
pub(crate) use events::Events;
pub(crate) use front::{Front, Order, Shaken};
pub(crate) use gateway::{Gateway, one_route};
pub(crate) use process::Process;
pub(crate) use redis::Redis;
pub(crate) use tls::{Authority, TlsClient, quoted};
pub(crate) use tokens::{ISSUER, Issuer, now};
pub(crate) use wait::{eventually, guarded};

use mocks::Mock;

/// An address on which nobody listens, as long as the test runs: a port that was only free a moment ago may be another
/// test's by now.
pub(crate) fn nowhere() -> std::net::SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    // Bound, and never listening.
    std::mem::forget(socket);
    address
}

/// An upstream that echoes.
pub(crate) async fn echo() -> Mock {
    Mock::builder().start().await.unwrap()
}
