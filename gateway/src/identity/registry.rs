//! Providers by name, over all configurations: one that has not changed keeps what it knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;

use super::hashing::Hashing;
use super::key_keeper::Keeper;
use super::passport::Office;
use super::provider::{Provider, Surroundings};
use super::remote;
use super::replay::Used;
use super::turns::Turns;
use crate::clock::Clock;
use crate::config::settings::identity::Passport;
use crate::config::settings::{self, IdentityHeaders};
use crate::overload::gate;
use crate::plugins::Plugins;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::{AskedIssuer, Keys, Registry as Metrics};
use crate::telemetry::notice;

/// All providers.
pub struct Registry {
    metrics: Arc<Metrics>,
    clock: Clock,
    workers: usize,
    plugins: Arc<Plugins>,
    next: AtomicU64,
    known: Mutex<HashMap<Arc<str>, Arc<Provider>>>,
    turns: Box<[Turns]>,
    hashing: Hashing,
    used: Used,
    /// Makes passports, where that is configured.
    office: ArcSwapOption<Office>,
    /// Asks servers; made when one has to be asked first.
    client: OnceLock<Option<reqwest::Client>>,
    /// The control runtime, where servers are asked.
    control: OnceLock<Handle>,
}

/// A provider that cannot say whether a credential holds, or soon cannot.
#[derive(Debug, Clone)]
pub struct Failing {
    /// Its name.
    pub provider: Arc<str>,
    /// It is an issuer that is asked about tokens; else it is where keys are fetched.
    pub is_issuer: bool,
    /// Keys were fetched before, and are used on.
    pub has_keys: bool,
    /// Why.
    pub why: String,
}

impl Registry {
    /// An empty registry for so many workers.
    pub fn new(metrics: Arc<Metrics>, clock: Clock, workers: usize) -> Self {
        let workers = workers.max(1);
        let turns = (0..workers).map(|_| Turns::default()).collect();
        Self {
            metrics,
            clock,
            workers,
            plugins: Arc::default(),
            next: AtomicU64::new(1),
            known: Mutex::default(),
            turns,
            hashing: Hashing::new(workers),
            used: Used::new(),
            office: ArcSwapOption::empty(),
            client: OnceLock::new(),
            control: OnceLock::new(),
        }
    }

    /// The same where the program has registered providers of its own.
    #[must_use]
    pub(crate) fn with_plugins(mut self, plugins: Arc<Plugins>) -> Self {
        self.plugins = plugins;
        self
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Provider>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The providers of a configuration; those that it does not have are forgotten.
    pub fn apply(
        &self,
        configured: &[Arc<settings::Provider>],
        headers: &IdentityHeaders,
    ) -> HashMap<Arc<str>, Arc<Provider>> {
        let mut known = self.known();
        let headers = Arc::new(headers.clone());
        let now = self.clock.now();
        let provider = |settings: &Arc<settings::Provider>| {
            let before = known.get(&settings.name);
            let same = before.filter(|provider| provider.is(settings, &headers)).cloned();
            let provider = same.unwrap_or_else(|| Arc::new(self.make(settings, &headers, before, now)));
            (Arc::clone(&settings.name), provider)
        };
        let providers: HashMap<_, _> = configured.iter().map(provider).collect();
        known.clone_from(&providers);
        providers
    }

    /// Makes passports as a configuration says; what has not changed goes on.
    pub fn apply_passport(&self, configured: Option<&Arc<Passport>>, headers: &IdentityHeaders) -> Option<Arc<Office>> {
        let before = self.office.load_full();
        let office = configured.map(|settings| match &before {
            Some(office) if office.is(settings, headers) => Arc::clone(office),
            _ => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                Arc::new(Office::new(settings, headers, (number, self.clock.now()), before.as_deref()))
            }
        });
        self.office.store(office.clone());
        office
    }

    /// The keys that verify passports.
    pub fn passport_keys(&self) -> Option<serde_json::Value> {
        self.office.load().as_ref().map(|office| office.key_set(self.clock.now()))
    }

    fn make(
        &self,
        settings: &Arc<settings::Provider>,
        headers: &Arc<IdentityHeaders>,
        before: Option<&Arc<Provider>>,
        now: Instant,
    ) -> Provider {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let around = Surroundings { number, workers: self.workers, now, plugins: &self.plugins };
        let series = self.metrics.auth(&settings.name);
        Provider::new(settings, headers, (series, around), before.map(|before| &**before))
    }

    /// Keeps keys that have to be fetched fresh, on the current runtime, where servers are asked from then on. What is
    /// kept already goes on; it ends by itself when its provider does.
    pub fn keep_keys(&self, events: &Arc<Events>) {
        let _ = self.control.set(Handle::current());
        self.keep_new_keys(events);
    }

    /// The same for keys that a reload has named, where some are kept already: no request is to come before their
    /// keeper.
    pub fn keep_new_keys(&self, events: &Arc<Events>) {
        let Some(control) = self.control.get() else { return };
        let known = self.known();
        for provider in known.values() {
            let Some(store) = provider.store() else { continue };
            let Some(client) = self.client().filter(|_| store.claim()) else { continue };
            let keeper = Keeper {
                provider: Arc::clone(provider.name()),
                clock: self.clock.clone(),
                events: Arc::clone(events),
                client: client.clone(),
            };
            control.spawn(keeper.keep(Arc::downgrade(store)));
        }
    }

    fn client(&self) -> Option<&reqwest::Client> {
        let voice = self.plugins.voice();
        let make = || remote::client().inspect_err(|why| notice::keys(voice, "", Some(why.as_str()))).ok();
        self.client.get_or_init(make).as_ref()
    }

    /// What asks servers, and where; `None` where nobody keeps keys.
    pub(super) fn outside(&self) -> Option<(&reqwest::Client, Handle)> {
        Some((self.client()?, self.control.get()?.clone()))
    }

    /// How old fetched keys are, and whether they cannot be fetched.
    pub fn keys(&self) -> Vec<Keys> {
        let now = self.clock.now();
        let look = |provider: &Arc<Provider>| {
            let store = provider.store()?;
            let seconds = store.keys().map(|keys| now.saturating_duration_since(keys.at).as_secs_f64());
            Some(Keys { provider: Arc::clone(provider.name()), seconds, failing: store.is_failing() })
        };
        let mut all: Vec<Keys> = self.known().values().filter_map(look).collect();
        all.sort_by(|a, b| a.provider.cmp(&b.provider));
        all
    }

    /// The issuers that are asked about tokens, and whether they fail.
    pub fn issuers(&self) -> Vec<AskedIssuer> {
        let look = |provider: &Arc<Provider>| {
            let failing = provider.issuer()?.health.is_failing();
            Some(AskedIssuer { provider: Arc::clone(provider.name()), failing })
        };
        let mut all: Vec<AskedIssuer> = self.known().values().filter_map(look).collect();
        all.sort_by(|a, b| a.provider.cmp(&b.provider));
        all
    }

    /// The providers whose keys cannot be fetched, or whose issuer does not answer, by name.
    pub fn failing(&self) -> Vec<Failing> {
        let look = |provider: &Arc<Provider>| {
            let name = Arc::clone(provider.name());
            if let Some(issuer) = provider.issuer() {
                let why = issuer.health.why().unwrap_or_default();
                let failing = Failing { provider: name, is_issuer: true, has_keys: false, why };
                return issuer.health.is_failing().then_some(failing);
            }
            let store = provider.store().filter(|store| store.is_failing())?;
            let why = store.failure().unwrap_or_default();
            Some(Failing { provider: name, is_issuer: false, has_keys: store.keys().is_some(), why })
        };
        let mut all: Vec<Failing> = self.known().values().filter_map(look).collect();
        all.sort_by(|a, b| a.provider.cmp(&b.provider));
        all
    }

    /// Looks at who waits on a worker to have a token verified, and turns some away where too many do; whether none
    /// does.
    pub fn observe(&self, worker: usize, keeper: &mut gate::Keeper, now: Instant) -> bool {
        self.turns(worker).observe(keeper, now)
    }

    /// A worker's verifications.
    pub(super) fn turns(&self, worker: usize) -> &Turns {
        &self.turns[worker % self.turns.len()]
    }

    /// The threads that hash passwords.
    pub(super) fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// Tokens that were used.
    pub(super) fn used(&self) -> &Used {
        &self.used
    }
}
