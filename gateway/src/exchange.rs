//! One request and its answer: what the stages know of it, and the one record that it leaves.
//!
//! Stages share state through this alone. Whatever ends a request (an answer, a refusal, a client that left, a panic),
//! dropping the exchange writes its access record and counts it, exactly once.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, Method, StatusCode, Uri};

use crate::client::ClientConnection;
use crate::context::request_id::RequestId;
use crate::context::trace::TraceContext;
use crate::error::{Code, Fault};
use crate::network::Network;
use crate::request_body::BodyProgress;
use crate::shard::{Local, Shard};
use crate::snapshot::CompiledRoute;
use crate::telemetry::record::{AccessRecord, Ended};
use crate::upstream::Endpoint;

/// nginx's status for a client that left before it was answered; never sent, only recorded.
const CLIENT_LEFT_STATUS: u16 = 499;

/// One request and its answer.
pub struct Exchange<N: Network> {
    /// The worker that serves it.
    pub shard: Arc<Shard<N>>,
    /// The client's connection.
    pub connection: Arc<ClientConnection<N>>,
    /// The configuration that it began under, and ends under.
    pub snapshot: Arc<Local<N>>,
    /// When its head had arrived.
    pub started: Instant,
    /// Its id.
    pub request_id: RequestId,
    /// Its trace.
    pub trace: TraceContext,
    /// The client, as trusted proxies tell it.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// The target as received.
    pub uri: Uri,
    /// The path in its one form, where that differs from the target's.
    pub path: Option<Box<str>>,
    /// The host.
    pub host: Option<HeaderValue>,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub protocol: &'static str,
    /// Index of the route that matched.
    pub route: Option<usize>,
    /// The status that was answered.
    pub status: Option<StatusCode>,
    /// The problem that was answered.
    pub code: Option<Code>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Arc<Endpoint<N>>>,
    /// Attempts that were made.
    pub attempts: u32,
    /// The request body, where there is one.
    pub request_body: Option<Arc<BodyProgress>>,
    /// Bytes of response body that were handed to the client's connection.
    pub bytes_out: u64,
    /// When the upstream was turned to.
    pub upstream_began: Option<Instant>,
    /// When its response head had arrived.
    pub upstream_head: Option<Instant>,
    /// When the response head was handed on.
    pub answered: Option<Instant>,
    /// Set once the record is written.
    finished: bool,
}

/// What an exchange begins with.
pub struct Arrival<N: Network> {
    /// The worker.
    pub shard: Arc<Shard<N>>,
    /// The connection.
    pub connection: Arc<ClientConnection<N>>,
}

impl<N: Network> Exchange<N> {
    /// An exchange of which only the head is known.
    pub fn new(arrival: Arrival<N>, request: &http::request::Parts, request_id: RequestId, trace: TraceContext) -> Self {
        let Arrival { shard, connection } = arrival;
        let started = shard.shared.clock.now();
        Self {
            snapshot: shard.snapshot(),
            started,
            request_id,
            trace,
            client: connection.peer.ip(),
            shard,
            connection,
            method: request.method.clone(),
            uri: request.uri.clone(),
            path: None,
            host: None,
            protocol: if request.version == http::Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
            route: None,
            status: None,
            code: None,
            endpoint: None,
            attempts: 0,
            request_body: None,
            bytes_out: 0,
            upstream_began: None,
            upstream_head: None,
            answered: None,
            finished: false,
        }
    }

    /// The route that matched.
    pub fn route(&self) -> Option<&CompiledRoute<N>> {
        self.route.map(|index| &self.snapshot.routes[index])
    }

    /// The path in its one form: what was matched, and what is sent.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.uri.path())
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.shard.shared.clock.now()
    }

    /// Counts and records the exchange. Later calls, and the drop, do nothing more.
    pub fn finish(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let now = self.now();
        self.connection.rest(now);
        let total = now.saturating_duration_since(self.started);
        let overhead = self.overhead(now);
        let status = self.status.map_or(CLIENT_LEFT_STATUS, |status| status.as_u16());
        let snapshot = &self.snapshot;
        let series = self.route().map_or(&snapshot.unrouted, |route| &route.series);
        series.record(self.shard.index, status, self.code, total, overhead);
        let log = &self.shard.shared.log;
        if log.wants(status, &self.trace.trace_id) {
            let record = self.record(status, ended, now, total, overhead);
            log.submit(self.shard.index, &record);
        }
    }

    /// Time that the gateway itself added: before the upstream was turned to, and from its head to the answer's.
    fn overhead(&self, now: Instant) -> Duration {
        match (self.upstream_began, self.upstream_head) {
            (Some(began), Some(head)) => {
                let before = began.saturating_duration_since(self.started);
                before + self.answered.unwrap_or(now).saturating_duration_since(head)
            }
            (Some(began), None) => began.saturating_duration_since(self.started),
            (None, _) => self.answered.unwrap_or(now).saturating_duration_since(self.started),
        }
    }

    fn fault(&self, ended: Ended) -> Option<Fault> {
        match ended {
            Ended::ClientLeft => Some(Fault::Client),
            Ended::UpstreamCut => Some(Fault::Upstream),
            Ended::Complete | Ended::Timeout => self.code.map(Code::fault),
        }
    }

    fn record(&self, status: u16, ended: Ended, now: Instant, total: Duration, overhead: Duration) -> AccessRecord<'_> {
        let route = self.route();
        AccessRecord {
            unix_us: self.shard.shared.clock.unix_us(now),
            request_id: self.request_id.as_str(),
            trace_id: self.trace.trace_id,
            span_id: self.trace.span_id,
            client: self.client,
            method: self.method.as_str(),
            host: self.host.as_ref().map_or(&b""[..], HeaderValue::as_bytes),
            path: self.path(),
            protocol: self.protocol,
            route: route.map(|route| &*route.settings.name),
            status,
            code: self.code,
            fault: self.fault(ended),
            upstream: route.filter(|_| self.attempts > 0).map(|route| &*route.upstream.name),
            endpoint: self.endpoint.as_ref().map(|endpoint| &*endpoint.address),
            attempts: self.attempts,
            bytes_in: self.request_body.as_ref().map_or(0, |body| body.bytes()),
            bytes_out: self.bytes_out,
            total,
            upstream_time: self.upstream_began.map(|_| total.saturating_sub(overhead)),
            overhead,
            ended,
        }
    }
}

impl<N: Network> Drop for Exchange<N> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if std::thread::panicking() {
            // The layer above answers 500; this is the record of that answer.
            self.status = Some(Code::Internal.status());
            self.code = Some(Code::Internal);
            self.finish(Ended::Complete);
        } else {
            self.finish(Ended::ClientLeft);
        }
    }
}
