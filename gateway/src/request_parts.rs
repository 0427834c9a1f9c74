//! A request's head in parts, as a listener hands it on: what `http::request::Parts` is, but for its fields, which stay
//! where they came (`request_fields.rs`).

use http::{Extensions, Method, Version};

use crate::request_fields::RequestFields;
use crate::request_target::RequestTarget;

/// A request's head.
#[derive(Debug, Default)]
pub struct RequestParts {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: RequestTarget,
    /// The version.
    pub version: Version,
    /// The fields.
    pub headers: RequestFields,
    /// What stands beside it, put there by the program around the gateway.
    pub extensions: Extensions,
}

impl From<http::request::Parts> for RequestParts {
    fn from(parts: http::request::Parts) -> Self {
        let http::request::Parts { method, uri, version, headers, extensions, .. } = parts;
        Self { method, uri: uri.into(), version, headers: headers.into(), extensions }
    }
}
