//! What belongs to a rule's name and outlives configurations.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::busiest::Busiest;
use super::cells::Cells;
use super::floors::Floors;
use super::in_flight::InFlightRegistry;
use super::leases::Leases;
use super::rule::{Rule, quotas};
use super::tabs::Tabs;
use crate::algorithms::gcra::Quota;
use crate::algorithms::rng::Draws;
use crate::config::settings::RateLimit;
use crate::locked::lock;
use crate::store::Stores;
use crate::telemetry::metrics::{LimitSeries, Registry as Metrics};

/// A rule's state.
#[derive(Debug)]
pub struct RuleState {
    /// Keys its hashes, so that no client can choose whom it shares a bucket with.
    pub hasher: ahash::RandomState,
    /// Its metrics.
    pub series: Arc<LimitSeries>,
    /// Its busiest keys.
    pub busiest: Busiest,
    /// Tokens that were taken from its store and not yet used.
    pub leases: Leases,
    /// What is owed to its store.
    pub tabs: Tabs,
    /// Of what its store has been told.
    pub floors: Floors,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    cells: Arc<Cells>,
    quotas: [Quota; 2],
}

/// The states of all rules, by name.
#[derive(Debug)]
pub struct Registry {
    metrics: Arc<Metrics>,
    workers: usize,
    states: Mutex<States>,
    /// Limits of requests at once.
    pub in_flight: InFlightRegistry,
}

#[derive(Debug)]
struct States {
    by_name: HashMap<Arc<str>, Arc<RuleState>>,
    seeds: Draws,
}

impl Registry {
    /// No rules yet. The seed keys their hashes.
    pub fn new(metrics: Arc<Metrics>, workers: usize, seed: u64) -> Self {
        let states = Mutex::new(States { by_name: HashMap::new(), seeds: Draws::new(seed) });
        // Another stream of numbers, so that no hash of a key is used for two purposes.
        let in_flight = InFlightRegistry::new(Arc::clone(&metrics), workers, !seed);
        Self { metrics, workers, states, in_flight }
    }

    /// Compiles a rule, with the state that its name has. Buckets are brought to its rate: who lacked so many tokens
    /// lacks as many from now on.
    pub fn compile(&self, settings: &Arc<RateLimit>, stores: &Stores, now: u64) -> Rule {
        let state = {
            let mut states = lock(&self.states);
            match states.by_name.get(&settings.name) {
                Some(state) => Arc::clone(state),
                None => {
                    let state = Arc::new(self.state(settings, &mut states.seeds));
                    states.by_name.insert(Arc::clone(&settings.name), Arc::clone(&state));
                    state
                }
            }
        };
        let cells = state.bring_to(settings, now);
        let store = settings.shared.as_ref().and_then(|shared| stores.find(&shared.store));
        Rule::new(Arc::clone(settings), state, cells, store)
    }

    fn state(&self, settings: &RateLimit, seeds: &mut Draws) -> RuleState {
        let mut seed = || seeds.next_u64();
        RuleState {
            hasher: ahash::RandomState::with_seeds(seed(), seed(), seed(), seed()),
            series: self.metrics.limit(&settings.name),
            busiest: Busiest::new(self.workers),
            leases: Leases::default(),
            tabs: Tabs::default(),
            floors: Floors::default(),
            kept: Mutex::new(Kept { cells: Arc::new(Cells::new(settings.max_keys)), quotas: quotas(settings) }),
        }
    }

    /// Forgets every rule that is not among these.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        lock(&self.states).by_name.retain(|name, _| keep(name));
    }

    /// Lets go of buckets that are full again.
    pub fn sweep(&self, now: u64) {
        let states: Vec<_> = lock(&self.states).by_name.values().cloned().collect();
        for state in states {
            let cells = Arc::clone(&lock(&state.kept).cells);
            cells.sweep(now);
            let known = |hash| cells.known(hash).unwrap_or(0);
            state.tabs.sweep(now, known);
            state.floors.sweep(now, known);
        }
    }
}

impl RuleState {
    /// The buckets, as these settings want them.
    fn bring_to(&self, settings: &RateLimit, now: u64) -> Arc<Cells> {
        let mut kept = lock(&self.kept);
        let (old, new) = (kept.quotas, quotas(settings));
        if old != new {
            kept.cells.rescale(|hash, tat| {
                let tier = (hash & 1) as usize;
                new[tier].rescale(tat, now, &old[tier])
            });
            self.tabs.rescale(&old, &new);
            kept.quotas = new;
        }
        if kept.cells.max_keys() != settings.max_keys {
            kept.cells = Arc::new(kept.cells.resized(settings.max_keys, now));
        }
        Arc::clone(&kept.cells)
    }
}
