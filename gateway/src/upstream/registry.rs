//! Every upstream by its name, over all configurations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::state::Upstream;
use super::watch::Surroundings;
use crate::config::settings;
use crate::config::settings::upstream::Endpoints;
use crate::network::Network;
use crate::telemetry::metrics::Registry as Metrics;

/// Upstreams by name.
pub struct Registry<N: Network> {
    known: Mutex<Known<N>>,
    metrics: Arc<Metrics>,
    surroundings: Arc<Surroundings>,
    workers: usize,
}

struct Known<N: Network> {
    by_name: HashMap<Arc<str>, Arc<Upstream<N>>>,
    /// Those that no configuration names any more, and that requests in flight keep alive: one that comes back
    /// meanwhile is the same, with all that is counted of it.
    leaving: HashMap<Arc<str>, Weak<Upstream<N>>>,
}

impl<N: Network> Default for Known<N> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), leaving: HashMap::new() }
    }
}

impl<N: Network> Registry<N> {
    /// No upstreams yet.
    pub fn new(metrics: Arc<Metrics>, surroundings: Surroundings, workers: usize) -> Self {
        Self { known: Mutex::default(), metrics, surroundings: Arc::new(surroundings), workers }
    }

    /// What upstreams tell others.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The upstream of this name with these settings in force: the one that was there, or still is for some request, or
    /// a new one.
    pub fn apply(&self, settings: &Arc<settings::Upstream>) -> Arc<Upstream<N>> {
        let mut known = self.known();
        let Known { by_name, leaving } = &mut *known;
        let upstream = by_name.entry(Arc::clone(&settings.name)).or_insert_with(|| {
            let alive = leaving.remove(&settings.name).and_then(|upstream| upstream.upgrade());
            alive.unwrap_or_else(|| {
                let series = self.metrics.upstream(&settings.name);
                let surroundings = Arc::clone(&self.surroundings);
                Arc::new(Upstream::new(Arc::clone(settings), series, surroundings, self.workers))
            })
        });
        match &settings.endpoints {
            Endpoints::Static(endpoints) => upstream.apply(Arc::clone(settings), endpoints),
            // What was found last, or written before, stays in force until discovery finds something else.
            Endpoints::Dns(_) => {
                let before = upstream.in_force();
                upstream.apply(Arc::clone(settings), &before);
            }
        }
        Arc::clone(upstream)
    }

    /// Forgets upstreams that the configuration no longer names, once no request in flight keeps them alive.
    pub fn retain(&self, named: impl Fn(&str) -> bool) {
        let mut known = self.known();
        let Known { by_name, leaving } = &mut *known;
        leaving.retain(|_, upstream| upstream.strong_count() > 0);
        by_name.retain(|name, upstream| {
            let stays = named(name);
            if !stays {
                leaving.insert(Arc::clone(name), Arc::downgrade(upstream));
            }
            stays
        });
    }

    /// An upstream by its name.
    pub fn find(&self, name: &str) -> Option<Arc<Upstream<N>>> {
        self.known().by_name.get(name).cloned()
    }

    /// All upstreams, by name.
    pub fn all(&self) -> Vec<Arc<Upstream<N>>> {
        let mut all: Vec<_> = self.known().by_name.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn known(&self) -> MutexGuard<'_, Known<N>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
