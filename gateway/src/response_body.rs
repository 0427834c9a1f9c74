//! The body of an answer on its way to the client: the gateway's own, or the upstream's as it streams in.
//!
//! The upstream's connection is driven from here while its body streams, and goes back to its pool at the body's last
//! byte. A body that breaks off aborts the client's response: a cut answer never looks like a whole one.

mod handled;
mod packed;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use crate::client::Tunnel;
use crate::context::screen_trailers;
use crate::error::Code;
use crate::exchange::Exchange;
use crate::forward::grpc_failure;
use crate::held_bytes::Kept;
use crate::http1;
use crate::network::Network;
use crate::request_body::{BodyFault, BoxError};
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::record::Ended;
use crate::telemetry::tracing::SpanId;
use crate::timer::Wait;
use crate::upstream::{Leg, Selected};

pub use crate::compose::Document;

pub use handled::Held;

use handled::Handled;
use packed::Packed;
pub use packed::Packing;

/// So much of the gateway's own answer is handed on at once, bytes: who reads slowly keeps its place among the requests
/// in flight.
const PIECE: usize = 32 * 1024;
/// Upstreams wait for longer until somebody reads what they send.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// The body of an answer.
pub enum ResponseBody<N: Network> {
    /// Nothing, and nothing left to record.
    Empty,
    /// Nothing: once the head is written, this begins. Whoever cannot write it drops the upstream's end with it.
    Switched(Box<Tunnel<N>>),
    /// The gateway's own answer.
    Own(Option<(Bytes, Box<Exchange<N>>)>),
    /// An upstream's answer.
    Upstream(Box<Relay<N>>),
    /// An upstream's answer of which some has been read before.
    Behind(Box<Prefixed<N>>),
    /// An answer that is put together of several.
    Composed(Box<Composed<N>>),
    /// An upstream's answer, compressed on its way.
    Packed(Box<Packed<N>>),
    /// What the program's own code answers.
    Handled(Box<Handled<N>>),
}

/// An upstream's body as it streams through.
pub struct Relay<N: Network> {
    exchange: Box<Exchange<N>>,
    /// Taken when the body has ended.
    source: Option<Source<N>>,
    idle_timeout: Option<Duration>,
    /// The client has let it wait for long.
    was_unread: bool,
    /// What passes here is not yet what the client gets: who makes it that counts it, and records the end.
    is_packed: bool,
    /// The program's own code reads it, and may answer with something else.
    is_lent: bool,
    /// How a lent one has ended that did not come whole.
    cut: Option<Ending>,
}

/// How an answer ended, and the problem that this is in records and metrics: one that breaks off behind its head has
/// told its status, and is no good one all the same.
type Ending = (Ended, Option<Code>);

/// What has been read of a body before it streams, and its share of the worker's memory.
#[derive(Default)]
pub struct Behind {
    read: SmallVec<[Bytes; 2]>,
    kept: Option<Kept>,
}

impl Behind {
    /// These bytes, in order.
    pub fn new(read: impl IntoIterator<Item = Bytes>, kept: Kept) -> Self {
        Self { read: read.into_iter().filter(|bytes| !bytes.is_empty()).collect(), kept: Some(kept) }
    }

    fn length(&self) -> u64 {
        self.read.iter().map(|bytes| bytes.len() as u64).sum()
    }
}

/// An upstream's body behind what has been read of it.
pub struct Prefixed<N: Network> {
    behind: Behind,
    rest: ResponseBody<N>,
}

impl<N: Network> Prefixed<N> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.behind.read.is_empty() {
            return Pin::new(&mut self.rest).poll_frame(cx);
        }
        let bytes = self.behind.read.remove(0);
        if self.behind.read.is_empty() {
            self.behind.kept = None;
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

/// An aggregate's document as it streams through, and the exchange that it answers.
pub struct Composed<N: Network> {
    exchange: Box<Exchange<N>>,
    /// Taken when it has ended.
    document: Option<Document<N>>,
    length: Option<u64>,
}

/// The connection that a body comes from, and the endpoint's place in flight.
pub struct Source<N: Network> {
    /// Its connection, or its call on one.
    pub leg: Leg<N::Stream>,
    /// The endpoint; its place in flight is kept until the body has ended.
    pub selected: Selected<N>,
    /// The span of its attempt, where the request is traced.
    pub span: Option<SpanId>,
}

/// An upstream's answer, as far as its head.
pub struct Answer<N: Network> {
    /// The head.
    pub head: http1::ResponseHead,
    /// The status that its upstream is judged by.
    pub judged: StatusCode,
    /// What the body streams from.
    pub source: Source<N>,
    /// When the head had arrived.
    pub came: Instant,
}

impl<N: Network> Exchange<N> {
    /// Whether the client has taken nothing for so long that an upstream may have given up. Asked while it still waits
    /// to be written to, or is written to for the first time since.
    #[inline]
    pub fn is_unread(&self) -> bool {
        self.connection.deadlines.is_set(Wait::Write) && self.is_unread_for(SOON)
    }

    #[cold]
    fn is_unread_for(&self, long: Duration) -> bool {
        let left = self.connection.deadlines.left(Wait::Write, self.now());
        left.is_some_and(|left| left + long <= self.snapshot.config.server.body_idle_timeout)
    }

    /// Counts and records it with the problem that its answer ended with, where there is one.
    fn finish_with(&mut self, (ended, code): Ending) {
        self.code = code.or(self.code);
        self.finish(ended);
    }
}

impl<N: Network> Source<N> {
    /// The response is over: the connection goes back to its pool if it can be used again.
    pub fn finish(self, exchange: &Exchange<N>, now: Instant) {
        if let Leg::Own(connection) = self.leg {
            let pool = &self.selected.endpoint.pool;
            pool.put(exchange.shard.index, connection, now, &self.selected.settings.pool);
        }
    }
}

impl<N: Network> ResponseBody<N> {
    /// The gateway's own answer; recorded once its bytes are handed on.
    pub fn own(bytes: Bytes, mut exchange: Box<Exchange<N>>) -> Self {
        exchange.answered = Some(exchange.now());
        if bytes.is_empty() {
            exchange.finish(Ended::Complete);
            return Self::Empty;
        }
        Self::Own(Some((bytes, exchange)))
    }

    /// An upstream's answer. One without a body is over at once.
    pub fn relay(mut exchange: Box<Exchange<N>>, source: Source<N>, idle_timeout: Option<Duration>) -> Self {
        if source.leg.is_over() {
            let now = exchange.now();
            exchange.answered = Some(now);
            source.finish(&exchange, now);
            exchange.finish_at(Ended::Complete, now);
            return Self::Empty;
        }
        Self::Upstream(Box::new(Relay::new(exchange, Some(source), idle_timeout)))
    }

    /// An upstream's answer that is not over, compressed.
    #[cold]
    pub fn packed(
        exchange: Box<Exchange<N>>,
        source: Source<N>,
        idle_timeout: Option<Duration>,
        packing: Packing,
    ) -> Self {
        let mut relay = Relay::new(exchange, Some(source), idle_timeout);
        relay.is_packed = true;
        Self::Packed(Box::new(Packed::new(relay, packing)))
    }

    /// The same, behind what has been read of it.
    pub fn relay_behind(
        mut exchange: Box<Exchange<N>>,
        source: Source<N>,
        idle_timeout: Option<Duration>,
        behind: Behind,
    ) -> Self {
        if behind.read.is_empty() {
            return Self::relay(exchange, source, idle_timeout);
        }
        exchange.bytes_out += behind.length();
        let rest = Self::relay(exchange, source, idle_timeout);
        Self::Behind(Box::new(Prefixed { behind, rest }))
    }

    /// An aggregate's answer.
    pub fn composed(exchange: Box<Exchange<N>>, document: Document<N>) -> Self {
        let length = document.length();
        Self::Composed(Box::new(Composed { exchange, document: Some(document), length }))
    }
}

impl<N: Network> Body for ResponseBody<N> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty | Self::Switched(_) => Poll::Ready(None),
            Self::Own(own) => Poll::Ready(next_piece(own).map(|piece| Ok(Frame::data(piece)))),
            Self::Upstream(relay) => relay.poll_frame(cx),
            Self::Composed(composed) => composed.poll_frame(cx),
            Self::Behind(prefixed) => prefixed.poll_frame(cx),
            Self::Packed(packed) => packed.poll_frame(cx),
            Self::Handled(handled) => handled.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Switched(_) => true,
            Self::Own(own) => own.is_none(),
            Self::Upstream(relay) => relay.source.is_none(),
            Self::Composed(composed) => composed.document.is_none(),
            Self::Behind(prefixed) => prefixed.behind.read.is_empty() && prefixed.rest.is_end_stream(),
            Self::Packed(packed) => packed.is_over(),
            Self::Handled(handled) => handled.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Switched(_) => SizeHint::with_exact(0),
            Self::Own(own) => SizeHint::with_exact(own.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64)),
            Self::Upstream(relay) => relay.size_hint(),
            Self::Composed(composed) => composed.length.map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Behind(prefixed) => match prefixed.rest.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + prefixed.behind.length()),
                None => SizeHint::default(),
            },
            Self::Packed(_) => SizeHint::default(),
            Self::Handled(handled) => handled.size_hint(),
        }
    }
}

/// The next piece of the gateway's own answer, which is over with the last one.
fn next_piece<N: Network>(own: &mut Option<(Bytes, Box<Exchange<N>>)>) -> Option<Bytes> {
    let (bytes, exchange) = own.as_mut()?;
    let piece = bytes.split_to(bytes.len().min(PIECE));
    exchange.bytes_out += piece.len() as u64;
    if bytes.is_empty() {
        exchange.finish(Ended::Complete);
        *own = None;
    }
    Some(piece)
}

impl<N: Network> Composed<N> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(document) = &mut self.document else { return Poll::Ready(None) };
        let polled = document.poll_frame(&self.exchange, cx);
        if self.exchange.answered.is_none() {
            self.exchange.answered = Some(self.exchange.now());
        }
        let frame = match std::task::ready!(polled) {
            Some(Ok(frame)) => frame,
            None => {
                self.end();
                return Poll::Ready(None);
            }
            Some(Err(cut)) => {
                if let Some(part) = document.turn_of() {
                    self.exchange.lacks(&part);
                }
                self.document = None;
                self.exchange.code = Some(cut.code);
                self.exchange.finish(cut.ended);
                return Poll::Ready(Some(Err(cut.why)));
            }
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.exchange.bytes_out += bytes;
        self.length = self.length.map(|left| left.saturating_sub(bytes));
        if self.document.as_ref().is_some_and(Document::is_over) {
            self.end();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn end(&mut self) {
        self.document = None;
        self.exchange.finish(Ended::Complete);
    }
}

impl<N: Network> Drop for Relay<N> {
    /// Whoever has had all the bytes that were promised asks for no more, though the upstream's word that this was the
    /// end may still be on its way.
    fn drop(&mut self) {
        if self.is_passed() {
            self.end();
        }
    }
}

/// How an answer ends whose request broke off.
fn ended_by(fault: BodyFault) -> Ending {
    match fault {
        BodyFault::Stalled => (Ended::Timeout, Some(Code::RequestTimeout)),
        _ => (Ended::ClientLeft, None),
    }
}

impl<N: Network> Relay<N> {
    fn new(exchange: Box<Exchange<N>>, source: Option<Source<N>>, idle_timeout: Option<Duration>) -> Self {
        Self { exchange, source, idle_timeout, was_unread: false, is_packed: false, is_lent: false, cut: None }
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.source.as_ref().map_or(Some(0), |source| source.leg.length_left());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        self.was_unread |= self.exchange.is_unread();
        let deadlines = &self.exchange.connection.deadlines;
        if deadlines.has_expired(Wait::ResponseBody) {
            source.leg.timed_out();
            self.blame(AttemptOutcome::Timeout);
            let cut = (Ended::Timeout, Some(Code::UpstreamTimeout));
            return self.abort(cut, "the upstream's response body did not move in time".into());
        }
        match source.leg.poll_frame(cx) {
            Poll::Pending => {
                // Until now nothing was waited for: the head and what came with it are handed on at this moment.
                if self.exchange.answered.is_none() {
                    self.exchange.answered = Some(self.exchange.now());
                }
                if self.idle_timeout.is_some() && !deadlines.is_set(Wait::ResponseBody) {
                    deadlines.set(Wait::ResponseBody, self.exchange.now(), self.idle_timeout);
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(self.pass(frame)))),
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                let cut = match error {
                    http1::Error::RequestBody(fault) => ended_by(fault),
                    // The upstream no longer waits for a client that is slow.
                    http1::Error::Broken(_) if self.was_unread => (Ended::UpstreamCut, Some(Code::UpstreamReset)),
                    http1::Error::Broken(_) | http1::Error::Invalid(_) => {
                        self.blame(AttemptOutcome::Reset);
                        (Ended::UpstreamCut, Some(Code::UpstreamReset))
                    }
                };
                self.abort(cut, error.into())
            }
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.exchange.connection.deadlines.clear(Wait::ResponseBody);
        if let Some(data) = frame.data_ref()
            && !self.is_packed
        {
            self.exchange.bytes_out += data.len() as u64;
        }
        if self.exchange.is_grpc
            && let Some(trailers) = frame.trailers_ref()
        {
            self.judge(trailers);
        }
        if self.source.as_ref().is_some_and(|source| source.leg.is_over()) {
            self.end();
        }
        match frame.into_trailers() {
            Ok(mut trailers) => {
                screen_trailers(&mut trailers, &self.exchange.snapshot.header_rules);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }

    /// The response is over, and with it its record.
    fn end(&mut self) {
        let now = self.exchange.now();
        if let Some(source) = self.source.take() {
            source.finish(&self.exchange, now);
        }
        if !self.is_packed {
            self.exchange.finish_at(Ended::Complete, now);
        }
    }

    /// All bytes that were promised have come.
    fn is_passed(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.leg.length_left() == Some(0))
    }

    /// Whoever read it wants no more of it: its upstream is done with, which is no end of the exchange.
    fn let_go(&mut self) {
        if self.is_passed() {
            self.end();
        }
        if self.source.take().is_some() {
            self.exchange.connection.deadlines.clear(Wait::ResponseBody);
        }
    }

    /// Tells the endpoint's breaker that it broke its answer off.
    fn blame(&self, outcome: AttemptOutcome) {
        if let (Some(source), Some(upstream)) = (&self.source, self.exchange.upstream()) {
            upstream.broke_off(&source.selected, outcome, None, self.exchange.now());
            self.exchange.amend_attempt(source.span, (outcome, None), self.exchange.now());
        }
    }

    /// What a call of gRPC came to is said behind its messages.
    #[cold]
    fn judge(&self, trailers: &HeaderMap) {
        let status = trailers.get("grpc-status").map(HeaderValue::as_bytes);
        // How long messages may come is for the client to say, and says nothing of who sends them.
        let hurried = self.exchange.hurried || self.exchange.call_timeout.is_some();
        let failed = status.and_then(|status| grpc_failure(status, hurried));
        if let (Some(status), Some(source), Some(upstream)) = (failed, &self.source, self.exchange.upstream()) {
            let (outcome, status) = (AttemptOutcome::Status5xx, Some(status.as_u16()));
            upstream.broke_off(&source.selected, outcome, status, self.exchange.now());
            self.exchange.amend_attempt(source.span, (outcome, status), self.exchange.now());
        }
    }

    fn abort(&mut self, cut: Ending, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // The connection is dropped with its source: nobody may read what is left on it.
        self.source = None;
        if self.is_lent {
            // Who reads it may answer all the same: what becomes of the exchange is told at its own end.
            self.cut = Some(cut);
            self.exchange.connection.deadlines.set(Wait::ResponseBody, self.exchange.now(), None);
        } else {
            self.exchange.finish_with(cut);
        }
        Poll::Ready(Some(Err(error)))
    }
}
