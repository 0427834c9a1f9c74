//! The body of an answer on its way to the client: the gateway's own, or the upstream's as it streams in.
//!
//! The upstream's connection is driven from here while its body streams, and goes back to its pool at the body's last
//! byte. A body that breaks off aborts the client's response: a cut answer never looks like a whole one.

mod below;
mod call;
mod composed;
mod handled;
mod packed;
mod relay;
mod web;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;

use crate::algorithms::grpc_web::ToPage;
use crate::client::Tunnel;
use crate::clock::Moment;
use crate::error::Code;
use crate::exchange::Exchange;
use crate::held_bytes::Kept;
use crate::http1;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::record::Ended;
use crate::telemetry::tracing::SpanId;
use crate::timer::Wait;
use crate::upstream::{Leg, Selected};

pub use crate::compose::Document;

pub use handled::Held;

use below::Below;
use composed::Composed;
use handled::Handled;
use packed::Packed;
pub use packed::Packing;
pub use relay::Relay;
use web::Web;

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
    Upstream(Relay<N>),
    /// An upstream's answer of which some has been read before.
    Behind(Box<Prefixed<N>>),
    /// An answer that is put together of several.
    Composed(Box<Composed<N>>),
    /// An upstream's answer, or an aggregate's, compressed on its way.
    Packed(Box<Packed<N>>),
    /// An upstream's answer of gRPC, as a web page reads it.
    Web(Box<Web<N>>),
    /// What the program's own code answers.
    Handled(Box<Handled<N>>),
}

/// How an answer ended, and the problem that this is in records and metrics: one that breaks off behind its head has
/// told its status, and is no good one all the same.
type Ending = (Ended, Option<Code>);

/// What a body that broke off is: what its attempt came to, and the problem.
pub(crate) fn how_it_broke(error: &http1::Error) -> (AttemptOutcome, Code) {
    if error.is_invalid() {
        (AttemptOutcome::Invalid, Code::UpstreamInvalid)
    } else {
        (AttemptOutcome::Reset, Code::UpstreamReset)
    }
}

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

    /// What has been read.
    pub fn parts(&self) -> &[Bytes] {
        &self.read
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
    pub came: Moment,
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
        if ended == Ended::Complete {
            self.finish_whole(self.now());
        } else {
            self.finish(ended);
        }
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
        if source.leg.is_over() && !exchange.speech.lacks_a_word() {
            let now = exchange.now();
            exchange.answered = Some(now);
            exchange.keep_whole();
            source.finish(&exchange, now);
            exchange.finish_at(Ended::Complete, now);
            return Self::Empty;
        }
        Self::Upstream(Relay::new(exchange, Some(source), idle_timeout))
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
        Self::Packed(Box::new(Packed::new(Below::Relayed(relay), packing)))
    }

    /// An upstream's answer of gRPC for a web page. One without messages is over at once.
    #[cold]
    pub fn web(exchange: Box<Exchange<N>>, source: Source<N>, idle: Option<Duration>, translation: ToPage) -> Self {
        if source.leg.is_over() && !exchange.speech.lacks_a_word() {
            return Self::relay(exchange, source, idle);
        }
        let mut relay = Relay::new(exchange, Some(source), idle);
        relay.is_packed = true;
        Self::Web(Box::new(Web::new(relay, translation)))
    }

    /// An answer that is there as a whole, compressed.
    #[cold]
    pub fn packed_whole(exchange: Box<Exchange<N>>, body: Bytes, packing: Packing) -> Self {
        let mut relay = Relay::new(exchange, None, None);
        relay.is_packed = true;
        Self::Packed(Box::new(Packed::of(Below::Relayed(relay), packing, body)))
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
        // Whether or not more is to come: what was read is not handed on yet, and the exchange is not over before. How
        // long the client takes for it is no time of the gateway's own.
        exchange.answered = Some(exchange.now());
        let rest = Self::Upstream(Relay::new(exchange, Some(source), idle_timeout));
        Self::Behind(Box::new(Prefixed { behind, rest }))
    }

    /// An aggregate's answer.
    pub fn composed(exchange: Box<Exchange<N>>, document: Document<N>) -> Self {
        Self::Composed(Box::new(Composed::new(exchange, document)))
    }

    /// An aggregate's answer, compressed.
    #[cold]
    pub fn packed_document(exchange: Box<Exchange<N>>, document: Document<N>, packing: Packing) -> Self {
        let mut composed = Composed::new(exchange, document);
        composed.is_packed = true;
        Self::Packed(Box::new(Packed::new(Below::Composed(Box::new(composed)), packing)))
    }
}

impl<N: Network> ResponseBody<N> {
    /// The exchange waits to be recorded until what is read from here has gone: see `delivered`.
    pub fn await_delivery(&mut self) {
        self.with_exchange(Exchange::await_delivery);
    }

    /// Its exchange says that it is still there, where a drain wants to know: its client takes it slowly, or more of
    /// it is to come.
    #[inline]
    pub fn answer_roll_call(&mut self, is_on: bool) {
        if is_on {
            self.is_present();
        }
    }

    #[cold]
    fn is_present(&mut self) {
        self.with_exchange(|exchange| {
            if !exchange.is_finished() {
                exchange.answer_roll_call(None);
            }
        });
    }

    /// All that was read from here has gone.
    pub fn delivered(&mut self) {
        self.with_exchange(Exchange::delivered);
    }

    /// So many bytes of what was read from here will not go.
    pub fn lost(&mut self, bytes: usize) {
        self.with_exchange(|exchange| exchange.bytes_out = exchange.bytes_out.saturating_sub(bytes as u64));
    }

    /// What drives an upstream's connection, whatever is made of what comes by it.
    #[inline]
    fn relay_below(&mut self) -> Option<&mut Relay<N>> {
        match self {
            Self::Upstream(relay) => Some(relay),
            Self::Behind(prefixed) => prefixed.rest.relay_below(),
            Self::Packed(packed) => packed.below.relay(),
            Self::Web(web) => Some(&mut web.relay),
            Self::Empty | Self::Switched(_) | Self::Own(_) | Self::Composed(_) | Self::Handled(_) => None,
        }
    }

    fn with_exchange(&mut self, work: impl FnOnce(&mut Exchange<N>)) {
        match self {
            Self::Own(Some((_, exchange))) => work(exchange),
            Self::Composed(composed) => work(&mut composed.exchange),
            Self::Packed(packed) => work(packed.below.exchange_mut()),
            Self::Handled(handled) => handled.with_exchange(work),
            other => {
                if let Some(relay) = other.relay_below() {
                    work(&mut relay.exchange);
                }
            }
        }
    }

    /// Moves the request on while its client takes nothing of the answer. Ready when the exchange has broken off: then
    /// it is recorded, and the answer is to end as one that was cut.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Handled(handled) = self {
            return handled.poll_request(cx);
        }
        self.relay_below().map_or(Poll::Pending, |relay| relay.poll_request(cx))
    }

    /// Whether more of the request has come since this was last asked. Who sends is not idle, though it takes nothing
    /// of the answer for so long that it would be left otherwise.
    pub fn has_request_moved(&mut self) -> bool {
        if let Self::Handled(handled) = self {
            return handled.has_request_moved();
        }
        self.relay_below().is_some_and(Relay::has_request_moved)
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
            Self::Web(web) => web.poll_frame(cx),
            Self::Handled(handled) => handled.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Switched(_) => true,
            Self::Own(own) => own.as_ref().is_none_or(|(bytes, _)| bytes.is_empty()),
            Self::Upstream(relay) => relay.source.is_none(),
            Self::Composed(composed) => composed.is_over(),
            Self::Behind(prefixed) => prefixed.behind.read.is_empty() && prefixed.rest.is_end_stream(),
            Self::Packed(packed) => packed.is_over(),
            Self::Web(web) => web.is_over(),
            Self::Handled(handled) => handled.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Switched(_) => SizeHint::with_exact(0),
            Self::Own(own) => SizeHint::with_exact(own.as_ref().map_or(0, |(bytes, _)| bytes.len() as u64)),
            Self::Upstream(relay) => relay.size_hint(),
            Self::Composed(composed) => composed.size_hint(),
            Self::Behind(prefixed) => match prefixed.rest.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(rest + prefixed.behind.length()),
                None => SizeHint::default(),
            },
            Self::Packed(_) | Self::Web(_) => SizeHint::default(),
            Self::Handled(handled) => handled.size_hint(),
        }
    }
}

/// The next piece of the gateway's own answer, which is over with the last one.
fn next_piece<N: Network>(own: &mut Option<(Bytes, Box<Exchange<N>>)>) -> Option<Bytes> {
    let (bytes, exchange) = own.as_mut().filter(|(bytes, _)| !bytes.is_empty())?;
    let piece = bytes.split_to(bytes.len().min(PIECE));
    exchange.bytes_out += piece.len() as u64;
    if bytes.is_empty() {
        exchange.finish_whole(exchange.now());
        if exchange.is_finished() {
            *own = None;
        }
    }
    Some(piece)
}
