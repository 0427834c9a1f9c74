//! The access log: lines leave the request path at once and are written by one thread of their own.
//!
//! Each worker appends to its own buffer, behind a lock that only the writer ever contends for, and for as long as it
//! takes to swap two vectors. The number of lines that wait, those in the writer's hands included, is bounded; what is
//! more is dropped and counted. A full disk, a blocked pipe or a reader that died stops the writer, never a worker.

mod health;
mod log;
mod sampling;
mod shard;
mod sink;
mod writer;

pub use health::{Health, News};
pub use log::{AccessLog, WriteFailure};
