//! One exchange with one endpoint: a connection, the request, and the answer's head or the reason why there is none.
//!
//! A pooled connection that its peer closed between two requests is nobody's failure: the request goes out again on a
//! new connection where nothing was sent, or where sending it twice is safe (RFC 9110, section 9.2.2, and RFC 9112,
//! section 9.3.1), as the route says, and the upstream's budget knows retries at all: that its peer did not close it
//! for this very request, nobody knows. But not to an endpoint whose breaker has opened meanwhile. All of that is one
//! attempt, which says that it was replayed, and how often that happens is counted.
//!
//! So it is with a call of HTTP/2 that an upstream has not begun with as it closes its connection (GOAWAY, RFC 9113,
//! section 8.7): it goes out again a few times, costs the budget nothing, and says nothing to the breaker. Where the
//! upstream closes it for an error, that call may have been the error, and is never sent again. What ends because one
//! connection broke is one failure to the breaker.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::time::Sleep;

use super::attempt_told::{note, tell};
use super::{acquire, blameless, deadline, grpc_status, hints, retry};
use crate::algorithms::silence;
use crate::clock::Moment;
use crate::error::{Code, Fault, GatewayError, with_causes};
use crate::exchange::Exchange;
use crate::http1::{self, RequestHead, ResponseHead};
use crate::network::Network;
use crate::request_body::{BodyFault, RequestBody};
use crate::response_body::{Answer, Source};
use crate::telemetry::events::LastFailure;
use crate::telemetry::metrics::AttemptOutcome;
use crate::telemetry::tracing::SpanId;
use crate::timer::Wait;
use crate::upstream::{Leg, Selected, Waited};

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// To be answered with a problem.
    Problem(Box<GatewayError>),
    /// The route's fixed answer is given in place of this problem.
    Covered(Box<GatewayError>),
    /// Nobody is left to answer.
    ClientLeft,
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Problem(Box::new(error))
    }
}

/// An attempt without an answer.
pub(super) struct Lost<N: Network> {
    /// What the client is to be told, if it is not made again.
    pub(super) failure: Failure,
    /// How it is counted.
    pub(super) outcome: AttemptOutcome,
    /// The endpoint, with what was known of it.
    pub(super) selected: Selected<N>,
    /// The request's body from its beginning, if it can be sent again.
    pub(super) body: Option<RequestBody>,
    /// Nothing of the request has left.
    pub(super) nothing_sent: bool,
}

/// So often a call goes out again that was turned away by connections which were being closed. Whom more of them turn
/// away in a row met no chance.
const MOST_TURNED_AWAY: usize = 5;

/// What an attempt came to.
pub(super) type Tried<N> = Result<Answer<N>, Box<Lost<N>>>;

/// How an attempt is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// When it begins.
    pub(super) began: Moment,
    /// The time that it may take, where that is less than the exchange's.
    pub(super) most: Option<Duration>,
    /// On a connection of its own, and the answer may be a switch of protocols.
    pub(super) switches: bool,
    /// Its span, where the request is traced.
    pub(super) span: Option<SpanId>,
    /// The request went out again on a new connection, as the pooled one had been closed.
    pub(super) replayed: bool,
}

/// Sends the request to the selected endpoint and waits for the answer's head.
///
/// It borrows the exchange shared, so that two can be under way; `Exchange::begins` and `Exchange::came` tell it what
/// an attempt changes.
pub(super) async fn attempt<N: Network>(
    exchange: &Exchange<N>,
    selected: Selected<N>,
    head: &RequestHead,
    mut body: RequestBody,
    manner: Manner,
) -> Tried<N> {
    let began = manner.began;
    let mut underway = Underway { exchange, selected: &selected, manner };
    let mut limits = Limits::new(manner.most);
    limits.passes_hints = hints::are_wanted(exchange) && !manner.switches;
    let mut pooled = if manner.switches { None } else { acquire::idle(exchange, &selected, began.at) };
    let mut times_turned_away = 0;
    loop {
        let mut leg = match pooled.take() {
            Some(leg) => leg,
            None => match Box::pin(acquire::open(exchange, &selected, underway.manner)).await {
                Ok(leg) => leg,
                Err(error) => {
                    let manner = underway.over();
                    return Err(lose(exchange, selected, manner, error.into(), (Some(body), true)));
                }
            },
        };
        leg.begin(head, std::mem::replace(&mut body, RequestBody::Empty));
        let (failure, broken) = match head_of_answer(exchange, &selected, &mut leg, &mut limits).await {
            Ok(head) => {
                let manner = underway.over();
                return accept(exchange, head, Source { leg, selected, span: manner.span }, manner);
            }
            Err((failure, broken)) if leg.was_reset() && blameless::is_no_call(exchange, &selected) => {
                (blameless::reset_as_no_call(failure), broken)
            }
            Err((failure, broken)) if leg.was_calmed() => (blameless::calmed(failure), broken),
            Err(unanswered @ (_, true)) if !leg.is_reused() && leg.nothing_came() => {
                acquire::refused_late(exchange, &selected.endpoint, unanswered)
            }
            Err(unanswered) => unanswered,
        };
        let (stale, nothing_sent) = (broken && leg.nothing_came(), leg.nothing_left());
        let (was_turned_away, is_suspect) = (stale && leg.was_turned_away(), leg.is_suspect());
        // Of a connection that took nothing at all: it goes out again as often, and then somebody is to blame.
        let is_sent_back = was_turned_away || stale && leg.took_nothing();
        let may_go_out = || {
            if is_sent_back {
                // An upstream that takes nothing looks the same as one that has failed.
                return times_turned_away < MOST_TURNED_AWAY && (was_turned_away || retry::is_paid_for(exchange));
            }
            let may_be_stale = || leg.may_be_stale() && (nothing_sent || retry::may_be_replayed(exchange));
            !underway.manner.replayed && if leg.was_refused() { retry::is_paid_for(exchange) } else { may_be_stale() }
        };
        let goes_out = stale && !is_suspect && leg.can_take_body() && !selected.is_left_alone() && may_go_out();
        match leg.take_body().filter(|_| !is_suspect) {
            Some(again) if goes_out => {
                body = again;
                times_turned_away += usize::from(is_sent_back);
                underway.replays();
            }
            again => {
                let manner = underway.over();
                let failure = if was_turned_away {
                    blameless::turned_away(failure)
                } else {
                    blameless::with_others(exchange, &leg, failure)
                };
                return Err(lose(exchange, selected, manner, failure, (again, nothing_sent)));
            }
        }
    }
}

/// An attempt that has come to nothing yet. Dropped before it has, it was given up: its client left, or another one was
/// faster.
struct Underway<'a, N: Network> {
    exchange: &'a Exchange<N>,
    selected: &'a Selected<N>,
    manner: Manner,
}

impl<N: Network> Underway<'_, N> {
    /// It has come to an outcome, which somebody else reports, by how it was made.
    fn over(self) -> Manner {
        let manner = self.manner;
        std::mem::forget(self);
        manner
    }

    /// The request goes out again on a new connection, which is counted whatever comes of it.
    #[cold]
    fn replays(&mut self) {
        self.manner.replayed = true;
        if let Some(upstream) = self.exchange.upstream() {
            upstream.series.replayed(self.exchange.shard.index);
        }
    }
}

impl<N: Network> Drop for Underway<'_, N> {
    fn drop(&mut self) {
        cancelled(self.exchange, self.selected, self.manner, self.exchange.now());
    }
}

/// What an attempt waits for, beside the answer's head.
struct Limits {
    /// Its own time, where it has one.
    time: Option<Box<OwnTime>>,
    /// When it was last looked, its client was to send more of the body.
    waits_for_client: bool,
    /// Early hints go to the client meanwhile.
    passes_hints: bool,
}

/// An attempt's own time, which few have.
struct OwnTime {
    end: Pin<Box<Sleep>>,
    most: Duration,
}

impl Limits {
    fn new(most: Option<Duration>) -> Self {
        let time = most.map(|most| Box::new(OwnTime { end: Box::pin(tokio::time::sleep(most)), most }));
        Self { time, waits_for_client: false, passes_hints: false }
    }

    /// Whether its own time is up. What its client takes to send the body is none of it: the endpoint has all of its
    /// time from when the client was last waited for, and the exchange's time bounds both.
    #[inline]
    fn poll_over<N: Network>(&mut self, exchange: &Exchange<N>, selected: &Selected<N>, cx: &mut Context<'_>) -> bool {
        let waits = exchange.waits_for_client();
        if waits != std::mem::replace(&mut self.waits_for_client, waits) {
            selected.wait_for_client(waits, exchange.now());
            if let Some(time) = self.time.as_mut().filter(|_| !waits) {
                time.end.set(tokio::time::sleep(time.most));
            }
        }
        !waits && self.time.as_mut().is_some_and(|time| time.end.as_mut().poll(cx).is_ready())
    }
}

/// Drives its leg until the answer's head is there, or time is up. A failure says whether the connection broke.
async fn head_of_answer<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    leg: &mut Leg<N::Stream>,
    limits: &mut Limits,
) -> Result<ResponseHead, (Failure, bool)> {
    let deadlines = &exchange.connection.deadlines;
    if limits.passes_hints {
        leg.interim().keep_hints(true);
    }
    let answered = std::future::poll_fn(|cx| {
        let polled = leg.poll_head(cx);
        if limits.passes_hints {
            hints::pass_on(exchange, leg);
        }
        if let Poll::Ready(done) = polled {
            return Poll::Ready(Some(done));
        }
        exchange.answer_roll_call(Some(&selected.endpoint));
        let over = limits.poll_over(exchange, selected, cx)
            || deadline::takes_nothing(exchange, || !limits.waits_for_client && leg.is_sending());
        if over || deadlines.has_expired(Wait::Exchange) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await;
    if limits.passes_hints {
        leg.interim().keep_hints(false);
    }
    match answered {
        Some(Ok(head)) => Ok(head),
        None => {
            leg.timed_out();
            Err((out_of_time(exchange).into(), false))
        }
        Some(Err(http1::Error::RequestBody(fault))) => Err((body_failure(fault), false)),
        Some(Err(error @ http1::Error::TooManyFields { .. })) => {
            let detail = "The upstream takes no request head of this size.";
            Err((GatewayError::new(Code::HeadersTooLarge, detail).because(error).into(), false))
        }
        Some(Err(error @ http1::Error::NotBase64(_))) => {
            let detail = format!("The upstream cannot be sent this request: {}.", error.reason());
            Err((GatewayError::new(Code::BadRequest, detail).because(error).into(), false))
        }
        Some(Err(error @ (http1::Error::Invalid(_) | http1::Error::NotHttp(_)))) => {
            let detail = "The upstream's answer is not valid HTTP.";
            Err((GatewayError::new(Code::UpstreamInvalid, detail).because(error).into(), false))
        }
        Some(Err(error @ http1::Error::Broken(_))) => {
            let error = GatewayError::new(Code::UpstreamReset, "The upstream closed the connection.").because(error);
            Err((error.into(), true))
        }
    }
}

impl<N: Network> Exchange<N> {
    /// An attempt begins.
    #[inline]
    pub(super) fn begins(&mut self, now: Moment) {
        self.attempts += 1;
        // Parts have calls, too.
        if self.calls.is_some() {
            self.begins_of_call();
        }
        self.upstream_began.get_or_insert(now);
    }

    /// An attempt has come to its end.
    #[inline]
    pub(super) fn came(&mut self, tried: &Tried<N>) {
        if let Ok(answer) = tried {
            self.upstream_head = Some(answer.came);
        }
    }
}

/// Takes the head of an answer.
fn accept<N: Network>(exchange: &Exchange<N>, head: ResponseHead, mut source: Source<N>, manner: Manner) -> Tried<N> {
    let now = exchange.moment();
    exchange.connection.deadlines.clear(Wait::Exchange);
    if head.status == StatusCode::SWITCHING_PROTOCOLS && !manner.switches {
        // security.md, B8
        let error = GatewayError::new(Code::UpstreamInvalid, "The upstream switched protocols unasked.");
        return Err(lose(exchange, source.selected, manner, error.into(), (None, false)));
    }
    if source.leg.is_shared() && !retry::may_be_sent_twice(exchange) {
        // It was kept for an upstream that would not begin with it.
        source.leg.keep_no_more();
    }
    let judged = grpc_status::judged(exchange, &head);
    let outcome = if judged.is_server_error() { AttemptOutcome::Status5xx } else { AttemptOutcome::Ok };
    let told = grpc_status::told(exchange, &head).map(Known::Told);
    conclude(exchange, &mut source.selected, manner, (outcome, Some(judged.as_u16()), false), (now, told));
    Ok(Answer { head, judged, source, came: now })
}

/// The time until response headers is up: the client's fault if it is the client that is being waited for.
fn out_of_time<N: Network>(exchange: &Exchange<N>) -> GatewayError {
    if exchange.waits_for_client() {
        GatewayError::new(Code::RequestTimeout, "The request body did not arrive in time.").closing()
    } else {
        GatewayError::upstream_late()
    }
}

/// What a client is told whose body failed.
pub fn body_failure(fault: BodyFault) -> Failure {
    let (code, detail) = match fault {
        BodyFault::Malformed => (Code::BadRequest, "The request body is malformed."),
        BodyFault::TooLarge => return GatewayError::body_too_large().into(),
        BodyFault::Stalled => (Code::RequestTimeout, "The request body did not move in time."),
        BodyFault::ClientLeft => return Failure::ClientLeft,
    };
    GatewayError::new(code, detail).closing().into()
}

/// Counts an attempt that came to nothing.
fn lose<N: Network>(
    exchange: &Exchange<N>,
    mut selected: Selected<N>,
    manner: Manner,
    failure: Failure,
    (body, nothing_sent): (Option<RequestBody>, bool),
) -> Box<Lost<N>> {
    let outcome = match &failure {
        Failure::ClientLeft => AttemptOutcome::Cancelled,
        Failure::Problem(error) | Failure::Covered(error) => match error.code {
            Code::UpstreamTimeout => AttemptOutcome::Timeout,
            Code::UpstreamConnect => AttemptOutcome::Connect,
            Code::ConnectTimeout => AttemptOutcome::ConnectTimeout,
            Code::UpstreamInvalid => AttemptOutcome::Invalid,
            // The gateway's own limits say nothing about the endpoint.
            code if code.fault() != Fault::Upstream => AttemptOutcome::Cancelled,
            _ => AttemptOutcome::Reset,
        },
    };
    let ended = (outcome, None, blameless::says_nothing(&failure));
    conclude(exchange, &mut selected, manner, ended, (exchange.moment(), Some(Known::Why(&failure))));
    Box::new(Lost { failure, outcome, selected, body, nothing_sent })
}

/// What is known of an attempt beyond its outcome.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// Why it came to nothing.
    Why(&'a Failure),
    /// The status of gRPC in the head of its answer, which was 200.
    Told(u8),
}

/// Counts an attempt that has come to its outcome, and tells the breaker.
fn conclude<N: Network>(
    exchange: &Exchange<N>,
    selected: &mut Selected<N>,
    manner: Manner,
    (outcome, status, says_nothing): (AttemptOutcome, Option<u16>, bool),
    (ended, known): (Moment, Option<Known<'_>>),
) {
    let Some(upstream) = exchange.upstream() else { return };
    let (began, now) = (manner.began, ended.at);
    let duration = ended.after(began);
    upstream.series.attempt(exchange.shard.index, outcome, duration);
    let waited = deadline::waited(exchange, duration, now);
    let says_nothing = says_nothing
        || match outcome {
            AttemptOutcome::Timeout => !waited.is_some_and(|waited| deadline::is_telling(exchange, waited)),
            // An upstream that no longer waits for a client that is slow has not failed.
            AttemptOutcome::Reset => waited.is_none(),
            _ => false,
        };
    let told = if says_nothing || exchange.is_doubtful { AttemptOutcome::Cancelled } else { outcome };
    // What judges is in words of HTTP. What is told is what came.
    let (came, grpc) = match known {
        Some(Known::Told(grpc)) => (Some(StatusCode::OK.as_u16()), Some(grpc)),
        _ => (status, None),
    };
    // Before its breaker opens for it: that is told with what it was.
    if told.is_failure() {
        let at_ns = exchange.shard.shared.clock.monotonic_ns_of(ended.since);
        selected.endpoint.keep_failure(LastFailure::new(at_ns, (told, came), known.and_then(detail).as_deref()));
    }
    if exchange.is_doubtful {
        selected.say_nothing();
    } else {
        upstream.settle(selected, (told, status), waited, now);
    }
    if told.is_failure() {
        selected.has_failed();
    }
    exchange.note_unless_plain((outcome, status), manner.replayed, || {
        note((upstream, &selected.endpoint), selected.met, (manner, now), (outcome, came, grpc))
    });
    if let Some(span) = manner.span {
        exchange.end_attempt((span, manner.replayed), (upstream, selected.met), now, (outcome, came, grpc));
    }
    tell(exchange, (&selected.endpoint, selected.hash()), (began.at, now), (told, status));
}

/// What is known of a failure beyond its outcome.
#[cold]
fn detail(known: Known<'_>) -> Option<String> {
    match known {
        Known::Told(status) => Some(format!("grpc-status {status}")),
        Known::Why(Failure::Problem(error) | Failure::Covered(error)) => Some(with_causes(&**error.internal.as_ref()?)),
        Known::Why(Failure::ClientLeft) => None,
    }
}

/// Counts an attempt that was given up.
#[cold]
fn cancelled<N: Network>(exchange: &Exchange<N>, selected: &Selected<N>, manner: Manner, now: Instant) {
    let Some(upstream) = exchange.upstream() else { return };
    let (endpoint, hash, met) = (&selected.endpoint, selected.hash(), selected.met);
    let (began, duration) = (manner.began.at, now.saturating_duration_since(manner.began.at));
    upstream.series.attempt(exchange.shard.index, AttemptOutcome::Cancelled, duration);
    if was_left(exchange) {
        upstream.was_left(selected, (began, now), judged(exchange, began, now));
    }
    let ended = (AttemptOutcome::Cancelled, None);
    exchange.note_attempt(note((upstream, endpoint), met, (manner, now), (ended.0, None, None)));
    if let Some(span) = manner.span {
        exchange.end_attempt((span, manner.replayed), (upstream, met), now, (ended.0, None, None));
    }
    tell(exchange, (endpoint, hash), (began, now), ended);
}

/// Whether it is a client that gave an attempt up, and not the gateway: as it ends, or as another attempt, or another
/// part of an aggregate, has decided the request.
fn was_left<N: Network>(exchange: &Exchange<N>) -> bool {
    !exchange.is_doubtful
        && !exchange.is_decided.load(Ordering::Relaxed)
        && exchange.parts.is_none()
        && !exchange.shard.shared.cutting.load(Ordering::Relaxed)
}

/// How long an attempt that its client left has waited for its endpoint, and what is usual on its route. `None` where
/// that is nothing to judge by: the client was waited for, or said itself that it has little time; or it was another
/// service that was asked, or stands in, of which the route's times say nothing.
fn judged<N: Network>(exchange: &Exchange<N>, began: Instant, now: Instant) -> Option<Waited> {
    if exchange.hurried || exchange.consults || exchange.stands_in {
        return None;
    }
    let waited = deadline::waited(exchange, now.saturating_duration_since(began), now)?;
    let usual = exchange.route()?.series.median(silence::ENOUGH);
    Some(Waited { waited, usual })
}
