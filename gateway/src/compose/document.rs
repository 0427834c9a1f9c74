//! The document of an aggregate on its way to the client: what its parts send, byte for byte, in the order in which
//! they are declared, as fast as the client takes it.
//!
//! A part's connection is read when its turn comes, so that no more than what streams through is held. What comes is
//! checked to be JSON as it passes; what is not, or breaks off, or is more than may be, cuts the answer: its head has
//! gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::aggregate::{Aggregate, Part};
use super::call::{NOT_IN_TIME, Streaming, discard, result_of};
use crate::algorithms::json_scan::JsonScan;
use crate::error::Code;
use crate::exchange::Exchange;
use crate::held_bytes::Kept;
use crate::network::Network;
use crate::request_body::BoxError;
use crate::response_body::{SOON, how_it_broke};
use crate::telemetry::metrics::{AttemptOutcome, PartResult};
use crate::telemetry::record::Ended;
use crate::timer::Wait;

/// Pieces up to this size are put together, so that a small document is one frame; larger ones pass as they came.
const SMALL: usize = 4 * 1024;
/// So much is put together at most.
const TOGETHER: usize = 16 * 1024;

/// A part's place in the document.
pub(super) enum Place<N: Network> {
    /// Its answer, as it will stream.
    Streams(Box<Streaming<N>>),
    /// Its answer, read already, and its share of the worker's memory.
    Whole(Bytes, Option<Kept>),
    /// What stands in for it.
    Missing(Bytes),
}

impl<N: Network> Place<N> {
    /// What stands there, where it is known as a whole.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Streams(_) => None,
            Self::Whole(bytes, _) | Self::Missing(bytes) => Some(bytes),
        }
    }

    /// It is not wanted, and this is what is counted of it.
    pub(super) fn give_up(self, result: PartResult) {
        if let Self::Streams(streaming) = self {
            let Streaming { exchange, source, mut tally } = *streaming;
            tally.result = result;
            discard(source, &exchange);
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Streams(streaming) => streaming.source.leg.length_left(),
            Self::Whole(bytes, _) | Self::Missing(bytes) => Some(bytes.len() as u64),
        }
    }
}

/// A document whose parts are known by their heads.
pub struct Document<N: Network> {
    aggregate: Arc<Aggregate>,
    places: VecDeque<Place<N>>,
    /// The number of the part whose turn it is.
    number: usize,
    turn: Option<Turn<N>>,
    /// What is put together.
    together: BytesMut,
    /// The share of the worker's memory of the last part that was read whole.
    kept: Option<Kept>,
    /// A large piece that waits until what was put together has gone.
    large: Option<Bytes>,
    /// Bytes of the document so far, these included.
    written: u64,
    /// All of it is written.
    closed: bool,
    /// What is left of the time that parts may take; `None` = as long as it takes.
    left: Option<Duration>,
    /// Since when nothing has come of the part whose turn it is.
    waits_since: Option<Instant>,
}

/// The part whose turn it is.
struct Turn<N: Network> {
    streaming: Box<Streaming<N>>,
    scan: JsonScan,
    /// How long it was waited for.
    waited: Duration,
    /// Nobody has read it for so long that its upstream may have given up: others had their turn, or the client is
    /// slow.
    was_unread: bool,
}

/// Why a document ends early.
pub struct Cut {
    /// How its record says so.
    pub ended: Ended,
    /// The problem that the record names.
    pub code: Code,
    /// For the connection's log.
    pub why: BoxError,
}

impl Cut {
    /// What became of the part whose turn it was.
    pub fn result(&self) -> PartResult {
        result_of(self.code)
    }
}

impl<N: Network> Document<N> {
    pub(super) fn new(aggregate: Arc<Aggregate>, places: VecDeque<Place<N>>) -> Self {
        Self {
            aggregate,
            places,
            number: 0,
            turn: None,
            together: BytesMut::new(),
            kept: None,
            large: None,
            written: 0,
            closed: false,
            left: None,
            waits_since: None,
        }
    }

    /// From here on the time of parts counts, and not the client's, which takes what it gets when it likes.
    pub(super) fn begin(&mut self, exchange: &Exchange<N>) {
        let now = exchange.now();
        let passed = now.saturating_duration_since(exchange.started);
        self.left = exchange.timeout.map(|timeout| timeout.saturating_sub(passed));
        exchange.connection.deadlines.set(Wait::Exchange, now, None);
    }

    /// The parts that are not in it, with their numbers, in the order of the document. To be asked before anything of
    /// it was taken.
    pub(super) fn missing(&self) -> impl Iterator<Item = (usize, &Part)> {
        let parts = self.aggregate.parts.iter().zip(&self.places).enumerate();
        parts.filter(|(_, (_, place))| matches!(place, Place::Missing(_))).map(|(number, (part, _))| (number, part))
    }

    /// The names of those of them for which nothing stands in: they are `null`.
    pub fn null(&self) -> String {
        let names: Vec<&str> =
            self.missing().filter(|(_, part)| !part.stands_in).map(|(_, part)| &*part.name).collect();
        names.join(", ")
    }

    /// The name of the part that is being written.
    pub fn turn_of(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.aggregate.parts.get(self.number.checked_sub(1)?)?.name))
    }

    /// The document's length, where that of each part is known. To be asked before anything of it was taken.
    pub fn length(&self) -> Option<u64> {
        let parts = self.aggregate.parts.iter().zip(&self.places);
        parts
            .map(|(part, place)| Some(part.prefix.len() as u64 + place.length()?))
            .sum::<Option<u64>>()
            .map(|sum| sum + 1)
    }

    /// What is known of the parts is more than may be in all. To be asked before anything was taken, as what follows.
    pub(super) fn is_too_large(&self) -> bool {
        let parts = self.aggregate.parts.iter().zip(&self.places);
        let known = parts.map(|(part, place)| part.prefix.len() as u64 + place.length().unwrap_or(0));
        known.fold(1_u64, u64::saturating_add) > self.most()
    }

    /// Leaves the largest of the optional parts out; false where there is none that would make a difference.
    pub(super) fn leave_one_out(&mut self) -> bool {
        let parts = self.aggregate.parts.iter().zip(&mut self.places);
        let gain = |(part, place): &(&Part, &mut Place<N>)| {
            let length = if let Place::Missing(_) = place { None } else { place.length() };
            length.and_then(|length| length.checked_sub(part.fallback.len() as u64)).filter(|gain| *gain > 0)
        };
        let Some((part, place)) = parts.filter(|it| !it.0.required && gain(it).is_some()).max_by_key(gain) else {
            return false;
        };
        std::mem::replace(place, Place::Missing(part.fallback.clone())).give_up(PartResult::Invalid);
        true
    }

    /// Nobody wants its bytes: what is there of parts is read, so that their connections can be used again.
    pub fn discard(self) {
        for place in self.places {
            place.give_up(PartResult::Ok);
        }
    }

    fn most(&self) -> u64 {
        self.aggregate.settings.max_response
    }

    /// Whether all of it was taken.
    pub fn is_over(&self) -> bool {
        self.closed && self.together.is_empty() && self.large.is_none()
    }

    /// The next part of it; `None` at its end. `exchange` is the client's.
    ///
    /// # Errors
    /// It ends here, and is not whole.
    pub fn poll_frame(
        &mut self,
        exchange: &Exchange<N>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if (self.large.is_some() || self.closed || self.together.len() >= TOGETHER) && !self.together.is_empty() {
                return self.take_together();
            }
            if let Some(large) = self.large.take() {
                return Poll::Ready(Some(Ok(Frame::data(large))));
            }
            if self.closed {
                self.kept = None;
                return Poll::Ready(None);
            }
            let Some(turn) = &mut self.turn else {
                if let Err(cut) = self.next_part(exchange) {
                    return Poll::Ready(Some(Err(cut)));
                }
                continue;
            };
            turn.was_unread |= exchange.is_unread();
            match turn.streaming.source.leg.poll_frame(cx) {
                Poll::Pending if !self.together.is_empty() => return self.take_together(),
                Poll::Pending => return self.wait(exchange),
                Poll::Ready(frame) => {
                    self.came(exchange);
                    if let Err(cut) = self.pass(exchange, frame) {
                        return Poll::Ready(Some(Err(cut)));
                    }
                }
            }
        }
    }

    fn take_together(&mut self) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Poll::Ready(Some(Ok(Frame::data(self.together.split().freeze()))))
    }

    /// Nothing has come of the part whose turn it is: the time of parts may be up, or it has been silent for too long.
    /// A client that takes its time is not what is counted here.
    fn wait(&mut self, exchange: &Exchange<N>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let (deadlines, now) = (&exchange.connection.deadlines, exchange.now());
        let Some(since) = self.waits_since else {
            let idle = exchange.route().and_then(|route| route.settings.idle_timeout);
            deadlines.set(Wait::Exchange, now, self.left);
            deadlines.set(Wait::ResponseBody, now, idle);
            self.waits_since = Some(now);
            return Poll::Pending;
        };
        let was_silent = deadlines.has_expired(Wait::ResponseBody);
        if !was_silent && !deadlines.has_expired(Wait::Exchange) {
            return Poll::Pending;
        }
        if let Some(mut turn) = self.turn.take() {
            turn.streaming.source.leg.timed_out();
            turn.streaming.tally.result = PartResult::Timeout;
            // One that was waited for as others had used up the time is not to blame.
            let waited = turn.waited + now.saturating_duration_since(since);
            let most = turn.streaming.exchange.timeout;
            if was_silent || most.is_some_and(|most| waited >= most / 2) {
                turn.streaming.exchange.blame(&turn.streaming.source, AttemptOutcome::Timeout, NOT_IN_TIME);
            }
        }
        let why = "a part did not arrive in time".into();
        Poll::Ready(Some(Err(Cut { ended: Ended::Timeout, code: Code::UpstreamTimeout, why })))
    }

    /// What came goes to a client that takes it when it likes: nobody waits for a part until nothing comes again.
    pub fn pause(&mut self, exchange: &Exchange<N>) {
        self.came(exchange);
    }

    /// Something came: nobody waits, until nothing comes again.
    fn came(&mut self, exchange: &Exchange<N>) {
        let Some(since) = self.waits_since.take() else { return };
        let (deadlines, now) = (&exchange.connection.deadlines, exchange.now());
        let waited = now.saturating_duration_since(since);
        self.left = self.left.map(|left| left.saturating_sub(waited));
        if let Some(turn) = &mut self.turn {
            turn.waited += waited;
        }
        deadlines.set(Wait::Exchange, now, None);
        deadlines.set(Wait::ResponseBody, now, None);
    }

    /// Begins with the next part, or ends the document.
    fn next_part(&mut self, exchange: &Exchange<N>) -> Result<(), Cut> {
        let Some(place) = self.places.pop_front() else {
            self.closed = true;
            return self.add(Bytes::from_static(b"}"));
        };
        let prefix = self.aggregate.parts[self.number].prefix.clone();
        self.number += 1;
        self.add(prefix)?;
        match place {
            Place::Streams(streaming) => {
                let came = streaming.exchange.upstream_head;
                let was_unread = came.is_some_and(|came| exchange.moment().after(came) >= SOON);
                self.turn = Some(Turn { streaming, scan: JsonScan::default(), waited: Duration::ZERO, was_unread });
                Ok(())
            }
            Place::Whole(bytes, kept) => {
                self.kept = kept;
                self.add(bytes)
            }
            Place::Missing(bytes) => self.add(bytes),
        }
    }

    /// What the part whose turn it is has sent.
    fn pass(
        &mut self,
        exchange: &Exchange<N>,
        frame: Option<Result<Frame<Bytes>, crate::http1::Error>>,
    ) -> Result<(), Cut> {
        let Some(mut turn) = self.turn.take() else { return Ok(()) };
        let is_last = frame.is_none();
        match frame {
            None => {}
            Some(Ok(frame)) => {
                // What else there is are trailers, which have no place here.
                if let Ok(data) = frame.into_data() {
                    let added = match turn.scan.push(&data) {
                        Ok(()) => self.add(data),
                        Err(_) => Err(invalid("a part is not JSON")),
                    };
                    added.inspect_err(|_| turn.streaming.tally.result = PartResult::Invalid)?;
                }
            }
            Some(Err(error)) => {
                let (outcome, code) = how_it_broke(&error);
                let is_invalid = error.is_invalid();
                turn.streaming.tally.result = if is_invalid { PartResult::Invalid } else { PartResult::Failed };
                let is_cut = matches!(error, crate::http1::Error::Broken(_));
                if !(is_cut && turn.was_unread) {
                    let source = &turn.streaming.source;
                    turn.streaming.exchange.blame(source, outcome, &error.reason());
                }
                return Err(Cut { ended: Ended::UpstreamCut, code, why: error.into() });
            }
        }
        if !is_last && !turn.streaming.source.leg.is_over() {
            self.turn = Some(turn);
            return Ok(());
        }
        let whole = turn.scan.finish();
        let Streaming { exchange: part, source, mut tally } = *turn.streaming;
        source.finish(&part, exchange.now());
        tally.result = if whole.is_ok() { PartResult::Ok } else { PartResult::Invalid };
        whole.map_err(|_| invalid("a part is not JSON"))
    }

    /// Adds a piece to what is to be taken.
    fn add(&mut self, piece: Bytes) -> Result<(), Cut> {
        self.written += piece.len() as u64;
        if self.written > self.most() {
            return Err(invalid("the document is larger than max_response"));
        }
        if piece.len() <= SMALL {
            self.together.extend_from_slice(&piece);
        } else {
            self.large = Some(piece);
        }
        Ok(())
    }
}

fn invalid(why: &'static str) -> Cut {
    Cut { ended: Ended::UpstreamCut, code: Code::UpstreamInvalid, why: why.into() }
}
