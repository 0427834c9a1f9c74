//! A gateway without its sockets: shards, what they share, and the configuration in force.
//!
//! The binary drives it from listeners and workers; an embedding program calls it as a tower service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::beside;
use crate::clock::Clock;
use crate::config::settings::Config;
use crate::context::OwnName;
use crate::last_call::LastCall;
use crate::locked::lock;
use crate::network::{Network, Sockets};
use crate::overload::{self, Episodes};
use crate::plugins::Plugins;
use crate::rate_limit::{self, Registry as Limits};
use crate::reload::Reloads;
use crate::roll_call::RollCall;
use crate::shard::{Shard, Shared};
use crate::snapshot::Snapshot;
use crate::store::{self, Stores};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::events::{Event, Events, Kinds};
use crate::telemetry::metrics::Registry as Metrics;
use crate::telemetry::recorder::{self, Recorder};
use crate::telemetry::told::{self, Voice};
use crate::telemetry::tracing::{self, Tracer};
use crate::tls::Slots;
use crate::upstream::Registry as Upstreams;
use crate::upstream::Upstream;
use crate::upstream::discovery;
use crate::upstream::in_flight::InFlight;
use crate::upstream::watch::{self as upstream_watch, Surroundings};

/// The longest that a collector is waited for at the end.
pub(crate) const SPANS_FLUSH: Duration = Duration::from_secs(2);

/// A gateway.
pub struct Gateway<N: Network = Sockets> {
    shards: Box<[Arc<Shard<N>>]>,
    shared: Arc<Shared<N>>,
    snapshot: Mutex<Arc<Snapshot<N>>>,
    /// The version in force, for who waits for the next.
    applied: watch::Sender<u64>,
    /// Turns when a drain begins.
    drains: watch::Sender<bool>,
    /// Where another configuration is read from.
    pub(crate) reloads: OnceLock<Arc<Reloads>>,
}

/// What a gateway is made with, beside its configuration.
pub struct World<N: Network> {
    /// How connections are opened.
    pub network: N,
    /// Time.
    pub clock: Clock,
    /// Decides every random choice; the same seed and the same events give the same choices.
    pub seed: u64,
    /// Shards: data-plane workers, or threads of an embedding program.
    pub shards: usize,
}

impl<N: Network> Gateway<N> {
    /// A gateway with this configuration in force.
    ///
    /// # Errors
    /// The access log's file cannot be opened.
    #[doc(hidden)]
    pub fn new(config: Config, world: World<N>) -> std::io::Result<Self> {
        Self::with_plugins(config, world, Plugins::none())
    }

    /// The same of a program that has registered something in code.
    pub(crate) fn with_plugins(config: Config, world: World<N>, plugins: Plugins) -> std::io::Result<Self> {
        let log = AccessLog::start_for(plugins.records(), &config.telemetry.access_log, world.shards.max(1))?;
        Ok(Self::assemble(config, world, log, plugins))
    }

    /// The same with an access log of the caller's: one that is kept ([`AccessLog::kept`]).
    #[doc(hidden)]
    pub fn with_log(config: Config, world: World<N>, log: AccessLog) -> Self {
        Self::assemble(config, world, log, Plugins::none())
    }

    fn assemble(config: Config, world: World<N>, log: AccessLog, plugins: Plugins) -> Self {
        let shards = world.shards.max(1);
        let metrics = Arc::new(Metrics::new(shards));
        let log = Arc::new(log);
        let events = Arc::new(Events::of(plugins.voice().clone()));
        let stores = Stores::new(store::Surroundings {
            clock: world.clock.clone(),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            workers: shards,
        });
        let plugins = Arc::new(plugins);
        let surroundings = Surroundings::new(world.clock.clone(), Arc::clone(&events), Arc::clone(&plugins));
        let tracer = Tracer::new(world.clock.clone(), Arc::clone(&events), Arc::clone(&metrics), world.seed);
        tracer.configure(config.telemetry.tracing.export.as_ref());
        let shared = Arc::new(Shared {
            tracer: Arc::new(tracer),
            upstreams: Upstreams::new(Arc::clone(&metrics), surroundings, shards),
            limits: Limits::new(Arc::clone(&metrics), shards, world.seed),
            stores,
            identity: crate::identity::Registry::new(Arc::clone(&metrics), world.clock.clone(), shards)
                .with_plugins(Arc::clone(&plugins)),
            cache: Arc::default(),
            cache_tags: crate::caching::Tags::default(),
            flights: crate::compose::AllFlights::new(shards),
            tls: Slots::default(),
            network: world.network,
            plugins,
            own_name: OwnName::of(&config),
            clock: world.clock,
            metrics,
            log,
            recorder: Recorder::new(&config.telemetry.recorder, shards),
            events,
            in_flight: Arc::new(InFlight::default()),
            episodes: Episodes::default(),
            tells_of_unknown: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            roll_call: RollCall::default(),
            cutting: AtomicBool::new(false),
            last_call: LastCall::default(),
        });
        let snapshot = Arc::new(Snapshot::build(Arc::new(config), 1, &shared));
        shared.metrics.gateway().set_config_version(1);
        let shards = (0..shards)
            .map(|index| Arc::new(Shard::new(index, Arc::clone(&shared), Arc::clone(&snapshot), world.seed)))
            .collect();
        Self {
            shards,
            shared,
            snapshot: Mutex::new(snapshot),
            applied: watch::Sender::new(1),
            drains: watch::Sender::new(false),
            reloads: OnceLock::new(),
        }
    }

    /// Puts another configuration in force, for requests that begin from now on. In-flight counts, connections and
    /// metrics stay. Returns its version.
    ///
    /// # Errors
    /// The access log's file cannot be opened; nothing has changed then.
    #[doc(hidden)]
    pub fn apply(&self, config: Config) -> std::io::Result<u64> {
        let mut current = lock(&self.snapshot);
        self.shared.log.reconfigure(&config.telemetry.access_log)?;
        self.shared.recorder.configure(&config.telemetry.recorder);
        self.shared.tracer.configure(config.telemetry.tracing.export.as_ref());
        let version = current.version + 1;
        let snapshot = Arc::new(Snapshot::build(Arc::new(config), version, &self.shared));
        self.shared.identity.keep_new_keys(&self.shared.events);
        for shard in &self.shards {
            shard.install(Arc::clone(&snapshot));
        }
        *current = snapshot;
        self.shared.metrics.gateway().set_config_version(version);
        self.applied.send_replace(version);
        Ok(version)
    }

    /// The version of the configuration in force, as it changes.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// The configuration in force, compiled.
    #[doc(hidden)]
    pub fn snapshot(&self) -> Arc<Snapshot<N>> {
        Arc::clone(&lock(&self.snapshot))
    }

    /// The shards, one for each worker.
    #[doc(hidden)]
    pub fn shards(&self) -> &[Arc<Shard<N>>] {
        &self.shards
    }

    /// What all shards share.
    #[doc(hidden)]
    pub fn shared(&self) -> &Arc<Shared<N>> {
        &self.shared
    }

    /// Every upstream, by name.
    #[doc(hidden)]
    pub fn upstreams(&self) -> Vec<Arc<Upstream<N>>> {
        self.shared.upstreams.all()
    }

    /// Starts what keeps discovered upstreams and fetched keys fresh, on the current runtime. What is kept already goes
    /// on; it ends by itself when a reload says otherwise.
    pub fn keep_discovering(&self) {
        self.shared.identity.keep_keys(&self.shared.events);
        for upstream in self.upstreams() {
            if let Some(claim) = upstream.claim_discovery() {
                let (network, upstream) = (self.shared.network.clone(), Arc::downgrade(&upstream));
                let begin = move || discovery::keep_fresh(Weak::clone(&upstream), network.clone(), Arc::clone(&claim));
                self.beside("discovery", begin);
            }
        }
    }

    /// Starts what happens beside requests, on the current runtime: the time of breakers, checks of endpoints, the size
    /// of the process, letting go of limits' buckets, watching the stores that hold them, sending spans, and telling
    /// the program of events. Without it no store heals that has died, and no span is sent. It ends with the gateway.
    pub fn keep_watch(self: &Arc<Self>) {
        let shared = Arc::clone(&self.shared);
        if let Voice::Program(Some(takes)) = shared.events.voice() {
            let (takes, shared, mut from) = (takes.clone(), Arc::clone(&shared), Some(0));
            let tell = move || told::tell(shared.events.follow(Kinds::rare(), from.take()), takes.clone());
            self.beside("telling of events", tell);
        }
        let gateway = Arc::downgrade(self);
        let watch = move || overload::watch::keep_watch(Weak::clone(&gateway));
        tokio::spawn(beside::keep(Arc::clone(&shared), "watch over overload", watch));
        let shard = Arc::clone(&self.shards[0]);
        self.beside("pace of routes", move || {
            let shard = Arc::clone(&shard);
            recorder::keep_pace(move || {
                let snapshot = shard.snapshot();
                let series = snapshot.routes.iter().map(|route| Arc::clone(&route.series));
                let series = series.chain([Arc::clone(&snapshot.unrouted)]).collect();
                (snapshot.config.telemetry.recorder.slow, series)
            })
        });
        self.keep_sending();
        self.beside("watch over upstreams", move || {
            let shared = Arc::clone(&shared);
            async move { upstream_watch::keep_watch(&shared.upstreams, &shared.network).await }
        });
        let (shared, shard) = (Arc::clone(&self.shared), Arc::clone(&self.shards[0]));
        self.beside("limits", move || {
            let (shared, shard) = (Arc::clone(&shared), Arc::clone(&shard));
            let rules = move || shard.snapshot().limits.to_vec();
            async move { rate_limit::keep_house(&shared.limits, &shared.stores, &shared.clock, rules).await }
        });
    }

    /// Does something beside requests, on the current runtime, until the gateway is dropped; after a panic it begins
    /// again ([`beside::keep`]). What is done may hold what the gateway holds, and never the gateway.
    pub(crate) fn beside<F>(&self, what: &'static str, begin: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (gone, kept) = (self.gone(), beside::keep(Arc::clone(&self.shared), what, begin));
        tokio::spawn(async move {
            tokio::select! {
                () = kept => {}
                () = gone => {}
            }
        });
    }

    /// Sends spans; once the gateway is dropped, the last of them.
    fn keep_sending(&self) {
        let (gone, tracer, shared) = (self.gone(), Arc::clone(&self.shared.tracer), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let sending = beside::keep(shared, "spans", || tracing::run(Arc::clone(&tracer)));
            let ending = async {
                gone.await;
                tracer.finish(SPANS_FLUSH).await;
            };
            tokio::select! {
                () = sending => {}
                () = ending => {}
            }
        });
    }

    /// Waits until the gateway is dropped.
    fn gone(&self) -> impl Future<Output = ()> + Send + use<N> {
        let mut versions = self.versions();
        async move { while versions.changed().await.is_ok() {} }
    }

    /// From now on answers close their connections, and `/readyz` is 503; requests are answered as before. It is never
    /// taken back. A gateway that is mounted does no more: what listens is the program, which stops when it thinks fit
    /// ([`Gateway::drain_begun`]). One that serves by itself is drained by
    /// [`Handle::drain`](crate::running::Handle::drain).
    pub fn begin_drain(&self) {
        if !self.shared.draining.swap(true, Ordering::Relaxed) {
            let now = self.shared.clock.now();
            self.shared.roll_call.drain_begins(now);
            if self.shared.plugins.is_mounted() {
                // The program's server closes its connections now; nobody else begins it.
                self.shared.roll_call.begin();
            }
            self.shared.report(now, Event::Drain);
            self.drains.send_replace(true);
        }
    }

    /// Is ready when a drain has begun: by [`Gateway::begin_drain`], or by `POST /drain` of [`Gateway::admin_router`].
    /// Made for `axum::serve(..).with_graceful_shutdown(gateway.drain_begun())`.
    pub fn drain_begun(&self) -> impl Future<Output = ()> + Send + 'static + use<N> {
        let mut drains = self.drains.subscribe();
        async move {
            if drains.wait_for(|begun| *begun).await.is_err() {
                // A gateway that is gone drains no more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// From now on a request that is dropped was cut by the gateway, and its record says so.
    pub fn begin_cut(&self) {
        self.shared.cutting.store(true, Ordering::Relaxed);
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}
