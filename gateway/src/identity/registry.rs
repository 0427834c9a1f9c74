//! Providers by name, over all configurations: one that has not changed keeps what it knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::provider::Provider;
use super::turns::Turns;
use crate::config::settings::{self, IdentityHeaders};
use crate::telemetry::metrics::Registry as Metrics;

/// All providers.
pub struct Registry {
    metrics: Arc<Metrics>,
    workers: usize,
    next: AtomicU64,
    known: Mutex<HashMap<Arc<str>, Arc<Provider>>>,
    turns: Box<[Turns]>,
}

impl Registry {
    /// An empty registry for so many workers.
    pub fn new(metrics: Arc<Metrics>, workers: usize) -> Self {
        let workers = workers.max(1);
        let turns = (0..workers).map(|_| Turns::default()).collect();
        Self { metrics, workers, next: AtomicU64::new(1), known: Mutex::default(), turns }
    }

    /// The providers of a configuration; those that it does not have are forgotten.
    pub fn apply(
        &self,
        configured: &[Arc<settings::Provider>],
        headers: &IdentityHeaders,
    ) -> HashMap<Arc<str>, Arc<Provider>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let headers = Arc::new(headers.clone());
        let provider = |settings: &Arc<settings::Provider>| {
            let before = known.get(&settings.name).filter(|provider| provider.is(settings, &headers));
            let provider = before.cloned().unwrap_or_else(|| Arc::new(self.make(settings, &headers)));
            (Arc::clone(&settings.name), provider)
        };
        let providers: HashMap<_, _> = configured.iter().map(provider).collect();
        known.clone_from(&providers);
        providers
    }

    fn make(&self, settings: &Arc<settings::Provider>, headers: &Arc<IdentityHeaders>) -> Provider {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Provider::new(settings, headers, (self.metrics.auth(&settings.name), number, self.workers))
    }

    /// A worker's count of verifications.
    pub(super) fn turns(&self, worker: usize) -> &Turns {
        &self.turns[worker % self.turns.len()]
    }
}
