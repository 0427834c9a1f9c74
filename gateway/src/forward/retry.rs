//! Attempts, one after another, until there is an answer or a reason to give up.
//!
//! An attempt is made again where its outcome is one that the route names, where that is safe (the method may be sent
//! twice, or nothing was sent), where the body can be sent again byte for byte, and where the upstream's budget has a
//! retry left; on another endpoint each time, as long as there is one; after a wait with full jitter, or as long as the
//! answer's `Retry-After` says; and only if that ends before the exchange's own deadline, and is no longer than a
//! client may be kept for nothing. Who waits has no place in flight meanwhile.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Failure, Manner, Tried, attempt};
use super::head::Outgoing;
use super::hedge::{Asked, race};
use super::{deadline, fallback, head};
use crate::algorithms::backoff;
use crate::clock::{Moment, Since};
use crate::config::settings::upstream::Protocol;
use crate::exchange::Exchange;
use crate::http1::RequestHead;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::response_body::Answer;
use crate::retry_after::retry_after;
use crate::telemetry::metrics::{AttemptOutcome, RetryResult};
use crate::upstream::Selected;
use crate::upstream::stage::select_again;

/// A `Retry-After` of so long is waited for, also where the policy's own waits are shorter.
const SHORT: Duration = Duration::from_secs(1);

/// Sends the request to the selected endpoint, and again where that may help.
///
/// # Errors
/// What the client is to be told; that it left.
pub async fn forward<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    Outgoing { head, body }: &mut Outgoing,
) -> Result<Answer<N>, Failure> {
    let (plain, began) = (head.lines.len(), exchange.moment());
    let left = deadline::check(exchange, began.since)?;
    deposit(exchange, began.since);
    let hedged = prepare(exchange, &selected, body);
    deadline::stamp_left(exchange, head, plain, (began.at, left));
    let body = std::mem::replace(body, RequestBody::Empty);
    let (tried, asked) = if hedged {
        Box::pin(race(exchange, selected, head, plain, body)).await
    } else {
        let manner = manner_of(exchange, &selected, head, began);
        exchange.begins(began);
        let tried = attempt(exchange, selected, head, body, manner).await;
        exchange.came(&tried);
        (tried, Asked::new())
    };
    if !is_final(exchange, &tried) {
        return Box::pin(beyond(exchange, head, plain, (tried, asked), false)).await;
    }
    note_sent(exchange, &tried, head);
    let mut answer = tried.map_err(|lost| lost.failure)?;
    head.recycle();
    answer.source.leg.keep_no_more();
    Ok(answer)
}

/// What follows a first attempt that was not the last word: others, then the route's fallback.
async fn beyond<N: Network>(
    exchange: &mut Exchange<N>,
    head: &mut RequestHead,
    mut plain: usize,
    (first, asked): (Tried<N>, Asked<N>),
    switches: bool,
) -> Result<Answer<N>, Failure> {
    let mut tried = again(exchange, (head, &mut plain), (first, asked), switches).await;
    if let Some((selected, body)) = fallback::turn(exchange, head, &mut plain, &mut tried) {
        drop(tried);
        let first = anew(exchange, selected, head, plain, (body, switches)).await;
        tried = again(exchange, (head, &mut plain), (first, Asked::new()), switches).await;
    }
    note_sent(exchange, &tried, head);
    let mut answer = fallback::conclude(exchange, tried)?;
    answer.source.leg.keep_no_more();
    Ok(answer)
}

/// Sends on a connection of its own; the answer may be a switch of protocols. Whatever its method, it goes out again
/// only where nothing of it was sent: who was asked to switch may have begun to.
///
/// # Errors
/// As `forward`.
pub(super) async fn forward_to_switch<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    request: Outgoing,
) -> Result<Answer<N>, Failure> {
    let Outgoing { mut head, body } = request;
    let plain = head.lines.len();
    deadline::check(exchange, exchange.shard.shared.clock.since(exchange.now()))?;
    let first = anew(exchange, selected, &mut head, plain, (body, true)).await;
    Box::pin(beyond(exchange, &mut head, plain, (first, Asked::new()), true)).await
}

/// Tells the flight recorder what the upstream was sent, where the request is of note.
#[inline]
fn note_sent<N: Network>(exchange: &Exchange<N>, tried: &Tried<N>, head: &RequestHead) {
    match tried {
        Ok(answer) => exchange.note_sent(Some(answer.judged), answer.came.since, head),
        Err(_) => exchange.note_sent(None, exchange.since, head),
    }
}

/// A first attempt at an upstream, outside the usual way.
async fn anew<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    head: &mut RequestHead,
    plain: usize,
    (mut body, switches): (RequestBody, bool),
) -> Tried<N> {
    let began = exchange.moment();
    deposit(exchange, began.since);
    if may_be_unbegun(&selected)
        && let Some(route) = exchange.route()
    {
        body.keep(route.settings.retry.buffer);
    }
    deadline::arm(exchange);
    deadline::stamp(exchange, head, plain, began.at);
    let manner = Manner { switches, ..manner_of(exchange, &selected, head, began) };
    exchange.begins(began);
    let tried = attempt(exchange, selected, head, body, manner).await;
    exchange.came(&tried);
    tried
}

/// How an attempt that begins now with this head is made.
pub(super) fn manner_of<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    head: &mut RequestHead,
    began: Moment,
) -> Manner {
    let most = exchange.route().and_then(|route| route.settings.retry.per_try_timeout);
    let span = exchange.begin_attempt(&selected.endpoint, head, began.at);
    Manner { began, most, switches: false, span, replayed: false }
}

/// A request was made: it pays for a part of a retry, if it may have any.
fn deposit<N: Network>(exchange: &Exchange<N>, now: Since) {
    if let Some(upstream) = exchange.upstream().filter(|_| !exchange.is_doubtful) {
        upstream.budget.deposit(exchange.shard.index, now.ticks_ms());
    }
}

/// Lets the body be kept as it passes, where it may have to be sent again. Whether the request is hedged.
fn prepare<N: Network>(exchange: &Exchange<N>, selected: &Selected<N>, body: &mut RequestBody) -> bool {
    let Some(route) = exchange.route() else { return false };
    let hedged = route.hedging.is_some() && !exchange.stands_in && !exchange.is_doubtful;
    let retry = &route.settings.retry;
    let may_go_again = retry.attempts > 1 || route.stand_in.is_some() || hedged;
    if may_go_again && retry.methods.contains(&exchange.method) || may_be_unbegun(selected) {
        body.keep(retry.buffer);
    }
    hedged
}

/// Whether the upstream can say of a request that it has not begun with it, body and all: then it goes out again
/// whatever its method.
fn may_be_unbegun<N: Network>(selected: &Selected<N>) -> bool {
    selected.settings.protocol == Protocol::Http2
}

/// Whether nobody would make the attempt again, as far as can be seen at once: most answers.
fn is_final<N: Network>(exchange: &Exchange<N>, tried: &Tried<N>) -> bool {
    if exchange.stands_in {
        return false;
    }
    match tried {
        Ok(answer) if answer.judged.as_u16() < 400 => true,
        Ok(answer) => !wants_again(exchange, tried) && !answer.source.selected.is_probe(),
        Err(lost) => lost.outcome == AttemptOutcome::Cancelled && !fallback::can_cover(exchange, &lost.failure),
    }
}

/// Whether the route says that a request of this method may be carried out twice.
pub(super) fn may_be_sent_twice<N: Network>(exchange: &Exchange<N>) -> bool {
    exchange.route().is_some_and(|route| route.settings.retry.methods.contains(&exchange.method))
}

/// Whether a request of which something was sent may go out again at once, and takes a retry out of the budget for it.
#[cold]
pub(super) fn may_be_replayed<N: Network>(exchange: &Exchange<N>) -> bool {
    // The question of a consultation is a GET, whatever it is about.
    (exchange.consults || may_be_sent_twice(exchange)) && is_paid_for(exchange)
}

/// Takes a retry out of the budget, if one is left.
#[cold]
pub(super) fn is_paid_for<N: Network>(exchange: &Exchange<N>) -> bool {
    if exchange.consults {
        // Never more than twice as many are asked.
        return true;
    }
    let Some(upstream) = exchange.upstream() else { return false };
    if exchange.is_doubtful {
        return upstream.replays();
    }
    let is_paid_for = upstream.may_retry(exchange.shard.shared.clock.ticks_ms(exchange.now()));
    if !is_paid_for {
        upstream.series.retried(exchange.shard.index, RetryResult::NoBudget);
    }
    is_paid_for
}

/// Whether the route names this outcome.
pub(super) fn wants_again<N: Network>(exchange: &Exchange<N>, tried: &Tried<N>) -> bool {
    let Some(route) = exchange.route() else { return false };
    let on = &route.settings.retry.on;
    match outcome_of(tried) {
        // An answer that is no HTTP is an answer: the endpoint has had the request.
        (AttemptOutcome::Invalid, _) => false,
        // The gateway's own 504 is one for who names 504.
        (AttemptOutcome::Timeout, _) => on.timeout || on.statuses.contains(&504),
        (outcome, status) => on.has(outcome, status),
    }
}

fn outcome_of<N: Network>(tried: &Tried<N>) -> (AttemptOutcome, Option<u16>) {
    match tried {
        Ok(answer) if answer.judged.is_server_error() => (AttemptOutcome::Status5xx, Some(answer.judged.as_u16())),
        Ok(answer) => (AttemptOutcome::Ok, Some(answer.judged.as_u16())),
        Err(lost) => (lost.outcome, None),
    }
}

/// Attempts after the first.
async fn again<N: Network>(
    exchange: &mut Exchange<N>,
    (head, plain): (&mut RequestHead, &mut usize),
    (mut tried, asked): (Tried<N>, Asked<N>),
    switches: bool,
) -> Tried<N> {
    let mut retries = Retries { asked, made: 0, probe_forgiven: false, switches };
    while let Some(wait) = retries.grant(exchange, &tried) {
        let last = selected_mut(&mut tried);
        let hash = last.hash();
        last.step_aside();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let Ok(selected) = select_again(exchange, hash, &retries.asked) else {
            // What came is what the client gets, so it is in flight again.
            if let Some(upstream) = exchange.upstream() {
                selected_mut(&mut tried).step_back(upstream);
            }
            break;
        };
        let Some(body) = take_body(&mut tried) else { break };
        // The connection that failed goes with it.
        drop(tried);
        head::name_endpoint(exchange, &mut head.headers, &selected.endpoint);
        head::keep_passport_fresh(exchange, head, plain);
        let began = exchange.moment();
        deadline::arm(exchange);
        deadline::stamp(exchange, head, *plain, began.at);
        retries.made += 1;
        let manner = Manner { switches, ..manner_of(exchange, &selected, head, began) };
        exchange.begins(began);
        tried = attempt(exchange, selected, head, body, manner).await;
        exchange.came(&tried);
        retries.count(exchange, &tried);
    }
    tried
}

/// The retries of one request.
struct Retries<N: Network> {
    /// Endpoints that were asked.
    asked: Asked<N>,
    made: u32,
    /// An endpoint that was tried out, and failed, was asked on the gateway's behalf: that is made good once.
    probe_forgiven: bool,
    /// The upstream is asked to switch protocols.
    switches: bool,
}

impl<N: Network> Retries<N> {
    /// How long to wait before the next attempt, if there may be one.
    fn grant(&mut self, exchange: &Exchange<N>, tried: &Tried<N>) -> Option<Duration> {
        // Retries are paid for by those who are believed.
        let route = exchange.route().filter(|_| !exchange.is_doubtful)?;
        let (retry, upstream) = (&route.settings.retry, exchange.upstream()?);
        let (outcome, status) = outcome_of(tried);
        let selected = selected_of(tried);
        let failed_probe = !self.probe_forgiven && selected.is_probe() && selected.is_failure(outcome, status);
        let regular = self.made + 1 - u32::from(self.probe_forgiven) < retry.attempts && wants_again(exchange, tried);
        let nothing_sent = tried.as_ref().err().is_some_and(|lost| lost.nothing_sent);
        let is_safe = nothing_sent || !self.switches && may_be_sent_twice(exchange);
        if !(regular || failed_probe) || !is_safe || !can_go_again(tried) {
            return None;
        }
        let wait = backoff::wait(self.made + 1, retry.backoff, retry.max_backoff, exchange.shard.random());
        let told = told_wait(exchange, tried).unwrap_or(Duration::ZERO);
        if told > retry.max_backoff.max(SHORT) {
            return None;
        }
        let wait = wait.max(told);
        let now = exchange.now();
        if exchange.time_left(now).is_some_and(|left| wait >= left) {
            return None;
        }
        let shared = &exchange.shard.shared;
        if failed_probe {
            self.probe_forgiven = true;
        } else if !upstream.may_retry(shared.clock.ticks_ms(now)) {
            upstream.series.retried(exchange.shard.index, RetryResult::NoBudget);
            return None;
        }
        self.asked.push(Arc::clone(&selected.endpoint));
        Some(wait)
    }

    /// Counts what a retry came to.
    fn count(&self, exchange: &Exchange<N>, tried: &Tried<N>) {
        let Some(upstream) = exchange.upstream() else { return };
        let failed = tried.is_err() || wants_again(exchange, tried);
        let result = if failed { RetryResult::Failed } else { RetryResult::Ok };
        upstream.series.retried(exchange.shard.index, result);
    }
}

fn selected_of<N: Network>(tried: &Tried<N>) -> &Selected<N> {
    match tried {
        Ok(answer) => &answer.source.selected,
        Err(lost) => &lost.selected,
    }
}

fn selected_mut<N: Network>(tried: &mut Tried<N>) -> &mut Selected<N> {
    match tried {
        Ok(answer) => &mut answer.source.selected,
        Err(lost) => &mut lost.selected,
    }
}

/// Whether the request is there as a whole to be sent again.
pub(super) fn can_go_again<N: Network>(tried: &Tried<N>) -> bool {
    match tried {
        Ok(answer) => answer.source.leg.can_take_body(),
        Err(lost) => lost.body.is_some(),
    }
}

pub(super) fn take_body<N: Network>(tried: &mut Tried<N>) -> Option<RequestBody> {
    match tried {
        Ok(answer) => answer.source.leg.take_body(),
        Err(lost) => lost.body.take(),
    }
}

/// In how long the upstream wants to be asked again.
fn told_wait<N: Network>(exchange: &Exchange<N>, tried: &Tried<N>) -> Option<Duration> {
    let told = tried.as_ref().ok()?.head.fields.get("retry-after")?;
    retry_after(told, &exchange.shard.shared.clock, exchange.now())
}
