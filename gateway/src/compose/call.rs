//! One part's call: an exchange of its own, sent as any request is, and judged by its answer's head; read whole where
//! others need its values.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;

use crate::algorithms::json_scan::JsonScan;
use crate::error::{Code, FailedPart, GatewayError};
use crate::exchange::Exchange;
use crate::held_bytes::{Gathered, Kept};
use crate::http1;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::request_target::PathQuery;
use crate::response_body::{Answer, Source, how_it_broke};
use crate::retry_after::retry_after;
use crate::telemetry::metrics::{AttemptOutcome, PartResult, PartSeries, ShedReason};
use crate::telemetry::tracing::{Opened, Value};
use crate::timer::{Deadlines, Wait, Watch};

/// Of an answer that is not wanted so much is read, if it is there already, so that its connection can be used again.
const UNWANTED_BYTES: usize = 64 * 1024;

/// What is said of an answer whose rest did not come.
pub(super) const NOT_IN_TIME: &str = "the rest of it did not come in time";

/// A call, for who makes calls.
pub struct Call<N: Network> {
    /// Its exchange.
    pub exchange: Box<Exchange<N>>,
    /// Its headers.
    pub headers: RequestFields,
    /// What is asked for.
    pub target: PathQuery,
    /// With this body.
    pub body: RequestBody,
}

/// What a call came to.
pub struct Called<N: Network> {
    /// Its exchange.
    pub exchange: Box<Exchange<N>>,
    /// The answer, or why there is none.
    pub answer: Result<Answer<N>, Box<GatewayError>>,
    /// The route's fixed answer stands in for it.
    pub covered: bool,
}

/// What became of a part.
pub(super) enum Outcome<N: Network> {
    /// Its body streams when its turn comes.
    Streams(Box<Streaming<N>>),
    /// It is there as a whole.
    Whole(Bytes, Kept),
    /// There is none.
    Failed(Lost),
}

/// A part that is not there.
pub(super) struct Lost {
    /// What is counted of it.
    pub(super) result: PartResult,
    /// Why, as its client is told where it was required.
    pub(super) problem: Box<GatewayError>,
    /// The same as operators may know it; absent while too much is going on to say it.
    pub(super) why: Option<Box<str>>,
}

/// A part whose body has not been read.
pub(super) struct Streaming<N: Network> {
    pub(super) exchange: Box<Exchange<N>>,
    pub(super) source: Source<N>,
    pub(super) tally: Tally,
}

/// Counts what became of a part, once, when it is dropped.
pub(super) struct Tally {
    series: Arc<PartSeries>,
    worker: usize,
    pub(super) result: PartResult,
    /// Its span, where the request is traced.
    span: Option<Box<Opened>>,
}

impl Tally {
    /// Of a part that is given up unless something else is said.
    pub(super) fn new(series: &Arc<PartSeries>, worker: usize) -> Self {
        Self { series: Arc::clone(series), worker, result: PartResult::Cancelled, span: None }
    }

    /// The same of a call: what it does is a part of the part, in a trace too.
    pub(super) fn of<N: Network>(series: &Arc<PartSeries>, exchange: &mut Exchange<N>) -> Self {
        let mut tally = Self::new(series, exchange.shard.index);
        tally.span = exchange.open_part(series.names().1);
        tally
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.series.settled(self.worker, self.result);
        if let Some(mut span) = self.span.take() {
            let failed = !matches!(self.result, PartResult::Ok | PartResult::Cancelled);
            span.came_to(failed, ("gateway.part.result", Value::Fixed(self.result.as_str())));
        }
    }
}

/// What is asked of a part's answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Others need its values: it is read whole.
    pub(super) whole: bool,
    /// The largest body, bytes.
    pub(super) most: u64,
}

/// Makes the call, and waits for its answer's head, or for the whole.
pub(super) async fn run<N: Network>(
    deadlines: Arc<Deadlines>,
    sending: impl Future<Output = Called<N>>,
    wanted: Wanted,
    mut tally: Tally,
) -> Outcome<N> {
    let mut watch = Watch::new(deadlines);
    let Called { exchange, answer, .. } = called(sending, &mut watch).await;
    let settled = match answer.and_then(|answer| judge(answer, &exchange, wanted.most)) {
        Ok(source) if !wanted.whole => {
            return Outcome::Streams(Box::new(Streaming { exchange, source, tally }));
        }
        Ok(source) => read(&exchange, source, wanted.most, &mut watch).await,
        Err(problem) => Err(problem),
    };
    match settled {
        Ok((bytes, kept)) => {
            tally.result = PartResult::Ok;
            Outcome::Whole(bytes, kept)
        }
        Err(mut problem) => {
            exchange.count_shed(&mut problem);
            tally.result = result_of(problem.code);
            let why = exchange.cause_of_call(&problem);
            Outcome::Failed(Lost { result: tally.result, problem, why })
        }
    }
}

/// Waits for what a call comes to, its deadlines watched.
pub async fn called<N: Network>(sending: impl Future<Output = Called<N>>, watch: &mut Watch) -> Called<N> {
    let mut sending = pin!(sending);
    poll_fn(|cx| watch.poll_with(cx, |cx| sending.as_mut().poll(cx))).await
}

pub(super) fn result_of(code: Code) -> PartResult {
    match code {
        Code::UpstreamTimeout | Code::ConnectTimeout => PartResult::Timeout,
        Code::BreakerOpen
        | Code::NoEndpoint
        | Code::Overloaded
        | Code::IdentityUnavailable
        | Code::AuthorityUnavailable => PartResult::Refused,
        Code::UpstreamInvalid => PartResult::Invalid,
        Code::PartFailed => PartResult::Status,
        _ => PartResult::Failed,
    }
}

/// Whether an answer, by its head, can become a part.
pub(super) fn judge<N: Network>(
    answer: Answer<N>,
    exchange: &Exchange<N>,
    most: u64,
) -> Result<Source<N>, Box<GatewayError>> {
    let Answer { head, source, .. } = answer;
    let problem = if !head.status.is_success() {
        own_status(&head, exchange)
    } else if head.fields.get("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        invalid("it is compressed, though it was not asked for like that")
    } else if head.status == StatusCode::NO_CONTENT || source.leg.is_over() || source.leg.length_left() == Some(0) {
        invalid("it is empty")
    } else if source.leg.length_left().is_some_and(|length| length > most) {
        invalid("it is too large")
    } else {
        return Ok(source);
    };
    discard(source, exchange);
    Err(problem)
}

/// What a part's failure is told as: with its own status, its challenge and its time to come back.
fn own_status<N: Network>(head: &http1::ResponseHead, exchange: &Exchange<N>) -> Box<GatewayError> {
    let status = head.status;
    let mut problem = GatewayError::new(Code::PartFailed, format!("It was answered with {}.", status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        problem.part = Some(Box::new(FailedPart { name: Arc::default(), status: Some(status) }));
        let told = head.fields.get("retry-after");
        problem.retry_after = told.and_then(|told| retry_after(told, &exchange.shard.shared.clock, exchange.now()));
        if status == StatusCode::UNAUTHORIZED {
            let challenge = head.fields.get("www-authenticate").and_then(|text| std::str::from_utf8(text).ok());
            problem.challenge = challenge.and_then(|text| text.parse().ok()).map(Box::new);
        }
    }
    Box::new(problem)
}

pub(super) fn invalid(why: &str) -> Box<GatewayError> {
    Box::new(GatewayError::new(Code::UpstreamInvalid, format!("Its answer cannot be used: {why}.")))
}

/// Reads what is there of an answer that nobody wants, so that its connection can be kept; else it closes.
pub fn discard<N: Network>(mut source: Source<N>, exchange: &Exchange<N>) {
    let (mut cx, mut left) = (Context::from_waker(std::task::Waker::noop()), UNWANTED_BYTES);
    while !source.leg.is_over() {
        match source.leg.poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return,
            },
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(_))) | Poll::Pending => return,
        }
    }
    source.finish(exchange, exchange.now());
}

/// Reads an answer that others need values of: within its time, its size, and what a worker may hold.
pub(super) async fn read<N: Network>(
    exchange: &Exchange<N>,
    mut source: Source<N>,
    most: u64,
    watch: &mut Watch,
) -> Result<(Bytes, Kept), Box<GatewayError>> {
    let deadlines = &exchange.connection.deadlines;
    deadlines.set_since(Wait::Exchange, exchange.since, exchange.timeout);
    let idle = exchange.route().and_then(|route| route.settings.idle_timeout);
    let is_late = || deadlines.has_expired(Wait::Exchange) || deadlines.has_expired(Wait::ResponseBody);
    let mut gathered = Gathered::new(&exchange.shard.held, exchange.snapshot.config.server.body_match_memory);
    let (mut scan, mut length) = (JsonScan::default(), 0_u64);
    while !source.leg.is_over() {
        let frame = poll_fn(|cx| {
            watch.poll_with(cx, |cx| match source.leg.poll_frame(cx) {
                Poll::Ready(frame) => {
                    deadlines.set(Wait::ResponseBody, exchange.now(), None);
                    Poll::Ready(Ok(frame))
                }
                Poll::Pending if is_late() => Poll::Ready(Err(())),
                Poll::Pending => {
                    if !deadlines.is_set(Wait::ResponseBody) {
                        deadlines.set(Wait::ResponseBody, exchange.now(), idle);
                    }
                    Poll::Pending
                }
            })
        })
        .await;
        let Ok(frame) = frame else {
            source.leg.timed_out();
            exchange.blame(&source, AttemptOutcome::Timeout, NOT_IN_TIME);
            return Err(Box::new(GatewayError::new(Code::UpstreamTimeout, "It did not arrive in time.")));
        };
        let data = match frame {
            None => break,
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => {
                let (outcome, code) = how_it_broke(&error);
                exchange.blame(&source, outcome, &error.reason());
                let problem = GatewayError::new(code, "Its answer was cut.");
                return Err(Box::new(problem.because(error)));
            }
        };
        length += data.len() as u64;
        if length > most {
            return Err(invalid("it is too large"));
        }
        scan.push(&data).map_err(|_| invalid("it is not JSON"))?;
        if !gathered.add(&data) {
            let detail = "The gateway holds as many bodies as it may.";
            return Err(Box::new(GatewayError::shed(ShedReason::RoutingBodies, detail)));
        }
    }
    source.finish(exchange, exchange.now());
    scan.finish().map_err(|_| invalid("it is not JSON"))?;
    Ok(gathered.into_parts())
}
