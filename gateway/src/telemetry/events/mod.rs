//! What happens in the gateway, as a bounded stream for operators and for tools that score it (contract, records.md).
//!
//! Whoever reports an event puts a small value into a ring and goes on: it is never formatted, sent or written where it
//! happens, and no reader is waited for. A reader that is too slow loses the oldest events, and is told how many. Kinds
//! that happen with each request are reported only while somebody asks for them.

mod admin_write;
mod aloud;
mod bus;
mod event;
mod failure;
mod file;
mod kind;

pub use admin_write::AdminWrite;
pub use aloud::{said_aloud, say};
pub use bus::{Batch, Events, Follower};
pub use event::{Event, KeysEvent, Stamped, counts};
pub use failure::LastFailure;
pub use file::{EventFile, write_to};
pub use kind::{Kind, Kinds};
