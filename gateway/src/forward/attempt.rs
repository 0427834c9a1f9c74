//! One attempt after another, until there is an answer or a reason to give up.
//!
//! A pooled connection that its peer closed between two requests is nobody's failure: the request goes out again on a
//! new connection where nothing was sent, or where sending it twice is safe (RFC 9110, section 9.2.2, and RFC 9112,
//! section 9.3.1).

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::acquire;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::{BodyFault, RequestBody};
use crate::response_body::Source;
use crate::telemetry::metrics::AttemptOutcome;
use crate::timer::Wait;
use crate::upstream::{Connection, Selected};

/// An upstream's answer, as far as its head.
pub struct Answer<N: Network> {
    /// The head, and the body as it streams in.
    pub response: Response<Incoming>,
    /// What the body streams from.
    pub source: Source<N>,
}

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

/// How a send ended without an answer.
enum Sent {
    /// Nothing of it left the gateway; here it is back.
    Not(Box<Request<RequestBody>>),
    /// Some of it may have arrived.
    Perhaps(Failure),
    /// The connection broke before a byte of the answer.
    Broken(hyper::Error),
}

/// Sends the request to the selected endpoint and waits for the answer's head.
///
/// # Errors
/// What the client is to be told; that it left.
pub async fn forward<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    mut request: Request<RequestBody>,
) -> Result<Answer<N>, Failure> {
    exchange.attempts += 1;
    exchange.upstream_began = Some(exchange.now());
    let mut pooled = acquire::idle(exchange, &selected).await;
    loop {
        let mut connection = match pooled.take() {
            Some(connection) => connection,
            None => match acquire::open(exchange, &selected).await {
                Ok(connection) => connection,
                Err(error) => {
                    let failure = error.into();
                    return Err(give_up(exchange, outcome_of(&failure), failure));
                }
            },
        };
        // Only a connection that was used before can have gone stale, so only then a copy is kept.
        let copy = if connection.is_reused() { copy_of(&request) } else { None };
        let reused = connection.is_reused();
        match send(exchange, &mut connection, request).await {
            Ok(response) => return accept(exchange, response, Source { connection, selected }, false),
            Err(Sent::Not(back)) if reused => request = *back,
            Err(Sent::Broken(_)) if let Some(again) = copy => request = again,
            Err(sent) => return Err(fail(exchange, sent)),
        }
    }
}

/// Sends on this connection, once; the answer may be a switch of protocols.
///
/// # Errors
/// As `forward`.
pub(super) async fn forward_on<N: Network>(
    exchange: &mut Exchange<N>,
    mut connection: Connection<N::Stream>,
    selected: Selected<N>,
    request: Request<RequestBody>,
) -> Result<Answer<N>, Failure> {
    match send(exchange, &mut connection, request).await {
        Ok(response) => accept(exchange, response, Source { connection, selected }, true),
        Err(sent) => Err(fail(exchange, sent)),
    }
}

/// An attempt that came to nothing.
fn fail<N: Network>(exchange: &Exchange<N>, sent: Sent) -> Failure {
    let failure = match sent {
        Sent::Perhaps(failure) => failure,
        Sent::Not(_) => GatewayError::new(Code::UpstreamReset, "The upstream closed the connection at once.").into(),
        Sent::Broken(error) => {
            GatewayError::new(Code::UpstreamReset, "The upstream closed the connection.").because(error).into()
        }
    };
    give_up(exchange, outcome_of(&failure), failure)
}

/// Takes the head of an answer.
fn accept<N: Network>(
    exchange: &mut Exchange<N>,
    response: Response<Incoming>,
    source: Source<N>,
    switch_asked: bool,
) -> Result<Answer<N>, Failure> {
    let now = exchange.now();
    exchange.upstream_head = Some(now);
    exchange.connection.deadlines.clear(Wait::Exchange);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && !switch_asked {
        // security.md, B8
        let error = GatewayError::new(Code::UpstreamInvalid, "The upstream switched protocols unasked.");
        return Err(give_up(exchange, AttemptOutcome::Invalid, error.into()));
    }
    if let (Some(route), Some(began)) = (exchange.route(), exchange.upstream_began) {
        let server_error = response.status().is_server_error();
        let outcome = if server_error { AttemptOutcome::Status5xx } else { AttemptOutcome::Ok };
        route.upstream.series.attempt(exchange.shard.index, outcome, now.saturating_duration_since(began));
    }
    Ok(Answer { response, source })
}

/// Sends on one connection. Drives it until the answer's head is there, or time is up.
async fn send<N: Network>(
    exchange: &Exchange<N>,
    connection: &mut Connection<N::Stream>,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Sent> {
    let deadlines = &exchange.connection.deadlines;
    let mut answer = pin!(connection.send(request));
    let sent = std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        if deadlines.has_expired(Wait::Exchange) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    match sent {
        Some(Ok(response)) => Ok(response),
        Some(Err(error)) => Err(classify(exchange, *error)),
        None => Err(Sent::Perhaps(out_of_time(exchange).into())),
    }
}

/// The time until response headers is up: the client's fault if it is the client that is being waited for.
fn out_of_time<N: Network>(exchange: &Exchange<N>) -> GatewayError {
    let waits_for_client = exchange.connection.deadlines.is_set(Wait::RequestBody);
    if waits_for_client {
        GatewayError::new(Code::RequestTimeout, "The request body did not arrive in time.").closing()
    } else {
        GatewayError::new(Code::UpstreamTimeout, "The upstream did not answer in time.")
    }
}

fn classify<N: Network>(exchange: &Exchange<N>, mut error: TrySendError<Request<RequestBody>>) -> Sent {
    // A client's broken body breaks the upstream's connection too; it is still the client's fault.
    if let Some(fault) = exchange.request_body.as_ref().and_then(|body| body.fault()) {
        return Sent::Perhaps(body_failure(fault));
    }
    if let Some(request) = error.take_message() {
        return Sent::Not(Box::new(request));
    }
    let error = error.into_error();
    if error.is_parse() {
        let detail = "The upstream's answer is not valid HTTP.";
        return Sent::Perhaps(GatewayError::new(Code::UpstreamInvalid, detail).because(error).into());
    }
    Sent::Broken(error)
}

/// What a client is told whose body failed.
fn body_failure(fault: BodyFault) -> Failure {
    match fault {
        BodyFault::Malformed => GatewayError::new(Code::BadRequest, "The request body is malformed.").closing().into(),
        BodyFault::TooLarge => {
            GatewayError::new(Code::BodyTooLarge, "The request body is larger than this route allows.").closing().into()
        }
        BodyFault::Stalled => {
            GatewayError::new(Code::RequestTimeout, "The request body did not move in time.").closing().into()
        }
        BodyFault::ClientLeft => Failure::ClientLeft,
    }
}

/// A copy to send again, where sending twice is safe and there is no body that is gone after the first time.
fn copy_of(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let idempotent =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !idempotent || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

fn outcome_of(failure: &Failure) -> AttemptOutcome {
    match failure {
        Failure::ClientLeft => AttemptOutcome::Cancelled,
        Failure::Problem(error) => match error.code {
            Code::UpstreamTimeout => AttemptOutcome::Timeout,
            Code::UpstreamConnect => AttemptOutcome::Connect,
            Code::ConnectTimeout => AttemptOutcome::ConnectTimeout,
            Code::UpstreamInvalid => AttemptOutcome::Invalid,
            code if code.fault() == crate::error::Fault::Client => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Reset,
        },
    }
}

fn give_up<N: Network>(exchange: &Exchange<N>, outcome: AttemptOutcome, failure: Failure) -> Failure {
    count(exchange, outcome);
    failure
}

fn count<N: Network>(exchange: &Exchange<N>, outcome: AttemptOutcome) {
    if let (Some(route), Some(began)) = (exchange.route(), exchange.upstream_began) {
        let duration = exchange.now().saturating_duration_since(began);
        route.upstream.series.attempt(exchange.shard.index, outcome, duration);
    }
}
