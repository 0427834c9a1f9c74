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

/// An upstream that echoes.
pub(crate) async fn echo() -> Mock {
    Mock::builder().start().await.unwrap()
}
