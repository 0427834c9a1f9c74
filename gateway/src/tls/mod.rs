//! TLS towards clients (RFC 8446, and RFC 5246 with the cipher suites that are still sound), by rustls.
//!
//! - `acceptor`: what one listener's settings come to; `by_name` chooses its certificates.
//! - `slots`: which acceptor is in force at which listener, over all configurations.
//! - `handshake`: from a socket to a connection, with what it proved (`secured`).
//!
//! Early data is never taken: it can be replayed (RFC 8446, section 8). Renegotiation does not exist in rustls.

mod acceptor;
mod by_name;
mod handshake;
mod secured;
mod slots;

pub use acceptor::Acceptor;
pub use handshake::{Failure, Handshake, handshake};
pub use secured::Secured;
pub use slots::{Slot, Slots};
