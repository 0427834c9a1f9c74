//! What the journal says of a request.

use serde_json::{Value, json};

/// Which rule hit a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hit {
    /// None.
    #[default]
    None,
    /// The rule at this place in the list.
    Rule(usize),
    /// The request's own header `x-mock-fault`.
    Header,
    /// The waiting room of the queue was full: 503.
    QueueFull,
}

/// How a request ended, as the mock saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ended {
    /// The whole answer was handed to the kernel.
    #[default]
    Answered,
    /// The client (a gateway, as a rule) left before.
    Left,
    /// A rule reset it.
    Reset,
    /// A rule closed the connection instead of an answer.
    Closed,
    /// A rule cut the answer short.
    Truncated,
    /// A rule sent what is no right answer.
    Garbage,
}

impl Ended {
    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Left => "left",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Truncated => "truncated",
            Self::Garbage => "garbage",
        }
    }
}

/// What a request was sent by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// One request, recorded when it was over. Times are nanoseconds of the machine's monotonic clock, so they can be
/// compared with those of other processes of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry's number in the journal, from 1, without gaps but for dropped entries.
    pub seq: u64,
    /// When the request's first byte was read.
    pub arrival_ns: u64,
    /// When the answer's head was made; `None` when there was none.
    pub answer_ns: Option<u64>,
    /// When the request was over: the last bytes were handed over, or it ended otherwise.
    pub end_ns: u64,
    /// The service's name.
    pub service: String,
    /// The endpoint's port.
    pub endpoint: u16,
    /// The connection's number in the process, from 1.
    pub connection: u64,
    /// The request's number at its endpoint, from 1.
    pub request: u64,
    /// What it was sent by.
    pub protocol: Protocol,
    /// The method as sent, its first 32 bytes.
    pub method: String,
    /// The path as sent, without the query, its first 512 bytes.
    pub path: String,
    /// The answer's status; `None` when no right head was sent.
    pub status: Option<u16>,
    /// The code that a gRPC call was answered with.
    pub grpc_status: Option<u8>,
    /// How it ended.
    pub ended: Ended,
    /// The rule that hit.
    pub rule: Hit,
    /// The version of the rules that it was judged by: 1 at the start, then one more whenever they were set.
    pub rules_version: u64,
    /// How long it stood in a queue before its service began; `None` where it met no queue.
    pub waited_ns: Option<u64>,
    /// The trace id of the request's `traceparent`, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// The request's `x-request-id`, its first 128 bytes.
    pub request_id: Option<String>,
    /// A gateway's own health check, by its `user-agent`.
    pub health_check: bool,
}

impl Entry {
    /// The entry as the control port shows it.
    pub fn to_json(&self) -> Value {
        let rule = match self.rule {
            Hit::None => Value::Null,
            Hit::Rule(index) => index.into(),
            Hit::Header => "header".into(),
            Hit::QueueFull => "queue_full".into(),
        };
        json!({
            "seq": self.seq, "arrival_ns": self.arrival_ns, "answer_ns": self.answer_ns, "end_ns": self.end_ns,
            "service": self.service, "endpoint": self.endpoint, "connection": self.connection,
            "request": self.request, "protocol": self.protocol.name(), "method": self.method, "path": self.path,
            "status": self.status, "grpc_status": self.grpc_status, "ended": self.ended.name(), "rule": rule, "rules_version": self.rules_version,
            "waited_ns": self.waited_ns, "trace_id": self.trace_id, "request_id": self.request_id,
            "health_check": self.health_check,
        })
    }
}
