//! gRPC: `mocks.Echo` (unary and streaming) and `grpc.health.v1.Health/Check`.
//!
//! An echo is the message's bytes as they came, so no message needs to be understood. A failure is a head with
//! `grpc-status`, or trailers with it once a message was sent.

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, Response};

use super::exchange::{Asked, Exchange, Last, Left};
use super::messages::{Messages, SERVING, Unreadable, framed, service};
use super::sender::Sender;
use crate::faults::{Act, Effect};
use crate::http1::head::Head;
use crate::journal::Ended;
use crate::server::site::{Decision, Outcome, Site};

/// The service that echoes.
const ECHO: &str = "mocks.Echo";

/// A call's methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// One message, and the same back.
    Unary,
    /// Each message back as it comes.
    Stream,
    /// Does the service serve?
    Health,
}

/// Why a call goes no further.
enum Stop {
    Left,
    /// It fails, with this.
    Fails(Unreadable),
}

/// Is this request a gRPC call?
pub(super) fn is_call(head: &Head<'_, '_>) -> bool {
    head.method == "POST" && head.values("content-type").any(|kind| kind.starts_with(b"application/grpc"))
}

/// A call's messages as they come.
struct Incoming {
    body: RecvStream,
    messages: Messages,
}

impl Incoming {
    async fn next(&mut self) -> Result<Option<Bytes>, Stop> {
        loop {
            if let Some(message) = self.messages.next().map_err(Stop::Fails)? {
                return Ok(Some(message));
            }
            match self.body.data().await {
                None if self.messages.is_empty() => return Ok(None),
                None => return Err(Stop::Fails(Unreadable(3, "the last message is not whole"))),
                Some(Err(_)) => return Err(Stop::Left),
                Some(Ok(piece)) => {
                    self.messages.push(&piece);
                    self.body.flow_control().release_capacity(piece.len()).map_err(|_| Stop::Left)?;
                }
            }
        }
    }

    /// The only message.
    async fn only(&mut self) -> Result<Bytes, Stop> {
        let message = self.next().await?.ok_or(Stop::Fails(Unreadable(3, "a message is expected")))?;
        match self.next().await? {
            None => Ok(message),
            Some(_) => Err(Stop::Fails(Unreadable(3, "one message is expected"))),
        }
    }
}

impl Exchange {
    /// Answers a call, but for the last of it.
    pub(super) async fn grpc(
        &mut self,
        asked: &Asked<'_>,
        decision: &Decision,
        act: &Act,
        body: RecvStream,
        outcome: &mut Outcome,
    ) -> Result<(Ended, Last), Left> {
        outcome.status = 200;
        outcome.answer_ns = Site::answer_ns(decision.arrival_ns);
        let head = self.grpc_head(outcome.answer_ns - decision.arrival_ns);
        let method = match asked.head.path_and_query().0 {
            _ if act.grpc_status.is_some() => Err(Unreadable(act.grpc_status.unwrap_or(2), "a rule says so")),
            "/mocks.Echo/Unary" => Ok(Method::Unary),
            "/mocks.Echo/Stream" => Ok(Method::Stream),
            "/grpc.health.v1.Health/Check" => Ok(Method::Health),
            _ => Err(Unreadable(12, "there are mocks.Echo/Unary, mocks.Echo/Stream, grpc.health.v1.Health/Check")),
        };
        let mut incoming = Incoming { body, messages: Messages::default() };
        let first = match method {
            Ok(Method::Unary) => incoming.only().await,
            Ok(Method::Health) => incoming.only().await.and_then(|asked| self.health(&asked)),
            Ok(Method::Stream) => Ok(Bytes::new()),
            Err(why) => Err(Stop::Fails(why)),
        };
        let first = match first {
            Ok(first) => first,
            Err(Stop::Left) => return Err(Left),
            Err(Stop::Fails(why)) => return Ok((Ended::Answered, failed(head, why, outcome))),
        };
        let mut sender = Sender::new(self.respond.send_response(head, false).map_err(|_| Left)?);
        sender.put(first).await?;
        let mut end = Unreadable(0, "");
        while method == Ok(Method::Stream) {
            match incoming.next().await {
                Ok(Some(message)) => {
                    sender.put(message).await?;
                    sender.flush().await?;
                }
                Ok(None) => break,
                Err(Stop::Left) => return Err(Left),
                Err(Stop::Fails(why)) => {
                    end = why;
                    break;
                }
            }
        }
        sender.prepare_end().await?;
        Ok(match act.effect {
            Effect::Reset(_) => {
                sender.flush().await?;
                // As over plain HTTP/2: what was sent leaves before the reset.
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                (Ended::Reset, Last::Cut(sender))
            }
            Effect::Truncate(_) => (Ended::Truncated, Last::Body(sender)),
            _ => {
                outcome.grpc_status = Some(end.0);
                (Ended::Answered, Last::Trailers(sender, fields(end)))
            }
        })
    }

    fn grpc_head(&self, residence_ns: u64) -> Response<()> {
        let mut head = self.head(200, residence_ns);
        head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        head
    }

    /// The answer to a health check.
    fn health(&self, asked: &Bytes) -> Result<Bytes, Stop> {
        let name = service(asked).ok_or(Stop::Fails(Unreadable(3, "this is no HealthCheckRequest")))?;
        let known = name.is_empty() || name == ECHO.as_bytes() || name == self.site.endpoint.service.as_bytes();
        if known { Ok(framed(SERVING)) } else { Err(Stop::Fails(Unreadable(5, "there is no such service"))) }
    }
}

/// A head that is the whole answer.
fn failed(mut head: Response<()>, why: Unreadable, outcome: &mut Outcome) -> Last {
    outcome.grpc_status = Some(why.0);
    head.headers_mut().extend(fields(why));
    Last::Head(head)
}

/// `grpc-status`, and `grpc-message` where there is something to say.
fn fields(end: Unreadable) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", u16::from(end.0).into());
    if !end.1.is_empty() {
        fields.insert("grpc-message", HeaderValue::from_static(end.1));
    }
    fields
}
