//! What several gateways share: a Redis, alone, in a cluster, or behind sentinels. Limits keep buckets there, identity
//! keeps tokens that were used up or taken back.
//!
//! What a request needs of a store is one call of a script (`script.rs`), which does all of it or nothing, by the
//! store's own clock. Each worker has its own connection (`link.rs`), and what its requests ask at the same moment
//! shares a round trip (`courier.rs`); how much is under way there is bounded by what is answered in time (`flow.rs`).
//! Who asked waits for a time (`patience.rs`), and may learn later what came of it (`posted.rs`). `health.rs` says
//! whether anybody is to ask at all: a dead store is found out by the first requests and asked again by a task of its
//! own (`watch.rs`), never by another request. What operators are told of that is slower to say that it is well again
//! (`bulletin.rs`).

mod bulletin;
mod census;
mod courier;
mod flow;
mod health;
mod link;
mod names;
mod patience;
mod posted;
mod script;
mod sentinels;
mod silence;
#[cfg(test)]
pub(crate) mod tests;
pub mod watch;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

pub use courier::{Ask, Down};
pub use health::{Health, State};
pub use posted::Posted;
pub use script::{Call, Script};
use silence::Silence;

use crate::clock::Clock;
use crate::config::settings;
use crate::config::settings::store::Servers;
use crate::locked::lock;
use crate::telemetry::events::Events;
use crate::telemetry::metrics::{Registry as Metrics, StoreSeries};
use crate::telemetry::notice;
use crate::telemetry::told::Voice;
use crate::telemetry::tracing::{Kind, Opened, Track, Value};

/// On whose behalf a store is asked.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The worker on whose connection.
    pub worker: usize,
    /// The trace of the request, where it is traced.
    pub track: Option<&'a Track>,
}

impl By<'_> {
    /// A worker, for nobody's request.
    pub fn worker(worker: usize) -> Self {
        Self { worker, track: None }
    }
}

/// A time that no clock tells.
const UNHEARD: i64 = i64::MIN;

/// A store, with a connection for each worker.
pub struct Store {
    /// As configured.
    pub settings: settings::Store,
    /// Whether it answers.
    pub health: Health,
    /// Its metrics.
    pub series: Arc<StoreSeries>,
    clock: Clock,
    /// One for each worker, and one for what happens beside requests.
    couriers: Box<[Mutex<Option<mpsc::Sender<Ask>>>]>,
    /// Whether their connections are silent.
    silences: Box<[Silence]>,
    /// Gateways that were alive when it was last asked.
    gateways: AtomicU64,
    /// The server's clock less ours when it last answered, microseconds; `UNHEARD` before.
    ahead_us: AtomicI64,
    watched: AtomicBool,
    /// Where goes what is said of it.
    voice: Voice,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Store {
    /// For operators: which it is, and what it last failed with.
    #[cold]
    pub fn why_silent(&self) -> String {
        let why = self.health.last_failure().map_or_else(|| "it does not answer".to_owned(), |(_, reason)| reason);
        format!("store {} at {}: {why}", self.settings.name, self.settings.servers)
    }

    /// One that so many gateways are taken to share until something else is heard.
    fn new(settings: settings::Store, surroundings: &Surroundings, gateways: u64) -> Self {
        let series = surroundings.metrics.store(&settings.name);
        Self {
            health: Health::new(&settings, surroundings.clock.clone(), Arc::clone(&surroundings.events), &series),
            series,
            clock: surroundings.clock.clone(),
            couriers: (0..=surroundings.workers.max(1)).map(|_| Mutex::default()).collect(),
            silences: (0..=surroundings.workers.max(1)).map(|_| Silence::default()).collect(),
            gateways: AtomicU64::new(gateways),
            ahead_us: AtomicI64::new(UNHEARD),
            watched: AtomicBool::new(false),
            voice: surroundings.events.voice().clone(),
            settings,
        }
    }

    /// Calls a script on this worker's connection. Waits for the command's time-out at most, and not at all while the
    /// store is known to be dead.
    ///
    /// # Errors
    /// The store has no answer; what the script did nobody knows.
    pub async fn ask(self: &Arc<Self>, by: By<'_>, call: Call) -> Result<Vec<i64>, Down> {
        self.post(by, call)?.in_time().await.unwrap_or(Err(Down))
    }

    /// The same for who wants to know what comes of a call that is answered too late.
    ///
    /// # Errors
    /// The store is known to be dead, or has too much to do: it was not called.
    pub fn post(self: &Arc<Self>, by: By<'_>, call: Call) -> Result<Posted, Down> {
        if !self.health.is_up() {
            return Err(Down);
        }
        let began = self.clock.now();
        let until = began + self.settings.command_timeout;
        let span = by.track.map(|track| self.span(track, &call));
        let worker = by.worker;
        let (ask, answer) = Ask::new(call, until);
        self.courier(worker).try_send(ask).map_err(|_| Down)?;
        Ok(Posted { store: Arc::clone(self), worker, began, until, answer, span })
    }

    #[cold]
    fn span(&self, track: &Track, call: &Call) -> Box<Opened> {
        Box::new(track.open(Kind::Client, Value::Fixed("EVALSHA"), |attributes| {
            attributes.extend([
                ("db.system.name", Value::Fixed("redis")),
                ("db.operation.name", Value::Fixed("EVALSHA")),
                ("db.stored_procedure.name", Value::Fixed(call.script.name())),
                ("gateway.store", Value::Name(Arc::clone(&self.settings.name))),
            ]);
            if let Servers::One((host, port), _) = &self.settings.servers {
                attributes.extend([("server.address", Value::text(host)), ("server.port", Value::number(*port))]);
            }
        }))
    }

    /// Calls a script, and waits for no answer.
    pub fn tell(self: &Arc<Self>, worker: usize, call: Call) {
        if self.health.is_up() {
            // Nobody waits, so it may stand in line for longer.
            let (ask, _nobody) = Ask::new(call, self.clock.now() + courier::LATE);
            // A store that is too busy to take tokens back keeps them: nobody gets more for it.
            let _ = self.courier(worker).try_send(ask);
        }
    }

    /// The way to this worker's connection.
    fn courier(self: &Arc<Self>, worker: usize) -> mpsc::Sender<Ask> {
        let mut courier = lock(&self.couriers[worker % self.couriers.len()]);
        match &*courier {
            // One whose runtime is gone is of no use.
            Some(sender) if !sender.is_closed() => sender.clone(),
            _ => {
                let (sender, asked) = mpsc::channel(courier::WAITING);
                tokio::spawn(courier::run(Arc::downgrade(self), worker, asked));
                *courier = Some(sender.clone());
                sender
            }
        }
    }

    /// Whether this worker's connection has been asked, and says nothing for longer than usual.
    pub fn is_silent(&self, worker: usize) -> bool {
        self.silence(worker).lasts(|| self.now_ns(), self.settings.command_timeout)
    }

    /// Whether any worker's connection does.
    pub fn is_silent_somewhere(&self) -> bool {
        (0..self.silences.len()).any(|worker| self.is_silent(worker))
    }

    /// What answers on this worker's connection usually take, with something to spare.
    fn usually_takes(&self, worker: usize) -> Duration {
        self.silence(worker).usually(self.settings.command_timeout)
    }

    fn silence(&self, worker: usize) -> &Silence {
        &self.silences[worker % self.silences.len()]
    }

    /// The courier of what no worker asks.
    pub fn house(&self) -> usize {
        self.couriers.len() - 1
    }

    /// Gateways that share it, this one included, as far as was last heard.
    pub fn gateways(&self) -> u64 {
        self.gateways.load(Ordering::Relaxed)
    }

    fn heard_of(&self, gateways: u64) {
        self.gateways.store(gateways.max(1), Ordering::Relaxed);
    }

    /// The server said what time it was when it answered, just now.
    pub fn heard_time(&self, server_us: i64) {
        self.ahead_us.store(server_us.saturating_sub(self.now_us()), Ordering::Relaxed);
    }

    /// What the server's clock says now, about, microseconds; it is rather behind than ahead. 0 where it never told.
    pub fn time_there_us(&self) -> i64 {
        match self.ahead_us.load(Ordering::Relaxed) {
            UNHEARD => 0,
            ahead => self.now_us().saturating_add(ahead),
        }
    }

    fn now_us(&self) -> i64 {
        i64::try_from(self.now_ns() / 1000).unwrap_or(i64::MAX)
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The same in nanoseconds, as buckets count it.
    pub fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns(self.clock.now())
    }
}

/// What stores need of the process that they are in.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Time.
    pub clock: Clock,
    /// Where changes are told.
    pub events: Arc<Events>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
    /// Workers, each with its own connection.
    pub workers: usize,
}

/// The stores of a process, by name.
pub struct Stores {
    surroundings: Surroundings,
    stores: Mutex<Vec<Arc<Store>>>,
}

impl Stores {
    /// None yet.
    pub fn new(surroundings: Surroundings) -> Self {
        Self { surroundings, stores: Mutex::default() }
    }

    /// Puts these in force. One whose settings are the same stays as it is. Of the others, connections end when nobody
    /// uses them any more; what takes their name believes in as many gateways, since it may be dead, and is well until
    /// it is found not to be.
    pub fn apply(&self, wanted: &[Arc<settings::Store>]) {
        let mut stores = lock(&self.stores);
        let kept = |settings: &settings::Store| stores.iter().find(|store| store.settings == *settings).cloned();
        let before =
            |name: &str| stores.iter().find(|store| &*store.settings.name == name).map_or(1, |it| it.gateways());
        let new = |settings: &settings::Store| {
            Arc::new(Store::new(settings.clone(), &self.surroundings, before(&settings.name)))
        };
        let next: Vec<_> = wanted.iter().map(|settings| kept(settings).unwrap_or_else(|| new(settings))).collect();
        for old in stores.iter().filter(|old| !next.iter().any(|it| Arc::ptr_eq(it, old))) {
            if old.health.retire(next.iter().any(|it| it.settings.name == old.settings.name)) {
                notice::store(self.surroundings.events.voice(), &old.settings.name, false, None);
            }
        }
        *stores = next;
    }

    /// The store of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Store>> {
        lock(&self.stores).iter().find(|store| &*store.settings.name == name).cloned()
    }

    /// Every store.
    pub fn all(&self) -> Vec<Arc<Store>> {
        lock(&self.stores).clone()
    }
}
