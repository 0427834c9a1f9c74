//! Who is asking, where a route wants to know: a credential is found, proven, and what it grants is held against what
//! the route asks for.
//!
//! - `stage.rs` is what the pipeline calls; `credential.rs` finds what a client presents, `places.rs` tokens that may
//!   be in cookies and headers of their own.
//! - `claims.rs` reads what a verified token says, at a time that it is given; `access.rs` compares it with a route.
//! - `provider.rs` is one configured way to prove an identity; `jwt.rs`, `introspection.rs`, `api_key.rs`,
//!   `password.rs` and `certificate.rs` are its kinds, `prove.rs` puts them to work, `registry.rs` keeps them over
//!   reloads; `asked.rs` has credentials about which something is found out just now; `hashing.rs` bounds who hashes
//!   passwords.
//! - `key_store.rs` has keys that are fetched, `key_keeper.rs` fetches them beside all requests, `key_schedule.rs` says
//!   when, `remote.rs` asks servers.
//! - `cache.rs` and `refused.rs` remember what was proven and what was refused; `turns.rs` bounds what is verified in
//!   one turn of a worker's loop; `replay.rs` has tokens that hold once, `ledger.rs` what gateways share of them;
//!   `fields.rs` writes what the upstream is told, `passport.rs` what it can verify by itself.
//!
//! Invariants (security.md, H and I): nothing is believed of a token before its signature holds; a cached identity is
//! found by its whole token and lives no longer than its `exp` and its key; a client learns that a credential does not
//! hold, never why; routes without `auth` pay one branch.

mod access;
mod api_key;
mod asked;
mod cache;
mod certificate;
mod claims;
mod credential;
mod fields;
mod hashing;
mod introspection;
mod issuer_health;
mod jwt;
mod key_document;
mod key_keeper;
mod key_schedule;
mod key_store;
mod ledger;
mod memory;
pub mod page;
mod passport;
mod password;
mod places;
mod prove;
mod proven;
mod provider;
mod refused;
mod registry;
mod remote;
mod replay;
pub mod stage;
mod trial;
mod turns;

pub use access::RouteAuth;
pub use claims::claim;
pub use passport::Office;
pub use proven::Identity;
pub use provider::Provider;
pub use registry::{Failing, Registry};
pub use trial::{Trial, explain};
