//! Mock services with injectable faults, for measuring and testing gateways.
//!
//! A mock serves HTTP/1.1 on its own small server, because faults below HTTP (resets, truncated or wrong answers) need a
//! writer of their own, and because it must never be the bottleneck of a measurement. It echoes requests as JSON, fails
//! as its rules say, and keeps a journal on the machine's monotonic clock.
//!
//! ```
//! # async fn example() -> Result<(), mocks::StartError> {
//! use mocks::{Mock, Rule};
//!
//! let orders = Mock::builder().service("orders").seed(1).rule(Rule::on("/orders/*").status(503)).start().await?;
//! let url = orders.url("/orders/7");
//! // ... send a request to `url` ...
//! orders.wait_for_requests(1).await;
//! assert_eq!(orders.journal()[0].status, Some(503));
//! orders.set_rules([]);
//! # Ok(()) }
//! ```
//!
//! Modules in the order in which a request meets them: `server` (sockets to connections), `http1` (bytes to requests and
//! back), `faults` (which rule hits), `journal` and `counters` (what is kept), `control` (how it is changed and read).
//! `raw` is another kind of mock: it answers given bytes.
//!
//! Deliberately absent: HTTP/2, gRPC, queues with k servers, and flapping listeners; their keys say "not yet".

pub mod cli;
pub mod clock;
mod control;
mod counters;
mod faults;
mod http1;
mod journal;
mod mock;
pub mod raw;
mod server;
mod topology;
mod units;
mod world;

pub use counters::Counters;
pub use faults::{Act, Delay, Draws, Effect, Garbage, Glob, Match, Problem, Problems, Reset, Rule};
pub use journal::{Entry, Hit};
pub use mock::{Builder, Mock, StartError};
