//! Picking an endpoint for one attempt.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::belonging::{hash_of, wanted, wanted_backup};
use super::endpoint::Endpoint;
use super::in_flight::Permit;
use super::judgement::Pass;
use super::scope::{Admitted, Scope};
use super::standing::Standing;
use super::state::{Active, Upstream};
use crate::algorithms::balancer::{Balancer, Pick};
use crate::algorithms::breaker::{State, Ticket, Transition, Verdict};
use crate::algorithms::criticality::Criticality;
use crate::algorithms::ejection::Place;
use crate::algorithms::tiers::{Among, Care, ladder};
use crate::config::settings;
use crate::config::settings::upstream::Concurrency;
use crate::error::{Code, GatewayError};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::{AttemptOutcome, ShedReason};

/// The least that a client is told to wait: while probes are under way, it is not known for how long.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// What a pick may depend on.
pub struct Ask<'a, N: Network> {
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
    /// The request's headers.
    pub headers: &'a RequestFields,
    /// The normalised path.
    pub path: &'a str,
    /// Random bits.
    pub bits: u64,
    /// The route, where it has a breaker of its own.
    pub route: Option<&'a str>,
    /// The hash of its key, where that is known already.
    pub hash: Option<u64>,
    /// Endpoints that were asked before; they are asked again only where there is no other.
    pub tried: &'a [Arc<Endpoint<N>>],
    /// How much the request matters.
    pub criticality: Criticality,
}

/// What was picked: boxed, since it is handed on from the pick to the last byte of the answer.
pub type Selected<N> = Box<Selection<N>>;

/// An endpoint, with a place in flight for as long as this is kept, and with leave of its breaker for one attempt.
pub struct Selection<N: Network> {
    /// The endpoint.
    pub endpoint: Arc<Endpoint<N>>,
    /// Settings that were in force when it was picked.
    pub settings: Arc<settings::Upstream>,
    /// It has its place in flight there; not while it has stepped aside.
    is_in_flight: bool,
    /// What its breaker was.
    pub met: &'static str,
    /// The hash of the request's key; 0 where none is used.
    hash: u64,
    /// The client's cookie stands for it.
    stays: bool,
    /// `None` where outcomes are not looked at.
    pass: Option<Pass>,
    /// The breaker of the route, where it has one of its own.
    route: Option<Box<OwnBreaker>>,
    /// Its places under the upstream's `concurrency`, where that limits anything.
    places: Option<Box<Places>>,
    /// It counts as failed.
    failed: AtomicBool,
}

/// Places under an upstream's limits.
#[derive(Default)]
struct Places {
    /// Among all that is in flight to the upstream: given back with the last byte of the answer.
    in_flight: Option<Permit>,
    /// Among those that wait for the endpoint's answers: given back when the attempt has come to its outcome, and while
    /// it waits for its client.
    waiting: Mutex<Option<Permit>>,
}

/// A route's own breaker for the endpoint.
struct OwnBreaker {
    route: Arc<str>,
    settings: Arc<settings::upstream::Breaker>,
    standing: Arc<Standing>,
}

impl<N: Network> Selection<N> {
    /// The standing in which its attempt counts.
    #[inline]
    pub(super) fn standing(&self) -> &Standing {
        self.route.as_ref().map_or(&self.endpoint.standing, |own| &own.standing)
    }

    /// The settings of that standing's breaker.
    #[inline]
    pub(super) fn breaker_settings(&self) -> &settings::upstream::Breaker {
        self.route.as_ref().map_or(&self.settings.breaker, |own| &*own.settings)
    }

    /// The route whose breaker it is.
    pub(super) fn route_breaker(&self) -> Option<&Arc<str>> {
        self.route.as_ref().map(|own| &own.route)
    }

    /// Whether the attempt tries out an endpoint that was left alone.
    pub fn is_probe(&self) -> bool {
        self.pass.is_some_and(|pass| pass.ticket.is_probe())
    }

    /// Whether its breaker has opened since it was picked, so that nothing more is to be sent there.
    #[cold]
    pub fn is_left_alone(&self) -> bool {
        let standing = self.standing();
        !standing.guard.is_closed() && standing.place() != Place::Capped && !self.is_probe()
    }

    /// Gives its places in flight back: its attempt is over, and whoever waits for the next one keeps nobody out.
    pub fn step_aside(&mut self) {
        self.leave();
        self.places = None;
    }

    /// Gives its place in flight at the endpoint back.
    #[inline]
    fn leave(&mut self) {
        if std::mem::take(&mut self.is_in_flight) {
            self.endpoint.in_flight.leave();
        }
    }

    /// Takes them again, as there was no next attempt: its answer has come, so that no limit turns it away.
    pub fn step_back(&mut self, upstream: &Upstream<N>) {
        if !std::mem::replace(&mut self.is_in_flight, true) {
            self.endpoint.in_flight.come_back();
        }
        if self.settings.concurrency.max_in_flight.is_some() {
            self.places.get_or_insert_default().in_flight = Some(upstream.in_flight.enter());
        }
    }

    /// Its attempt has failed, which counts once: by its head, or by what came behind it.
    #[cold]
    pub fn has_failed(&self) {
        if !self.failed.swap(true, Ordering::Relaxed) {
            self.endpoint.failed();
        }
    }

    /// Its attempt is over, and says nothing of its endpoint, however it ended and whatever comes behind its head: as
    /// if its client had left.
    #[cold]
    pub fn say_nothing(&mut self) {
        drop(self.take_waiting());
        self.failed.store(true, Ordering::Relaxed);
        if let Some(Pass { ticket, is_settled: false }) = self.pass.take() {
            self.standing().guard.release(ticket);
        }
    }

    /// The hash of the request's key.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether it was picked since the client's cookie stands for it.
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// Whether its breaker counts this outcome as a failure.
    pub fn is_failure(&self, outcome: AttemptOutcome, status: Option<u16>) -> bool {
        self.breaker_settings().failures.has(outcome, status)
    }

    /// The cookie that brings the client back here, where it has none that does: a whole `set-cookie`. `secure`: the
    /// client's own connection is encrypted.
    #[inline]
    pub fn cookie(&self, secure: bool) -> Option<String> {
        if self.stays || self.settings.affinity.is_none() { None } else { self.new_cookie(secure) }
    }

    #[cold]
    fn new_cookie(&self, secure: bool) -> Option<String> {
        let affinity = self.settings.affinity.as_ref()?;
        let token = affinity.token(&self.settings.name, &self.endpoint.address);
        let secure = if secure { "; Secure" } else { "" };
        let name = affinity.cookie_of(self.endpoint.is_backup());
        Some(format!("{name}={token}{}{secure}", affinity.attributes))
    }

    /// The ticket, if it has no outcome yet.
    #[inline]
    pub(super) fn open_ticket(&self) -> Option<Ticket> {
        match self.pass {
            Some(Pass { ticket, is_settled: false }) => Some(ticket),
            _ => None,
        }
    }

    /// Its ticket has its outcome from now on, and its breaker is told.
    #[inline]
    pub(super) fn settle(&mut self, verdict: Verdict, now: Instant) -> Option<Transition> {
        let pass = self.pass.as_mut()?;
        pass.is_settled = true;
        let standing = self.route.as_ref().map_or(&self.endpoint.standing, |own| &own.standing);
        standing.guard.settle(&mut pass.ticket, verdict, now)
    }

    /// Gives the place among those who wait for answers back.
    #[inline]
    pub(super) fn take_waiting(&mut self) -> Option<Permit> {
        self.places.as_mut()?.waiting.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Its attempt waits for its client to send more of the body, or no longer does. Meanwhile it is not in the
    /// endpoint's queue, and a probe's time is not the endpoint's. Who comes back finds a place whatever the limit is:
    /// the endpoint has most of the request.
    #[cold]
    pub fn wait_for_client(&self, waits: bool, now: Instant) {
        if let Some(ticket) = self.open_ticket() {
            self.standing().guard.wait_for_client(ticket, waits, now);
        }
        if let Some(places) = self.places.as_ref().filter(|_| self.settings.concurrency.adaptive) {
            let place = (!waits).then(|| self.endpoint.limiter.come_back());
            *places.waiting.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }

    /// The ticket, if it has its outcome.
    pub(super) fn settled_ticket(&self) -> Option<Ticket> {
        match self.pass {
            Some(Pass { ticket, is_settled: true }) => Some(ticket),
            _ => None,
        }
    }
}

impl<N: Network> Drop for Selection<N> {
    fn drop(&mut self) {
        // An attempt that was given up says nothing about its endpoint, but a probe's place is free again.
        if let Some(ticket) = self.open_ticket()
            && ticket.is_probe()
        {
            self.standing().guard.release(ticket);
        }
        self.leave();
    }
}

/// Picks an endpoint.
///
/// # Errors
/// `breaker_open` where all that could take it are left to recover, `no_endpoint` where there is none, `overloaded`
/// where a limit is met.
pub fn select<N: Network>(upstream: &Upstream<N>, ask: &Ask<'_, N>) -> Result<Selected<N>, GatewayError> {
    let active = upstream.active();
    let scope = active.scope(ask.route);
    let wanted = if active.tokens.is_empty() { None } else { wanted(&active, ask.headers) };
    let takes_turns = matches!(active.balancer, Balancer::RoundRobin(_)) && ask.tried.is_empty() && wanted.is_none();
    let ticket = if takes_turns { upstream.next_ticket() } else { ask.bits };
    let hash = ask.hash.unwrap_or_else(|| hash_of(&active, ask));
    let picking = Picking { upstream, active: &active, scope, ask, hash, ticket, wanted };
    if active.settings.concurrency.limits_something() {
        return picking.pick_within_limits();
    }
    match picking.pick_well() {
        Some(selected) => Ok(selected),
        None => picking.pick_in_trouble(false),
    }
}

/// One pick, as far as it has come.
struct Picking<'a, N: Network> {
    upstream: &'a Upstream<N>,
    active: &'a Active<N>,
    scope: &'a Scope,
    ask: &'a Ask<'a, N>,
    hash: u64,
    /// The place of round robin. An attempt that is made again takes none, or the endpoint after a failing one would
    /// get fewer first attempts than its share.
    ticket: u64,
    /// The endpoint that the client's cookie stands for, no backup.
    wanted: Option<usize>,
}

impl<N: Network> Picking<'_, N> {
    #[inline]
    fn pick(&self, balancer: &Balancer, eligible: &dyn Fn(usize) -> bool) -> Option<usize> {
        let in_flight = |index: usize| self.active.endpoints[index].in_flight.count();
        let clock = &self.upstream.surroundings.clock;
        let seen = |index: usize| self.active.endpoints[index].seen(clock.monotonic_ns(clock.now()));
        let (bits, ticket, hash) = (self.ask.bits, self.ticket, self.hash);
        let pick = Pick { bits, ticket, hash, in_flight: &in_flight, seen: &seen, eligible };
        balancer.pick(&pick)
    }

    /// Among these, who suits; first those whom the client's cookies stand for.
    fn pick_among(&self, among: Among, bound: [Option<usize>; 2], suits: &dyn Fn(usize) -> bool) -> Option<usize> {
        let [primary, backup] = bound.map(|bound| bound.filter(|index| suits(*index)));
        let (balancer, wanted) = match (among, &self.active.backups) {
            (Among::Backups, Some(backups)) => (&backups.alone, backup),
            (Among::Both, Some(backups)) => (&backups.with_primaries, primary.or(backup)),
            (_, None) | (Among::Primaries, _) => (&self.active.balancer, primary),
        };
        wanted.or_else(|| self.pick(balancer, suits))
    }

    /// Every endpoint is as well as it can be.
    #[inline]
    fn pick_well(&self) -> Option<Selected<N>> {
        if !self.scope.is_well() || !self.ask.tried.is_empty() {
            return None;
        }
        let index = match self.wanted {
            Some(wanted) => wanted,
            None => self.pick(&self.active.balancer, &|_| true)?,
        };
        let ticket = self.scope.standings[index].guard.admit_closed()?;
        let pass = self.scope.judges.then_some(Pass { ticket, is_settled: false });
        Some(self.selected(index, pass, State::Closed.as_str()))
    }

    /// Places are limited: first one of the upstream's, then one of an endpoint's.
    #[inline(never)]
    fn pick_within_limits(&self) -> Result<Selected<N>, GatewayError> {
        let Concurrency { max_in_flight, adaptive, highest } = self.active.settings.concurrency;
        let in_flight = match max_in_flight {
            None => None,
            Some(limit) => {
                let place = self.upstream.in_flight.try_enter(self.ask.criticality.places(limit, highest));
                let detail = "The upstream has as many requests in flight as it may have.";
                Some(place.ok_or_else(|| GatewayError::shed(ShedReason::UpstreamInFlight, detail))?)
            }
        };
        let well = if adaptive { None } else { self.pick_well() };
        let mut selected = well.map_or_else(|| self.pick_in_trouble(adaptive), Ok)?;
        if in_flight.is_some() {
            selected.places.get_or_insert_default().in_flight = in_flight;
        }
        Ok(selected)
    }

    fn has_room(&self, index: usize, now: Instant) -> bool {
        let highest = self.active.settings.concurrency.highest;
        self.active.endpoints[index].limiter.has_room(self.ask.criticality, highest, now)
    }

    /// Some endpoints are left alone, or may be full (`adaptive`), or there is none at all.
    #[cold]
    fn pick_in_trouble(&self, adaptive: bool) -> Result<Selected<N>, GatewayError> {
        let now = self.upstream.surroundings.clock.now();
        self.upstream.tick_scope(self.scope, &self.active.endpoints, now);
        let now_ns = self.upstream.surroundings.clock.monotonic_ns(now);
        self.scope.reconsider(now_ns);
        let mut refused: SmallVec<[usize; 8]> = SmallVec::new();
        let mut is_full = false;
        // A key's endpoint is its endpoint, warm or not.
        let hashed = matches!(self.active.balancer, Balancer::ConsistentHash(_));
        let backups = self.active.backups.as_ref().map(|_| self.scope.serving());
        let bound = [self.wanted, wanted_backup(self.active, self.ask.headers)];
        let mut steps = ladder(backups, hashed);
        while let [(among, care), rest @ ..] = steps {
            let suits = |index: usize| {
                !refused.contains(&index)
                    && self.scope.may_take(index)
                    && (!adaptive || self.has_room(index, now))
                    && (*care == Care::None || !self.was_tried(index))
                    && (*care != Care::NotAgainAndWarm
                        || bound.contains(&Some(index))
                        || self.scope.is_warm_for(index, self.ask.bits, now_ns))
            };
            // Each turn takes one endpoint out, or goes on to the next step: so it ends.
            let Some(index) = self.pick_among(*among, bound, &suits) else {
                steps = rest;
                continue;
            };
            // Its last place may have gone to another worker meanwhile.
            let Ok(waiting) = self.place_at(index, adaptive, now) else {
                is_full = true;
                refused.push(index);
                continue;
            };
            let (admitted, transition) = self.scope.admit(index, now);
            if let Some(transition) = transition {
                let (endpoint, standing) = (&self.active.endpoints[index], &self.scope.standings[index]);
                self.upstream.changed(self.scope.route.as_ref(), endpoint, standing, &transition);
            }
            if let Some(Admitted { ticket, met }) = admitted {
                if ticket.is_probe() {
                    // It has its time, which may be up before anybody asks again.
                    self.upstream.surroundings.ring();
                }
                let pass = (self.scope.judges || ticket.is_probe()).then_some(Pass { ticket, is_settled: false });
                let mut selected = self.selected(index, pass, met);
                selected.stays = bound.contains(&Some(index));
                selected.places =
                    waiting.map(|waiting| Box::new(Places { waiting: Mutex::new(Some(waiting)), in_flight: None }));
                return Ok(selected);
            }
            refused.push(index);
        }
        // Whether an endpoint would take the request, but for its limit.
        let lacks_room = |index: usize| self.scope.may_take(index) && !self.has_room(index, now);
        let is_full = is_full || (adaptive && (0..self.active.endpoints.len()).any(lacks_room));
        Err(if is_full { full() } else { self.nobody(now) })
    }

    /// A place among those who wait for the endpoint, where such places are limited.
    fn place_at(&self, index: usize, adaptive: bool, now: Instant) -> Result<Option<Permit>, Full> {
        let highest = self.active.settings.concurrency.highest;
        let limiter = &self.active.endpoints[index].limiter;
        if !adaptive {
            return Ok(None);
        }
        limiter.enter(self.ask.criticality, highest, now).map(Some).ok_or(Full)
    }

    fn was_tried(&self, index: usize) -> bool {
        self.ask.tried.iter().any(|tried| Arc::ptr_eq(tried, &self.active.endpoints[index]))
    }

    fn nobody(&self, now: Instant) -> GatewayError {
        if !self.scope.is_broken() {
            return GatewayError::new(Code::NoEndpoint, "The upstream has no endpoint that can take requests.");
        }
        let error = GatewayError::new(Code::BreakerOpen, "The upstream is failing and is left to recover.");
        match self.scope.next_probe() {
            Some(next) => error.retry_after(next.saturating_duration_since(now).max(LEAST_WAIT)),
            None => error,
        }
    }

    #[inline]
    fn selected(&self, index: usize, pass: Option<Pass>, met: &'static str) -> Selected<N> {
        let endpoint = Arc::clone(&self.active.endpoints[index]);
        let route = self.scope.route.as_ref().map(|route| {
            let standing = Arc::clone(&self.scope.standings[index]);
            Box::new(OwnBreaker { route: Arc::clone(route), settings: Arc::clone(&self.scope.settings), standing })
        });
        endpoint.in_flight.come();
        Box::new(Selection {
            endpoint,
            settings: Arc::clone(&self.active.settings),
            is_in_flight: true,
            met,
            hash: self.hash,
            stays: self.wanted == Some(index),
            pass,
            route,
            places: None,
            failed: AtomicBool::new(false),
        })
    }
}

/// An endpoint has no place for the request.
struct Full;

fn full() -> GatewayError {
    let detail = "The upstream is as busy as it may be.";
    GatewayError::shed(ShedReason::UpstreamLatency, detail)
}
