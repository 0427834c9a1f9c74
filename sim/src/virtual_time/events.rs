//! The gateway's events, taken over into the history.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway::algorithms::breaker::State;
use gateway::algorithms::ejection::Place;
use gateway::gateway::Gateway;
use gateway::telemetry::events::{Event as Told, Follower, Kind, Stamped};
use gateway::telemetry::metrics::AttemptOutcome;

use super::MISSED;
use super::faults::nanos;
use super::journal::{HEAD_START, Journal};
use super::names::Names;
use super::network::Simulated;
use crate::history::limit::{Decided, Word};
use crate::history::{Asked, BreakerState, Event, EventKind, Name, Seen};

/// What oracles have use for.
const KINDS: [Kind; 4] = [Kind::Attempt, Kind::Breaker, Kind::Ejection, Kind::Limit];

/// Follows a gateway from now on.
pub(super) fn follow(gateway: &Gateway<Simulated>) -> Follower {
    gateway.shared().events.follow(KINDS.into_iter().collect(), None)
}

/// Writes down what it tells, for as long as the world lasts. `started` is when its clock began, and
/// what a request takes of each rate limit.
pub(super) async fn collect(
    mut follower: Follower,
    names: Names,
    (started, costs): (Duration, BTreeMap<Name, u64>),
    journal: Journal,
) {
    let at = |ns: u64| (ns + nanos(started)).saturating_sub(nanos(HEAD_START));
    loop {
        let batch = follower.next().await;
        if batch.missed > 0 {
            journal.anomaly(MISSED, format!("{} of them", batch.missed));
        }
        journal.with(|pages| {
            for told in &batch.events {
                pages.trace.note(&[7, told.ts_ns, told.seq]);
                pages.decided.extend(decided(told, &costs, at));
                let event = translate(told, &names, at);
                pages.history.events.extend(event);
            }
        });
    }
}

/// An event in the words of histories; `None` where it speaks of what no mock is, or of a route's own breaker.
fn translate(told: &Stamped, names: &Names, at: impl Fn(u64) -> u64) -> Option<Event> {
    let (at_ns, kind) = match &told.event {
        Told::Attempt { request_id, upstream, endpoint, start_ns, end_ns, outcome, status, key } => {
            let key = (*key != 0).then(|| format!("{key:016x}").into());
            let request_id = Some(request_id.as_str().into());
            let (endpoint, seen) = (names.get(upstream, endpoint)?.clone(), seen(*outcome, *status));
            (at(*end_ns), EventKind::Attempt { request_id, endpoint, start_ns: at(*start_ns), seen, key })
        }
        Told::Breaker { upstream, endpoint, route: None, transition, .. } => {
            let endpoint = Some(names.get(upstream, endpoint)?.clone());
            let (from, to) = (state(transition.from), state(transition.to));
            let cause = transition.cause.as_str().into();
            (at(told.ts_ns), EventKind::Breaker { upstream: upstream.clone(), endpoint, from, to, cause })
        }
        Told::RollUp { upstream, route: None, from, to, .. } if names.are_of_upstreams() => {
            let (from, to, cause) = (state(*from), state(*to), "endpoints".into());
            (at(told.ts_ns), EventKind::Breaker { upstream: upstream.clone(), endpoint: None, from, to, cause })
        }
        Told::Ejection { upstream, endpoint, route: None, place, reason } => {
            let endpoint = names.get(upstream, endpoint)?.clone();
            let (out, capped) = (*place == Place::Ejected, *place == Place::Capped);
            (at(told.ts_ns), EventKind::Ejection { endpoint, out, capped, reason: (*reason).into() })
        }
        _ => return None,
    };
    Some(Event { at_ns, gateway: 0, kind })
}

/// What a rate limit decided.
fn decided(told: &Stamped, costs: &BTreeMap<Name, u64>, at: impl Fn(u64) -> u64) -> Option<Decided> {
    let Told::Limit { rule, key, decision, request_id, .. } = &told.event else { return None };
    let cost = costs.get(rule).copied().unwrap_or(1);
    let asked = Asked { rule: rule.clone(), key: format!("{key:032x}").into(), cost };
    let request_id = Some(request_id.as_str().into());
    Some(Decided { at_ns: at(told.ts_ns), gateway: 0, request_id, asked, word: Word::parse(decision.as_str())? })
}

fn state(state: State) -> BreakerState {
    match state {
        State::Closed => BreakerState::Closed,
        State::HalfOpen => BreakerState::HalfOpen,
        State::Open => BreakerState::Open,
    }
}

fn seen(outcome: AttemptOutcome, status: Option<u16>) -> Seen {
    match (outcome, status) {
        (AttemptOutcome::Ok | AttemptOutcome::Status5xx, status) => Seen::Status(status.unwrap_or(0)),
        (AttemptOutcome::Connect | AttemptOutcome::ConnectTimeout, _) => Seen::Connect,
        (AttemptOutcome::Timeout, _) => Seen::Timeout,
        (AttemptOutcome::Reset | AttemptOutcome::Invalid, _) => Seen::Reset,
        (AttemptOutcome::Cancelled, _) => Seen::Cancelled,
    }
}
