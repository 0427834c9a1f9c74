//! A client's request body on its way to the upstream: counted, limited, timed, and never buffered.
//!
//! Its errors say why it failed, so that a client's malformed or oversized body is answered as the client's fault and
//! never as the upstream's.

mod fault;
mod progress;
mod replaced;
mod tap;
mod text;
mod twin;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};

use crate::algorithms::grpc_web::FromText;
use crate::clock::Clock;
use crate::context::{HeaderRules, screen_trailers};
use crate::held_bytes::Gathered;
use crate::replay::Replay;
use crate::timer::{Deadlines, Wait};

pub use fault::BodyFault;
pub use progress::BodyProgress;
pub use tap::{NotCopied, Tapped};
pub use twin::{Again, Kept, Twin};

use tap::Tap;

/// An error of whatever stands behind a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A client's body, of whatever origin.
pub type BoxBody = Pin<Box<dyn Body<Data = Bytes, Error = BodyFault> + Send>>;

/// Bounds of a request body.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    /// Bytes; `None` = no limit.
    pub max_bytes: Option<u64>,
    /// Between reads, until the answer begins: from then on the two are idle together, or not at all.
    pub idle: Duration,
    /// From the first read to the last; `None` = no limit.
    pub total: Option<Duration>,
}

/// Where a body comes from.
pub enum Source {
    /// There is none.
    Empty,
    /// A client's connection, or an embedding program.
    Boxed(BoxBody),
    /// A body that was read for routing, as far as that wanted, and is to be read from its beginning.
    PutBack(Box<Streaming>),
}

impl Source {
    /// Whether nothing will come.
    pub fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Boxed(body) => body.is_end_stream(),
            Self::PutBack(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Boxed(body) => body.size_hint(),
            Self::PutBack(body) => body.size_hint(),
        }
    }
}

/// A request body as the upstream connection reads it.
pub enum RequestBody {
    /// No body.
    Empty,
    /// A body that streams.
    Streaming(Box<Streaming>),
}

/// A body that streams.
pub struct Streaming {
    source: Source,
    progress: Arc<BodyProgress>,
    limits: BodyLimits,
    deadlines: Arc<Deadlines>,
    clock: Clock,
    rules: Arc<HeaderRules>,
    begun: bool,
    waited: bool,
    /// Nobody goes on with a body that broke off: what came behind it would look like the rest.
    failed: Option<BodyFault>,
    /// What has passed, where it may have to pass again.
    replay: Option<Box<Replay>>,
    /// Where a copy is left once all of it has passed.
    twin: Option<Arc<OnceLock<Replay>>>,
    /// What copies it as it passes.
    tap: Option<Box<Tap>>,
    /// What decodes it, where it is text that stands for other bytes.
    text: Option<Box<FromText>>,
}

/// What came of reading a body before it is passed on.
#[derive(Debug)]
pub enum Read {
    /// All of it.
    Whole(Bytes),
    /// It is longer than what was wanted.
    Longer,
    /// All bodies together are as large as they may be.
    NoRoom,
}

impl RequestBody {
    /// Keeps up to so many bytes of it as they pass, so that it can be sent again. What was read before and is longer
    /// passes once.
    pub fn keep(&mut self, most: usize) {
        if let Self::Streaming(streaming) = self {
            if let Some(replay) = &mut streaming.replay {
                replay.keep_up_to(most);
                return;
            }
            let hint = streaming.size_hint();
            streaming.replay = Replay::may_hold(most, &hint).then(|| Box::new(Replay::new(most, hint)));
        }
    }

    /// Keeps no more of it: what was kept is forgotten, or passes once more where it has to.
    pub fn keep_no_more(&mut self) {
        if let Self::Streaming(streaming) = self
            && let Some(replay) = &mut streaming.replay
        {
            replay.keep_up_to(0);
            streaming.forget_what_is_done();
        }
    }

    /// Gathers it in one piece, what was kept of it before included. What is one already stays as it is, with its share
    /// of the worker's memory.
    pub fn gather(&mut self, gathered: Gathered) {
        if let Self::Streaming(streaming) = self
            && streaming.replay.as_ref().and_then(|replay| replay.as_one()).is_none()
        {
            let mut whole = Replay::gathering(gathered, streaming.size_hint());
            if let Some(mut before) = streaming.replay.take() {
                before.rewind();
                while let Some(frame) = before.again() {
                    let _kept = whole.keep(&frame) || whole.overflow(&frame);
                }
            }
            streaming.replay = Some(Box::new(whole));
        }
    }

    /// Reads until its end, or beyond so many bytes or the room that there is, and gathers it all. What is beyond is at
    /// most what a client's connection reads at once.
    pub fn poll_gathered(&mut self, limit: usize, cx: &mut Context<'_>) -> Poll<Result<Read, BodyFault>> {
        let Self::Streaming(streaming) = self else { return Poll::Ready(Ok(Read::Whole(Bytes::new()))) };
        if let Some(whole) = streaming.replay.as_ref().and_then(|replay| replay.as_one()) {
            return Poll::Ready(Ok(if whole.len() > limit { Read::Longer } else { Read::Whole(whole) }));
        }
        loop {
            let Some(replay) = &mut streaming.replay else { return Poll::Ready(Ok(Read::NoRoom)) };
            if replay.is_crowded() {
                return Poll::Ready(Ok(Read::NoRoom));
            }
            if replay.len() > limit {
                replay.gathered();
                return Poll::Ready(Ok(Read::Longer));
            }
            match std::task::ready!(streaming.poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Poll::Ready(Err(fault)),
                None => {
                    let whole = streaming.replay.as_mut().map(|replay| replay.gathered());
                    return Poll::Ready(Ok(Read::Whole(whole.unwrap_or_default())));
                }
            }
        }
    }

    /// A source that begins with what was read of this one.
    pub fn put_back(self) -> Source {
        let Self::Streaming(mut streaming) = self else { return Source::Empty };
        if let Some(replay) = &mut streaming.replay {
            replay.rewind();
            replay.keep_up_to(0);
        }
        Source::PutBack(streaming)
    }

    /// Whether it can be sent from its beginning: nothing of it was read, or all that was read is kept.
    pub fn can_go_again(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => match &streaming.replay {
                Some(replay) => replay.is_whole(),
                None => !streaming.begun,
            },
        }
    }

    /// Some of it has left.
    #[inline]
    pub fn moved(&self) {
        if let Self::Streaming(streaming) = self {
            streaming.deadlines.clear(Wait::ResponseBody);
        }
    }

    /// What was read of it waits for the upstream: meanwhile its client is not waited for.
    pub fn waits_for_upstream(&self) {
        if let Self::Streaming(streaming) = self {
            streaming.deadlines.clear(Wait::RequestBody);
            streaming.progress.go_on(&streaming.clock);
        }
    }

    /// Nobody reads it any more, so that its client is not waited for.
    pub fn let_go(&self) {
        if let Self::Streaming(streaming) = self {
            streaming.progress.go_on(&streaming.clock);
        }
    }

    /// Begins it again, if that can be done.
    pub fn rewind(&mut self) -> bool {
        if let Self::Streaming(streaming) = self
            && let Some(replay) = &mut streaming.replay
        {
            replay.rewind();
        }
        self.can_go_again()
    }

    /// A body of the gateway's own, which is there as a whole.
    pub fn whole(bytes: Bytes, deadlines: Arc<Deadlines>, clock: Clock, rules: Arc<HeaderRules>) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let source = Source::Boxed(Box::pin(Full::new(bytes).map_err(|never| match never {})));
        let limits = BodyLimits { max_bytes: None, idle: Duration::from_secs(60), total: None };
        Self::new(source, limits, deadlines, clock, rules).0
    }

    /// Wraps a source; `progress` tells the exchange how it goes. A source that is at its end already is `Empty`.
    pub fn new(
        source: Source,
        limits: BodyLimits,
        deadlines: Arc<Deadlines>,
        clock: Clock,
        rules: Arc<HeaderRules>,
    ) -> (Self, Option<Arc<BodyProgress>>) {
        if source.is_end_stream() {
            return (Self::Empty, None);
        }
        if let Source::PutBack(mut streaming) = source {
            streaming.limits = limits;
            let progress = Arc::clone(&streaming.progress);
            return (Self::Streaming(streaming), Some(progress));
        }
        let streaming = Streaming::unread(source, limits, deadlines, clock, rules);
        let progress = Arc::clone(&streaming.progress);
        (Self::Streaming(Box::new(streaming)), Some(progress))
    }
}

impl Streaming {
    /// A body of which nobody has asked for a byte.
    fn unread(
        source: Source,
        limits: BodyLimits,
        deadlines: Arc<Deadlines>,
        clock: Clock,
        rules: Arc<HeaderRules>,
    ) -> Self {
        Self {
            source,
            progress: Arc::default(),
            limits,
            deadlines,
            clock,
            rules,
            begun: false,
            waited: false,
            failed: None,
            replay: None,
            twin: None,
            tap: None,
            text: None,
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Empty) { "Empty" } else { "Streaming" })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => {
                streaming.replay.as_ref().is_none_or(|replay| replay.is_even()) && streaming.source.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.size_hint(),
        }
    }
}

impl Streaming {
    /// Asked when the body is sent from its beginning: what is said then is what was said first, or all where that has
    /// been read by now.
    fn size_hint(&self) -> SizeHint {
        match &self.replay {
            Some(replay) => replay.hint(),
            None if self.text.is_some() => SizeHint::default(),
            None => self.source.size_hint(),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(fault) = self.failed {
            return Poll::Ready(Some(Err(fault)));
        }
        if self.deadlines.has_expired(Wait::RequestBody) || self.deadlines.has_expired(Wait::RequestTotal) {
            return self.fail(BodyFault::Stalled);
        }
        self.begun = true;
        if let Some(replay) = &mut self.replay {
            if let Some(frame) = replay.again() {
                self.forget_what_is_done();
                return Poll::Ready(Some(Ok(frame)));
            }
            if replay.has_ended() {
                return Poll::Ready(None);
            }
        }
        let polled = match &mut self.source {
            Source::Empty => Poll::Ready(None),
            Source::Boxed(body) => body.as_mut().poll_frame(cx),
            Source::PutBack(body) => body.poll_frame(cx),
        };
        match polled {
            Poll::Pending => {
                self.wait();
                Poll::Pending
            }
            Poll::Ready(None) if !self.may_end() => self.fail(BodyFault::Malformed),
            Poll::Ready(None) => {
                self.forget_deadlines();
                self.deadlines.clear(Wait::ResponseBody);
                self.progress.go_on(&self.clock);
                // What is behind it is of no more use, and may be waited for.
                self.source = Source::Empty;
                if let Some(replay) = &mut self.replay {
                    replay.end();
                }
                self.leave_copies();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(fault))) => self.fail(fault),
            Poll::Ready(Some(Ok(frame))) => self.pass(frame, cx),
        }
    }

    /// Sets the deadlines of a body that does not move right now.
    fn wait(&mut self) {
        let now = self.clock.now();
        self.progress.wait();
        if !self.waited {
            self.waited = true;
            self.deadlines.set(Wait::RequestTotal, now, self.limits.total);
        }
        if !self.deadlines.is_set(Wait::RequestBody) && !self.progress.is_answered() {
            self.deadlines.set(Wait::RequestBody, now, Some(self.limits.idle));
        }
    }

    fn pass(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.deadlines.clear(Wait::RequestBody);
        // An exchange whose answer has begun is not idle while its request moves.
        self.deadlines.clear(Wait::ResponseBody);
        self.progress.go_on(&self.clock);
        if let Some(data) = frame.data_ref() {
            let passed = self.progress.pass(data.len() as u64);
            if self.limits.max_bytes.is_some_and(|max| passed > max) {
                return self.fail(BodyFault::TooLarge);
            }
        }
        if self.text.is_some() {
            return self.pass_text(frame, cx);
        }
        self.hand_on(frame)
    }

    /// What was counted goes on.
    #[inline]
    fn hand_on(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let frame = match frame.into_trailers() {
            Ok(mut trailers) => {
                screen_trailers(&mut trailers, &self.rules);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        };
        if self.tap.is_some() {
            self.tap_frame(&frame);
        }
        if self.replay.as_mut().is_some_and(|replay| !(replay.keep(&frame) || replay.overflow(&frame))) {
            self.replay = None;
            self.twin = None;
        }
        // Of a body whose length was told, nobody has to ask for the end behind the last byte.
        if (self.waited || self.twin.is_some() || self.tap.is_some()) && self.source.is_end_stream() {
            self.forget_deadlines();
            self.leave_copies();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Gives up what was kept, once all of it has passed and nobody wants it again.
    fn forget_what_is_done(&mut self) {
        if self.replay.as_ref().is_some_and(|replay| replay.is_done()) {
            self.replay = None;
            self.twin = None;
        }
    }

    fn leave_copies(&mut self) {
        if let Some(tap) = self.tap.take() {
            tap.end();
        }
        if let (Some(twin), Some(replay)) = (self.twin.take(), &self.replay) {
            // It is the only one that is ever left.
            let _ = twin.set(replay.copy());
        }
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.failed = Some(fault);
        self.progress.fail(fault);
        self.forget_deadlines();
        Poll::Ready(Some(Err(fault)))
    }

    fn forget_deadlines(&self) {
        self.deadlines.clear(Wait::RequestBody);
        self.deadlines.clear(Wait::RequestTotal);
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.forget_deadlines();
        self.progress.go_on(&self.clock);
    }
}
