//! `[telemetry.*]`: access log, flight recorder and tracing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;

/// What is added to the path of a collector of OTLP over HTTP.
pub(crate) const TRACES: &str = "/v1/traces";

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// `[telemetry.access_log]`
    pub access_log: AccessLog,
    /// What of heads is in records.
    pub recorded: RecordedHeads,
    /// `[telemetry.recorder]`
    pub recorder: Recorder,
    /// `[telemetry.tracing]`
    pub tracing: Tracing,
}

/// `[telemetry.access_log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub output: LogOutput,
    /// Share of 2xx and 3xx lines kept, 0 to 1; errors are always kept.
    pub sample: f64,
    /// Lines that may wait to be written; beyond it lines are dropped and counted.
    pub queue: usize,
}

/// `query`, `request_headers` and `response_headers` of `[telemetry.access_log]`: each name once, and none that carries
/// a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedHeads {
    /// Parameters of queries, by their decoded names.
    pub query: Box<[Box<str>]>,
    /// Headers of what clients send.
    pub request: Box<[HeaderName]>,
    /// Headers of what they are answered.
    pub response: Box<[HeaderName]>,
}

impl RecordedHeads {
    /// Whether records tell no header and no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.query.is_empty() && self.request.is_empty() && self.response.is_empty()
    }
}

/// `output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// No access log.
    Off,
    /// A file, appended to; reopened on reload, so that log rotation works.
    File(PathBuf),
}

/// `[telemetry.recorder]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorder {
    /// Requests that are kept, over all workers; 0 = none.
    pub requests: usize,
    /// What they may take of memory, bytes.
    pub max_bytes: usize,
    /// From which time on a request is slow.
    pub slow: Slow,
    /// Share of all requests that is kept, 0 to 1.
    pub sample: f64,
}

/// `slow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// None ever is.
    Never,
    /// From this time on; above zero.
    From(Duration),
    /// Whatever takes longer than so many percent of its route's requests lately; 50 to 99.
    Percentile(u8),
}

/// `[telemetry.tracing]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// Share of new traces that are sampled, 0 to 1.
    pub sample_ratio: f64,
    /// Whose `traceparent` is continued.
    pub trust_incoming: TrustTrace,
    /// Where spans are sent; `None` = propagation only.
    pub export: Option<Arc<Export>>,
}

/// Where spans are sent, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Export {
    /// `otlp_protocol`
    pub protocol: OtlpProtocol,
    /// `otlp_endpoint`, an HTTP URL; over HTTP `/v1/traces` is added.
    pub endpoint: Box<str>,
    /// `otlp_headers`: sent with each message. Marked as sensitive, so that nothing shows their values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `service_name`: what the gateway is called in traces.
    pub service_name: Box<str>,
    /// `otlp_ca`: who signs the collector's certificate, and its file; `None` = those whom the system trusts.
    pub ca: Option<OtlpCa>,
    /// `otlp_timeout`: for one message, its answer included.
    pub timeout: Duration,
    /// `otlp_queue`: spans that may wait.
    pub queue: usize,
}

/// `otlp_ca`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpCa {
    /// The file.
    pub file: PathBuf,
    /// Its certificates, DER; one at least.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// `otlp_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf over HTTP/1.1.
    Http,
    /// gRPC, over HTTP/2.
    Grpc,
}

/// `trust_incoming`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustTrace {
    /// The trace id goes on for everyone, the sampled bit only from trusted proxies.
    Always,
    /// Id and bit go on from trusted proxies only.
    Trusted,
    /// Each request starts a new trace.
    Never,
}
