//! An upstream at run time: its settings, and the set of endpoints that balancing picks from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;

use super::endpoint::Endpoint;
use crate::algorithms::balancer::Balancer;
use crate::config::settings;
use crate::network::Network;
use crate::telemetry::metrics::UpstreamSeries;

/// A named service. Kept by name over reloads; what a reload changes is swapped inside.
pub struct Upstream<N: Network> {
    /// Its name.
    pub name: Arc<str>,
    /// Its metrics.
    pub series: Arc<UpstreamSeries>,
    active: ArcSwap<Active<N>>,
    /// Endpoints that have been used and may still be: a set that names one of them again gets the same state.
    known: Mutex<Vec<Weak<Endpoint<N>>>>,
    /// Round robin's place; it goes on over reloads.
    ticket: AtomicU64,
    workers: usize,
    /// The name that a task resolves for this upstream now and then.
    discovering: Mutex<Option<settings::upstream::DnsDiscovery>>,
}

/// What is in force now.
pub struct Active<N: Network> {
    /// The settings.
    pub settings: Arc<settings::Upstream>,
    /// The endpoints, in the order that the balancer knows.
    pub endpoints: Box<[Arc<Endpoint<N>>]>,
    /// Their weights.
    pub weights: Box<[u32]>,
    /// Picks among them.
    pub balancer: Balancer,
}

impl<N: Network> Upstream<N> {
    /// An upstream without endpoints; `apply` gives it some.
    pub fn new(settings: Arc<settings::Upstream>, series: Arc<UpstreamSeries>, workers: usize) -> Self {
        let balancer = Balancer::new(&settings.balance, &[]);
        Self {
            name: Arc::clone(&settings.name),
            series,
            active: ArcSwap::from_pointee(Active {
                settings,
                endpoints: Box::default(),
                weights: Box::default(),
                balancer,
            }),
            known: Mutex::default(),
            ticket: AtomicU64::new(0),
            workers,
            discovering: Mutex::default(),
        }
    }

    /// What is in force now.
    pub fn active(&self) -> arc_swap::Guard<Arc<Active<N>>> {
        self.active.load()
    }

    /// The next place of round robin, exact over all workers.
    pub fn next_ticket(&self) -> u64 {
        self.ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// Puts settings and endpoints in force. Endpoints whose address was there before keep their state.
    pub fn apply(&self, settings: Arc<settings::Upstream>, endpoints: &[settings::upstream::Endpoint]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|endpoint| endpoint.strong_count() > 0);
        let active: Box<[_]> = endpoints
            .iter()
            .map(|wanted| {
                let same = |endpoint: &Arc<Endpoint<N>>| {
                    endpoint.address == wanted.address && endpoint.target == wanted.target
                };
                known.iter().filter_map(Weak::upgrade).find(same).unwrap_or_else(|| {
                    let made =
                        Arc::new(Endpoint::new(Arc::clone(&wanted.address), wanted.target.clone(), self.workers));
                    known.push(Arc::downgrade(&made));
                    made
                })
            })
            .collect();
        let weights: Vec<(&str, u32)> = endpoints.iter().map(|e| (&*e.address, e.weight)).collect();
        let balancer = Balancer::new(&settings.balance, &weights);
        let weights = weights.into_iter().map(|(_, weight)| weight).collect();
        self.active.store(Arc::new(Active { settings, endpoints: active, weights, balancer }));
    }

    /// Says that the caller will keep this discovery fresh; false when somebody does already.
    pub fn claim_discovery(&self, dns: &settings::upstream::DnsDiscovery) -> bool {
        let mut discovering = self.discovering.lock().unwrap_or_else(PoisonError::into_inner);
        if discovering.as_ref() == Some(dns) {
            return false;
        }
        *discovering = Some(dns.clone());
        true
    }

    /// Drops idle connections of one worker that are closed or have had their time.
    pub fn sweep(&self, worker: usize, now: std::time::Instant) {
        let active = self.active();
        for endpoint in &active.endpoints {
            endpoint.pool.sweep(worker, now, &active.settings.pool);
        }
    }
}
