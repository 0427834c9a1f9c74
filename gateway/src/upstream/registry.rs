//! Every upstream by its name, over all configurations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::state::Upstream;
use super::watch::Surroundings;
use crate::config::settings;
use crate::config::settings::upstream::Endpoints;
use crate::network::Network;
use crate::telemetry::metrics::Registry as Metrics;

/// Upstreams by name.
pub struct Registry<N: Network> {
    by_name: Mutex<HashMap<Arc<str>, Arc<Upstream<N>>>>,
    metrics: Arc<Metrics>,
    surroundings: Arc<Surroundings>,
    workers: usize,
}

impl<N: Network> Registry<N> {
    /// No upstreams yet.
    pub fn new(metrics: Arc<Metrics>, surroundings: Surroundings, workers: usize) -> Self {
        Self { by_name: Mutex::default(), metrics, surroundings: Arc::new(surroundings), workers }
    }

    /// What upstreams tell others.
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The upstream of this name with these settings in force: the one that was there, or a new one.
    pub fn apply(&self, settings: &Arc<settings::Upstream>) -> Arc<Upstream<N>> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let upstream = by_name.entry(Arc::clone(&settings.name)).or_insert_with(|| {
            let series = self.metrics.upstream(&settings.name);
            let surroundings = Arc::clone(&self.surroundings);
            Arc::new(Upstream::new(Arc::clone(settings), series, surroundings, self.workers))
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

    /// Forgets upstreams that the configuration no longer names; requests in flight keep theirs alive.
    pub fn retain(&self, named: impl Fn(&str) -> bool) {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| named(name));
    }

    /// An upstream by its name.
    pub fn find(&self, name: &str) -> Option<Arc<Upstream<N>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All upstreams, by name.
    pub fn all(&self) -> Vec<Arc<Upstream<N>>> {
        let by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = by_name.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}
