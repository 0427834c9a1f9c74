//! HTTP/1.1 as spoken to upstreams: a strict codec on `httparse`, without tasks, channels or copies of its own.
//!
//! RFC 9112 is the law, read strictly: what could be understood in two ways is an error, never a guess. An answer that
//! breaks a rule is `Error::Invalid`, and its connection is not used again (security.md, A14).

mod chunked;
mod client;
mod request_head;
mod response_head;

pub use client::{Client, Error};
pub use request_head::{RequestHead, write_field};
pub use response_head::{MAX_FIELDS, MAX_HEAD_BYTES};
