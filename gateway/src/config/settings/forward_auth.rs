//! `forward_auth`: a service that is asked whether a request may pass.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::uri::PathAndQuery;

use super::target;

/// `forward_auth`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// The name of an upstream in the same configuration.
    pub upstream: Arc<str>,
    /// What it is asked for.
    pub path: PathAndQuery,
    /// The same as the file has it, where variables stand by their names.
    pub written: Box<str>,
    /// Until its answer's head.
    pub timeout: Duration,
    /// Headers of the client that it is sent.
    pub request_headers: Vec<HeaderName>,
    /// Headers of its answer that the upstream is sent, and no client can send.
    pub response_headers: Vec<HeaderName>,
    /// Headers of its answer that the client is sent where the request passes.
    pub client_headers: Vec<HeaderName>,
    /// The largest body of its answer, bytes.
    pub max_response: usize,
    /// Whether a request passes when it cannot be asked.
    pub allows_on_error: bool,
    /// What is remembered of answers that let pass.
    pub cache: Option<AnswerCache>,
}

/// For how long, and in how much memory, a yes is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerCache {
    /// For how long.
    pub ttl: Duration,
    /// Bytes.
    pub max_bytes: usize,
}

impl std::fmt::Display for ForwardAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let otherwise = if self.allows_on_error { "passes" } else { "is refused" };
        write!(f, "{}{} within {:?}, else it {otherwise}", self.upstream, target::shown(&self.written), self.timeout)
    }
}
