//! The gateway: a reverse proxy, and a framework to build one with.
//!
//! As a program it is `gateway run`. As a library it takes a configuration and what a program adds to it in code, and
//! is mounted in an axum `Router` or serves by itself:
//!
//! ```
//! use axum::routing::get;
//! use axum::{Extension, Router};
//! use gateway::prelude::*;
//!
//! async fn hello(Extension(request): Extension<RequestInfo>) -> String {
//!     format!("hello {}", request.parameter("name").unwrap_or("you"))
//! }
//!
//! # fn main() -> Result<(), BuildError> {
//! let gateway = Gateway::builder()
//!     .config_text(
//!         r#"
//!         [[routes]]
//!         path = "/hello/{name}"
//!         handler = "hello"
//!
//!         [[routes]]
//!         path = "/api/{*rest}"
//!         upstream = "http://127.0.0.1:9001"
//!         "#,
//!     )
//!     .handler("hello", get(hello))
//!     .build()?;
//! let program: Router = Router::new().fallback_service(gateway.into_service());
//! # let _ = program;
//! # Ok(())
//! # }
//! ```
//!
//! # What a program can add
//!
//! | by | what | named by |
//! |---|---|---|
//! | [`Builder::handler`] | an answer in place of an upstream's: axum handler, router, service | `handler` of a route |
//! | [`Builder::stage`] | a look at requests and answers: [`Stage`] | `stages` of a route |
//! | [`Builder::identity`] | whose a credential is: [`IdentityProvider`] | a provider of `kind = "custom"` |
//! | [`Builder::balancer`] | which endpoint is asked: [`BalancePolicy`] | `balance` of an upstream |
//! | [`Builder::limit_key`] | what is counted together: [`LimitKey`] | `key` of a rate limit |
//!
//! [`Builder::handler`]: builder::Builder::handler
//! [`Builder::stage`]: builder::Builder::stage
//! [`Builder::identity`]: builder::Builder::identity
//! [`Builder::balancer`]: builder::Builder::balancer
//! [`Builder::limit_key`]: builder::Builder::limit_key
//! [`Stage`]: plugins::Stage
//! [`IdentityProvider`]: plugins::IdentityProvider
//! [`BalancePolicy`]: plugins::BalancePolicy
//! [`LimitKey`]: plugins::LimitKey
//!
//! Every one has an example in `gateway/examples`, and `docs/embedding.md` says what holds for it.
//!
//! # What comes out of it
//!
//! | by | what |
//! |---|---|
//! | [`Builder::events`], [`Builder::records`] | what happens, and a record of each request, for the program to log |
//! | [`Gateway::admin_router`], [`Gateway::metrics`] | the operators' API and page, metrics as a text |
//! | [`Gateway::reload`], [`Gateway::reload_text`] | another configuration, in one step or not at all |
//! | [`Running::handle`] | a hand on a gateway that serves by itself: drain, reload, addresses |
//!
//! [`Builder::events`]: builder::Builder::events
//! [`Builder::records`]: builder::Builder::records
//! [`Gateway::admin_router`]: gateway::Gateway::admin_router
//! [`Gateway::metrics`]: gateway::Gateway::metrics
//! [`Gateway::reload`]: gateway::Gateway::reload
//! [`Gateway::reload_text`]: gateway::Gateway::reload_text
//! [`Running::handle`]: running::Running::handle
//!
//! # What is supported
//!
//! [`prelude`], and what its names lead to. Other modules are public for the tools of this repository alone.
//! `pipeline.rs` shows a request's whole way on one screen, for who reads the source.
#![forbid(unsafe_code)]

// What everything stands on.
#[doc(hidden)]
pub mod build;
#[doc(hidden)]
pub mod clock;
pub mod error;
mod fetch_failure;
mod labelled;
#[doc(hidden)]
pub mod last_call;
mod locked;
#[doc(hidden)]
pub mod network;
#[doc(hidden)]
pub mod openapi;
#[doc(hidden)]
pub mod panic_words;
mod retry_after;
#[doc(hidden)]
pub mod terminal;
mod threads;
#[doc(hidden)]
pub mod timer;
#[doc(hidden)]
pub mod tls;

// From a file to a running gateway.
#[doc(hidden)]
pub mod admin;
mod beside;
pub mod builder;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod compression;
pub mod config;
#[doc(hidden)]
pub mod diff;
#[doc(hidden)]
pub mod explain;
#[doc(hidden)]
pub mod gateway;
mod mounted;
#[cfg(feature = "planted-bugs")]
#[doc(hidden)]
pub mod planted;
#[doc(hidden)]
pub mod reload;
#[doc(hidden)]
pub mod running;
#[doc(hidden)]
pub mod service;
#[doc(hidden)]
pub mod shard;
#[doc(hidden)]
pub mod shutdown;
#[cfg(feature = "slow-down")]
mod slow_down;
#[doc(hidden)]
pub mod snapshot;
#[doc(hidden)]
pub mod startup;
mod watched_folders;
#[cfg(test)]
mod woken;
#[doc(hidden)]
pub mod worker;

// A request's way, in its order.
#[doc(hidden)]
pub mod client;
pub(crate) mod client_info;
#[doc(hidden)]
pub mod connections;
#[doc(hidden)]
pub mod exchange;
#[doc(hidden)]
pub mod header_edits;
#[doc(hidden)]
pub mod held_bytes;
#[doc(hidden)]
pub mod hints;
#[doc(hidden)]
pub mod listener;
mod noted;
#[doc(hidden)]
pub mod origin;
#[doc(hidden)]
pub mod overload;
#[doc(hidden)]
pub mod pipeline;
pub mod plugins;
pub mod prelude;
#[doc(hidden)]
pub mod proxy_protocol;
mod query;
#[doc(hidden)]
pub mod query_edits;
#[doc(hidden)]
pub mod replay;
#[doc(hidden)]
pub mod reply;
#[doc(hidden)]
pub mod request_body;
#[doc(hidden)]
pub mod request_fields;
#[doc(hidden)]
pub mod request_parts;
pub mod request_target;
#[doc(hidden)]
pub mod roll_call;

// HTTP/1.1 on the wire.
#[doc(hidden)]
pub mod http1;
#[doc(hidden)]
pub mod http2;

#[doc(hidden)]
pub mod caching;
#[doc(hidden)]
pub mod compose;
#[doc(hidden)]
pub mod context;
#[doc(hidden)]
pub mod forward;
#[doc(hidden)]
pub mod identity;
#[doc(hidden)]
pub mod rate_limit;
#[doc(hidden)]
pub mod response;
#[doc(hidden)]
pub mod response_body;
#[doc(hidden)]
pub mod routing;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod telemetry;
#[doc(hidden)]
pub mod upstream;

// Pure decisions, asked by the stages.
#[doc(hidden)]
pub mod algorithms;
#[doc(hidden)]
pub mod jws;

/// What the guide says is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
mod embedding {}
