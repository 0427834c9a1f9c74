//! An answer of the program's own code on its way to the client: a handler's, or an upstream's that a stage has seen.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::relay::ended_by;
use super::{Ending, Relay, ResponseBody, Source};
use crate::clock::Clock;
use crate::context::screen_trailers;
use crate::error::Code;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::{BodyFault, BoxError};
use crate::telemetry::record::Ended;
use crate::timer::{Deadlines, Wait};

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

/// The exchange of an answer that the program's own code has in hand.
pub enum Held<N: Network> {
    /// A handler's.
    Own(Box<Exchange<N>>),
    /// An upstream's, whose body streams through a stage.
    Lent(Arc<Mutex<Relay<N>>>),
}

impl<N: Network> Held<N> {
    /// Takes an upstream's answer apart: the exchange, and a body for whoever wants to see it.
    pub fn lend(mut exchange: Box<Exchange<N>>, source: Source<N>, idle_timeout: Option<Duration>) -> (Self, Lent<N>) {
        let source = if source.leg.is_over() && !exchange.speech.lacks_a_word() {
            source.finish(&exchange, exchange.now());
            None
        } else {
            Some(source)
        };
        exchange.answered = None;
        let mut relay = Relay::new(exchange, source, idle_timeout);
        (relay.is_packed, relay.is_lent) = (true, true);
        let relay = Arc::new(Mutex::new(relay));
        (Self::Lent(Arc::clone(&relay)), Lent { relay })
    }

    /// How a body has ended that did not come whole. One may be made of what the client sends: what breaks off then is
    /// the client's request.
    fn cut(&self) -> Option<Ending> {
        match self {
            Self::Own(exchange) => exchange.request_body.as_ref()?.fault().map(ended_by),
            Self::Lent(relay) => lock(relay).cut,
        }
    }

    /// Does something with the exchange. Where that ends it, stages that have its answer in hand are told so when the
    /// lock is free again: they may let go of what wants it.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Exchange<N>) -> T) -> T {
        match self {
            Self::Own(exchange) => work(exchange),
            Self::Lent(relay) => {
                let mut relay = lock(relay);
                let done = work(&mut relay.exchange);
                let to_tell = relay.exchange.stages_to_tell();
                drop(relay);
                if let Some((seen, shard)) = to_tell {
                    seen.tell(&shard.shared);
                }
                done
            }
        }
    }
}

fn lock<N: Network>(relay: &Mutex<Relay<N>>) -> MutexGuard<'_, Relay<N>> {
    relay.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An upstream's body, as a stage reads it.
pub struct Lent<N: Network> {
    relay: Arc<Mutex<Relay<N>>>,
}

impl<N: Network> Body for Lent<N> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let mut relay = lock(&self.relay);
        if !relay.is_read_by(cx) {
            relay.reader = Some(cx.waker().clone());
        }
        relay.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.relay).source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.relay).size_hint()
    }
}

impl<N: Network> Drop for Lent<N> {
    /// Nobody reads the rest. What a stage gives in its place may take long: the connection and the endpoint's place
    /// are not kept for that.
    fn drop(&mut self) {
        lock(&self.relay).let_go();
    }
}

/// A body of the program's own as it streams through.
pub struct Handled<N: Network> {
    held: Held<N>,
    /// Taken when it has ended.
    body: Option<axum::body::Body>,
    deadlines: Arc<Deadlines>,
    clock: Clock,
    idle_timeout: Option<Duration>,
    bytes: u64,
    /// How many bytes it is, where that was known before.
    length: Option<u64>,
}

impl<N: Network> ResponseBody<N> {
    /// The program's own answer. One without a body is over at once.
    pub fn handled(mut held: Held<N>, body: Option<axum::body::Body>) -> Self {
        let (deadlines, clock, idle_timeout) = held.with(|exchange| {
            exchange.answered = Some(exchange.now());
            exchange.answer_begins();
            let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
            let clock = exchange.shard.shared.clock.clone();
            (Arc::clone(&exchange.connection.deadlines), clock, idle_timeout)
        });
        let Some(body) = body.filter(|body| !body.is_end_stream()) else {
            held.with(|exchange| exchange.finish(Ended::Complete));
            return Self::Empty;
        };
        let length = body.size_hint().exact();
        Self::Handled(Box::new(Handled { held, body: Some(body), deadlines, clock, idle_timeout, bytes: 0, length }))
    }
}

impl<N: Network> Handled<N> {
    pub(super) fn is_over(&self) -> bool {
        self.body.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        // An upstream's body that stands still says so itself, and tells its breaker.
        let Ok(polled) = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx))) else {
            self.held.with(|exchange| {
                exchange.shard.shared.metrics.gateway().panicked();
                exchange.note_cut("the program's own code panicked");
            });
            return self.abort((Ended::UpstreamCut, Some(Code::Internal)), "the response body panicked".into());
        };
        if polled.is_pending() {
            if self.deadlines.has_expired(Wait::ResponseBody) {
                return self.time_out();
            }
            if self.idle_timeout.is_some() && !self.deadlines.is_set(Wait::ResponseBody) {
                self.deadlines.set(Wait::ResponseBody, self.clock.now(), self.idle_timeout);
            }
        }
        match ready!(polled) {
            None => {
                self.end((Ended::Complete, None));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                let cut = self.held.cut().unwrap_or_else(|| {
                    self.held.with(|exchange| exchange.note_cut(&error.to_string()));
                    (Ended::UpstreamCut, Some(Code::UpstreamReset))
                });
                self.abort(cut, error.into())
            }
            Some(Ok(frame)) => Poll::Ready(Some(Ok(self.pass(frame)))),
        }
    }

    pub(super) fn with_exchange(&mut self, work: impl FnOnce(&mut Exchange<N>)) {
        self.held.with(work);
    }

    /// Moves the request on, where that is an upstream's to take, and a stage reads its answer in this very task: one
    /// that reads it in another has to be woken there.
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Held::Lent(relay) = &self.held else { return Poll::Pending };
        let cut = {
            let mut relay = lock(relay);
            if !relay.is_read_by(cx) {
                return Poll::Pending;
            }
            ready!(relay.poll_request(cx));
            relay.cut
        };
        self.end(cut.unwrap_or((Ended::ClientLeft, None)));
        Poll::Ready(())
    }

    pub(super) fn has_request_moved(&mut self) -> bool {
        match &self.held {
            Held::Own(_) => false,
            Held::Lent(relay) => lock(relay).has_request_moved(),
        }
    }

    /// Nothing has moved for long: nobody's fault but the client's, where it was to send more. A stream had nothing to
    /// say.
    #[cold]
    fn time_out(&mut self) -> Polled {
        if self.held.with(|exchange| exchange.waits_for_client()) {
            return self.abort(ended_by(BodyFault::Stalled), BodyFault::Stalled.into());
        }
        if self.held.with(|exchange| exchange.speech.streams) {
            return self.abort((Ended::Timeout, None), "nothing was said in the stream for long".into());
        }
        let cut = (Ended::Timeout, Some(Code::UpstreamTimeout));
        self.held.with(|exchange| exchange.note_cut("it did not go on in time"));
        self.abort(cut, "the response body did not move in time".into())
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.deadlines.clear(Wait::ResponseBody);
        self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        if self.body.as_ref().is_some_and(Body::is_end_stream) {
            self.end((Ended::Complete, None));
        }
        match frame.into_trailers() {
            Ok(mut trailers) => {
                self.held.with(|exchange| screen_trailers(&mut trailers, &exchange.snapshot.header_rules));
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }

    /// It is over, and with it its record. What is left of the body goes first: an upstream's connection is with it.
    fn end(&mut self, ending: Ending) {
        self.body = None;
        self.deadlines.clear(Wait::ResponseBody);
        let bytes = self.bytes;
        self.held.with(|exchange| {
            exchange.bytes_out = bytes;
            exchange.finish_with(ending);
        });
    }

    fn abort(&mut self, cut: Ending, error: BoxError) -> Polled {
        self.end(cut);
        Poll::Ready(Some(Err(error)))
    }
}

impl<N: Network> Drop for Handled<N> {
    /// Whoever has had all bytes that were promised asks for no more, and whoever has left is said to have had so many.
    fn drop(&mut self) {
        if self.body.is_some() && self.length == Some(self.bytes) {
            self.end((Ended::Complete, None));
        } else if self.body.is_some() {
            let bytes = self.bytes;
            self.held.with(|exchange| exchange.bytes_out = bytes);
        }
    }
}
