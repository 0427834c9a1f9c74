//! What one data-plane worker has: its view of the configuration, its randomness, and handles to what all share.
//!
//! A shard is `Send + Sync`, so that an embedding program can serve requests on any thread; a worker of the binary only
//! ever uses its own, and then nothing here is contended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Cache};

use crate::algorithms::rng;
use crate::caching::{Store, Tags};
use crate::clock::Clock;
use crate::compose::{AllFlights, Batches, Flights};
use crate::context::OwnName;
use crate::held_bytes::HeldBytes;
use crate::http1::DateCell;
use crate::identity::Registry as Identities;
use crate::last_call::LastCall;
use crate::listener::refuse::Recorded;
use crate::network::Network;
use crate::overload::{Episodes, Gate};
use crate::plugins::Plugins;
use crate::rate_limit::Registry as Limits;
use crate::roll_call::RollCall;
use crate::snapshot::Snapshot;
use crate::store::Stores;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::events::{Event, Events};
use crate::telemetry::metrics::{Registry as Metrics, ShedReason, is_own_thread};
use crate::telemetry::recorder::Recorder;
use crate::telemetry::tracing::Tracer;
use crate::tls::Slots;
use crate::upstream::in_flight::InFlight;
use crate::upstream::{Registry as Upstreams, Upstream};

/// What all shards share.
pub struct Shared<N: Network> {
    /// How connections are opened.
    pub network: N,
    /// What the program around the gateway has registered in code.
    pub plugins: Arc<Plugins>,
    /// What the gateway calls itself before upstreams.
    pub own_name: OwnName,
    /// Time.
    pub clock: Clock,
    /// Metrics of the whole gateway.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub log: Arc<AccessLog>,
    /// The last requests of note.
    pub recorder: Recorder,
    /// Where spans go.
    pub tracer: Arc<Tracer>,
    /// What happens, for who follows it.
    pub events: Arc<Events>,
    /// Upstreams over all configurations.
    pub upstreams: Upstreams<N>,
    /// Rate limits over all configurations.
    pub limits: Limits,
    /// Stores that gateways share.
    pub stores: Stores,
    /// Who proves identities, over all configurations.
    pub identity: Identities,
    /// Answers that are kept, over all configurations.
    pub cache: Arc<Store>,
    /// Whose answers those are.
    pub cache_tags: Tags,
    /// Calls of all workers that several requests may share.
    pub flights: AllFlights<N>,
    /// Certificates in force at the listeners.
    pub tls: Slots,
    /// Requests in the whole gateway.
    pub in_flight: Arc<InFlight>,
    /// When something was turned away for the gateway's own sake.
    pub episodes: Episodes,
    /// Set when it was told that nobody says whose requests are.
    pub tells_of_unknown: AtomicBool,
    /// Set when a drain begins: answers close their connections from then on.
    pub draining: AtomicBool,
    /// Who is still there while a drain lasts.
    pub roll_call: RollCall,
    /// Set when the workers are about to end: what is in flight then is cut by the gateway, not left by its client.
    pub cutting: AtomicBool,
    /// Before that, where a drain has run out of time: who waits for an answer is told so.
    pub last_call: LastCall,
}

/// One worker's part.
pub struct Shard<N: Network> {
    /// Which worker; 0-based.
    pub index: usize,
    /// What all shards share.
    pub shared: Arc<Shared<N>>,
    /// Whom it lets in while the gateway protects itself.
    pub gate: Gate,
    /// The time of day for answers, moved on once a second.
    pub date: DateCell,
    /// What bodies that were read for routing hold.
    pub held: Arc<HeldBytes>,
    /// Calls that several of its requests wait for.
    pub flights: Flights<N>,
    /// Connections that are told that there is no place for them.
    pub turned_away: Arc<InFlight>,
    /// Those of them that leave a record.
    pub(crate) recorded: Recorded,
    /// Copies of requests that are in flight to other upstreams.
    pub copies: Arc<InFlight>,
    /// Requests that are gathered to be asked for together.
    pub batches: Batches<N>,
    /// What encoders of answers hold.
    pub encoders: Arc<HeldBytes>,
    snapshot: ArcSwap<Local<N>>,
    /// State of a splitmix64 generator.
    random: AtomicU64,
    /// The same of the worker's own thread, which alone writes it.
    own_random: AtomicU64,
}

impl<N: Network> Shared<N> {
    /// Reports an event that happened at this time.
    pub fn report(&self, at: std::time::Instant, event: Event) {
        self.events.report(self.clock.monotonic_ns(at), event);
    }

    /// Something was turned away for the gateway's own sake.
    #[cold]
    pub fn shed(&self, reason: ShedReason) {
        self.metrics.gateway().shed(reason);
        self.tell_of_shedding(&self.episodes, reason, None);
    }

    /// The same for an upstream's sake.
    #[cold]
    pub fn shed_for(&self, upstream: &Upstream<N>, reason: ShedReason) {
        self.metrics.gateway().shed(reason);
        self.tell_of_shedding(&upstream.episodes, reason, Some(&upstream.name));
    }

    fn tell_of_shedding(&self, episodes: &Episodes, reason: ShedReason, upstream: Option<&Arc<str>>) {
        let now = self.clock.now();
        if episodes.refused(reason, self.clock.ticks_ms(now)) {
            self.report(now, Event::Shed { reason, upstream: upstream.cloned(), active: true, refused: 1 });
        }
    }
}

/// A worker's own handle on a snapshot: a reference count that no other worker touches.
pub struct Local<N: Network>(Arc<Snapshot<N>>);

impl<N: Network> std::ops::Deref for Local<N> {
    type Target = Snapshot<N>;

    fn deref(&self) -> &Snapshot<N> {
        &self.0
    }
}

/// The snapshot in force as one connection sees it while it is awake: to look whether it still is costs one load, where
/// to ask the shard costs two locked instructions more. What was in force before is kept until somebody looks again.
pub struct View<'s, N: Network>(Cache<&'s ArcSwap<Local<N>>, Arc<Local<N>>>);

impl<N: Network> View<'_, N> {
    /// The snapshot in force; the caller keeps it for as long as its request lives.
    #[inline]
    pub fn snapshot(&mut self) -> Arc<Local<N>> {
        Arc::clone(self.0.load())
    }
}

impl<N: Network> Shard<N> {
    /// A shard with this snapshot in force. The seed decides every random choice that it makes.
    pub fn new(index: usize, shared: Arc<Shared<N>>, snapshot: Arc<Snapshot<N>>, seed: u64) -> Self {
        let random = rng::mix(seed ^ rng::mix(index as u64 + 1));
        let date = DateCell::new(shared.clock.http_date(shared.clock.now()));
        let snapshot = ArcSwap::from_pointee(Local(snapshot));
        Self {
            index,
            shared,
            gate: Gate::default(),
            date,
            held: Arc::default(),
            flights: Flights::default(),
            turned_away: Arc::default(),
            recorded: Recorded::default(),
            copies: Arc::default(),
            batches: Batches::default(),
            encoders: Arc::default(),
            snapshot,
            random: AtomicU64::new(random),
            own_random: AtomicU64::new(rng::mix(random)),
        }
    }

    /// The snapshot in force; the caller keeps it for as long as its request lives.
    #[inline]
    pub fn snapshot(&self) -> Arc<Local<N>> {
        self.snapshot.load_full()
    }

    /// A connection's own view of it.
    pub fn view(&self) -> View<'_, N> {
        View(Cache::new(&self.snapshot))
    }

    /// Puts a snapshot in force for requests that begin from now on.
    pub fn install(&self, snapshot: Arc<Snapshot<N>>) {
        self.snapshot.store(Arc::new(Local(snapshot)));
    }

    /// 64 random bits.
    #[inline]
    pub fn random(&self) -> u64 {
        let [bits] = self.draw();
        bits
    }

    /// Several times 64 random bits, for the price of one addition, which is atomic but on the worker's own thread
    /// (splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    #[inline]
    pub fn draw<const TIMES: usize>(&self) -> [u64; TIMES] {
        const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let step = GOLDEN_GAMMA.wrapping_mul(TIMES as u64);
        let mut state = if is_own_thread(self.index) {
            let state = self.own_random.load(Ordering::Relaxed);
            self.own_random.store(state.wrapping_add(step), Ordering::Relaxed);
            state
        } else {
            self.random.fetch_add(step, Ordering::Relaxed)
        };
        std::array::from_fn(|_| {
            state = state.wrapping_add(GOLDEN_GAMMA);
            rng::mix(state)
        })
    }
}
