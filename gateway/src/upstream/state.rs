//! An upstream at run time: its settings, and the set of endpoints that balancing picks from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::budget::RetryBudget;
use super::endpoint::Endpoint;
use super::hedging::Sightings;
use super::in_flight::InFlight;
use super::lookup::Lookup;
use super::scope::{Before, Scope};
use super::watch::Surroundings;
use crate::algorithms::balancer::{Backups, Balancer};
use crate::config::settings;
use crate::config::settings::upstream::{DnsDiscovery, Endpoints};
use crate::network::Network;
use crate::overload::Episodes;
use crate::telemetry::metrics::UpstreamSeries;

/// Endpoints that are not in force and whose breakers are kept, of one upstream; beyond them the oldest is forgotten.
const MOST_HELD: usize = 64;

/// A named service. Kept by name over reloads; what a reload changes is swapped inside.
pub struct Upstream<N: Network> {
    /// Its name.
    pub name: Arc<str>,
    /// Its metrics.
    pub series: Arc<UpstreamSeries>,
    /// How many retries there may be.
    pub budget: RetryBudget,
    /// When requests were turned away for its sake.
    pub episodes: Episodes,
    /// What is in flight to all its endpoints, while that is limited.
    pub in_flight: Arc<InFlight>,
    /// What routes that hedge have seen of its latency.
    pub sightings: Sightings,
    active: ArcSwap<Active<N>>,
    /// Time, and who is told what happens.
    pub(super) surroundings: Arc<Surroundings>,
    /// Endpoints that have been used and may still be: a set that names one of them again gets the same state.
    known: Mutex<Vec<Weak<Endpoint<N>>>>,
    /// Those of them that are not in force and whose breakers are not just closed: when they are back, so is what
    /// speaks against them.
    held: Mutex<Vec<Away<N>>>,
    /// Round robin's place; it goes on over reloads.
    ticket: AtomicU64,
    workers: usize,
    /// The name that a task resolves for this upstream now and then: the task holds it.
    discovering: Mutex<Weak<DnsDiscovery>>,
    /// What came of that.
    pub lookup: Lookup,
}

/// An endpoint that is not in force, and whose breaker is kept.
struct Away<N: Network> {
    endpoint: Arc<Endpoint<N>>,
    /// By when it would be tried again by itself; `None` where an operator holds it.
    until: Option<Instant>,
}

/// What is in force now.
pub struct Active<N: Network> {
    /// The settings.
    pub settings: Arc<settings::Upstream>,
    /// The endpoints, in the order that the balancer knows.
    pub endpoints: Box<[Arc<Endpoint<N>>]>,
    /// Their weights.
    pub weights: Box<[u32]>,
    /// What stands for them in cookies; empty where none is set.
    pub tokens: Box<[Box<str>]>,
    /// Picks among them, backups aside.
    pub balancer: Balancer,
    /// Which are backups, and what picks where they take requests; `None` where there are none.
    pub backups: Option<Box<Backups>>,
    /// How they stand: first with the upstream, then with each route that has a breaker of its own.
    pub scopes: Box<[Scope]>,
}

impl<N: Network> Active<N> {
    /// The scope of this route, if it has one of its own, or the upstream's.
    #[inline]
    pub fn scope(&self, route: Option<&str>) -> &Scope {
        let own = route.and_then(|route| self.scopes.iter().find(|scope| scope.route.as_deref() == Some(route)));
        own.unwrap_or(&self.scopes[0])
    }

    /// Whether the endpoint of this number is a backup.
    pub fn is_backup(&self, endpoint: usize) -> bool {
        self.backups.as_ref().is_some_and(|backups| backups.has(endpoint))
    }

    /// Whether this endpoint is among those in force.
    fn has(&self, endpoint: &Arc<Endpoint<N>>) -> bool {
        self.endpoints.iter().any(|one| Arc::ptr_eq(one, endpoint))
    }
}

impl<N: Network> Upstream<N> {
    /// An upstream without endpoints; `apply` gives it some.
    pub fn new(
        settings: Arc<settings::Upstream>,
        series: Arc<UpstreamSeries>,
        surroundings: Arc<Surroundings>,
        workers: usize,
    ) -> Self {
        let balancer = Balancer::new(&settings.balance, &[]);
        let before = |_: Option<&str>| Before::default();
        let scopes = scopes_of::<N>(&settings, &[], (&[], &[]), before, surroundings.clock.now());
        Self {
            name: Arc::clone(&settings.name),
            series,
            active: ArcSwap::from_pointee(Active {
                settings,
                endpoints: Box::default(),
                weights: Box::default(),
                tokens: Box::default(),
                balancer,
                backups: None,
                scopes,
            }),
            surroundings,
            budget: RetryBudget::new(workers),
            in_flight: Arc::default(),
            episodes: Episodes::default(),
            sightings: Sightings::default(),
            known: Mutex::default(),
            held: Mutex::default(),
            ticket: AtomicU64::new(0),
            workers,
            discovering: Mutex::default(),
            lookup: Lookup::default(),
        }
    }

    /// What is in force now.
    pub fn active(&self) -> arc_swap::Guard<Arc<Active<N>>> {
        self.active.load()
    }

    /// Takes a retry out of the budget, if there is one left.
    pub fn may_retry(&self, ticks_ms: u64) -> bool {
        self.budget.withdraw(ticks_ms, self.active().settings.retry_budget)
    }

    /// Whether a request under which a pooled connection broke may go out again though it takes no retry: the budget
    /// has some at all.
    pub fn replays(&self) -> bool {
        let allowance = self.active().settings.retry_budget;
        allowance.share > 0 || allowance.min_per_second > 0
    }

    /// The next place of round robin, exact over all workers.
    pub fn next_ticket(&self) -> u64 {
        self.ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts settings and endpoints in force. Endpoints whose address was there before keep their state.
    pub fn apply(&self, settings: Arc<settings::Upstream>, endpoints: &[settings::upstream::Endpoint]) {
        let now = self.surroundings.clock.now();
        self.let_go_of_held(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|endpoint| endpoint.strong_count() > 0);
        // The first set of all begins as a whole: there is nobody who could take the others' part.
        let was_in_use = !known.is_empty();
        let old = self.active.load_full();
        let comes = |endpoint: &Endpoint<N>| {
            endpoint.standing.set_returned(self.surroundings.clock.monotonic_ns(now));
        };
        let active: Box<[_]> = endpoints
            .iter()
            .map(|wanted| {
                let same = |endpoint: &Arc<Endpoint<N>>| {
                    endpoint.address == wanted.address && endpoint.target == wanted.target
                };
                let way = (settings.protocol, settings.tls.as_ref());
                if let Some(known) = known.iter().filter_map(Weak::upgrade).find(same) {
                    known.change_way(way.0, way.1);
                    let was_backup = known.set_backup(wanted.backup);
                    // A backup that becomes a primary is as new to its requests as one that comes.
                    if !old.has(&known) || was_backup && !wanted.backup {
                        comes(&known);
                    }
                    return known;
                }
                let named = (Arc::clone(&wanted.address), wanted.target.clone());
                let closed = self.surroundings.closed.clone();
                let made = Endpoint::new(named, way, settings.breaker.policy, now, (self.workers, closed));
                let made = Arc::new(made);
                made.set_backup(wanted.backup);
                if was_in_use {
                    comes(&made);
                }
                known.push(Arc::downgrade(&made));
                made
            })
            .collect();
        let weights: Vec<(&str, u32)> = endpoints.iter().map(|e| (&*e.address, e.weight)).collect();
        let are: Box<[bool]> = endpoints.iter().map(|endpoint| endpoint.backup).collect();
        let (balancer, backups) = Backups::split(&weights, &are, |tier| self.balancer(&settings, tier));
        let weights: Box<[u32]> = weights.into_iter().map(|(_, weight)| weight).collect();
        let known_scope = |route: Option<&str>| old.scopes.iter().find(|scope| scope.route.as_deref() == route);
        let before = |route: Option<&str>| known_scope(route).map(Scope::now).unwrap_or_default();
        let scopes = scopes_of(&settings, &active, (&*weights, &*are), before, now);
        let token =
            |endpoint: &Arc<Endpoint<N>>| Some(settings.affinity.as_ref()?.token(&self.name, &endpoint.address));
        let tokens = active.iter().filter_map(token).collect();
        self.end_other_discovery(&settings);
        self.hold(&old.endpoints, &active, now + longest_opening(&settings));
        self.active.store(Arc::new(Active { settings, endpoints: active, weights, tokens, balancer, backups, scopes }));
        self.end_other_checks(&old);
        self.configure_breakers(now);
        self.judge(now);
        self.surroundings.ring();
    }

    /// Keeps endpoints that leave and that an operator holds, or until this time those whose breaker is not closed, and
    /// lets go of those that are back.
    fn hold(&self, old: &[Arc<Endpoint<N>>], new: &[Arc<Endpoint<N>>], until: Instant) {
        let is_back = |endpoint: &Arc<Endpoint<N>>| new.iter().any(|one| Arc::ptr_eq(one, endpoint));
        let leaves = |endpoint: &Arc<Endpoint<N>>| {
            let until = if endpoint.is_held() { None } else { Some(until) };
            let stays = until.is_none() || endpoint.is_left_alone();
            stays.then(|| Away { endpoint: Arc::clone(endpoint), until })
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|away| !is_back(&away.endpoint));
        held.extend(old.iter().filter(|endpoint| !is_back(endpoint)).filter_map(leaves));
        // What an operator said goes last: nobody would say it again.
        held.sort_by_key(|away| away.until.is_none());
        let beyond = held.len().saturating_sub(MOST_HELD);
        held.drain(..beyond);
    }

    /// Who has been away for longer than a breaker is open begins anew.
    fn let_go_of_held(&self, now: Instant) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|away| away.until.is_none_or(|until| until > now));
    }

    /// What picks among endpoints of these addresses and weights.
    fn balancer(&self, settings: &settings::Upstream, endpoints: &[(&str, u32)]) -> Balancer {
        let own = match &settings.balance {
            settings::upstream::Balance::Custom(name) => self.surroundings.plugins.balancer(name),
            _ => None,
        };
        own.map_or_else(|| Balancer::new(&settings.balance, endpoints), |policy| Balancer::custom(policy, endpoints))
    }

    /// What the caller has to keep fresh, for as long as `is_discovering` says so; `None` where nothing is to be
    /// discovered, or somebody does it already.
    pub fn claim_discovery(&self) -> Option<Arc<DnsDiscovery>> {
        let active = self.active();
        let Endpoints::Dns(dns) = &active.settings.endpoints else { return None };
        let mut discovering = self.discovering.lock().unwrap_or_else(PoisonError::into_inner);
        if discovering.upgrade().is_some_and(|held| *held == *dns) {
            return None;
        }
        let claim = Arc::new(dns.clone());
        *discovering = Arc::downgrade(&claim);
        Some(claim)
    }

    /// Whether what was claimed is still to be kept fresh, and by this claim.
    pub fn is_discovering(&self, claim: &Arc<DnsDiscovery>) -> bool {
        let discovering = self.discovering.lock().unwrap_or_else(PoisonError::into_inner);
        std::ptr::eq(discovering.as_ptr(), Arc::as_ptr(claim))
    }

    /// Whoever discovers anything else than these settings say is not to go on, even if they come back before it looks.
    fn end_other_discovery(&self, settings: &settings::Upstream) {
        let mut discovering = self.discovering.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |held: &DnsDiscovery| matches!(&settings.endpoints, Endpoints::Dns(dns) if dns == held);
        if discovering.upgrade().is_some_and(|held| !goes_on(&held)) {
            *discovering = Weak::new();
            self.lookup.forget();
        }
    }

    /// Whoever checks an endpoint otherwise than is wanted now, or one that has left, is not to go on.
    fn end_other_checks(&self, old: &Active<N>) {
        let active = self.active();
        for endpoint in old.endpoints.iter().chain(&active.endpoints) {
            let wanted = active.settings.health.as_ref().filter(|_| active.has(endpoint));
            endpoint.health.end_others(wanted, &endpoint.standing.guard);
        }
    }

    /// Drops idle connections of one worker that are closed or have had their time.
    pub fn sweep(&self, worker: usize, now: Instant) {
        let active = self.active();
        for endpoint in &active.endpoints {
            endpoint.sweep(worker, now, &active.settings.pool);
            endpoint.answers.look(endpoint.in_flight.count() > 0, self.surroundings.clock.monotonic_ns(now));
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|endpoint| endpoint.strong_count() > 0);
        if known.len() > active.endpoints.len() {
            sweep_removed(&known, &active, worker, now);
        }
    }
}

/// Endpoints that are not named any more live as long as a request uses them: what is idle meanwhile, nobody will use.
#[cold]
fn sweep_removed<N: Network>(known: &[Weak<Endpoint<N>>], active: &Active<N>, worker: usize, now: Instant) {
    let limits = settings::upstream::Pool { idle_timeout: Duration::ZERO, ..active.settings.pool.clone() };
    for endpoint in known.iter().filter_map(Weak::upgrade) {
        if !active.has(&endpoint) {
            endpoint.sweep(worker, now, &limits);
        }
    }
}

/// The longest that any breaker of these settings is open.
fn longest_opening(settings: &settings::Upstream) -> Duration {
    let own = settings.route_breakers.iter().map(|own| &own.breaker);
    std::iter::once(&settings.breaker).chain(own).map(|breaker| breaker.policy.max_open_for).max().unwrap_or_default()
}

/// How these endpoints stand, with these settings in force from now on; `before` is how they stood together.
fn scopes_of<N: Network>(
    settings: &settings::Upstream,
    endpoints: &[Arc<Endpoint<N>>],
    (weights, backups): (&[u32], &[bool]),
    before: impl Fn(Option<&str>) -> Before,
    now: Instant,
) -> Box<[Scope]> {
    let scope = |route: Option<Arc<str>>, breaker: &settings::upstream::Breaker| {
        let standing = |endpoint: &Arc<Endpoint<N>>| match &route {
            Some(route) => endpoint.standing_with(route, breaker.policy, now),
            None => Arc::clone(&endpoint.standing),
        };
        let standings: Box<[_]> = endpoints.iter().map(standing).collect();
        let before = before(route.as_deref());
        let shares = (weights.into(), backups.into());
        Scope::new(route.clone(), breaker.clone(), standings, shares, settings, before)
    };
    for endpoint in endpoints {
        endpoint.retain_routes(|name| settings.route_breakers.iter().any(|own| &*own.route == name));
    }
    let own = settings.route_breakers.iter().map(|own| scope(Some(Arc::clone(&own.route)), &own.breaker));
    std::iter::once(scope(None, &settings.breaker)).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::algorithms::breaker::{Mode, State, Verdict};
    use crate::clock::Clock;
    use crate::config::{Purpose, load_text};
    use crate::network::Sockets;
    use crate::telemetry::metrics::Registry as Metrics;
    use crate::upstream::registry::Registry;

    /// Endpoints of these ports, and a route with a breaker of its own.
    fn settings(ports: std::ops::RangeInclusive<u16>) -> Arc<settings::Upstream> {
        let endpoints: Vec<String> = ports.map(|port| format!("'127.0.0.1:{port}'")).collect();
        let text = format!(
            "[upstreams.up]\nendpoints = [{}]\n[[routes]]\nname = 'r'\npath = '/'\nupstream = 'up'\n\
             breaker = {{ consecutive_failures = 3 }}\n",
            endpoints.join(", ")
        );
        let loaded = load_text(&text, Path::new("a.toml"), Purpose::Check).expect("a configuration");
        Arc::clone(&loaded.config.upstreams[0])
    }

    fn upstreams() -> Registry<Sockets> {
        let surroundings = Surroundings::new(Clock::system(), Arc::default(), Arc::default());
        Registry::new(Arc::new(Metrics::new(1)), surroundings, 1)
    }

    /// Ports of endpoints that are held open, with this route or with all.
    fn held_open(upstream: &Upstream<Sockets>, route: Option<&str>) -> Vec<u16> {
        let active = upstream.active();
        let standings = active.scope(route).standings.iter().zip(&active.endpoints);
        let held = standings.filter(|(standing, _)| standing.guard.is_held_open());
        held.map(|(_, endpoint)| endpoint.address.rsplit(':').next().unwrap_or("").parse().unwrap_or(0)).collect()
    }

    #[test]
    fn an_operators_word_holds_though_its_endpoint_is_away_for_a_moment() {
        let upstreams = upstreams();
        let (both, one) = (settings(1..=2), settings(1..=1));
        let upstream = upstreams.apply(&both);
        for (route, word) in [(None, Mode::Open), (Some("r"), Mode::Open), (None, Mode::Auto), (Some("r"), Mode::Auto)]
        {
            assert!(upstream.force("127.0.0.1:2", route, word));
            let before = [held_open(&upstream, None), held_open(&upstream, Some("r"))];
            upstreams.apply(&one);
            assert_eq!(held_open(&upstream, None), [] as [u16; 0]);
            upstreams.apply(&both);
            assert_eq!([held_open(&upstream, None), held_open(&upstream, Some("r"))], before, "{route:?} {word:?}");
        }
        assert_eq!(upstream.held.lock().unwrap().len(), 0, "what is in force is not kept beside it");
    }

    fn state(upstream: &Upstream<Sockets>, route: Option<&str>) -> State {
        upstream.active().scope(route).standings[1].guard.state()
    }

    #[test]
    fn a_breaker_stays_open_though_its_endpoint_is_away_for_a_moment() {
        let upstreams = upstreams();
        let (both, one) = (settings(1..=2), settings(1..=1));
        let upstream = upstreams.apply(&both);
        let now = upstream.surroundings.clock.now();
        for _ in 0..3 {
            let active = upstream.active();
            let guard = &active.scope(Some("r")).standings[1].guard;
            let mut ticket = guard.admit_closed().expect("it is closed");
            guard.settle(&mut ticket, Verdict::Failure, now);
        }
        assert_eq!([state(&upstream, None), state(&upstream, Some("r"))], [State::Closed, State::Open]);
        upstreams.apply(&one);
        upstreams.apply(&both);
        assert_eq!([state(&upstream, None), state(&upstream, Some("r"))], [State::Closed, State::Open]);
        assert_eq!(upstream.held.lock().unwrap().len(), 0, "what is in force is not kept beside it");
        // Who is away for longer than any breaker is open begins anew.
        upstreams.apply(&one);
        upstream.held.lock().unwrap()[0].until = Some(now);
        upstreams.apply(&both);
        assert_eq!(state(&upstream, Some("r")), State::Closed);
    }

    #[test]
    fn of_those_who_are_away_an_operators_are_forgotten_last() {
        let upstreams = upstreams();
        let last = u16::try_from(MOST_HELD).unwrap() + 2;
        let upstream = upstreams.apply(&settings(1..=last));
        for port in 2..=last {
            assert!(upstream.force(&format!("127.0.0.1:{port}"), None, Mode::Open));
            if port > 2 {
                // Tried out, and left to itself.
                assert!(upstream.force(&format!("127.0.0.1:{port}"), None, Mode::Auto));
            }
        }
        upstreams.apply(&settings(1..=1));
        assert_eq!(upstream.held.lock().unwrap().len(), MOST_HELD);
        upstreams.apply(&settings(1..=last));
        assert_eq!(held_open(&upstream, None), [2]);
        let closed = upstream.active().scope(None).standings.iter().filter(|one| one.guard.is_closed()).count();
        assert_eq!(closed, 2, "the first, and the one that was forgotten");
    }

    #[test]
    fn of_those_who_are_away_so_many_are_remembered() {
        let upstreams = upstreams();
        let most = u16::try_from(MOST_HELD).unwrap();
        let last = most + 10;
        let upstream = upstreams.apply(&settings(1..=last));
        for port in 2..=last {
            assert!(upstream.force(&format!("127.0.0.1:{port}"), None, Mode::Open));
        }
        upstreams.apply(&settings(1..=1));
        assert_eq!(upstream.held.lock().unwrap().len(), MOST_HELD);
        upstreams.apply(&settings(1..=last));
        assert_eq!(held_open(&upstream, None), (last - most + 1..=last).collect::<Vec<_>>());
    }
}
