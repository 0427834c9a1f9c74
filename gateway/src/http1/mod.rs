//! HTTP/1.1 as spoken to clients and to upstreams: a strict codec on `httparse`, without tasks, channels or locks.
//! Heads that are plain it reads by itself (`plain`).
//!
//! RFC 9112 is the law, read strictly: what could be understood in two ways is an error, never a guess (security.md,
//! groups A and B). `server` reads requests and writes answers, `client` the other way round; heads, bodies and what
//! waits to be written are modules of their own, each plain state over bytes.

mod answer_fields;
mod body_reader;
mod bound_auth;
mod chunked;
mod client;
mod date;
mod fields;
mod intake;
mod interim;
mod kept_fields;
mod lines;
mod plain;
mod request_framing;
mod request_head;
mod request_read;
mod request_refusal;
mod response_head;
mod response_write;
mod server;
pub(crate) mod spare;
mod wire_names;
mod write_queue;

pub(crate) use answer_fields::AnswerFields;
pub use client::{Client, Error};
pub use date::{Date, DateCell, KnownDate};
pub use fields::Fields;
pub use intake::IsQuiet;
pub(crate) use interim::Interim;
pub(crate) use request_framing::decimal;
pub use request_head::{RequestHead, write_field};
pub use request_read::HeadLimits;
pub use request_refusal::Refusal;
pub(crate) use response_head::Body;
pub use response_head::{MAX_FIELDS, MAX_HEAD_BYTES, ResponseHead};
pub use response_write::AnswerHead;
pub use server::{Broken, Next, Server};
pub use spare::write_buffer;
pub use wire_names::WireNames;
