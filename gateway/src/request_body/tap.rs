//! A copy of a body, made as it passes, for who sends it elsewhere as well (`mirror`). Nobody who reads the body waits
//! for the copy; it is there once all of the body has passed, or it is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::sync::oneshot;

use super::{BodyLimits, RequestBody, Source, Streaming};
use crate::clock::Clock;
use crate::context::HeaderRules;
use crate::held_bytes::Gathered;
use crate::replay::Replay;
use crate::timer::Deadlines;

/// Why there is no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCopied {
    /// The body is longer than what is copied.
    TooLarge,
    /// All that the worker holds is as much as it may hold.
    NoRoom,
    /// The body never came to its end.
    Cut,
}

/// The copy, as far as it is there.
#[derive(Debug)]
pub enum Tapped {
    /// There is no body.
    Nothing,
    /// All of it.
    Whole(Box<Replay>),
    /// It is there once the body has passed.
    Coming(oneshot::Receiver<Result<Replay, NotCopied>>),
}

impl Tapped {
    /// Waits until all of it is there; `None` where there is no body.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn whole(self) -> Result<Option<Replay>, NotCopied> {
        match self {
            Self::Nothing => Ok(None),
            Self::Whole(replay) => Ok(Some(*replay)),
            Self::Coming(coming) => coming.await.unwrap_or(Err(NotCopied::Cut)).map(Some),
        }
    }
}

/// What copies a body.
pub(super) struct Tap {
    copy: Replay,
    most: usize,
    done: oneshot::Sender<Result<Replay, NotCopied>>,
}

impl Tap {
    /// A part passes; `None` where that ends the copy.
    fn pass(mut self: Box<Self>, frame: &Frame<Bytes>) -> Option<Box<Self>> {
        let length = self.copy.len() + frame.data_ref().map_or(0, Bytes::len);
        let fits = length <= self.most;
        if fits && self.copy.keep(frame) {
            return Some(self);
        }
        // Whoever waits may have left.
        let _ = self.done.send(Err(if fits { NotCopied::NoRoom } else { NotCopied::TooLarge }));
        None
    }

    /// All of the body has passed.
    pub(super) fn end(mut self) {
        self.copy.gathered();
        self.copy.end();
        self.copy.rewind();
        let _ = self.done.send(Ok(self.copy));
    }
}

impl Streaming {
    /// Copies a part that passes for the first time.
    #[cold]
    pub(super) fn tap_frame(&mut self, frame: &Frame<Bytes>) {
        self.tap = self.tap.take().and_then(|tap| tap.pass(frame));
    }
}

impl RequestBody {
    /// Copies the body from its first byte, as it passes, up to `most` bytes. Nothing of it has passed yet.
    ///
    /// # Errors
    /// It is known already that there will be no copy.
    pub fn tap(&mut self, gathered: Gathered, most: usize) -> Result<Tapped, NotCopied> {
        let Self::Streaming(streaming) = self else { return Ok(Tapped::Nothing) };
        let hint = streaming.size_hint();
        if !Replay::may_hold(most, &hint) {
            return Err(NotCopied::TooLarge);
        }
        let mut copy = Replay::gathering(gathered, hint);
        // What was read for routing passes again from here on, and is not seen as new.
        if let Some(read) = &streaming.replay {
            if read.len() > most {
                return Err(NotCopied::TooLarge);
            }
            if read.has_ended() {
                return Ok(Tapped::Whole(Box::new(read.copy())));
            }
            let mut read = read.copy();
            while let Some(frame) = read.again() {
                if !copy.keep(&frame) {
                    return Err(NotCopied::NoRoom);
                }
            }
        }
        let (done, coming) = oneshot::channel();
        streaming.tap = Some(Box::new(Tap { copy, most, done }));
        Ok(Tapped::Coming(coming))
    }

    /// A body that is there as a whole, once more.
    pub fn again(whole: Replay, deadlines: Arc<Deadlines>, clock: Clock, rules: Arc<HeaderRules>) -> Self {
        // Nothing of it is waited for.
        let limits = BodyLimits { max_bytes: None, idle: Duration::ZERO, total: None };
        Self::Streaming(Box::new(Streaming {
            source: Source::Empty,
            progress: Arc::default(),
            limits,
            deadlines,
            clock,
            rules,
            begun: true,
            waited: true,
            failed: None,
            replay: Some(Box::new(whole)),
            twin: None,
            tap: None,
            text: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use http_body::{Body, SizeHint};
    use proptest::prelude::*;

    use super::super::BodyFault;
    use super::*;
    use crate::config::settings::identity::IdentityHeaders;
    use crate::config::settings::server::Underscores;
    use crate::held_bytes::HeldBytes;

    /// What a client sends: parts, and whether the last one is followed by an end.
    struct Parts(Vec<Vec<u8>>, bool);

    impl Body for Parts {
        type Data = Bytes;
        type Error = BodyFault;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
            if !self.0.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(self.0.remove(0).into()))));
            }
            Poll::Ready(if self.1 { None } else { Some(Err(BodyFault::ClientLeft)) })
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }
    }

    fn rules() -> Arc<HeaderRules> {
        Arc::new(HeaderRules::new(&IdentityHeaders::usual(), Underscores::Reject))
    }

    fn body(parts: &[Vec<u8>], ends: bool) -> RequestBody {
        let clock = Clock::starting_at(Duration::ZERO);
        let source = Source::Boxed(Box::pin(Parts(parts.to_vec(), ends)));
        let limits = BodyLimits { max_bytes: None, idle: Duration::from_secs(1), total: None };
        RequestBody::new(source, limits, Deadlines::new(clock.clone()), clock, rules()).0
    }

    /// All of a body; `None` where it breaks off.
    fn read(body: &mut RequestBody) -> Option<Vec<u8>> {
        let (mut cx, mut all) = (Context::from_waker(Waker::noop()), Vec::new());
        loop {
            match Pin::new(&mut *body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => all.extend_from_slice(frame.data_ref().unwrap()),
                Poll::Ready(None) => return Some(all),
                Poll::Ready(Some(Err(_))) => return None,
                Poll::Pending => unreachable!("everything is there"),
            }
        }
    }

    fn whole(tapped: Tapped) -> Result<Vec<u8>, NotCopied> {
        let waited = std::pin::pin!(tapped.whole());
        let Poll::Ready(whole) = waited.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it is not there")
        };
        let clock = Clock::starting_at(Duration::ZERO);
        let replay = whole?.expect("a body");
        Ok(read(&mut RequestBody::again(replay, Deadlines::new(clock.clone()), clock, rules())).unwrap())
    }

    proptest! {
        #[test]
        fn a_copy_is_the_body_or_there_is_none_and_what_it_held_is_given_back(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3_000), 0..6),
            most in 0_usize..8_000,
            room in 0_usize..16_000,
            ends: bool,
            looked_into in prop::option::of(0_usize..4_000),
        ) {
            let (all, held): (Vec<u8>, Arc<HeldBytes>) = (parts.concat(), Arc::default());
            let mut body = body(&parts, ends);
            if let Some(limit) = looked_into {
                // What routing reads of a body before it is sent.
                body.gather(Gathered::new(&Arc::default(), usize::MAX));
                let mut cx = Context::from_waker(Waker::noop());
                if !matches!(body.poll_gathered(limit, &mut cx), Poll::Ready(Ok(_))) {
                    return Ok(());
                }
                let limits = BodyLimits { max_bytes: None, idle: Duration::from_secs(1), total: None };
                let clock = Clock::starting_at(Duration::ZERO);
                body = RequestBody::new(body.put_back(), limits, Deadlines::new(clock.clone()), clock, rules()).0;
            }
            let tapped = body.tap(Gathered::new(&held, room), most);
            let passed = read(&mut body);
            prop_assert_eq!(passed, ends.then(|| all.clone()), "the body passes whatever becomes of its copy");
            drop(body);
            match tapped.and_then(whole) {
                Ok(copy) => prop_assert!(copy == all && all.len() <= most && ends),
                Err(NotCopied::TooLarge) => prop_assert!(all.len() > most),
                Err(NotCopied::Cut) => prop_assert!(!ends),
                Err(NotCopied::NoRoom) => prop_assert!(all.len().next_power_of_two().max(1024) > room || !ends),
            }
            prop_assert_eq!(held.count(), 0);
        }
    }
}
