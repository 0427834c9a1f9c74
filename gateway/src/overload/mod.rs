//! What the gateway turns away to protect itself: by how late a worker's loop is, by how much memory it takes.
//!
//! A worker's `gate` is one atomic, which is zero while all is well: that is all that a request looks at. `watch` moves
//! it from beside the request path; `episodes` say when turning away begins and ends. Limits on requests in flight are
//! met where the places are taken: `exchange.rs` for the gateway's own, `upstream/` for upstreams'.

pub mod episodes;
pub mod gate;
pub mod memory;
pub mod watch;

pub use episodes::Episodes;
pub use gate::Gate;
