//! One attempt after another, until there is an answer or a reason to give up.
//!
//! A pooled connection that its peer closed between two requests is nobody's failure: the request goes out again on a
//! new connection where nothing was sent, or where sending it twice is safe (RFC 9110, section 9.2.2, and RFC 9112,
//! section 9.3.1).

use std::task::Poll;

use http::{Method, StatusCode};

use super::acquire;
use super::head::Outgoing;
use crate::error::{Code, Fault, GatewayError};
use crate::exchange::Exchange;
use crate::http1::{self, RequestHead, ResponseHead};
use crate::network::Network;
use crate::request_body::{BodyFault, RequestBody};
use crate::response_body::{Answer, Source};
use crate::telemetry::events::{Event, Kind};
use crate::telemetry::metrics::AttemptOutcome;
use crate::timer::Wait;
use crate::upstream::{Connection, Selected};

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// To be answered with a problem.
    Problem(Box<GatewayError>),
    /// Nobody is left to answer.
    ClientLeft,
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Problem(Box::new(error))
    }
}

/// Sends the request to the selected endpoint and waits for the answer's head.
///
/// # Errors
/// What the client is to be told; that it left.
pub async fn forward<N: Network>(
    exchange: &mut Exchange<N>,
    mut selected: Selected<N>,
    request: Outgoing,
) -> Result<Answer<N>, Failure> {
    exchange.attempts += 1;
    let began = exchange.now();
    exchange.upstream_began = Some(began);
    let Outgoing { head, mut body } = request;
    let mut pooled = acquire::idle(exchange, &selected, began);
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            None => match Box::pin(acquire::open(exchange, &selected)).await {
                Ok(connection) => connection,
                Err(error) => return Err(fail(exchange, &mut selected, error.into())),
            },
        };
        connection.begin(&head, std::mem::replace(&mut body, RequestBody::Empty));
        match head_of_answer(exchange, &mut connection).await {
            Ok(answer) => {
                exchange.shard.give_map(head.headers);
                return accept(exchange, answer, Source { connection, selected }, false);
            }
            Err(Unanswered::Stale(again)) if connection.is_reused() && may_go_again(&head, &connection) => body = again,
            Err(unanswered) => return Err(fail(exchange, &mut selected, unanswered.into())),
        }
    }
}

/// Sends on a connection of its own, once; the answer may be a switch of protocols.
///
/// # Errors
/// As `forward`.
pub(super) async fn forward_once<N: Network>(
    exchange: &mut Exchange<N>,
    mut selected: Selected<N>,
    request: Outgoing,
) -> Result<Answer<N>, Failure> {
    exchange.attempts += 1;
    exchange.upstream_began = Some(exchange.now());
    let mut connection = match acquire::open(exchange, &selected).await {
        Ok(connection) => connection,
        Err(error) => return Err(fail(exchange, &mut selected, error.into())),
    };
    connection.begin(&request.head, request.body);
    match head_of_answer(exchange, &mut connection).await {
        Ok(head) => accept(exchange, head, Source { connection, selected }, true),
        Err(unanswered) => Err(fail(exchange, &mut selected, unanswered.into())),
    }
}

/// How a connection ended without an answer.
enum Unanswered {
    /// It broke before a byte of the answer, and the request is whole: here is its body.
    Stale(RequestBody),
    /// Anything else.
    Failed(Failure),
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Failed(failure) => failure,
            Unanswered::Stale(_) => {
                GatewayError::new(Code::UpstreamReset, "The upstream closed the connection.").into()
            }
        }
    }
}

/// Drives the connection until the answer's head is there, or time is up.
async fn head_of_answer<N: Network>(
    exchange: &Exchange<N>,
    connection: &mut Connection<N::Stream>,
) -> Result<ResponseHead, Unanswered> {
    let deadlines = &exchange.connection.deadlines;
    let answered = std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = connection.poll_head(cx) {
            return Poll::Ready(Some(done));
        }
        if deadlines.has_expired(Wait::Exchange) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    match answered {
        Some(Ok(head)) => Ok(head),
        None => Err(Unanswered::Failed(out_of_time(exchange).into())),
        Some(Err(http1::Error::RequestBody(fault))) => Err(Unanswered::Failed(body_failure(fault))),
        Some(Err(error @ http1::Error::Invalid(_))) => {
            let detail = "The upstream's answer is not valid HTTP.";
            Err(Unanswered::Failed(GatewayError::new(Code::UpstreamInvalid, detail).because(error).into()))
        }
        Some(Err(error @ http1::Error::Broken(_))) => match connection.take_body() {
            Some(body) if connection.nothing_came() => Err(Unanswered::Stale(body)),
            _ => {
                let error =
                    GatewayError::new(Code::UpstreamReset, "The upstream closed the connection.").because(error);
                Err(Unanswered::Failed(error.into()))
            }
        },
    }
}

/// Whether a request that went out on a stale connection may go out again.
fn may_go_again<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    head: &RequestHead,
    connection: &Connection<S>,
) -> bool {
    let idempotent = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    connection.nothing_left() || idempotent
}

/// Takes the head of an answer.
fn accept<N: Network>(
    exchange: &mut Exchange<N>,
    head: ResponseHead,
    mut source: Source<N>,
    switch_asked: bool,
) -> Result<Answer<N>, Failure> {
    let now = exchange.now();
    exchange.upstream_head = Some(now);
    exchange.connection.deadlines.clear(Wait::Exchange);
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !switch_asked {
        // security.md, B8
        let error = GatewayError::new(Code::UpstreamInvalid, "The upstream switched protocols unasked.");
        return Err(fail(exchange, &mut source.selected, error.into()));
    }
    let outcome = if head.status.is_server_error() { AttemptOutcome::Status5xx } else { AttemptOutcome::Ok };
    conclude(exchange, &mut source.selected, outcome, Some(head.status.as_u16()), now);
    Ok(Answer { head, source })
}

/// The time until response headers is up: the client's fault if it is the client that is being waited for.
fn out_of_time<N: Network>(exchange: &Exchange<N>) -> GatewayError {
    if exchange.connection.deadlines.is_set(Wait::RequestBody) {
        GatewayError::new(Code::RequestTimeout, "The request body did not arrive in time.").closing()
    } else {
        GatewayError::new(Code::UpstreamTimeout, "The upstream did not answer in time.")
    }
}

/// What a client is told whose body failed.
fn body_failure(fault: BodyFault) -> Failure {
    let (code, detail) = match fault {
        BodyFault::Malformed => (Code::BadRequest, "The request body is malformed."),
        BodyFault::TooLarge => (Code::BodyTooLarge, "The request body is larger than this route allows."),
        BodyFault::Stalled => (Code::RequestTimeout, "The request body did not move in time."),
        BodyFault::ClientLeft => return Failure::ClientLeft,
    };
    GatewayError::new(code, detail).closing().into()
}

/// Counts an attempt that came to nothing.
fn fail<N: Network>(exchange: &Exchange<N>, selected: &mut Selected<N>, failure: Failure) -> Failure {
    let outcome = match &failure {
        Failure::ClientLeft => AttemptOutcome::Cancelled,
        Failure::Problem(error) => match error.code {
            Code::UpstreamTimeout => AttemptOutcome::Timeout,
            Code::UpstreamConnect => AttemptOutcome::Connect,
            Code::ConnectTimeout => AttemptOutcome::ConnectTimeout,
            Code::UpstreamInvalid => AttemptOutcome::Invalid,
            // The gateway's own limits say nothing about the endpoint.
            code if code.fault() != Fault::Upstream => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Reset,
        },
    };
    conclude(exchange, selected, outcome, None, exchange.now());
    failure
}

/// Counts an attempt that has come to its outcome, and tells the breaker.
fn conclude<N: Network>(
    exchange: &Exchange<N>,
    selected: &mut Selected<N>,
    outcome: AttemptOutcome,
    status: Option<u16>,
    now: std::time::Instant,
) {
    let (Some(route), Some(began)) = (exchange.route(), exchange.upstream_began) else { return };
    let duration = now.saturating_duration_since(began);
    route.upstream.series.attempt(exchange.shard.index, outcome, duration);
    route.upstream.settle(selected, outcome, status, duration, now);
    let shared = &exchange.shard.shared;
    if shared.events.wants(Kind::Attempt) {
        let event = Event::Attempt {
            request_id: exchange.request_id.clone(),
            upstream: std::sync::Arc::clone(&route.upstream.name),
            endpoint: std::sync::Arc::clone(&selected.endpoint.address),
            start_ns: shared.clock.monotonic_ns(began),
            end_ns: shared.clock.monotonic_ns(now),
            outcome,
            status,
        };
        shared.report(now, event);
    }
}
