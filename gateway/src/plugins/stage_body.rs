//! A request's body in the hands of stages: whole, where one asks for it, and within a bound; another one, where one
//! puts it there; else it streams on, and nobody has read a byte.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body as _;

use super::answer_body::Room;
use crate::clock::Clock;
use crate::context::HeaderRules;
use crate::error::{Code, GatewayError};
use crate::held_bytes::Gathered;
use crate::request_body::{BodyFault, Read, RequestBody};
use crate::telemetry::metrics::ShedReason;
use crate::timer::{Deadlines, Wait};

/// Marks an answer that stands for what the gateway itself says of a body.
#[derive(Debug, Clone)]
pub(super) struct OfBody;

/// Why a stage has no body.
#[derive(Debug)]
pub(super) enum NoBody {
    /// It is larger than the stage wants.
    TooLarge,
    /// The worker holds as much as it may.
    NoRoom,
    /// The client does not send it as it should.
    Fault(BodyFault),
}

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum Halted {
    /// For this problem.
    Problem(GatewayError),
    /// Its body broke off.
    Body(BodyFault),
}

impl From<GatewayError> for Halted {
    fn from(error: GatewayError) -> Self {
        Self::Problem(error)
    }
}

impl From<NoBody> for Halted {
    fn from(why: NoBody) -> Self {
        Self::Problem(match why {
            NoBody::Fault(fault) => return Self::Body(fault),
            NoBody::TooLarge => GatewayError::body_too_large(),
            NoBody::NoRoom => {
                let detail = "The gateway holds as many request bodies as it may.";
                GatewayError::shed(ShedReason::RoutingBodies, detail).closing()
            }
        })
    }
}

/// The body of a request that stages look at.
pub(super) struct Carried<'a> {
    /// `None` where it has none, and takes none: a WebSocket. In a lock that is never taken, so that what holds it can
    /// be shared as all else of a request can.
    pub(super) body: Mutex<Option<&'a mut RequestBody>>,
    pub(super) room: &'a Room,
    pub(super) deadlines: &'a Arc<Deadlines>,
    pub(super) clock: &'a Clock,
    pub(super) rules: &'a Arc<HeaderRules>,
    /// Time in which its client was waited for.
    pub(super) awaited: &'a mut Duration,
    /// Why it could not be had last.
    pub(super) refused: Option<NoBody>,
}

impl Carried<'_> {
    /// All of it.
    pub(super) async fn read(&mut self, most: usize) -> ControlFlow<Response, Bytes> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(body) = body else { return ControlFlow::Continue(Bytes::new()) };
        if body.size_hint().lower() > most as u64 {
            return self.refuse(NoBody::TooLarge);
        }
        body.gather(Gathered::new(&self.room.held, self.room.most));
        let (began, deadlines) = (self.clock.now(), self.deadlines);
        let read = std::future::poll_fn(|cx| {
            if deadlines.has_expired(Wait::Exchange) {
                return Poll::Ready(Err(BodyFault::Stalled));
            }
            body.poll_gathered(most, cx)
        })
        .await;
        *self.awaited += self.clock.now().saturating_duration_since(began);
        match read {
            Ok(Read::Whole(bytes)) => ControlFlow::Continue(bytes),
            Ok(Read::Longer) => self.refuse(NoBody::TooLarge),
            Ok(Read::NoRoom) => self.refuse(NoBody::NoRoom),
            Err(fault) => self.refuse(NoBody::Fault(fault)),
        }
    }

    /// Another one in its place, where it takes one.
    pub(super) fn replace(&mut self, bytes: Bytes, headers: &mut HeaderMap) {
        let Some(body) = self.body.get_mut().unwrap_or_else(PoisonError::into_inner) else { return };
        // Its length is what it is; who frames it anew says the same.
        if headers.remove(header::CONTENT_LENGTH).is_some() || !bytes.is_empty() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        // It is counted, and never refused: the program has it in its memory already.
        let kept = self.room.held.take(bytes.len(), usize::MAX);
        let bytes = match kept {
            Some(kept) if !bytes.is_empty() => kept.hold(bytes),
            _ => bytes,
        };
        body.replace(bytes, (self.deadlines, self.clock, self.rules));
    }

    fn refuse(&mut self, why: NoBody) -> ControlFlow<Response, Bytes> {
        self.refused = Some(why);
        // What is really answered is the gateway's to say.
        let mut answer = Code::BodyTooLarge.status().into_response();
        answer.extensions_mut().insert(OfBody);
        ControlFlow::Break(answer)
    }
}
