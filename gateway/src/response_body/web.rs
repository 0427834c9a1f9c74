//! A service's answer of gRPC on its way to a web page (gRPC-Web): its trailers become its last message, and all of it
//! text where the page wants that.
//!
//! The relay below it drives the upstream's connection as ever, hears what the call came to, and lets nothing pass for
//! whole that is not (`call.rs`). What breaks off between two messages ends in such a last message, too, whatever its
//! client speaks; within one it is cut.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::Relay;
use crate::algorithms::grpc_web::ToPage;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::telemetry::record::Ended;

/// The translated body.
pub struct Web<N: Network> {
    pub(super) relay: Relay<N>,
    translation: ToPage,
    /// All is out.
    is_over: bool,
}

type Frames = Option<Result<Frame<Bytes>, BoxError>>;

impl<N: Network> Web<N> {
    pub(super) fn new(relay: Relay<N>, translation: ToPage) -> Self {
        Self { relay, translation, is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Frames> {
        while !self.is_over {
            self.relay.exchange.speech.tells_behind = self.translation.is_between();
            let frame = match ready!(self.relay.poll_frame(cx)) {
                None => return Poll::Ready(self.end()),
                // The relay has recorded why.
                Some(Err(error)) => {
                    self.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => frame,
            };
            let passed = match frame.into_data() {
                Ok(data) => self.pass(data),
                Err(frame) => self.close(&frame.into_trailers().unwrap_or_default()),
            };
            if passed.is_some() {
                return Poll::Ready(passed);
            }
        }
        Poll::Ready(None)
    }

    /// Messages, or a part of one. `None` where nothing of them can be told yet.
    fn pass(&mut self, data: Bytes) -> Frames {
        let out = match self.translation.messages(&data) {
            None => data,
            Some(text) => text.into(),
        };
        // What the call came to was said in the head: nothing follows.
        self.is_over = self.relay.source.is_none();
        self.count(out.len());
        if out.is_empty() { None } else { Some(Ok(Frame::data(out))) }
    }

    /// What the call came to.
    fn close(&mut self, trailers: &HeaderMap) -> Frames {
        let fields = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let out = self.translation.trailers(fields);
        // Nothing comes behind them, whether that has been heard or not.
        self.relay.let_go();
        self.is_over = true;
        self.count(out.len());
        Some(Ok(Frame::data(out.into())))
    }

    /// The end of an answer behind whose messages nothing was to come.
    fn end(&mut self) -> Frames {
        self.is_over = true;
        self.count(0);
        None
    }

    /// So many bytes are handed on at this moment.
    fn count(&mut self, bytes: usize) {
        let exchange = &mut self.relay.exchange;
        exchange.bytes_out += bytes as u64;
        if self.is_over {
            let ending = self.relay.cut.take().unwrap_or((Ended::Complete, None));
            exchange.finish_with(ending);
        } else if exchange.answered.is_none() {
            exchange.answered = Some(exchange.now());
        }
    }
}
