//! The gateway: a reverse proxy, and a framework to build one with.
//!
//! The data plane is one tower `Service` ([`gateway::Gateway::into_service`]), so it mounts in any axum `Router`; the
//! binary drives it from its own listeners and workers. [`pipeline`] shows a request's whole way on one screen.
#![forbid(unsafe_code)]

// What everything stands on.
pub mod build;
pub mod clock;
pub mod error;
mod labelled;
pub mod network;
pub mod openapi;
pub mod timer;
pub mod tls;

// From a file to a running gateway.
pub mod admin;
pub mod cli;
pub mod compression;
pub mod config;
pub mod diff;
pub mod explain;
pub mod gateway;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod reload;
pub mod service;
pub mod shard;
pub mod shutdown;
#[cfg(feature = "slow-down")]
mod slow_down;
pub mod snapshot;
pub mod startup;
pub mod worker;

// A request's way, in its order.
pub mod client;
pub mod connections;
pub mod exchange;
pub mod held_bytes;
pub mod listener;
mod noted;
pub mod origin;
pub mod overload;
pub mod pipeline;
pub mod proxy_protocol;
pub mod replay;
pub mod reply;
pub mod request_body;

// HTTP/1.1 on the wire.
pub mod http1;
pub mod http2;

pub mod compose;
pub mod context;
pub mod forward;
pub mod identity;
pub mod rate_limit;
pub mod response;
pub mod response_body;
pub mod routing;
pub mod store;
pub mod telemetry;
pub mod upstream;

// Pure decisions, asked by the stages.
pub mod algorithms;
pub mod jws;
