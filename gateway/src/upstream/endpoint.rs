//! One endpoint's state: what is in flight to it, and its idle connections. It lives as long as anything uses it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use http::HeaderValue;

use super::carriers::Carriers;
use super::closed::Closed;
use super::health::Checks;
use super::in_flight::InFlight;
use super::limiter::Limiter;
use super::naming::Naming;
use super::pool::Pool;
use super::silence::Answers;
use super::standing::Standing;
use super::way::Way;
use crate::algorithms::breaker::{Mode, Policy};
use crate::algorithms::flow::{Flow, Look, Passed};
use crate::algorithms::peak_ewma::{Estimate, Sample, Seen};
use crate::clock::Clock;
use crate::config::settings::upstream::{self, Protocol, Target};
use crate::config::settings::upstream_tls::UpstreamTls;
use crate::network::Network;
use crate::telemetry::events::LastFailure;
use crate::telemetry::metrics::UpstreamSeries;
use crate::tls::Unsecured;

/// One address of an upstream.
pub struct Endpoint<N: Network> {
    /// As written in the configuration, or as discovered; its name everywhere.
    pub address: Arc<str>,
    /// Where to connect.
    pub target: Target,
    /// The address as a `host` header.
    pub host: HeaderValue,
    /// Requests that it is working on.
    pub in_flight: Arc<InFlight>,
    /// Connections that are open, busy or idle.
    pub connections: Arc<InFlight>,
    /// Connections that are idle.
    pub pool: Pool<N::Stream>,
    /// Lookups of its name, where it has one.
    pub(super) naming: Arc<Naming>,
    /// Where its name may not lead.
    pub(super) closed: Closed,
    /// How connections are made.
    way: ArcSwap<Way>,
    workers: usize,
    /// How slow and how sick it has been lately; kept where balancing asks for it.
    estimate: Mutex<Estimate>,
    /// Whether it is a backup; for who looks, not for who picks.
    backup: AtomicBool,
    /// How it stands in its upstream.
    pub standing: Arc<Standing>,
    /// What checks say of it.
    pub health: Checks,
    /// How many may wait for it, where its upstream's `concurrency` is adaptive.
    pub limiter: Limiter,
    /// How it stands with routes that have a breaker of their own.
    route_standings: Mutex<Vec<(Arc<str>, Arc<Standing>)>>,
    /// Attempts that failed here.
    failures: AtomicU64,
    /// What the last of them came to.
    last_failure: Mutex<Option<LastFailure>>,
    /// When it answered last, and whom it kept waiting since.
    pub answers: Answers,
    /// What passes it, as far as somebody looks.
    flow: Mutex<Flow>,
}

impl<N: Network> Endpoint<N> {
    /// An endpoint that nobody has used yet.
    pub fn new(
        (address, target): (Arc<str>, Target),
        way: (Protocol, Option<&Arc<UpstreamTls>>),
        policy: Policy,
        now: Instant,
        (workers, closed): (usize, Closed),
    ) -> Self {
        let host = HeaderValue::from_str(&address).unwrap_or_else(|_| HeaderValue::from_static("invalid"));
        Self {
            way: ArcSwap::from_pointee(Way::new(0, way, &target, workers)),
            address,
            target,
            host,
            in_flight: Arc::default(),
            connections: Arc::default(),
            pool: Pool::new(workers),
            naming: Arc::default(),
            closed,
            workers,
            estimate: Mutex::default(),
            backup: AtomicBool::new(false),
            standing: Arc::new(Standing::new(policy, now)),
            health: Checks::default(),
            limiter: Limiter::new(now),
            route_standings: Mutex::default(),
            failures: AtomicU64::new(0),
            last_failure: Mutex::default(),
            answers: Answers::default(),
            flow: Mutex::default(),
        }
    }

    /// Whether it is a backup in the configuration that is in force.
    #[cold]
    pub fn is_backup(&self) -> bool {
        self.backup.load(Ordering::Relaxed)
    }

    /// Makes it a backup, or none; whether it was one.
    pub(super) fn set_backup(&self, backup: bool) -> bool {
        self.backup.swap(backup, Ordering::Relaxed)
    }

    /// Counts an attempt that failed here, whoever covered it.
    #[cold]
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps what an attempt failed with.
    #[cold]
    pub fn keep_failure(&self, failure: LastFailure) {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// What the last attempt came to that failed here.
    pub fn last_failure(&self) -> Option<LastFailure> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks at what passes: how many attempts there were so far, and what passed in the last seconds. Whoever wants to
    /// know has to look now and then; attempts are counted by their places in flight, so that they pay nothing for it.
    pub fn passed(&self, now_ns: u64) -> (u64, Option<Passed>) {
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        // Within the lock: of two who look at once, the later one sees no less.
        let (begun, there) = self.in_flight.ever_and_now();
        flow.look(Look { at: now_ns, begun, there, failed: self.failures() });
        (flow.begun(), flow.passed())
    }

    /// Attempts that failed here.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// For operators, of a connection that took too long: that its name was not resolved by then, if that is so.
    #[cold]
    pub(crate) fn unresolved(&self) -> Option<String> {
        let Target::Name(host, _) = &self.target else { return None };
        self.naming.is_awaited().then(|| format!("the name {host} was not resolved in time"))
    }

    /// Since when connections are made to the addresses that its name had, and why, if they lately were: its resolver
    /// fails.
    pub fn stands_in(&self, now: Instant) -> Option<(Instant, String)> {
        let Target::Name(..) = &self.target else { return None };
        self.naming.stands_in(now)
    }

    /// How connections are made now.
    pub fn way(&self) -> Arc<Way> {
        self.way.load_full()
    }

    /// What an error says of the handshake, on a connection that has carried nothing yet; kept as its outcome. `None`
    /// where it says nothing.
    #[cold]
    pub fn refused_late(&self, error: &std::io::Error, around: (&Clock, &UpstreamSeries)) -> Option<Unsecured> {
        let way = self.way();
        let (tls, why) = way.tls.as_ref().zip(Unsecured::late(error))?;
        tls.keep(Err(why.clone()), around);
        Some(why)
    }

    /// Connections are made so from now on. Those that were made otherwise end with what they carry.
    pub(super) fn change_way(&self, protocol: Protocol, tls: Option<&Arc<UpstreamTls>>) {
        let old = self.way.load();
        if old.is_for(protocol, tls) {
            return;
        }
        let number = old.number.wrapping_add(1);
        self.way.store(Arc::new(Way::new(number, (protocol, tls), &self.target, self.workers)));
        self.pool.change_way(number);
    }

    /// Connections that are open and carry nothing.
    pub fn idle_connections(&self) -> usize {
        self.pool.idle() + self.way.load().carriers.as_ref().map_or(0, Carriers::idle)
    }

    /// Lets go of connections of one worker that have had their time.
    pub(super) fn sweep(&self, worker: usize, now: Instant, limits: &upstream::Pool) {
        self.pool.sweep(worker, now, limits);
        if let Some(carriers) = &self.way.load().carriers {
            carriers.sweep(worker, now, limits);
        }
    }

    /// Takes what an attempt says of its latency and health.
    pub(super) fn hear(&self, sample: Sample, now_ns: u64) {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner).hear(sample, now_ns);
    }

    /// How slow and how sick it has been lately, as far as anybody has listened.
    pub fn seen(&self, now_ns: u64) -> Seen {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner).at(now_ns)
    }

    /// How it stands with this route: as before, or without a stain.
    pub(super) fn standing_with(&self, route: &Arc<str>, policy: Policy, now: Instant) -> Arc<Standing> {
        let mut known = self.route_standings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, standing)) = known.iter().find(|(name, _)| name == route) {
            return Arc::clone(standing);
        }
        let standing = Arc::new(Standing::new(policy, now));
        known.push((Arc::clone(route), Arc::clone(&standing)));
        standing
    }

    /// Whether an operator holds a breaker of it, with all routes or with one.
    pub(super) fn is_held(&self) -> bool {
        self.has_standing(|standing| standing.guard.mode() != Mode::Auto)
    }

    /// Whether a breaker of it is not closed, with all routes or with one.
    pub(super) fn is_left_alone(&self) -> bool {
        self.has_standing(|standing| !standing.guard.is_closed())
    }

    fn has_standing(&self, such: impl Fn(&Standing) -> bool) -> bool {
        let known = self.route_standings.lock().unwrap_or_else(PoisonError::into_inner);
        such(&self.standing) || known.iter().any(|(_, standing)| such(standing))
    }

    /// Forgets routes that have no breaker any more.
    pub(super) fn retain_routes(&self, named: impl Fn(&str) -> bool) {
        let mut known = self.route_standings.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, _)| named(name));
    }
}
