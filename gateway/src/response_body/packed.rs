//! An answer of an upstream, or of an aggregate, that is compressed on its way to the client.
//!
//! What is below it drives connections of upstreams as ever. Where nothing more has come for now and nobody knows
//! how much is to come, what has come is flushed, so that an event is never held back. A worker's other requests have
//! their turn between pieces.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::Below;
use crate::compression::{DIGESTS, Encoder, Failed};
use crate::config::settings::compress::Coding;
use crate::error::Code;
use crate::held_bytes::Kept;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::telemetry::record::Ended;

/// What is compressed in one step, bytes: about a tenth of a millisecond. (zstd gathers 128 KiB and compresses them in
/// one step, which takes one to two.)
const STEP: usize = 8 * 1024;
/// After so many bytes others have their turn.
const TURN: usize = 4 * STEP;

/// How an answer is compressed.
pub struct Packing {
    /// What with.
    pub coding: Coding,
    /// The encoder, ready.
    pub encoder: Box<Encoder>,
    /// Its part of the worker's memory.
    pub room: Kept,
    /// The answer's length, where that is known.
    pub length: Option<u64>,
}

/// The compressed body.
pub struct Packed<N: Network> {
    pub(super) below: Below<N>,
    coding: Coding,
    /// Taken when all is out.
    encoder: Option<Box<Encoder>>,
    _room: Kept,
    /// Nobody knows how much is to come.
    is_open: bool,
    /// What came and is not compressed yet.
    input: Bytes,
    /// Something went in since all of it last came out.
    holds: bool,
    /// No more comes.
    has_ended: bool,
    trailers: Option<HeaderMap>,
    /// Bytes that were compressed since others had their turn.
    in_turn: usize,
    bytes_in: u64,
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<N: Network> Packed<N> {
    pub(super) fn new(below: Below<N>, packing: Packing) -> Self {
        Self::of(below, packing, Bytes::new())
    }

    /// The same of what has come already.
    pub(super) fn of(below: Below<N>, packing: Packing, input: Bytes) -> Self {
        Self {
            below,
            coding: packing.coding,
            encoder: Some(packing.encoder),
            _room: packing.room,
            is_open: packing.length.is_none(),
            input,
            holds: false,
            has_ended: false,
            trailers: None,
            in_turn: 0,
            bytes_in: 0,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        loop {
            let Some(mut encoder) = self.encoder.take() else { return Poll::Ready(self.rest()) };
            let mut out = Vec::new();
            let went = match self.poll_step(cx, &mut encoder, &mut out) {
                Poll::Pending => {
                    self.encoder = Some(encoder);
                    return Poll::Pending;
                }
                Poll::Ready(went) => went,
            };
            match went {
                // What is below has recorded why.
                Err(Cut::Upstream(error)) => return Poll::Ready(Some(Err(error))),
                Err(Cut::Encoder) => return Poll::Ready(Some(Err(self.fail()))),
                Ok(Step::Last) => encoder.give_back(),
                Ok(Step::More) => self.encoder = Some(encoder),
            }
            if !out.is_empty() {
                self.count(out.len());
                // A little is often all, and may wait long for its client: then it keeps no room for more.
                if out.len() < out.capacity() / 2 {
                    out.shrink_to_fit();
                }
                return Poll::Ready(Some(Ok(Frame::data(tight(out)))));
            }
        }
    }

    /// A step: something comes, goes in, or comes out.
    fn poll_step(&mut self, cx: &mut Context<'_>, encoder: &mut Encoder, out: &mut Vec<u8>) -> Poll<Result<Step, Cut>> {
        if !self.input.is_empty() {
            ready!(self.poll_turn(cx));
            let part = self.input.split_to(STEP.min(self.input.len()));
            (self.in_turn, self.holds) = (self.in_turn + part.len(), true);
            self.bytes_in += part.len() as u64;
            encoder.write(&part, out)?;
            return Poll::Ready(Ok(Step::More));
        }
        if self.has_ended {
            encoder.finish(out)?;
            return Poll::Ready(Ok(Step::Last));
        }
        match self.below.poll_frame(cx) {
            Poll::Pending => {
                self.in_turn = 0;
                if !((self.is_open || self.below.has_all()) && std::mem::take(&mut self.holds)) {
                    return Poll::Pending;
                }
                encoder.flush(out)?;
                // While the client takes its time with what came out, nobody waits for the upstream.
                if !out.is_empty() {
                    self.below.pause();
                }
            }
            Poll::Ready(None) => self.has_ended = true,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Cut::Upstream(error))),
            Poll::Ready(Some(Ok(frame))) => {
                match frame.into_data() {
                    Ok(data) => self.input = data,
                    Err(frame) => self.trailers = frame.into_trailers().ok().map(without_digests),
                }
                self.has_ended = self.below.is_over();
            }
        }
        Poll::Ready(Ok(Step::More))
    }

    /// Ready while it is this answer's turn. Others, and the sockets of all, have theirs before it goes on.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.in_turn < TURN {
            return Poll::Ready(());
        }
        self.in_turn = 0;
        // What is ready is handed on at this moment.
        let exchange = self.below.exchange_mut();
        if exchange.answered.is_none() {
            exchange.answered = Some(exchange.now());
        }
        // Pending at its first poll, when it has seen to it that this task is woken again.
        pin!(tokio::task::yield_now()).poll(cx)
    }

    /// What follows the compressed bytes.
    fn rest(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let trailers = self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)));
        let exchange = self.below.exchange_mut();
        exchange.finish_whole(exchange.now());
        trailers
    }

    /// So many bytes are handed on at this moment.
    fn count(&mut self, bytes: usize) {
        let is_over = self.is_over();
        let exchange = self.below.exchange_mut();
        exchange.bytes_out += bytes as u64;
        if is_over {
            exchange.finish_whole(exchange.now());
        } else if exchange.answered.is_none() {
            exchange.answered = Some(exchange.now());
        }
    }

    /// A cut answer never looks like a whole one.
    #[cold]
    fn fail(&mut self) -> BoxError {
        self.below.leave();
        let exchange = self.below.exchange_mut();
        exchange.code = Some(Code::Internal);
        exchange.finish(Ended::Complete);
        "the answer could not be compressed to its end".into()
    }
}

/// The bytes without the room behind them, where that is most of it: they may wait for their client.
fn tight(out: Vec<u8>) -> Bytes {
    if out.len() < out.capacity() / 2 { Bytes::copy_from_slice(&out) } else { out.into() }
}

/// Digests of other bytes than these.
fn without_digests(mut trailers: HeaderMap) -> HeaderMap {
    for digest in &DIGESTS {
        trailers.remove(digest);
    }
    trailers
}

/// What a step came to.
enum Step {
    More,
    /// All is out.
    Last,
}

/// Why the answer breaks off.
enum Cut {
    Upstream(BoxError),
    Encoder,
}

impl From<Failed> for Cut {
    fn from(_: Failed) -> Self {
        Self::Encoder
    }
}

impl<N: Network> Drop for Packed<N> {
    fn drop(&mut self) {
        let exchange = self.below.exchange();
        if let Some(route) = exchange.route() {
            route.series.compressed(exchange.shard.index, self.coding, self.bytes_in, exchange.bytes_out);
        }
        if let Some(encoder) = self.encoder.take() {
            encoder.give_back();
        }
    }
}
