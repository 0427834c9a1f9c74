//! What a trace gets of an exchange: whether it is traced is decided when it begins; calls are noted as they begin and
//! end; its own span is made of what its record is made of.
//!
//! Names and kinds of attributes are those of OpenTelemetry's conventions for HTTP, databases and gRPC; what they do
//! not know begins with `gateway.`. As in access records, no header, no query and no body is ever among them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};

use super::Exchange;
use crate::forward::grpc_name;
use crate::http1::RequestHead;
use crate::network::Network;
use crate::store::By;
use crate::telemetry::metrics::{AttemptOutcome, Exemplar};
use crate::telemetry::record::{AccessRecord, Ended};
use crate::telemetry::tracing::{Attribute, Kind, Link, Opened, Span, SpanId, Track, Value};
use crate::upstream::{Endpoint, Upstream};

/// The methods that conventions know (RFC 9110, RFC 5789); what a client makes up must not become a name.
static KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::TRACE,
    Method::CONNECT,
];

const METHOD: &str = "http.request.method";
const STATUS: &str = "http.response.status_code";
const ERROR: &str = "error.type";
const GRPC_STATUS: &str = "rpc.grpc.status_code";
const OUTCOME: &str = "gateway.outcome";

impl<N: Network> Exchange<N> {
    /// Decides whether it is traced. Nothing has been allocated for that before, and nothing is where it is not.
    #[inline]
    pub(crate) fn begin_track(&mut self) {
        if self.trace.sampled() && self.shard.shared.tracer.is_on() {
            self.track = self.new_track();
        }
    }

    #[cold]
    fn new_track(&self) -> Option<Track> {
        let state = || self.trace.tracestate.as_ref().and_then(|state| state.to_str().ok()).map(Into::into);
        Track::begin(&self.shard.shared.tracer, self.trace.trace_id, self.trace.span_id, state)
    }

    /// On whose behalf a store is asked.
    #[inline]
    pub(crate) fn by(&self) -> By<'_> {
        By { worker: self.shard.index, track: self.track.as_ref() }
    }

    /// An attempt begins now with this head. Where it is traced, the upstream is told that its own span is a part of
    /// the attempt's.
    #[inline]
    pub(crate) fn begin_attempt(
        &self,
        endpoint: &Endpoint<N>,
        head: &mut RequestHead,
        began: Instant,
    ) -> Option<SpanId> {
        let track = self.track.as_ref()?;
        Some(self.attempt_in(track, endpoint, head, began))
    }

    #[cold]
    fn attempt_in(&self, track: &Track, endpoint: &Endpoint<N>, head: &mut RequestHead, began: Instant) -> SpanId {
        let method = known(&head.method);
        let scheme = if endpoint.way().tls().is_some() { "https" } else { "http" };
        let url = Value::text(&format!("{scheme}://{}{}", endpoint.address, head.target.path()));
        let (again, consults) = (self.attempts_made(), self.consults);
        let span = track.call(Kind::Client, Value::Fixed(in_name(method)), began, |attributes| {
            attributes.extend([(METHOD, Value::Fixed(method)), ("url.full", url)]);
            address(attributes, ("server.address", "server.port"), &endpoint.address);
            if again > 0 && !consults {
                attributes.push(("http.request.resend_count", Value::number(again)));
            }
        });
        self.trace.name_parent(head, span);
        span
    }

    /// The attempt of this span has come to this; whether its request went out again on a new connection.
    #[cold]
    pub(crate) fn end_attempt(
        &self,
        (span, replayed): (SpanId, bool),
        (upstream, breaker): (&Upstream<N>, &'static str),
        ended: Instant,
        (outcome, status, grpc): (AttemptOutcome, Option<u16>, Option<u8>),
    ) {
        let Some(track) = &self.track else { return };
        let mut attributes: Vec<Attribute> = Vec::with_capacity(8);
        attributes.push(("gateway.upstream", Value::Name(Arc::clone(&upstream.name))));
        attributes.push((OUTCOME, Value::Fixed(outcome.as_str())));
        if !breaker.is_empty() {
            attributes.push(("gateway.breaker", Value::Fixed(breaker)));
        }
        if replayed {
            attributes.push(("gateway.replayed", Value::number(1)));
        }
        attributes.extend(status.map(|status| (STATUS, Value::number(status))));
        attributes.extend(grpc.map(|grpc| (GRPC_STATUS, Value::number(grpc))));
        let error = error_of_attempt(outcome, status, grpc);
        let failed = error.is_some();
        attributes.extend(error.map(|error| (ERROR, error)));
        track.end(span, ended, failed, attributes);
    }

    /// What followed on the head of its answer shows that the attempt has failed: it broke off, or trailers say so.
    pub(crate) fn amend_attempt(&self, span: Option<SpanId>, outcome: AttemptOutcome, now: Instant) {
        if let (Some(track), Some(span)) = (&self.track, span) {
            let error = error_of_attempt(outcome, None, None).map(|error| (ERROR, error));
            track.amend(span, now, std::iter::once((OUTCOME, Value::Fixed(outcome.as_str()))).chain(error));
        }
    }

    /// Trailers say what a call of gRPC came to. To who calls, all but `OK` is an error.
    #[cold]
    pub(crate) fn tell_attempt_of_grpc(&self, span: SpanId, status: u8) {
        let Some(track) = &self.track else { return };
        let told = (GRPC_STATUS, Value::number(status));
        if status == 0 {
            track.tell(span, told);
        } else {
            track.amend(span, self.now(), [told, (ERROR, Value::Fixed(grpc_name(status)))]);
        }
    }

    /// The span of an aggregate's part, and the part's place in the trace: what it calls is under it.
    #[inline]
    pub(crate) fn open_part(&mut self, name: &str) -> Option<Box<Opened>> {
        let track = self.track.take()?;
        Some(self.part_in(&track, name))
    }

    #[cold]
    fn part_in(&mut self, track: &Track, name: &str) -> Box<Opened> {
        let attribute = ("gateway.part", Value::text(name));
        let opened = track.open(Kind::Internal, Value::text(&format!("part {name}")), |it| it.push(attribute));
        self.track = Some(track.under(opened.id()));
        Box::new(opened)
    }

    /// The span of a batch, from its first request on; what it asks for is under it.
    #[inline]
    pub(crate) fn open_batch(&mut self) -> Option<Box<Opened>> {
        let track = self.track.take()?;
        Some(self.batch_in(&track))
    }

    #[cold]
    fn batch_in(&mut self, track: &Track) -> Box<Opened> {
        let name = self.route().map(|route| Arc::clone(&route.settings.name)).unwrap_or_default();
        let opened = track.open(Kind::Internal, Value::text(&format!("batch {name}")), |attributes| {
            attributes.push(("gateway.batch", Value::Name(name)));
        });
        self.track = Some(track.under(opened.id()));
        Box::new(opened)
    }

    /// Where another one's call stands in its trace, for this one's span to tell of. `None` where one of the two is not
    /// traced.
    #[cold]
    pub(super) fn link_to(&self, call: &Self) -> Option<Box<Link>> {
        self.track.as_ref()?;
        call.track.as_ref().map(|track| Box::new(track.as_link()))
    }

    /// Its own span, made at its end.
    #[inline]
    pub(crate) fn end_track(&mut self, (status, ended): (u16, Ended), now: Instant, overhead: Duration) {
        if let Some(track) = self.track.take() {
            self.leave_span(&track, (status, ended), now, overhead);
        }
    }

    #[cold]
    fn leave_span(&self, track: &Track, (status, ended): (u16, Ended), now: Instant, overhead: Duration) {
        let parent = self.trace.parent_id.and_then(|id| SpanId::new(u64::from_be_bytes(id)));
        let total = now.saturating_duration_since(self.started);
        let record = self.record(status, ended, total, overhead);
        let mut span = Span::new(Kind::Server, self.span_name(), track.span(), parent, self.started);
        (span.parent_is_remote, span.ended) = (parent.is_some(), Some(now));
        span.link = self.shared.as_deref().copied();
        self.describe_request(&record, &mut span.attributes);
        self.describe_way(&record, &mut span.attributes);
        let answered = self.status.is_some();
        if answered {
            span.attributes.push((STATUS, Value::number(status)));
        }
        span.failed = is_failure(&record);
        let error = if span.failed { error_of_request(&record, answered) } else { None };
        span.attributes.extend(error.map(|error| (ERROR, error)));
        track.add(span);
        if let Some(route) = self.route() {
            route.series.show(Exemplar {
                trace_id: digits(self.trace.trace_id_text()),
                span_id: digits(self.trace.span_id_text()),
                took_ns: u64::try_from(total.as_nanos()).unwrap_or(u64::MAX),
                ended_us: self.shard.shared.clock.unix_us(now),
            });
        }
    }

    /// `GET /orders/{id}`: of few, since both come from the configuration or from a list.
    fn span_name(&self) -> Value {
        let method = if self.unread { "HTTP" } else { in_name(known(&self.method)) };
        match self.route() {
            Some(route) => Value::text(&format!("{method} {}", route.settings.matches.path)),
            None => Value::Fixed(method),
        }
    }

    fn describe_request(&self, record: &AccessRecord<'_>, out: &mut Vec<Attribute>) {
        if !self.unread {
            let method = known(&self.method);
            out.push((METHOD, Value::Fixed(method)));
            if method == "_OTHER" {
                out.push(("http.request.method_original", Value::text(self.method.as_str())));
            }
            out.push(("url.path", Value::text(record.path)));
        }
        out.push(("url.scheme", Value::Fixed(if self.secure { "https" } else { "http" })));
        if let Some(route) = self.route() {
            out.push(("http.route", Value::Name(Arc::clone(&route.settings.matches.path))));
            out.push(("gateway.route", Value::Name(Arc::clone(&route.settings.name))));
        }
        let version = match self.version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        out.push(("network.protocol.version", Value::Fixed(version)));
        out.push(("client.address", Value::text(record.client)));
        if let Some(host) = record.host.and_then(|host| std::str::from_utf8(host).ok()) {
            address(out, ("server.address", "server.port"), host);
        }
        out.push(("gateway.request_id", Value::text(self.request_id.as_str())));
    }

    fn describe_way(&self, record: &AccessRecord<'_>, out: &mut Vec<Attribute>) {
        out.push(("gateway.code", Value::Fixed(record.code.map_or("ok", crate::error::Code::as_str))));
        out.push(("gateway.ended", Value::Fixed(record.ended.as_str())));
        out.extend(record.grpc_status.map(|status| (GRPC_STATUS, Value::number(status))));
        out.push(("gateway.attempts", Value::number(record.attempts)));
        out.push(("gateway.overhead_us", Value::number(record.overhead_us.unwrap_or(0))));
        out.extend(record.fault.map(|fault| ("gateway.fault", Value::Fixed(fault.as_str()))));
        out.extend(record.upstream.map(|name| ("gateway.upstream", Value::text(name))));
        out.extend(record.limit.map(|name| ("gateway.limit", Value::text(name))));
        out.extend(record.parts.map(|parts| ("gateway.parts", Value::number(parts))));
        out.extend(self.breaker.map(|state| ("gateway.breaker", Value::Fixed(state))));
    }
}

/// The digits of an id, which has so many.
fn digits<const N: usize>(text: &[u8]) -> [u8; N] {
    text.try_into().unwrap_or([b'0'; N])
}

/// A method as conventions write it.
fn known(method: &Method) -> &'static str {
    KNOWN.iter().find(|known| *known == method).map_or("_OTHER", Method::as_str)
}

/// The same in a span's name.
fn in_name(method: &'static str) -> &'static str {
    if method == "_OTHER" { "HTTP" } else { method }
}

/// A host and perhaps a port, in two attributes.
fn address(out: &mut Vec<Attribute>, (host, port): (&'static str, &'static str), text: &str) {
    let (name, number) = match text.rsplit_once(':') {
        Some((name, number)) if !name.ends_with(':') && !number.ends_with(']') => (name, number.parse::<u16>().ok()),
        _ => (text, None),
    };
    let name = if number.is_some() { name } else { text };
    out.push((host, Value::text(name.trim_start_matches('[').trim_end_matches(']'))));
    out.extend(number.map(|number| (port, Value::number(number))));
}

/// A call fails with any status of 400 or more, and without any; one of gRPC with any but `OK`. What was given up did
/// not.
fn error_of_attempt(outcome: AttemptOutcome, status: Option<u16>, grpc: Option<u8>) -> Option<Value> {
    if let Some(grpc @ 1..) = grpc {
        return Some(Value::Fixed(grpc_name(grpc)));
    }
    match (outcome, status) {
        (_, Some(status)) if status >= 400 => Some(Value::text(&status.to_string())),
        (AttemptOutcome::Ok | AttemptOutcome::Cancelled, _) => None,
        (outcome, _) => Some(Value::Fixed(outcome.as_str())),
    }
}

/// A served request has failed where that is not its client's doing. What ended in silence has not, whatever its caller
/// was told.
fn is_failure(record: &AccessRecord<'_>) -> bool {
    if record.ended == Ended::Timeout && record.code.is_none() {
        return record.status >= 500;
    }
    let is_over = matches!(record.ended, Ended::UpstreamCut | Ended::Drained | Ended::Timeout);
    record.status >= 500 || is_over || record.grpc_status.is_some_and(is_servers)
}

/// The statuses of gRPC that are an error of who serves, as conventions have it: `UNKNOWN`, `DEADLINE_EXCEEDED`,
/// `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`.
fn is_servers(status: u8) -> bool {
    matches!(status, 2 | 4 | 12..=15)
}

/// What went wrong with a request that has failed, in a word of few: the problem's code, how it ended, or its status.
fn error_of_request(record: &AccessRecord<'_>, answered: bool) -> Option<Value> {
    match record.code {
        // A fallback stands in for what this code says; the answer is a good one.
        Some(code) if record.status >= 400 || !answered => Some(Value::Fixed(code.as_str())),
        // One of gRPC was told so in its own words.
        Some(code) if record.grpc_status.is_some_and(is_servers) => Some(Value::Fixed(code.as_str())),
        _ if record.ended != Ended::Complete => Some(Value::Fixed(record.ended.as_str())),
        _ if record.grpc_status.is_some_and(is_servers) => record.grpc_status.map(grpc_name).map(Value::Fixed),
        _ if record.status >= 500 => Some(Value::text(&record.status.to_string())),
        _ => None,
    }
}
