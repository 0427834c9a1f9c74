//! What clients may ask the gateway for, as one document of OpenAPI 3.1: each route with who may use it, how often, and
//! what it answers when something fails; and where a service says itself what it offers, that, under the route's paths.
//!
//! - `source` reads a service's document, `lift` brings it into one form, `names` keeps names apart.
//! - `template` and `translate` find the paths under which clients reach it.
//! - `operation` adds what the route does: `security`, `limits`, `problems`, `answers`, `servers`.
//! - `draft` and `merge` put the document together; `precedence` knows which of two routes a request comes to.
//!
//! All of it is pure. `keeper` asks services for their documents, beside all requests.
//! ([0045](../../../docs/adr/0045-what-does-the-merged-document-say-where-routes-meet.md))

mod answers;
mod draft;
pub mod keeper;
mod lift;
mod limits;
mod merge;
mod names;
mod operation;
mod precedence;
mod problems;
mod security;
mod servers;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod translate;

pub use keeper::{Asked, Keeper};
pub use merge::{Given, Wanted, merged};
pub use servers::Listening;
pub use source::{MAX_DOCUMENT_BYTES, Source};
