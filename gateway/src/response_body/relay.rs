//! An upstream's body as it streams through: driven from here, watched, and told on to its exchange.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{Ending, Source, how_it_broke};
use crate::algorithms::grpc_web::Messages;
use crate::context::screen_trailers;
use crate::error::Code;
use crate::exchange::Exchange;
use crate::http1;
use crate::network::Network;
use crate::request_body::{BodyFault, BoxError};
use crate::response;
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::record::Ended;
use crate::timer::Wait;

/// An upstream's body as it streams through.
pub struct Relay<N: Network> {
    pub(super) exchange: Box<Exchange<N>>,
    /// Taken when the body has ended.
    pub(super) source: Option<Source<N>>,
    idle_timeout: Option<Duration>,
    /// The client has let it wait for long.
    was_unread: bool,
    /// Bytes of the request when it was last asked whether it moves.
    requested: u64,
    /// What passes here is not yet what the client gets: who makes it that counts it, and records the end.
    pub(super) is_packed: bool,
    /// The program's own code reads it, and may answer with something else.
    pub(super) is_lent: bool,
    /// Where it is among its messages, where it is an answer of gRPC.
    pub(super) messages: Messages,
    /// Who reads a lent one.
    pub(super) reader: Option<Waker>,
    /// How a lent one has ended that did not come whole; or one that ends in trailers which somebody has yet to tell.
    pub(super) cut: Option<Ending>,
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

/// How an answer ends whose request broke off. One that the gateway itself ends is written as `timeout`: the contract
/// has no other word for that.
pub(super) fn ended_by(fault: BodyFault) -> Ending {
    match fault {
        BodyFault::Stalled => (Ended::Timeout, Some(Code::RequestTimeout)),
        BodyFault::TooLarge => (Ended::Timeout, Some(Code::BodyTooLarge)),
        BodyFault::Malformed => (Ended::Timeout, Some(Code::BadRequest)),
        BodyFault::ClientLeft => (Ended::ClientLeft, None),
    }
}

impl<N: Network> Relay<N> {
    pub(super) fn new(exchange: Box<Exchange<N>>, source: Option<Source<N>>, idle_timeout: Option<Duration>) -> Self {
        let requested = exchange.answer_begins();
        let (was_unread, is_packed, is_lent) = (false, false, false);
        let (messages, reader, cut) = (Messages::default(), None, None);
        Self { exchange, source, idle_timeout, was_unread, requested, is_packed, is_lent, messages, reader, cut }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let left = self.source.as_ref().map_or(Some(0), |source| source.leg.length_left());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &mut self.source else { return Poll::Ready(None) };
        self.was_unread |= self.exchange.is_unread();
        match source.leg.poll_frame(cx) {
            Poll::Pending => self.wait(),
            Poll::Ready(Some(Ok(frame))) if self.exchange.is_grpc => self.pass_of_call(frame),
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(self.pass(frame)))),
            Poll::Ready(None) => match self.lacks() {
                Some(why) => self.end_short(why),
                None => {
                    self.end();
                    Poll::Ready(None)
                }
            },
            Poll::Ready(Some(Err(error))) => {
                let cut = self.broke_off(&error);
                self.end_cut(cut, error.into())
            }
        }
    }

    /// Moves the request on while its client takes nothing of the answer, so that a client which reads late and an
    /// upstream which answers early do not wait for each other. Ready when the exchange has broken off.
    #[inline(never)]
    pub(super) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(source) = &mut self.source else { return Poll::Pending };
        self.was_unread |= self.exchange.is_unread();
        let Err(error) = source.leg.poll_send(cx) else { return Poll::Pending };
        let cut = self.broke_off(&error);
        self.abort(cut, error.into()).map(drop)
    }

    /// Whether more of the request has come since this was last asked, which is when the client has taken nothing of
    /// the answer for long.
    #[cold]
    pub(super) fn has_request_moved(&mut self) -> bool {
        self.was_unread = true;
        let requested = self.exchange.requested();
        std::mem::replace(&mut self.requested, requested) != requested
    }

    /// Whether who polls now is who read it last.
    pub(super) fn is_read_by(&self, cx: &Context<'_>) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker()))
    }

    /// Nothing comes right now. What moves of the request forgets this deadline, so that it is set anew here: an
    /// exchange is idle when neither side moves.
    fn wait(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // Until now nothing was waited for: the head and what came with it are handed on at this moment.
        if self.exchange.answered.is_none() {
            self.exchange.answered = Some(self.exchange.now());
        }
        let deadlines = &self.exchange.connection.deadlines;
        if deadlines.has_expired(Wait::ResponseBody) {
            return self.time_out();
        }
        if self.idle_timeout.is_some() && !deadlines.is_set(Wait::ResponseBody) {
            deadlines.set(Wait::ResponseBody, self.exchange.now(), self.idle_timeout);
        }
        Poll::Pending
    }

    /// The exchange is idle. An upstream may wait for what its client does not send: it is to blame only where it alone
    /// was waited for.
    #[cold]
    fn time_out(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(source) = &self.source else { return Poll::Ready(None) };
        if source.leg.is_sending() && self.exchange.waits_for_client() {
            return self.end_cut(ended_by(BodyFault::Stalled), BodyFault::Stalled.into());
        }
        source.leg.timed_out();
        if self.exchange.speech.streams && self.messages.is_between() && !source.leg.is_sending() {
            return self.end_silent();
        }
        let to_come = source.leg.length_left().map(|left| format!(", with {left} bytes to come")).unwrap_or_default();
        let why = format!("it did not go on in time{to_come}");
        self.exchange.note_cut(&why);
        self.blame(AttemptOutcome::Timeout, &why);
        let cut = (Ended::Timeout, Some(Code::UpstreamTimeout));
        self.end_cut(cut, "the upstream's response body did not move in time".into())
    }

    /// A stream in which nobody has spoken for long ends as a tunnel does. To have nothing to say is no failure, of its
    /// request or of its endpoint; its caller is told why it ended, where that can be.
    #[cold]
    fn end_silent(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (cut, told) = ((Ended::Timeout, None), Some(Code::UpstreamTimeout));
        self.end_telling((cut, told), "nothing was said in the stream for long".into(), true)
    }

    /// The answer does not come whole: why.
    #[cold]
    fn broke_off(&self, error: &http1::Error) -> Ending {
        if let http1::Error::RequestBody(fault) = error {
            return ended_by(*fault);
        }
        let why = error.reason();
        self.exchange.note_cut(&why);
        // An upstream that no longer waits for a client that is slow is not to blame.
        let (outcome, code) = how_it_broke(error);
        if !(self.was_unread && matches!(error, http1::Error::Broken(_))) {
            self.blame(outcome, &why);
        }
        (Ended::UpstreamCut, Some(code))
    }

    /// The answer ends as one that was cut. Callers of gRPC are told so in trailers, where that can be: to them a reset
    /// is a bug of somebody's, and no reason to ask again.
    #[cold]
    fn end_cut(&mut self, cut: Ending, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let is_open = self.source.as_ref().is_some_and(|source| source.leg.length_left().is_none());
        self.end_telling((cut, cut.1), error, is_open)
    }

    /// The same, with what its caller is told; `is_open`: trailers can follow what was passed on.
    pub(super) fn end_telling(
        &mut self,
        (cut, told): (Ending, Option<Code>),
        error: BoxError,
        is_open: bool,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let told = told.filter(|_| self.exchange.speech.tells_behind && is_open && !self.is_lent);
        let Some(trailers) = told.map(response::trailers) else { return self.abort(cut, error) };
        if let Some(status) = trailers.get("grpc-status") {
            self.exchange.tells_grpc_status(status.as_bytes());
        }
        if self.is_packed {
            // Who makes something else of them counts that, and records the end.
            self.leave();
            self.cut = Some(cut);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        self.abort(cut, error).map(|_| Some(Ok(Frame::trailers(trailers))))
    }

    pub(super) fn pass(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        self.exchange.connection.deadlines.clear(Wait::ResponseBody);
        if let Some(data) = frame.data_ref() {
            if !self.is_packed {
                self.exchange.bytes_out += data.len() as u64;
            }
            self.exchange.keep_part(data);
        }
        if self.source.as_ref().is_some_and(|source| source.leg.is_over()) && self.lacks().is_none() {
            self.end();
        } else if self.exchange.answered.is_none() && !self.is_packed {
            // How long the client takes for what comes is no time of the gateway's own.
            self.exchange.answered = Some(self.exchange.now());
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
        // Whoever had all that HTTP promised may have asked for no more.
        let cut = self.lacks().map(|why| self.fell_short(why));
        if let Some(source) = self.source.take() {
            self.exchange.keep_whole();
            source.finish(&self.exchange, now);
        }
        match cut {
            Some(cut) if self.is_lent => self.cut = Some(cut),
            _ if self.is_packed => {}
            None => self.exchange.finish_whole(now),
            Some(cut) => self.exchange.finish_with(cut),
        }
    }

    /// All bytes that were promised have come.
    fn is_passed(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.leg.length_left() == Some(0))
    }

    /// Whoever read it wants no more of it: its upstream is done with, which is no end of the exchange.
    pub(super) fn let_go(&mut self) {
        if self.is_passed() {
            self.end();
        }
        if self.source.take().is_some() {
            self.exchange.connection.deadlines.clear(Wait::ResponseBody);
        }
    }

    /// Tells the endpoint's breaker that it broke its answer off, and why; of all that ended with one connection one
    /// does.
    pub(super) fn blame(&self, outcome: AttemptOutcome, why: &str) {
        if let (Some(source), Some(upstream)) = (&self.source, self.exchange.upstream()) {
            if self.exchange.is_doubtful || source.leg.is_mine_to_blame() {
                upstream.broke_off(&source.selected, (outcome, None), Some(why), self.exchange.now());
            }
            self.exchange.amend_attempt(source.span, outcome, self.exchange.now());
        }
    }

    /// The connection is dropped with its source: nobody may read what is left on it.
    fn leave(&mut self) {
        self.source = None;
        self.exchange.keep_nothing();
    }

    fn abort(&mut self, cut: Ending, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.leave();
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
