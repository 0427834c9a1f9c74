//! TLS (RFC 8446, and RFC 5246 with the cipher suites that are still sound), by rustls.
//!
//! Towards clients:
//!
//! - `acceptor`: what one listener's settings come to; `by_name` chooses its certificates.
//! - `client_roots`: who signs clients' certificates, and whether a connection's own is believed still.
//! - `slots`: which acceptor is in force at which listener, over all configurations.
//! - `handshake`: from a socket to a connection, with what it proved (`secured`), or why not
//!   (`unmet`).
//!
//! Towards upstreams:
//!
//! - `connector`: what an upstream's settings come to for one endpoint; from a socket to an endpoint that is believed.
//! - `unsecured`: why it is not.
//!
//! Early data is never taken and never sent: it can be replayed (RFC 8446, section 8). Renegotiation does not exist in
//! rustls.

mod acceptor;
mod by_name;
mod client_roots;
mod connector;
pub mod expiry;
mod handshake;
mod secured;
mod slots;
mod unmet;
mod unsecured;

pub use acceptor::Acceptor;
pub use client_roots::{ClientCertificate, ClientRoots};
pub use connector::Connector;
pub use handshake::{Failure, Handshake, handshake};
pub use secured::Secured;
pub use slots::{Slot, Slots};
pub use unmet::Unmet;
pub use unsecured::Unsecured;

/// What is spoken over TLS.
const HTTP_11: &[u8] = b"http/1.1";
pub(crate) const HTTP_2: &[u8] = b"h2";
