//! Mock services with injectable faults, for measuring and testing gateways.
//!
//! A mock serves HTTP/1.1 on its own small server, because faults below HTTP (resets, truncated or wrong answers) need
//! a writer of their own, and because it must never be the bottleneck of a measurement. HTTP/2 by prior knowledge and
//! gRPC are served on the same ports. A mock echoes requests as JSON, takes its time as a queue with servers does,
//! calls others, fails as its rules say, and keeps a journal on the machine's monotonic clock.
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
//! # Rules
//!
//! Rules come from code, from a file (`Builder::from_toml`), from the control port, or, for one request, from the
//! header
//! `x-mock-fault: delay=50ms;status=503`, which stands above the others. The first rule that matches hits. Times and
//! request numbers (from 1, for each endpoint) count from when the rules were set, or from another [`Origin`]. Faults
//! hit a request when it is whole, its body included.
//!
//! | act | value | what happens |
//! |---|---|---|
//! | `delay` | a time or a distribution: see [`Delay`] | a wait, in place of the service's own time |
//! | `service` | a time or a distribution | so long a service, by the endpoint's own servers: others wait behind it |
//! | `status` | 200 to 599 | the route's answer with this status |
//! | `hang` | `true` | no answer; the connection stays open until the client leaves |
//! | `reset` | `before_headers`, `in_headers`, `in_body` | RST there |
//! | `truncate` | `true` (half) or bytes | less than promised, then FIN |
//! | `slow_body` | `10KiB/s` | the body at this rate |
//! | `garbage` | `true` or a kind of [`Garbage`] | no right answer, then FIN |
//! | `close` | n | FIN, unannounced, after the n-th answer of the connection; 0 = instead of an answer |
//! | `refuse` | `true` | the listener is closed; a request on an open connection has it reset |
//! | `flap` | `{ period = "10s", duty = 0.5 }` | the rule holds for that share of each period; alone: `refuse` |
//! | `grpc_status` | 0 to 16 | gRPC calls end with this code |
//! | `cache_control`, `etag`, `age`, `vary` | their values; `etag = true`: of the target | what caches are told; 304 |
//! | `headers` | a table | more lines of the head |
//!
//! # Layout
//!
//! Modules in the order in which a request meets them: `server` (sockets to connections), `http1` (bytes to requests
//! and back), `faults` (which rule hits, queues), `calls` (who is called before the answer), `journal` and `counters`
//! (what is kept), `control` (how it is changed and read). `topology` reads files; `raw` is another kind of mock: it
//! answers given bytes.
//!
//! Deliberately absent: WebSocket over HTTP/2, and TLS with client certificates.

mod calls;
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
mod tls;
mod topology;
mod units;
mod world;

pub use calls::{Calls, Mode, Target};
pub use counters::Counters;
pub use faults::{
    Act, Caching, Delay, Draws, Effect, Etag, Flap, Garbage, Glob, Match, Origin, Problem, Problems, Queue, Reset,
    Rule, Station, Ticket, WAITING_ROOM,
};
pub use journal::{Ended, Entry, Hit, Protocol};
pub use mock::{Builder, Mock, StartError};
pub use server::shared::Shared;
pub use tls::{Tls, TlsError};
