//! `[telemetry.*]`: access log and tracing.

use std::path::PathBuf;

/// `[telemetry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// `[telemetry.access_log]`
    pub access_log: AccessLog,
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

/// `[telemetry.tracing]`, as far as propagation goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracing {
    /// Share of new traces that are sampled, 0 to 1.
    pub sample_ratio: f64,
    /// Whose `traceparent` is continued.
    pub trust_incoming: TrustTrace,
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
