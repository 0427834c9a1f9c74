//! The calls of one request: made in order or at once, each within its time, and what came of them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::client::Pool;
use super::graph::{Calls, Mode, Part, Target, parts};
use crate::clock::{between, now_ns};
use crate::http1::head::Head;
use crate::http1::json;

/// Tells how deep mocks call each other.
const DEPTH: &str = "x-mock-depth";
/// The deepest that they may: a graph in which a service calls itself ends here.
const DEEPEST: u32 = 16;
/// What a call takes from the request that caused it.
const CONTEXT: &[&str] = &["x-request-id", "traceparent", "tracestate"];

/// What a request hands on to its calls.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Header lines, each with its CRLF.
    lines: Vec<u8>,
    /// Those that the graph adds.
    added: Vec<u8>,
    depth: u32,
    /// When the request's own time is up, if it has one.
    deadline_ns: Option<u64>,
}

/// A call that was made, or could not be.
#[derive(Debug)]
pub(crate) struct Made {
    to: String,
    /// The status, or why there is none.
    result: Result<u16, &'static str>,
    took: Duration,
}

/// All calls of a request.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    made: Vec<Made>,
    /// What is answered because a call failed.
    pub failed: Option<u16>,
}

impl Context {
    /// The context of a request that makes these calls.
    pub(crate) fn of(head: &Head<'_, '_>, arrival_ns: u64, calls: &Calls) -> Self {
        let mut lines = Vec::new();
        for name in CONTEXT {
            for value in head.values(name) {
                lines.extend_from_slice(name.as_bytes());
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(value);
                lines.extend_from_slice(b"\r\n");
            }
        }
        let number =
            |name| head.values(name).next().and_then(|value| std::str::from_utf8(value).ok()?.parse::<u32>().ok());
        let budget = number("x-request-timeout-ms").map(|ms| arrival_ns.saturating_add(u64::from(ms) * 1_000_000));
        let mut added = Vec::new();
        for (name, value) in &calls.headers {
            // What the request has not is not handed on, and neither is the line that needs it.
            if let Some(value) = filled(value, head) {
                added.extend_from_slice(name.as_bytes());
                added.extend_from_slice(b": ");
                added.extend_from_slice(&value);
                added.extend_from_slice(b"\r\n");
            }
        }
        Self { lines, added, depth: number(DEPTH).unwrap_or(0), deadline_ns: budget }
    }
}

/// A value with the request's own in the place of each `{name}`; `None` when the request lacks one.
fn filled(value: &str, head: &Head<'_, '_>) -> Option<Vec<u8>> {
    let mut filled = Vec::new();
    for part in parts(value).ok()? {
        match part {
            Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
            Part::Header(name) => filled.extend_from_slice(head.values(name).next()?),
        }
    }
    Some(filled)
}

impl Calls {
    /// Makes the calls; `gateway` is its address.
    pub(crate) async fn make(self: Arc<Self>, context: Context, gateway: Option<String>, pool: Arc<Pool>) -> Outcomes {
        let mut outcomes = Outcomes::default();
        match self.mode {
            Mode::Parallel => {
                outcomes.made =
                    join_all(self.to.iter().map(|to| self.one(to, &context, gateway.as_deref(), &pool))).await;
            }
            Mode::Sequence => {
                for to in &self.to {
                    let made = self.one(to, &context, gateway.as_deref(), &pool).await;
                    let last = made.has_failed() && self.on_failure.is_some();
                    outcomes.made.push(made);
                    if last {
                        break;
                    }
                }
            }
        }
        if outcomes.made.iter().any(Made::has_failed) {
            outcomes.failed = self.on_failure;
        }
        outcomes
    }

    async fn one(&self, to: &Target, context: &Context, gateway: Option<&str>, pool: &Pool) -> Made {
        let begun_ns = now_ns();
        let result = self.attempt(to, context, gateway, pool, begun_ns).await;
        Made { to: to.to_string(), result, took: between(begun_ns, now_ns()) }
    }

    async fn attempt(
        &self,
        to: &Target,
        context: &Context,
        gateway: Option<&str>,
        pool: &Pool,
        begun_ns: u64,
    ) -> Result<u16, &'static str> {
        let (authority, path) = match to {
            Target::Gateway(path) => (gateway.ok_or("no gateway is set")?, path),
            Target::Direct(authority, path) => (authority.as_str(), path),
        };
        if context.depth >= DEEPEST {
            return Err("mocks call each other too deeply");
        }
        let left = context.deadline_ns.map(|deadline| between(begun_ns, deadline));
        if left.is_some_and(|left| left < Duration::from_millis(1)) {
            return Err("the request's time is up");
        }
        let mut request =
            format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n{DEPTH}: {}\r\n", context.depth + 1).into_bytes();
        request.extend_from_slice(&context.lines);
        if let Some(left) = left {
            request.extend_from_slice(format!("x-request-timeout-ms: {}\r\n", left.as_millis()).as_bytes());
        }
        request.extend_from_slice(&context.added);
        request.extend_from_slice(b"\r\n");
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        match tokio::time::timeout(timeout, pool.call(authority, &request)).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(_)) => Err("no answer"),
            Err(_) => Err("no answer in time"),
        }
    }
}

impl Made {
    /// A call has failed that has no answer, or a server's error.
    fn has_failed(&self) -> bool {
        matches!(self.result, Err(_) | Ok(500..))
    }
}

impl Outcomes {
    /// Nothing was to be called.
    pub(crate) fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Adds `"calls":[…]` to a JSON object.
    pub(crate) fn add_to(&self, object: &mut Vec<u8>) {
        if object.pop_if(|last| *last == b'}').is_none() {
            return;
        }
        object.extend_from_slice(b",\"calls\":[");
        for (index, made) in self.made.iter().enumerate() {
            if index > 0 {
                object.push(b',');
            }
            object.extend_from_slice(b"{\"to\":");
            json::string(object, made.to.as_bytes());
            let mut rest = String::new();
            // Writing to a string cannot fail.
            let _ = match made.result {
                Ok(status) => write!(rest, ",\"status\":{status}"),
                Err(why) => write!(rest, ",\"error\":\"{why}\""),
            };
            let _ = write!(rest, ",\"took_ns\":{}}}", made.took.as_nanos());
            object.extend_from_slice(rest.as_bytes());
        }
        object.extend_from_slice(b"]}");
    }
}
