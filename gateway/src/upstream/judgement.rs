//! What becomes of attempts, of time and of operators' words in an upstream's breakers, and who is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::scope::{Judged, Move, Scope};
use super::selection::Selected;
use super::standing::Standing;
use super::state::{Active, Upstream};
use crate::algorithms::adaptive_limit::End;
use crate::algorithms::breaker::{Mode, State, Ticket, Transition, Verdict};
use crate::algorithms::ejection;
use crate::algorithms::peak_ewma::Sample;
use crate::algorithms::silence;
use crate::algorithms::tiers::Serving;
use crate::config::settings;
use crate::config::settings::upstream::Failures;
use crate::network::Network;
use crate::telemetry::events::{Event, LastFailure};
use crate::telemetry::metrics::AttemptOutcome;

/// 429: the endpoint is well, but wants less. No failure unless it is configured as one, and no proof of health.
const TOO_MANY_REQUESTS: u16 = 429;

impl Failures {
    /// Whether an attempt that ended so is one of these failures.
    #[inline]
    pub fn has(&self, outcome: AttemptOutcome, status: Option<u16>) -> bool {
        match outcome {
            AttemptOutcome::Connect | AttemptOutcome::ConnectTimeout => self.connect,
            AttemptOutcome::Reset | AttemptOutcome::Invalid => self.reset,
            AttemptOutcome::Timeout => self.timeout,
            AttemptOutcome::Cancelled => false,
            AttemptOutcome::Ok | AttemptOutcome::Status5xx => {
                status.is_some_and(|status| status >= 400 && self.statuses.contains(&status))
            }
        }
    }
}

/// What an attempt says about its endpoint that waited so long for it, to its answer's head or its end.
#[inline]
fn verdict(
    settings: &settings::upstream::Breaker,
    (outcome, status): (AttemptOutcome, Option<u16>),
    waited: Option<Duration>,
) -> Verdict {
    let answered = matches!(outcome, AttemptOutcome::Ok | AttemptOutcome::Status5xx);
    if settings.failures.has(outcome, status) {
        Verdict::Failure
    } else if !answered || status == Some(TOO_MANY_REQUESTS) {
        Verdict::Neutral
    } else if let (Some(slow), Some(waited)) = (settings.slow_call, waited)
        && waited >= slow
    {
        Verdict::Slow
    } else {
        Verdict::Success
    }
}

/// What an attempt says about the queue at its endpoint. A failure may come at once, however long the queue is.
fn end_of(outcome: AttemptOutcome) -> End {
    match outcome {
        AttemptOutcome::Ok => End::Answered,
        AttemptOutcome::Status5xx | AttemptOutcome::Connect | AttemptOutcome::Reset | AttemptOutcome::Invalid => {
            End::Failed
        }
        AttemptOutcome::ConnectTimeout | AttemptOutcome::Timeout | AttemptOutcome::Cancelled => End::Dropped,
    }
}

impl<N: Network> Upstream<N> {
    /// Tells the breaker, and the adaptive limit, how an attempt went, and how long it `waited` for its endpoint alone;
    /// `None` where its client was still sending, so that nobody knows how long the endpoint would have taken.
    #[inline]
    pub fn settle(
        &self,
        selected: &mut Selected<N>,
        (outcome, status): (AttemptOutcome, Option<u16>),
        waited: Option<Duration>,
        now: Instant,
    ) {
        if let Some(place) = selected.take_waiting() {
            let end = if waited.is_some() { end_of(outcome) } else { End::Dropped };
            selected.endpoint.limiter.settle(place, end, waited.unwrap_or_default(), now);
        }
        if matches!(outcome, AttemptOutcome::Ok | AttemptOutcome::Status5xx) {
            selected.endpoint.answers.came();
        }
        if matches!(selected.settings.balance, settings::upstream::Balance::PeakEwma) {
            self.hear(&selected.endpoint, (outcome, status), waited, now);
        }
        if selected.open_ticket().is_none() {
            return;
        }
        let verdict = verdict(selected.breaker_settings(), (outcome, status), waited);
        #[cfg(feature = "planted-bugs")]
        let verdict = crate::planted::verdict(selected.is_probe(), verdict);
        if let Some(transition) = selected.settle(verdict, now) {
            self.changed(selected.route_breaker(), &selected.endpoint, selected.standing(), &transition);
        }
    }

    /// A client has left an attempt that began then before the first byte of an answer. Where that tells that the
    /// endpoint hangs, it counts as an attempt that ran out of time; else it says nothing. `judged` is `None` where
    /// it is not to be judged.
    #[cold]
    pub fn was_left(&self, selected: &Selected<N>, (began, now): (Instant, Instant), judged: Option<Waited>) {
        let clock = &self.surroundings.clock;
        let (endpoint, answers) = (&selected.endpoint, self.series.answers());
        let (began, now_ns) = (clock.monotonic_ns(began), clock.monotonic_ns(now));
        let silence = endpoint.answers.left(began, answers, now_ns);
        let Some(Waited { waited, usual }) = judged else { return };
        // A key, or a cookie, decides that it is this endpoint: clients choose it, and it may be asked by nobody else.
        let is_chosen = selected.hash() != 0 || selected.stays();
        if is_chosen || silence.since > began {
            return;
        }
        let active = self.active();
        let (weight, weights_beside) = weights(&active, selected);
        let settings = selected.breaker_settings();
        let seen = silence::Seen {
            waited,
            slow_call: settings.slow_call,
            usual,
            answers_beside: answers.saturating_sub(silence.answers_before),
            weight,
            weights_beside,
        };
        if silence::hangs(&seen) {
            self.hung(selected, now);
        }
    }

    /// An attempt that its client left ran out of time, as far as its endpoint goes.
    fn hung(&self, selected: &Selected<N>, now: Instant) {
        let ended = (AttemptOutcome::Timeout, None);
        selected.has_failed();
        let at_ns = self.surroundings.clock.monotonic_ns(now);
        let detail = "its client left before the route's time was up, while others were answered";
        selected.endpoint.keep_failure(LastFailure::new(at_ns, ended, Some(detail)));
        if matches!(selected.settings.balance, settings::upstream::Balance::PeakEwma) {
            self.hear(&selected.endpoint, ended, None, now);
        }
        // A probe that was left gives its place back, and another one tells.
        let ticket = selected.open_ticket().filter(|ticket| !ticket.is_probe());
        let Some(mut ticket) = ticket.filter(|_| selected.is_failure(ended.0, ended.1)) else { return };
        if let Some(transition) = selected.standing().guard.settle(&mut ticket, Verdict::Failure, now) {
            self.changed(selected.route_breaker(), &selected.endpoint, selected.standing(), &transition);
        }
    }

    /// Tells balancing how an attempt went. Whatever is no good answer says nothing of latency, since to be fast at
    /// failing is no merit; what the client or the gateway broke off says nothing at all.
    #[inline(never)]
    fn hear(
        &self,
        endpoint: &Endpoint<N>,
        (outcome, status): (AttemptOutcome, Option<u16>),
        waited: Option<Duration>,
        now: Instant,
    ) {
        if outcome == AttemptOutcome::Cancelled {
            return;
        }
        let is_good = outcome == AttemptOutcome::Ok && status != Some(TOO_MANY_REQUESTS);
        let sample = match waited {
            _ if !is_good => Sample::Failed,
            Some(waited) => Sample::Answered(waited),
            None => return,
        };
        endpoint.hear(sample, self.surroundings.clock.monotonic_ns(now));
    }

    /// Breakers trip and recover so from now on, as is in force.
    pub(super) fn configure_breakers(&self, now: Instant) {
        let active = self.active();
        for scope in &active.scopes {
            let policy = scope.settings.policy;
            #[cfg(feature = "planted-bugs")]
            let policy = crate::planted::policy(policy);
            for (standing, endpoint) in scope.standings.iter().zip(&active.endpoints) {
                if let Some(transition) = standing.guard.configure(policy, now) {
                    self.changed(scope.route.as_ref(), endpoint, standing, &transition);
                }
            }
        }
    }

    /// Tells the breaker that an answer broke off behind its head, and why; or said only there that it failed, in words
    /// of gRPC, which count as this status.
    pub fn broke_off(
        &self,
        selected: &Selected<N>,
        (outcome, status): (AttemptOutcome, Option<u16>),
        why: Option<&str>,
        now: Instant,
    ) {
        selected.has_failed();
        let at_ns = self.surroundings.clock.monotonic_ns(now);
        // The status that came was a good one.
        let (came, why) = match (status, why) {
            (Some(_), why) => (Some(http::StatusCode::OK.as_u16()), why.map(str::to_owned)),
            (None, why) => (None, why.map(|why| format!("the answer broke off behind its head: {why}"))),
        };
        selected.endpoint.keep_failure(LastFailure::new(at_ns, (outcome, came), why.as_deref()));
        let Some(ticket) = selected.settled_ticket() else { return };
        if !selected.breaker_settings().failures.has(outcome, status) {
            return;
        }
        if let Some(transition) = selected.standing().guard.break_off(ticket, now) {
            self.changed(selected.route_breaker(), &selected.endpoint, selected.standing(), &transition);
        }
    }

    /// Does what time alone does to breakers.
    pub fn tick(&self, now: Instant) {
        let active = self.active();
        for scope in &active.scopes {
            self.tick_scope(scope, &active.endpoints, now);
        }
    }

    /// The same for one scope.
    pub(super) fn tick_scope(&self, scope: &Scope, endpoints: &[Arc<Endpoint<N>>], now: Instant) {
        for (standing, endpoint) in scope.standings.iter().zip(endpoints) {
            if let Some(transition) = standing.guard.tick(now) {
                self.changed(scope.route.as_ref(), endpoint, standing, &transition);
            }
        }
    }

    /// When time alone changes something next.
    pub fn deadline(&self) -> Option<Instant> {
        let active = self.active();
        let standings = active.scopes.iter().flat_map(|scope| &scope.standings);
        standings.filter_map(|standing| standing.guard.deadline()).min()
    }

    /// Puts an operator's will in force for an endpoint, with all routes or with one; whether there is such an endpoint
    /// and such a breaker.
    pub fn force(&self, endpoint: &str, route: Option<&str>, mode: Mode) -> bool {
        let now = self.surroundings.clock.now();
        let active = self.active();
        let scope = active.scopes.iter().find(|scope| scope.route.as_deref() == route);
        let found = scope.zip(active.endpoints.iter().position(|known| &*known.address == endpoint));
        let Some((scope, place)) = found else { return false };
        let standing = &scope.standings[place];
        match standing.guard.force(mode, now) {
            Some(transition) => self.changed(scope.route.as_ref(), &active.endpoints[place], standing, &transition),
            // The state is the same, but what holds it there is not.
            None => self.judge(now),
        }
        true
    }

    /// A breaker has changed its state: tells of it, and judges anew who is in balancing.
    #[cold]
    pub(super) fn changed(
        &self,
        route: Option<&Arc<str>>,
        endpoint: &Endpoint<N>,
        standing: &Standing,
        transition: &Transition,
    ) {
        standing.remember(transition);
        let event = Event::Breaker {
            upstream: Arc::clone(&self.name),
            endpoint: Arc::clone(&endpoint.address),
            route: route.cloned(),
            transition: *transition,
            failure: endpoint.last_failure().filter(|_| transition.to == State::Open),
        };
        self.surroundings.report(transition.at, event);
        self.judge(transition.at);
        if route.is_none() && transition.to == State::HalfOpen {
            endpoint.health.hurry();
        }
        self.surroundings.ring();
    }

    /// A check of an endpoint came out: `verdict` is what checks have come to, where that changed.
    pub(super) fn checked(&self, endpoint: &Endpoint<N>, good: bool, verdict: Option<bool>, detail: &Arc<str>) {
        let now = self.surroundings.clock.now();
        if let Some(healthy) = verdict {
            let event = Event::Health {
                upstream: Arc::clone(&self.name),
                endpoint: Arc::clone(&endpoint.address),
                healthy,
                detail: Arc::clone(detail),
            };
            self.surroundings.report(now, event);
            self.judge(now);
        }
        if let Some(transition) = endpoint.standing.guard.observe_check(good, now) {
            self.changed(None, endpoint, &endpoint.standing, &transition);
        }
    }

    /// Judges anew who is in balancing.
    pub(super) fn judge(&self, now: Instant) {
        let active = self.active();
        let is_unhealthy = |endpoint: usize| !active.endpoints[endpoint].health.is_healthy();
        self.say_whether_checks_count(&active);
        for scope in &active.scopes {
            let Judged { moves, rolled_up: (from, to), serving } =
                scope.judge(is_unhealthy, self.surroundings.clock.monotonic_ns(now));
            for Move { endpoint, place, reason } in moves {
                let event = Event::Ejection {
                    upstream: Arc::clone(&self.name),
                    endpoint: Arc::clone(&active.endpoints[endpoint].address),
                    route: scope.route.clone(),
                    place,
                    reason,
                };
                self.surroundings.report(now, event);
            }
            self.say_whose_turn_it_is(&active, scope, serving, now);
            if from != to {
                let (upstream, route) = (Arc::clone(&self.name), scope.route.clone());
                let out = if to == State::Open { active.out_under(scope) } else { Vec::new() };
                self.surroundings.report(now, Event::RollUp { upstream, route, from, to, out });
            }
        }
    }

    /// Tells that backups take requests from now on, or that they do not any more.
    fn say_whose_turn_it_is(&self, active: &Active<N>, scope: &Scope, (from, to): (Serving, Serving), now: Instant) {
        if from == to {
            return;
        }
        let (upstream, route) = (Arc::clone(&self.name), scope.route.clone());
        let out = if to == Serving::Primaries { Vec::new() } else { active.out_under(scope) };
        self.surroundings.report(now, Event::Backup { upstream, route, from, to, out });
    }

    /// A half-open breaker waits for a check that did well, where checks can be told right from wrong: those of some
    /// endpoint do well.
    fn say_whether_checks_count(&self, active: &Active<N>) {
        let Some(health) = &active.settings.health else { return };
        let word = |endpoint: &Arc<Endpoint<N>>| (endpoint.health.is_healthy(), endpoint.standing.guard.is_held_open());
        // As ejection sees them: an endpoint of weight 0 takes no part.
        let weighted = active.endpoints.iter().zip(&active.weights).filter(|(_, weight)| **weight > 0);
        let believed = ejection::are_believed(weighted.map(|(endpoint, _)| word(endpoint)));
        let checked = believed.then_some(health.timeout);
        active.endpoints.iter().for_each(|endpoint| endpoint.standing.guard.set_checked(checked));
    }
}

/// The weight of the endpoint that was asked, and of those that take requests beside it.
fn weights<N: Network>(active: &Active<N>, selected: &Selected<N>) -> (u64, u64) {
    let route = selected.route_breaker().map(|route| &**route);
    let both = active.scope(route).serving() == Serving::Both;
    let Some(own) = active.endpoints.iter().position(|known| Arc::ptr_eq(known, &selected.endpoint)) else {
        return (0, active.weights.iter().map(|weight| u64::from(*weight)).sum());
    };
    let is_beside = |other: &usize| *other != own && (both || active.is_backup(*other) == active.is_backup(own));
    let beside = (0..active.weights.len()).filter(is_beside).map(|other| u64::from(active.weights[other])).sum();
    (u64::from(active.weights[own]), beside)
}

/// What an attempt that its client left is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Waited {
    /// How long it waited for its endpoint alone.
    pub waited: Duration,
    /// What half of its route's requests take at most, where that is known.
    pub usual: Option<Duration>,
}

/// Leave of a breaker, and what has become of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// The leave.
    pub(super) ticket: Ticket,
    /// The attempt has come to its outcome, and the breaker knows.
    pub(super) is_settled: bool,
}
