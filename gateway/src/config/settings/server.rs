//! `[server]`: workers, limits and timeouts of the whole gateway.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::problems::Problems;

/// `[server]`. Sizes are bytes; a limit of `None` means that there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Data-plane threads; 0 = one per core.
    pub workers: usize,
    /// Peers whose `Forwarded`, `X-Forwarded-*` and `x-request-id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Open client connections; beyond it: accept, answer 503, close.
    pub max_connections: usize,
    /// Open connections from one address; `None` = no limit.
    pub max_connections_per_ip: Option<usize>,
    /// The longest a drain waits for requests in flight.
    pub drain_timeout: Duration,
    /// Time between "not ready" and "stop accepting".
    pub drain_delay: Duration,
    /// From a request head's first byte to its last.
    pub header_read_timeout: Duration,
    /// An idle keep-alive connection.
    pub idle_timeout: Duration,
    /// A request head's size; 431 beyond.
    pub max_header_bytes: usize,
    /// A request head's fields; 431 beyond.
    pub max_headers: usize,
    /// A request target's size; 414 beyond.
    pub max_uri_bytes: usize,
    /// A request body's size; 413 beyond.
    pub max_body: Option<u64>,
    /// What bodies that are read for routing may take together, on a worker.
    pub body_match_memory: usize,
    /// What encoders of answers may take together on a worker, bytes.
    pub compress_memory: usize,
    /// What kept answers may take together, bytes.
    pub cache_memory: usize,
    /// HTTP/2 of clients.
    pub h2: Http2Limits,
    /// Keep header names byte-exact from HTTP/1 to HTTP/1.
    pub preserve_header_case: bool,
    /// A client of HTTP/1 that ends its side after a whole request gets its answer; else it has left.
    pub answers_half_closed: bool,
    /// The gateway's name in `Via`; `None` = it adds none.
    pub via: Option<Box<str>>,
    /// Added to every answer of the gateway's own that has no such header.
    pub own_headers: Vec<(HeaderName, HeaderValue)>,
    /// Bodies in place of problem documents, where a route has none for a problem.
    pub problems: Option<Arc<Problems>>,
    /// `strict-transport-security` of answers over TLS.
    pub hsts: Option<HeaderValue>,
    /// Where clients in the clear are sent to.
    pub https_port: u16,
    /// What happens to `%2F` and `%5C` in a path.
    pub escaped_slash: EscapedSlash,
    /// `//` counts as `/`.
    pub merge_slashes: bool,
    /// What happens to header names with an underscore.
    pub underscores_in_headers: Underscores,
    /// A TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// A request body that does not move, or a response that waits to be written.
    pub body_idle_timeout: Duration,
    /// A whole request body; `None` = no limit.
    pub body_total_timeout: Option<Duration>,
    /// Requests in the whole gateway; beyond it 503 with `Retry-After`. `None` = no limit.
    pub max_in_flight: Option<usize>,
    /// Memory guard; `None` = off.
    pub shed_above_rss: Option<u64>,
}

/// `h2_*` of `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Http2Limits {
    /// Streams that one connection may have open; 0 = HTTP/2 is not spoken.
    pub max_concurrent_streams: u32,
    /// Initial window of a stream, bytes.
    pub stream_window: u32,
    /// Initial window of a connection, bytes.
    pub connection_window: u32,
    /// After so much silence of a client with open streams it is asked whether it is there; `None` = never.
    pub keepalive: Option<Duration>,
    /// Resets a second beyond which the connection gets GOAWAY.
    pub max_resets_per_second: u32,
}

impl Http2Limits {
    /// Whether clients may speak HTTP/2.
    pub fn is_spoken(&self) -> bool {
        self.max_concurrent_streams > 0
    }
}

/// `escaped_slash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EscapedSlash {
    /// 400.
    Reject,
    /// Left as it is, and never decoded.
    Keep,
}

/// `underscores_in_headers`. `X_User_Id` is the twin of `x-user-id` for many a framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// 400.
    Reject,
    /// The field is removed.
    Drop,
    /// The field is forwarded.
    Keep,
}
