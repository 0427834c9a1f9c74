//! Answers made smaller on their way: which coding a client takes, and the encoders.
//!
//! Plain state over bytes: no route, no clock and no socket is known here. What is compressed at all is decided in
//! `response/`; the bytes pass in `response_body/`.

mod accepted;
mod encoder;

pub use accepted::Accepted;
pub use encoder::{Encoder, Failed};
