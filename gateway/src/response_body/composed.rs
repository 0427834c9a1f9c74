//! An aggregate's document as it streams through: told on to the exchange that it answers.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::Document;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::telemetry::recorder::MissingPart;

/// The document, and the exchange that it answers.
pub struct Composed<N: Network> {
    pub(super) exchange: Box<Exchange<N>>,
    /// Taken when it has ended.
    document: Option<Document<N>>,
    /// How much of it is left, where that is known.
    length: Option<u64>,
    /// What passes here is not yet what the client gets: who makes it that counts it, and records the end.
    pub(super) is_packed: bool,
}

impl<N: Network> Composed<N> {
    pub(super) fn new(exchange: Box<Exchange<N>>, document: Document<N>) -> Self {
        let length = document.length();
        Self { exchange, document: Some(document), length, is_packed: false }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    pub(super) fn is_over(&self) -> bool {
        self.document.is_none()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(document) = &mut self.document else { return Poll::Ready(None) };
        let polled = document.poll_frame(&self.exchange, cx);
        // What waits for a part is no time of the gateway's own, whoever makes something else of what comes.
        if self.exchange.answered.is_none() && (!self.is_packed || polled.is_pending()) {
            self.exchange.answered = Some(self.exchange.now());
        }
        let frame = match ready!(polled) {
            Some(Ok(frame)) => frame,
            None => {
                self.end();
                return Poll::Ready(None);
            }
            Some(Err(cut)) => {
                if let Some(part) = document.turn_of() {
                    let (result, why) = (cut.result(), Some(cut.why.to_string().into()));
                    self.exchange.lacks(MissingPart { part, result, why, in_its_place: None });
                }
                self.document = None;
                self.exchange.code = Some(cut.code);
                self.exchange.finish(cut.ended);
                return Poll::Ready(Some(Err(cut.why)));
            }
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        if !self.is_packed {
            self.exchange.bytes_out += bytes;
        }
        self.length = self.length.map(|left| left.saturating_sub(bytes));
        if self.document.as_ref().is_some_and(Document::is_over) {
            self.end();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// What is there goes to the client, which takes it when it likes: no part is waited for meanwhile.
    pub(super) fn pause(&mut self) {
        if let Some(document) = &mut self.document {
            document.pause(&self.exchange);
        }
    }

    /// No more of it is wanted.
    pub(super) fn leave(&mut self) {
        self.document = None;
    }

    fn end(&mut self) {
        self.document = None;
        if !self.is_packed {
            self.exchange.finish_whole(self.exchange.now());
        }
    }
}
