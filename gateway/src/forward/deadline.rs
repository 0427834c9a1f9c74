//! One deadline for an exchange, retries and the waits between them included, and what upstreams are told of it.
//!
//! A client may ask for less time than the route gives, never for more. Each attempt carries what is left, so that an
//! upstream, or a gateway behind this one, does not work for somebody who has given up.

use std::time::{Duration, Instant};

use http::HeaderName;

use crate::clock::Since;
use crate::context::names::{GRPC_TIMEOUT, X_REQUEST_TIMEOUT_MS};
use crate::error::GatewayError;
use crate::exchange::Exchange;
use crate::http1::{RequestHead, write_field};
use crate::network::Network;
use crate::request_fields::{KnownName, RequestFields};
use crate::telemetry::metrics::ShedReason;
use crate::timer::Wait;

/// The longest time that gRPC's eight digits of milliseconds hold.
const GRPC_MOST_MS: u128 = 99_999_999;

/// The exchange has the time that its route gives, or less where its client says so; it is watched from now on. Several
/// stages may begin: what the client said is read once, and holds for all of them.
pub fn begin<N: Network>(exchange: &mut Exchange<N>, headers: &mut RequestFields) {
    exchange.timeout = exchange.given_time();
    read(exchange, headers);
    arm(exchange);
}

/// Reads, and takes away, what the client says of its time.
pub(super) fn read<N: Network>(exchange: &mut Exchange<N>, headers: &mut RequestFields) {
    if !exchange.timed {
        return;
    }
    let text = |value: http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let plain = headers.take(KnownName::X_REQUEST_TIMEOUT_MS).and_then(text).and_then(|text| text.parse().ok());
    // To what is no call of gRPC it is a field like any other, which its service may want.
    let grpc = if exchange.is_grpc { headers.take(KnownName::GRPC_TIMEOUT) } else { None };
    let grpc = grpc.and_then(text).and_then(|text| grpc_timeout(&text));
    let [plain, grpc] = [plain.map(Duration::from_millis), grpc].map(|asked| asked.filter(|asked| !asked.is_zero()));
    // The other header is until response headers alone, as a gateway in front tells it. What was read before holds.
    if grpc.is_some() {
        exchange.call_timeout = grpc;
    }
    let asked = [plain, grpc].into_iter().flatten().min();
    if let Some(asked) = asked
        && exchange.timeout.is_none_or(|given| asked < given)
    {
        let given = exchange.timeout;
        exchange.timeout = Some(asked);
        exchange.hurried = true;
        // A gateway before this one tells what is left of about the same time: that is not its client's word.
        exchange.aside.has_own_time = exchange.aside.has_own_time || given.is_none_or(|given| asked < given / 2);
        arm(exchange);
    }
}

/// Forgets how long the client means to wait: a copy has the route's time, also of a client that is in a hurry.
pub(super) fn forget<N: Network>(exchange: &mut Exchange<N>, headers: &mut RequestFields) {
    if std::mem::take(&mut exchange.timed) {
        headers.remove(KnownName::X_REQUEST_TIMEOUT_MS);
        if exchange.is_grpc {
            headers.remove(KnownName::GRPC_TIMEOUT);
        }
    }
}

/// `TimeoutValue TimeoutUnit` of gRPC over HTTP/2: up to eight digits and one of `HMSmun`.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Watches the deadline; an answer's head has stopped that.
pub(crate) fn arm<N: Network>(exchange: &Exchange<N>) {
    exchange.connection.deadlines.set_since(Wait::Exchange, exchange.since, exchange.timeout);
}

/// Whether any time is left to ask an upstream in, and how much, where there is a limit.
///
/// # Errors
/// 503 `overloaded`: all of it went by in the gateway. Nobody is asked then, and no endpoint is blamed.
pub(super) fn check<N: Network>(exchange: &Exchange<N>, now: Since) -> Result<Option<Duration>, GatewayError> {
    let left = exchange.time_left_since(now);
    if left.is_some_and(|left| left.is_zero()) {
        let detail = "The request's time ran out before an upstream could be asked.";
        return Err(GatewayError::shed(ShedReason::Deadline, detail));
    }
    Ok(left)
}

/// How long an attempt that began so long ago has waited for its endpoint alone: what the client takes to send its body
/// is no time of the endpoint's. `None` while it is the client that is waited for.
pub(super) fn waited<N: Network>(exchange: &Exchange<N>, since: Duration, now: Instant) -> Option<Duration> {
    let Some(progress) = &exchange.request_body else { return Some(since) };
    let until = progress.awaited_until()?;
    let now_ns = exchange.shard.shared.clock.monotonic_ns(now);
    Some(since.min(Duration::from_nanos(now_ns.saturating_sub(until))))
}

/// Whether an upstream has taken nothing of a request for the route's `idle_timeout`, where the route has no `timeout`
/// that would end it. `is_blocked` says whether some of the request waits for it to take more.
#[inline]
pub(super) fn takes_nothing<N: Network>(exchange: &Exchange<N>, is_blocked: impl FnOnce() -> bool) -> bool {
    exchange.timeout.is_none() && exchange.request_body.is_some() && is_blocked() && stands_still(exchange)
}

/// Bytes that leave forget the deadline, and with it that it has run out.
#[cold]
fn stands_still<N: Network>(exchange: &Exchange<N>) -> bool {
    let deadlines = &exchange.connection.deadlines;
    if deadlines.has_expired(Wait::ResponseBody) {
        deadlines.clear(Wait::ResponseBody);
        return true;
    }
    if !deadlines.is_set(Wait::ResponseBody) {
        let idle = exchange.route().and_then(|route| route.settings.idle_timeout);
        deadlines.set(Wait::ResponseBody, exchange.now(), idle);
    }
    false
}

/// Whether an attempt that ran out of time says something about its endpoint, which it had `waited` for. One does not
/// that was left less than half of the time that the route gives an attempt, since the gateway was late, others were
/// asked before, or the client was slow; or where it was the client that gave little, who could else open a breaker for
/// others.
pub(super) fn is_telling<N: Network>(exchange: &Exchange<N>, waited: Duration) -> bool {
    let given = exchange.route().and_then(|route| {
        if exchange.consults {
            return route.authority.as_ref().map(|authority| authority.settings.timeout);
        }
        let settings = &route.settings;
        [settings.timeout, settings.retry.per_try_timeout].into_iter().flatten().min()
    });
    !exchange.hurried && given.is_none_or(|given| waited >= given / 2)
}

/// Writes what is left behind the first `plain` bytes of the head's lines.
pub(super) fn stamp<N: Network>(exchange: &Exchange<N>, head: &mut RequestHead, plain: usize, now: Instant) {
    stamp_left(exchange, head, plain, (now, exchange.time_left(now)));
}

/// The same for who knows what is left.
#[inline]
pub(super) fn stamp_left<N: Network>(
    exchange: &Exchange<N>,
    head: &mut RequestHead,
    plain: usize,
    (now, left): (Instant, Option<Duration>),
) {
    head.lines.truncate(plain);
    stamp_call(exchange, head, now);
    let Some(left) = left else { return };
    if is_edited(exchange, head, &X_REQUEST_TIMEOUT_MS) {
        return;
    }
    let mut digits = itoa::Buffer::new();
    let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    write_field(&mut head.lines, &X_REQUEST_TIMEOUT_MS, digits.format(ms).as_bytes());
}

/// Whether the route says what the upstream is told under this name, if only that it is told nothing. Whom the route
/// asks before is not who its edits are for.
fn is_edited<N: Network>(exchange: &Exchange<N>, head: &RequestHead, name: &HeaderName) -> bool {
    let edits = exchange.route().and_then(|route| route.edits.request.as_ref());
    edits.is_some_and(|edits| head.headers.contains_key(name) || (edits.takes(name) && !exchange.consults))
}

/// To gRPC, `grpc-timeout` is the deadline of the whole call, whose messages may come for hours. So it is the client's
/// word alone: a route's limit is until response headers, and would end every longer stream.
fn stamp_call<N: Network>(exchange: &Exchange<N>, head: &mut RequestHead, now: Instant) {
    let Some(given) = exchange.call_timeout else { return };
    if is_edited(exchange, head, &GRPC_TIMEOUT) {
        return;
    }
    let left = given.saturating_sub(now.saturating_duration_since(exchange.started));
    let text = format!("{}m", left.as_millis().clamp(1, GRPC_MOST_MS));
    write_field(&mut head.lines, &GRPC_TIMEOUT, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read_in_each_unit_and_nothing_else_is() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("m", None),
            ("100000000m", None),
            ("1h", None),
            ("-1m", None),
            ("1é", None),
        ] {
            assert_eq!(grpc_timeout(text), expected, "{text:?}");
        }
    }
}
