//! How a request ended, for the program's own stages.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::error::{Code, Fault};
use crate::telemetry::record::AccessRecord;

/// How a request ended on which a stage has looked: what its access record says, as values. Owned, so that it can be
/// handed to whoever writes it down.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedRequest {
    /// The method.
    pub method: Method,
    /// The path in the one form in which it was matched, without the query.
    pub path: String,
    /// The status that was answered; 499 where the client left before there was one.
    pub status: StatusCode,
    /// The problem's stable code (docs/operating.md); `ok` where there is none.
    pub code: &'static str,
    /// Whose fault that was: `client`, `gateway` or `upstream`.
    pub fault: Option<&'static str>,
    /// How the answer ended: `complete`, `client_left`, `upstream_cut` or `timeout`.
    pub ended: &'static str,
    /// The name of the upstream, where one was asked or nobody of it was left to ask.
    pub upstream: Option<String>,
    /// The address of the last endpoint that was asked.
    pub endpoint: Option<String>,
    /// How often an endpoint was asked, retries and hedges included; 0 of what a handler or a stage answered.
    pub attempts: u32,
    /// Bytes of the request's body that came.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were sent.
    pub bytes_out: u64,
    /// When the request's head had come, microseconds since the Unix epoch.
    pub unix_us: i64,
    /// From there to the end of the answer.
    pub took: Duration,
    /// Of that, what was waited for the upstream or the handler; `None` where neither was asked.
    pub waited: Option<Duration>,
}

impl EndedRequest {
    /// As the record has it.
    pub(crate) fn of(record: &AccessRecord<'_>, method: &Method) -> Self {
        Self {
            method: method.clone(),
            path: record.path.to_owned(),
            status: StatusCode::from_u16(record.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: record.code.map_or("ok", Code::as_str),
            fault: record.fault.map(Fault::as_str),
            ended: record.ended.as_str(),
            upstream: record.upstream.map(str::to_owned),
            endpoint: record.endpoint.map(str::to_owned),
            attempts: record.attempts,
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            unix_us: record.unix_us,
            took: Duration::from_micros(record.total_us),
            waited: record.upstream_us.map(Duration::from_micros),
        }
    }
}
