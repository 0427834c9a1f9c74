//! The server: listeners, workers, connections.
//!
//! A worker is a thread with a current-thread runtime. One accept task for each endpoint lives on the first worker and
//! hands each connection to the next worker in turn.
//!
//! - `socket`: opens listeners that can be closed and opened again without losing their port;
//! - `accept`: the accept task, which obeys `refuse`; `worker`: threads;
//! - `connection`: a connection's life, the fast path; `site`: what a connection knows of its surroundings;
//! - `routes`, `content`, `reply`: what is answered; `act`: how faults change it; `garbage`: answers that are wrong on
//!   purpose; `alarm`: waits to the microsecond;
//! - `stream`: a connection in the clear, or over TLS;
//! - `shared`: a worker without a thread of its own;
//! - `websocket`: the echo over WebSocket; `http2`: the same over HTTP/2, and gRPC.

mod accept;
mod act;
mod alarm;
mod connection;
mod content;
mod garbage;
mod http2;
mod input;
mod reply;
mod routes;
pub(crate) mod shared;
mod site;
pub(crate) mod socket;
mod stream;
mod websocket;
pub(crate) mod worker;

pub(crate) use connection::persistence;
