//! Endpoints as one breaker policy sees them: the upstream's own, or that of one route.
//!
//! A scope lives as long as a set of endpoints is in force; the standings in it outlive that. Whoever changes a
//! standing lets the scope judge anew who is in balancing, under a lock that no request takes while nothing changes.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::standing::Standing;
use crate::algorithms::breaker::{State, Ticket, Transition};
use crate::algorithms::ejection::{Bounds, Candidate, Place};
use crate::algorithms::slow_start;
use crate::algorithms::tiers::{self, Serving};
use crate::config::settings;

/// The endpoints of an upstream under one breaker policy.
pub struct Scope {
    /// The route whose breaker it is; `None` for the upstream's own.
    pub route: Option<Arc<str>>,
    /// The breaker's settings, which each attempt that is judged by a route's own takes along.
    pub settings: Arc<settings::upstream::Breaker>,
    /// In the order of the endpoints.
    pub standings: Box<[Arc<Standing>]>,
    /// Endpoints of weight 0 take no part, but for clients that stay with one.
    weights: Box<[u32]>,
    /// Which are backups.
    backups: Box<[bool]>,
    /// Whose turn it is, as a number.
    serving: AtomicU8,
    bounds: Bounds,
    /// A share grows over this time.
    slow_start: Duration,
    /// Until when some endpoint's share is growing, nanoseconds of the monotonic clock; 0 where none is.
    warming_until: AtomicU64,
    /// Whether anything can trip it: else outcomes are not looked at.
    pub judges: bool,
    /// Whether a pick has to look at each endpoint: one is troubled, or its share is growing.
    attention: AtomicBool,
    /// Taken while it is judged anew: how the endpoints stood together then.
    judging: Mutex<Before>,
}

/// How endpoints stand together, as it was told last.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// What the upstream's breaker is.
    pub rolled_up: State,
    /// Whose turn it is.
    pub serving: Serving,
}

impl Default for Before {
    fn default() -> Self {
        Self { rolled_up: State::Closed, serving: Serving::Primaries }
    }
}

/// What became of a scope that was judged anew.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Endpoints that changed their places.
    pub moves: Vec<Move>,
    /// What the upstream's breaker was, and what it is.
    pub rolled_up: (State, State),
    /// Whose turn it was, and whose it is.
    pub serving: (Serving, Serving),
}

/// An endpoint that changed its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub endpoint: usize,
    /// To this place.
    pub place: Place,
    /// What is wrong with it: `breaker`, `health`, `operator`; `recovered` where nothing is any more.
    pub reason: &'static str,
}

/// Leave for an attempt.
#[derive(Debug)]
pub struct Admitted {
    /// To be given back with the outcome.
    pub ticket: Ticket,
    /// What the breaker was.
    pub met: &'static str,
}

impl Scope {
    /// A scope of these standings, each with its weight and whether it is a backup's; `before` is how they stood
    /// together.
    pub fn new(
        route: Option<Arc<str>>,
        breaker: settings::upstream::Breaker,
        standings: Box<[Arc<Standing>]>,
        (weights, backups): (Box<[u32]>, Box<[bool]>),
        settings: &settings::Upstream,
        before: Before,
    ) -> Self {
        Self {
            route,
            judges: breaker.policy.can_trip(),
            settings: Arc::new(breaker),
            standings,
            weights,
            backups,
            serving: AtomicU8::new(before.serving as u8),
            bounds: settings.ejection,
            slow_start: settings.slow_start,
            warming_until: AtomicU64::new(0),
            attention: AtomicBool::new(false),
            judging: Mutex::new(before),
        }
    }

    /// Whether every endpoint is as it should be: then a pick need not look at each.
    #[inline]
    pub fn is_well(&self) -> bool {
        !self.attention.load(Ordering::Relaxed)
    }

    /// Whose turn it is: primaries' where there are no backups.
    pub fn serving(&self) -> Serving {
        Serving::of(self.serving.load(Ordering::Relaxed))
    }

    /// How its endpoints stand together.
    pub fn now(&self) -> Before {
        Before { rolled_up: self.rolled_up(), serving: self.serving() }
    }

    /// Whether a request with these random bits may go to this endpoint as far as its age goes.
    pub fn is_warm_for(&self, endpoint: usize, bits: u64, now_ns: u64) -> bool {
        let age = match self.standings[endpoint].age(now_ns) {
            Some(age) if !self.slow_start.is_zero() => age,
            _ => return true,
        };
        slow_start::admits(age, self.slow_start, bits, endpoint)
    }

    /// Whether an attempt may go to this endpoint.
    pub fn may_take(&self, endpoint: usize) -> bool {
        let standing = &self.standings[endpoint];
        #[cfg(feature = "planted-bugs")]
        if crate::planted::leaks(standing.guard.state()) {
            return true;
        }
        match standing.place() {
            Place::In => standing.guard.is_closed() || standing.guard.has_room_for_a_probe(),
            Place::Ejected => standing.guard.has_room_for_a_probe(),
            Place::Capped => true,
        }
    }

    /// Leave for an attempt to this endpoint, if there is any left.
    pub fn admit(&self, endpoint: usize, now: Instant) -> (Option<Admitted>, Option<Transition>) {
        let standing = &self.standings[endpoint];
        #[cfg(feature = "planted-bugs")]
        if standing.place() == Place::Ejected && crate::planted::leaks(standing.guard.state()) {
            crate::planted::has_leaked();
            let (ticket, transition) = standing.guard.admit_anyhow(now);
            return (Some(Admitted { met: State::Open.as_str(), ticket }), transition);
        }
        let (ticket, transition) = if standing.place() == Place::Capped {
            let (ticket, transition) = standing.guard.admit_anyhow(now);
            (Some(ticket), transition)
        } else {
            standing.guard.admit(now)
        };
        let met = |ticket: &Ticket| match standing.guard.state() {
            _ if ticket.is_probe() => State::HalfOpen.as_str(),
            State::Closed => State::Closed.as_str(),
            _ => "capped",
        };
        (ticket.map(|ticket| Admitted { met: met(&ticket), ticket }), transition)
    }

    /// The upstream's breaker: what the endpoints' come to together. One that is out by its checks takes no more than
    /// one whose breaker is open.
    pub fn rolled_up(&self) -> State {
        let state = |standing: &Standing| match standing.guard.state() {
            State::Closed if standing.place() == Place::Ejected => State::Open,
            state => state,
        };
        let states: Vec<State> = self.weighted().map(|endpoint| state(&self.standings[endpoint])).collect();
        match states.as_slice() {
            [] => State::Closed,
            states if states.contains(&State::Closed) => State::Closed,
            states if states.contains(&State::HalfOpen) => State::HalfOpen,
            _ => State::Open,
        }
    }

    /// When an endpoint may be asked again, if all that is wrong is that they are left alone.
    pub fn next_probe(&self) -> Option<Instant> {
        self.weighted().filter_map(|endpoint| self.standings[endpoint].guard.deadline()).min()
    }

    /// Whether a breaker keeps anybody out.
    pub fn is_broken(&self) -> bool {
        self.weighted().any(|endpoint| !self.standings[endpoint].guard.is_closed())
    }

    /// Judges anew who is in balancing; who moved. `is_unhealthy` tells of an endpoint's checks.
    pub fn judge(&self, is_unhealthy: impl Fn(usize) -> bool, now_ns: u64) -> Judged {
        let mut judged = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let standings = self.standings.iter().enumerate();
        let candidates: Vec<Candidate> =
            standings.map(|(endpoint, standing)| candidate(standing, is_unhealthy(endpoint), now_ns)).collect();
        let (places, serving) = self.places(&candidates);
        let mut moves = Vec::new();
        for (endpoint, (place, candidate)) in places.into_iter().zip(&candidates).enumerate() {
            let standing = &self.standings[endpoint];
            let before = standing.move_to(place);
            if before == place {
                continue;
            }
            if before == Place::Ejected && place == Place::In {
                standing.set_returned(now_ns);
            }
            moves.push(Move { endpoint, place, reason: reason(candidate) });
        }
        self.attend(candidates.iter().any(Candidate::is_troubled), now_ns);
        self.serving.store(serving as u8, Ordering::Relaxed);
        let before = std::mem::replace(&mut *judged, self.now());
        Judged { moves, rolled_up: (before.rolled_up, judged.rolled_up), serving: (before.serving, serving) }
    }

    /// The place of each endpoint, and whose turn it is. One of weight 0 is out while anything is wrong with it, and
    /// counts for no bound: who loses it is a client that stays there, and others have its part.
    fn places(&self, candidates: &[Candidate]) -> (Vec<Place>, Serving) {
        let alone = |candidate: &Candidate| if candidate.is_troubled() { Place::Ejected } else { Place::In };
        let mut places: Vec<Place> = candidates.iter().map(alone).collect();
        let tiered = |endpoint: usize| (candidates[endpoint], self.backups[endpoint]);
        let weighted: Vec<(Candidate, bool)> = self.weighted().map(tiered).collect();
        let (judged, serving) = tiers::judge(&weighted, self.bounds);
        for (endpoint, place) in self.weighted().zip(judged) {
            places[endpoint] = place;
        }
        (places, serving)
    }

    /// Looks whether picks still have to look at each endpoint: a share that was growing may have grown.
    pub fn reconsider(&self, now_ns: u64) {
        let until = self.warming_until.load(Ordering::Relaxed);
        if until != 0 && now_ns >= until {
            let _turn = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
            self.attend(self.standings.iter().any(|standing| !standing.is_well()), now_ns);
        }
    }

    fn attend(&self, troubled: bool, now_ns: u64) {
        let slow_start = u64::try_from(self.slow_start.as_nanos()).unwrap_or(u64::MAX);
        let returned = self.weighted().filter_map(|endpoint| self.standings[endpoint].returned());
        let warm = returned.map(|returned| returned.saturating_add(slow_start)).max().filter(|warm| *warm > now_ns);
        self.warming_until.store(warm.unwrap_or(0), Ordering::Relaxed);
        self.attention.store(troubled || warm.is_some(), Ordering::Relaxed);
    }

    /// How many endpoints are out of balancing.
    pub fn ejected(&self) -> usize {
        self.standings.iter().filter(|standing| standing.place() == Place::Ejected).count()
    }

    fn weighted(&self) -> impl Iterator<Item = usize> {
        self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0).map(|(endpoint, _)| endpoint)
    }
}

fn candidate(standing: &Standing, unhealthy: bool, now_ns: u64) -> Candidate {
    let (breaker, held_open) = (standing.guard.state(), standing.guard.is_held_open());
    let candidate = Candidate { breaker, held_open, unhealthy, since: 0 };
    Candidate { since: standing.troubled_since(candidate.is_troubled(), now_ns), ..candidate }
}

fn reason(candidate: &Candidate) -> &'static str {
    match candidate {
        held if held.held_open => "operator",
        sick if sick.unhealthy => "health",
        troubled if troubled.is_troubled() => "breaker",
        _ => "recovered",
    }
}
