//! The breaker's oracle: when did it trip, when should it have, what leaked, how soon was it well again.
//!
//! - `outcomes`: what the policy makes of attempts; `reference`: when it is satisfied;
//! - `spans`: states over time; `trips`, `leaks`, `recovery`: one figure each;
//! - `claims`: whether what the gateway says of its breakers and of ejection follows from outcomes, time and the rules.

mod claims;
mod leaks;
mod outcomes;
mod recovery;
mod reference;
mod spans;
mod trips;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{BreakerState, Endpoint, History};
use crate::oracle::policy::{BreakerPolicy, Policies, Tolerance};
use spans::Span;

/// `breakers.<upstream/endpoint>` of a result. Times are milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BreakerScore {
    /// From closed to open.
    pub trips: u64,
    /// From the begin of the first attempt that counts against the endpoint since the breaker last closed to the trip,
    /// the worst over all trips; absent when it never tripped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trip_ms: Option<f64>,
    /// Outcomes from the first bad one to the trip, of the trip with the largest error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts_to_trip: Option<u64>,
    /// The same for the smallest prefix that satisfies the policy; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oracle_attempts: Option<u64>,
    /// Outcomes between the two; also of a trip that nothing asked for, or that never came.
    pub trip_error: u64,
    /// Attempts that no permit allowed.
    pub leaked_attempts: u64,
    /// The most probes at once.
    pub probes_max_concurrent: u64,
    /// From the end of the fault to the breaker's closing, the worst over its bound; absent when after one it never
    /// closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_ms: Option<f64>,
    /// What no breaker with this policy could beat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_oracle_ms: Option<f64>,
    /// Faults that were over, and after which it never closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_closed: Option<u64>,
    /// Every change of state.
    pub transitions: Vec<Transition>,
}

/// A change of state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transition {
    /// When, on the run's clock.
    pub t_ms: f64,
    /// The state before.
    pub from: &'static str,
    /// The state since.
    pub to: &'static str,
    /// Why, in the gateway's words.
    pub cause: String,
}

/// The breakers of a run, by `upstream/endpoint`; an upstream's roll-up, where it ever changed, by the upstream's name.
pub fn judge(history: &History, policies: &Policies, tolerance: Tolerance) -> BTreeMap<String, BreakerScore> {
    let mut scores = BTreeMap::new();
    for (name, upstream) in &policies.upstreams {
        let Some(policy) = &upstream.breaker else { continue };
        for index in 0..upstream.weights.len() {
            let endpoint = Endpoint::new(name.clone(), index);
            scores.insert(endpoint.to_string(), judge_endpoint(history, &endpoint, policy, tolerance));
        }
        let roll_up = spans::of_roll_up(history, name);
        if roll_up.len() > 1 {
            let (trips, transitions) = (trips_in(&roll_up), transitions(&roll_up));
            scores.insert(name.to_string(), BreakerScore { trips, transitions, ..BreakerScore::default() });
        }
    }
    scores
}

/// One endpoint's breaker.
pub fn judge_endpoint(
    history: &History,
    endpoint: &Endpoint,
    policy: &BreakerPolicy,
    tolerance: Tolerance,
) -> BreakerScore {
    let spans = spans::of(history, endpoint);
    let outcomes = outcomes::judged(history, endpoint, policy);
    // The gateway's own account is on the breaker's clock; the mocks' has a wire between.
    let slack_ns = match outcomes::tells_of_attempts(history) {
        true => tolerance.stamp_ns,
        false => tolerance.transit_ns.max(tolerance.stamp_ns),
    };
    let trips = trips::judge(policy, &spans, &outcomes, slack_ns);
    let worst = trips.iter().max_by_key(|trip| (trip.error, trip.attempts));
    let leaks = leaks::find(history, endpoint, policy, &spans, tolerance);
    let recoveries = recovery::find(history, endpoint, policy, &spans, &outcomes);
    // What never closed is worse than whatever did.
    let over = |one: &&recovery::Recovery| one.took_ns.map_or(u64::MAX, |took| took.saturating_sub(one.bound_ns));
    let recovery = recoveries.iter().max_by_key(over);
    let never_closed = recoveries.iter().filter(|one| one.took_ns.is_none()).count() as u64;
    BreakerScore {
        trips: trips_in(&spans),
        trip_ms: trips.iter().filter_map(|trip| trip.after_ns).max().map(ms),
        attempts_to_trip: worst.map(|trip| trip.attempts),
        oracle_attempts: worst.and_then(|trip| trip.oracle_attempts),
        trip_error: worst.map_or(0, |trip| trip.error),
        leaked_attempts: leaks.leaked,
        probes_max_concurrent: leaks.probes_max,
        recovery_ms: recovery.and_then(|one| one.took_ns).map(ms),
        recovery_oracle_ms: recovery.map(|one| ms(one.bound_ns)),
        never_closed: Some(never_closed).filter(|count| *count > 0),
        transitions: transitions(&spans),
    }
}

/// What the gateway told of breakers and of ejection that its own attempts and the rules do not bear out. Exact in
/// virtual time; on sockets two clocks lie between.
pub fn unfounded(history: &History, policies: &Policies, tolerance: Tolerance) -> Vec<String> {
    let mut found = Vec::new();
    for (name, upstream) in &policies.upstreams {
        let Some(policy) = &upstream.breaker else { continue };
        let endpoints: Vec<Endpoint> =
            (0..upstream.weights.len()).map(|index| Endpoint::new(name.clone(), index)).collect();
        for endpoint in &endpoints {
            found.extend(claims::of_breaker(history, endpoint, (policy, upstream.checked), tolerance));
        }
        found.extend(claims::of_ejection(history, &endpoints, upstream));
    }
    found
}

fn trips_in(spans: &[Span]) -> u64 {
    let trip = |pair: &&[Span]| pair[0].state == BreakerState::Closed && pair[1].state == BreakerState::Open;
    spans.windows(2).filter(trip).count() as u64
}

fn transitions(spans: &[Span]) -> Vec<Transition> {
    let change = |pair: &[Span]| Transition {
        t_ms: ms(pair[1].from_ns),
        from: pair[0].state.as_str(),
        to: pair[1].state.as_str(),
        cause: pair[1].cause.to_string(),
    };
    spans.windows(2).map(change).collect()
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests;
