//! One endpoint's state: what is in flight to it, and its idle connections. It lives as long as anything uses it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderValue;

use super::health::Checks;
use super::in_flight::InFlight;
use super::limiter::Limiter;
use super::pool::Pool;
use super::standing::Standing;
use crate::algorithms::breaker::Policy;
use crate::algorithms::peak_ewma::{Estimate, Sample, Seen};
use crate::config::settings::upstream::Target;
use crate::network::Network;

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
    /// How slow and how sick it has been lately; kept where balancing asks for it.
    estimate: Mutex<Estimate>,
    /// How it stands in its upstream.
    pub standing: Arc<Standing>,
    /// What checks say of it.
    pub health: Checks,
    /// How many may wait for it, where its upstream's `concurrency` is adaptive.
    pub limiter: Limiter,
    /// How it stands with routes that have a breaker of their own.
    route_standings: Mutex<Vec<(Arc<str>, Arc<Standing>)>>,
}

impl<N: Network> Endpoint<N> {
    /// An endpoint that nobody has used yet.
    pub fn new(address: Arc<str>, target: Target, policy: Policy, now: Instant, workers: usize) -> Self {
        let host = HeaderValue::from_str(&address).unwrap_or_else(|_| HeaderValue::from_static("invalid"));
        Self {
            address,
            target,
            host,
            in_flight: Arc::default(),
            connections: Arc::default(),
            pool: Pool::new(workers),
            estimate: Mutex::default(),
            standing: Arc::new(Standing::new(policy, now)),
            health: Checks::default(),
            limiter: Limiter::new(now),
            route_standings: Mutex::default(),
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

    /// Forgets routes that have no breaker any more.
    pub(super) fn retain_routes(&self, named: impl Fn(&str) -> bool) {
        let mut known = self.route_standings.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(name, _)| named(name));
    }
}
