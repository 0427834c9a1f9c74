//! Answers that are kept for who asks for the same later (`cache` of routes): a shared cache as RFC 9111 has it, and
//! more careful than it has to be.
//!
//! It stands behind everything that may refuse a request, and before the choice of an endpoint: who is given a kept
//! answer has passed identity, limits and the rest as ever. What is kept is the upstream's answer, before the route
//! edits it; so edits, cross-origin rules and compression are each request's own.
//!
//! `directives.rs`, `freshness.rs`, `answer.rs`, `asked.rs`, `vary.rs` and `conditions.rs` decide, and are pure;
//! `store.rs` and `lease.rs` keep; `stage.rs` is what the pipeline calls; `filling.rs` copies what streams by.
//!
//! Invariants: an answer of one proven subject is given to no other, unless the answer and the route both say that it
//! may be; what was not whole is never kept; keeping an answer never holds it up, nor does a failure to keep it.

mod answer;
mod answered;
mod asked;
mod conditions;
mod directives;
mod filling;
mod freshness;
mod key;
mod lease;
mod merge;
mod refresh;
mod route;
mod stage;
mod state;
mod store;
mod vary;
mod wait;

pub use answered::{answered, asks_anew, given, instead};
pub use asked::unproven;
pub use refresh::{Refresh, refresh, take_in};
pub use route::{RouteCache, Tags};
pub use stage::{Looked, forget, look};
pub use state::Caching;
pub use store::{Fill, Store};
