//! What has to hold of whatever bytes come from outside, one module for each target.
//!
//! cargo-fuzz drives them with what it finds by watching the code ([`fuzz_targets/`](../fuzz_targets)); the same
//! modules are a part of `gateway/tests/fuzz_targets.rs`, which gives them the seeds and mutants of these in every test
//! run.

#[path = "answer.rs"]
pub mod answer;
#[path = "chunked.rs"]
pub mod chunked;
#[path = "configuration.rs"]
pub mod configuration;
#[path = "frames.rs"]
pub mod frames;
#[path = "grpc_web.rs"]
pub mod grpc_web;
#[path = "key_set.rs"]
pub mod key_set;
#[path = "mutants.rs"]
pub mod mutants;
#[path = "openapi.rs"]
pub mod openapi;
#[path = "path.rs"]
pub mod path;
#[path = "proxy_header.rs"]
pub mod proxy_header;
#[path = "query.rs"]
pub mod query;
#[path = "request.rs"]
pub mod request;
#[path = "token.rs"]
pub mod token;
#[path = "traceparent.rs"]
pub mod traceparent;
#[path = "wire.rs"]
mod wire;

/// A target's name, and what has to hold.
pub type Target = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: &[Target] = &[
    ("answer", answer::check),
    ("chunked", chunked::check),
    ("configuration", configuration::check),
    ("frames", frames::check),
    ("grpc_web", grpc_web::check),
    ("key_set", key_set::check),
    ("openapi", openapi::check),
    ("path", path::check),
    ("proxy_header", proxy_header::check),
    ("query", query::check),
    ("request", request::check),
    ("token", token::check),
    ("traceparent", traceparent::check),
];
