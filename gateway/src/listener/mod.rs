//! Client connections: accepted by one thread, handed to the worker with the fewest, served until they end.

pub mod accept;
pub mod announced;
pub mod bind;
pub mod connection;
mod drain;
mod drive;
mod leftover;
pub(crate) mod refuse;
mod seat;
pub mod secure;
mod silence;
mod stream;
mod streams;
mod unanswered;
