//! When an answer of gRPC is whole: each of its messages has come to its end, and behind them stands what the call came
//! to (gRPC over HTTP/2, "Responses").
//!
//! HTTP knows nothing of that: an answer that ends within a message, or without its trailers, is whole to it. To its
//! caller it is none, whatever it says, so that it counts as one that broke off: for the record, for the endpoint's
//! breaker, and for the caller, who is told so as far as that can be.

use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::{Ending, Relay};
use crate::error::Code;
use crate::forward::grpc_failure;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::record::Ended;

/// How an answer ends that its upstream took for whole, and that is not.
const NOT_WHOLE: Ending = (Ended::UpstreamCut, Some(Code::UpstreamInvalid));

impl<N: Network> Relay<N> {
    /// What keeps an answer that is over from being a whole one, where something does.
    #[inline]
    pub(super) fn lacks(&self) -> Option<&'static str> {
        if self.exchange.speech.is_told.is_none() { None } else { self.call_lacks() }
    }

    #[cold]
    fn call_lacks(&self) -> Option<&'static str> {
        let is_told = self.exchange.speech.is_told?;
        if !self.source.as_ref()?.leg.is_over() {
            return None;
        }
        if !self.messages.is_between() {
            return Some("it ended within a message");
        }
        (!is_told).then_some("it ended without a word of what the call came to")
    }

    /// A part of an answer of gRPC has come.
    #[inline(never)]
    pub(super) fn pass_of_call(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let (Some(data), true) = (frame.data_ref(), self.exchange.speech.is_told.is_some()) {
            self.messages.follow(data);
        }
        if let Some(trailers) = frame.trailers_ref() {
            if let Some(is_told) = &mut self.exchange.speech.is_told {
                *is_told |= trailers.contains_key("grpc-status");
            }
            if let Some(why) = self.lacks() {
                return self.end_short(why);
            }
            self.judge(trailers);
        }
        Poll::Ready(Some(Ok(self.pass(frame))))
    }

    /// The answer is over, and is not whole: it ends as one that was cut. All that HTTP was told of it has come, so
    /// that trailers may follow whatever its head says of its length.
    #[cold]
    pub(super) fn end_short(&mut self, why: &'static str) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.fell_short(why);
        self.end_telling((NOT_WHOLE, NOT_WHOLE.1), why.into(), true)
    }

    /// The endpoint is told so.
    #[cold]
    pub(super) fn fell_short(&self, why: &str) -> Ending {
        self.exchange.note_cut(why);
        self.blame(AttemptOutcome::Invalid, why);
        NOT_WHOLE
    }

    /// What a call of gRPC came to is said behind its messages.
    fn judge(&mut self, trailers: &HeaderMap) {
        let status = trailers.get("grpc-status").map(HeaderValue::as_bytes);
        if let Some(status) = status {
            self.exchange.tells_grpc_status(status);
        }
        // How long messages may come is for the client to say, and says nothing of who sends them.
        let hurried = self.exchange.hurried || self.exchange.call_timeout.is_some();
        let failed = status.and_then(|status| grpc_failure(status, hurried));
        let Some(source) = &self.source else { return };
        let told = self.exchange.grpc_status.filter(|_| status.is_some());
        if let (Some(status), Some(upstream)) = (failed, self.exchange.upstream()) {
            let (outcome, now) = (AttemptOutcome::Status5xx, self.exchange.now());
            let why = told.map(|told| format!("grpc-status {told}"));
            upstream.broke_off(&source.selected, (outcome, Some(status.as_u16())), why.as_deref(), now);
            self.exchange.amend_attempt(source.span, outcome, now);
        }
        if let (Some(span), Some(told)) = (source.span, told) {
            self.exchange.tell_attempt_of_grpc(span, told);
        }
    }
}
