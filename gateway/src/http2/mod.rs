//! HTTP/2 (RFC 9113). The `h2` crate speaks the protocol; here is what it leaves to its user.
//!
//! Either way:
//!
//! - `frames`: walks over the frames that pass, without their payload.
//! - `recut`: cuts blocks of header fields that come in pieces where `fields` end, for the sake of `h2`.
//! - `gathered`: what was read of a body and waits to go out; `small_frames`: how many small ones `h2` may hold.
//!
//! Towards clients:
//!
//! - `preface`: how a connection in the clear says that it speaks HTTP/2.
//! - `flood`: what of them may come in a second.
//! - `begun`: streams of theirs whose answers are under way.
//! - `watched`: a stream whose frames are counted on their way to `h2` and from it.
//! - `body`: a request's body as the pipeline reads it, and what is left of it when nobody does.
//! - `duplex`: a stream as bytes both ways.
//! - `answer`: an answer's head as HTTP/2 has it.
//!
//! Towards upstreams:
//!
//! - `opened`: a connection, from the preface to the upstream's settings; `heard`: its stream.
//! - `call`: one request and its answer on a stream of it.
//! - `outgoing`, `incoming`: heads, from the form of HTTP/1 and back into it.
//!
//! **Boundary:** knows no route, no pool and no clock but the one that it is given; `listener/streams.rs` drives it
//! towards clients, `upstream/carrier.rs` and the exchange towards upstreams.

mod answer;
mod answer_body;
mod begun;
mod body;
mod call;
mod duplex;
mod fields;
mod flood;
mod frames;
mod gathered;
mod heard;
mod incoming;
mod opened;
mod outgoing;
mod preface;
mod recut;
mod small_frames;
mod watched;

pub(crate) use answer::OF_CONNECTIONS;
pub use answer::{head, tunnel_head};
pub use begun::Interim;
pub use body::{ClientBody, Rest};
pub use call::Call;
pub use duplex::Duplex;
pub use flood::Allowance;
pub use gathered::{End, Gathered};
pub(crate) use h2::Reason;
pub use heard::{Heard, Hearing};
pub(crate) use opened::FIELD_BYTES;
pub use opened::{MOST_CALLS, Opened, Unspoken, Whole, open};
pub use preface::{begins_like_preface, farewell, may_become_preface};
pub(crate) use small_frames::frame_budget;
pub use watched::{Pulse, Watched};
