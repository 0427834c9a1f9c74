//! Answers made smaller on their way: which coding a client takes, and the encoders. And answers made plain again, for
//! the program's own stages.
//!
//! Plain state over bytes: no route, no clock and no socket is known here. What is compressed at all is decided in
//! `response/`; the bytes pass in `response_body/`.

mod accepted;
mod decode;
mod encoder;

pub use accepted::Accepted;
pub use decode::{Coded, NotDecoded};
pub use encoder::{Encoder, Failed};

/// Digests of the bytes as the upstream sent them (RFC 9530; RFC 3230; RFC 1864).
pub const DIGESTS: [http::HeaderName; 4] = [
    http::HeaderName::from_static("content-digest"),
    http::HeaderName::from_static("repr-digest"),
    http::HeaderName::from_static("digest"),
    http::HeaderName::from_static("content-md5"),
];
