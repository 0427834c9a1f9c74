//! Calls that a service makes before it answers: a mock in the middle of a dependency graph.
//!
//! A call goes through the gateway, or straight to an address, and carries the request's context on: `x-request-id`,
//! `traceparent`, `tracestate`, and `x-request-timeout-ms` less the time that has passed. Everything is bounded: the
//! calls of a request, the time of each, and how deep mocks may call each other.
//!
//! - `graph`: what is called, as a topology file has it; `client`: one exchange, on connections that are kept;
//! - `play`: the calls of one request, in sequence or in parallel.

mod client;
mod graph;
mod play;

pub(crate) use client::Pool;
pub(crate) use graph::read_calls;
pub use graph::{Calls, Mode, Target};
pub(crate) use play::{Context, Outcomes};
