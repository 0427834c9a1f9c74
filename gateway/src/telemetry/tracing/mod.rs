//! Spans: what a sampled request did, and when, for who collects traces (OTLP).
//!
//! Whether a request is traced is decided before anything is allocated for it. One that is has a trail (`trail.rs`), to
//! which spans are added as its calls begin and end; when the last who may add to it is gone, the trail is put into a
//! bounded queue (`outbox.rs`), from which a task of the control runtime sends it (`exporter.rs`). No request waits for
//! that, and none is traced while the queue is full: a collector that is down costs a look at one flag.
//!
//! `span.rs` says what a span is, `message.rs` and `encode.rs` how it is written, `collector.rs` how it is sent over
//! HTTP and gRPC, `verdict.rs` what an answer means.

mod collector;
mod encode;
mod exporter;
mod message;
mod outbox;
mod resource;
mod span;
mod tracer;
mod trail;
mod verdict;

pub use exporter::run;
pub use span::{Attribute, Kind, Link, Span, SpanId, Value};
pub use tracer::Tracer;
pub use trail::{Opened, Track};
