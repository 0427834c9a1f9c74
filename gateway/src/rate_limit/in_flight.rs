//! Limits of requests at once: of a route, and of a key.
//!
//! Counts are of the process, exact over all workers, and kept by name: a reload finds those that are under way. A
//! request takes its places before tokens of rates are taken for it, and holds them until its exchange ends, whatever
//! ends it: [`Held`] gives back when it is dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smallvec::SmallVec;

use super::Phase;
use super::busiest::Busiest;
use super::key::Key;
use super::places::{Places, Spot};
use crate::algorithms::rng::Draws;
use crate::config::settings::rate_limit::InFlightLimit;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::locked::lock;
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::telemetry::metrics::{LimitDecision, LimitSeries, Registry as Metrics, ShedReason};

/// Parts of a map, each behind a lock of its own that is held for the time of one look-up.
const SHARDS: usize = 16;
/// When to come back: nobody knows when a place will be free.
const COME_BACK: Duration = Duration::from_secs(1);

/// What belongs to a limit's name and outlives configurations.
#[derive(Debug)]
pub struct InFlightState {
    /// Keys its hashes, so that no client can choose whom it shares a count with.
    hasher: ahash::RandomState,
    /// What it decided; of a route's own, nothing: what that turns away is shed.
    pub series: Option<Arc<LimitSeries>>,
    /// The keys that are refused most.
    pub refused: Busiest,
    shards: [Shard; SHARDS],
}

/// Alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<Places>);

/// How much of a limit is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InFlightFill {
    /// Requests that are counted now.
    pub requests: u64,
    /// Keys that have a count of their own.
    pub keys: usize,
    /// Requests so far whose key had to share one.
    pub overflowed: u64,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    state: Arc<InFlightState>,
    hash: u64,
    spot: Spot,
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(self.state.shard(self.hash)).give_back(self.hash, self.spot);
    }
}

/// What one request holds.
#[derive(Debug, Default)]
pub struct Holding {
    places: SmallVec<[Held; 2]>,
    /// The limit that refused it.
    refused: Option<Arc<str>>,
}

impl Holding {
    /// The name of the limit that refused.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

impl InFlightState {
    fn shard(&self, hash: u64) -> &Mutex<Places> {
        &self.shards[(hash >> 32) as usize % SHARDS].0
    }

    /// How much is taken.
    pub fn fill(&self) -> InFlightFill {
        self.shards.iter().fold(InFlightFill::default(), |sum, shard| {
            let places = lock(&shard.0);
            InFlightFill {
                requests: sum.requests + places.held(),
                keys: sum.keys + places.keys(),
                overflowed: sum.overflowed + places.overflowed,
            }
        })
    }
}

/// One limit, with the state of its name.
#[derive(Debug)]
pub struct InFlightRule {
    /// As configured.
    pub settings: Arc<InFlightLimit>,
    /// What its name keeps.
    pub state: Arc<InFlightState>,
    /// When it runs.
    phase: Phase,
}

impl InFlightRule {
    /// It is a route's own `max_in_flight`.
    pub fn is_of_route(&self) -> bool {
        self.state.series.is_none()
    }

    /// Takes a request's place, or refuses it.
    fn take<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &RequestFields,
        holding: &mut Holding,
    ) -> Result<(), GatewayError> {
        let settings = &self.settings;
        let key = Key::of(settings.counted_by(), exchange, headers);
        let hash = key.hash_with(&self.state.hasher);
        // Several shards have a little more room together: a hash does not spread keys evenly.
        let max_keys = settings.max_keys.div_ceil(SHARDS);
        let (spot, is_above) = {
            let mut places = lock(self.state.shard(hash));
            match places.take(hash, settings.most, max_keys) {
                None if settings.shadow => (places.take(hash, u32::MAX, max_keys), true),
                spot => (spot, spot.is_none()),
            }
        };
        if is_above {
            let shown = || key.told(&settings.name);
            self.state.refused.note(exchange.shard.index, exchange.shard.random(), hash, shown);
        }
        let is_refused = spot.is_none();
        if let Some(spot) = spot {
            holding.places.push(Held { state: Arc::clone(&self.state), hash, spot });
        }
        if let Some(series) = &self.state.series {
            let decision = match (is_above, is_refused) {
                (false, _) => LimitDecision::Admitted,
                (true, false) => LimitDecision::ShadowRefused,
                (true, true) => LimitDecision::Refused,
            };
            series.decided(exchange.shard.index, decision);
        }
        if is_refused { Err(self.refusal(holding)) } else { Ok(()) }
    }

    #[cold]
    fn refusal(&self, holding: &mut Holding) -> GatewayError {
        if self.is_of_route() {
            return GatewayError::shed(ShedReason::RouteInFlight, "This route serves as many requests as it may.");
        }
        holding.refused = Some(Arc::clone(&self.settings.name));
        let detail = format!("The limit {:?} of requests at once is reached.", self.settings.name);
        GatewayError::new(Code::RateLimited, detail).retry_after(COME_BACK)
    }
}

/// The limits of one route, its own first.
#[derive(Debug)]
pub struct RoutePlaces {
    rules: Box<[Arc<InFlightRule>]>,
    has: [bool; 2],
}

impl RoutePlaces {
    /// These; `None` where there are none.
    pub fn new(rules: Vec<Arc<InFlightRule>>) -> Option<Self> {
        let has = [Phase::Edge, Phase::Proven].map(|phase| rules.iter().any(|rule| rule.phase == phase));
        (!rules.is_empty()).then(|| Self { rules: rules.into(), has })
    }

    /// Whether any is asked in this phase.
    #[inline]
    pub(super) fn has(&self, phase: Phase) -> bool {
        self.has[phase as usize]
    }

    /// Takes a request's places.
    ///
    /// # Errors
    /// 503 `overloaded` where the route has as many as it may, 429 `rate_limited` where the key has; nothing is held
    /// then, of an earlier phase neither.
    pub(super) fn take<N: Network>(
        &self,
        exchange: &Exchange<N>,
        headers: &RequestFields,
        (phase, holding): (Phase, &mut Holding),
    ) -> Result<(), GatewayError> {
        let mut asked = self.rules.iter().filter(|rule| rule.phase == phase);
        let taken = asked.try_for_each(|rule| rule.take(exchange, headers, holding));
        taken.inspect_err(|_| holding.places.clear())
    }
}

/// The states of all limits, by name; those of routes apart.
#[derive(Debug)]
pub struct InFlightRegistry {
    metrics: Arc<Metrics>,
    workers: usize,
    states: Mutex<States>,
}

#[derive(Debug)]
struct States {
    by_name: HashMap<(bool, Arc<str>), Arc<InFlightState>>,
    seeds: Draws,
}

impl InFlightRegistry {
    /// No limits yet. The seed keys their hashes.
    pub(super) fn new(metrics: Arc<Metrics>, workers: usize, seed: u64) -> Self {
        let states = Mutex::new(States { by_name: HashMap::new(), seeds: Draws::new(seed) });
        Self { metrics, workers, states }
    }

    /// A limit by key, with the state that its name has.
    pub fn compile(&self, settings: &Arc<InFlightLimit>) -> Arc<InFlightRule> {
        let phase = if settings.key.needs_identity() { Phase::Proven } else { Phase::Edge };
        Arc::new(InFlightRule { settings: Arc::clone(settings), state: self.state(&settings.name, false), phase })
    }

    /// That of a route. Where the route wants to know who asks, places are for those who have proven it: else whoever
    /// waits for a verdict, as one with wrong passwords, would keep known users out.
    pub fn compile_route(&self, route: &Arc<str>, most: u32, is_proven: bool) -> Arc<InFlightRule> {
        let settings = Arc::new(InFlightLimit::of_route(route, most));
        let phase = if is_proven { Phase::Proven } else { Phase::Edge };
        Arc::new(InFlightRule { settings, state: self.state(route, true), phase })
    }

    fn state(&self, name: &Arc<str>, is_of_route: bool) -> Arc<InFlightState> {
        let mut states = lock(&self.states);
        let States { by_name, seeds } = &mut *states;
        let made = by_name.entry((is_of_route, Arc::clone(name))).or_insert_with(|| {
            let mut seed = || seeds.next_u64();
            Arc::new(InFlightState {
                hasher: ahash::RandomState::with_seeds(seed(), seed(), seed(), seed()),
                series: (!is_of_route).then(|| self.metrics.in_flight_limit(name)),
                refused: Busiest::new(self.workers),
                shards: Default::default(),
            })
        });
        Arc::clone(made)
    }

    /// Forgets what nobody has a handle to any more: neither a configuration nor a request under way. A limit that is
    /// removed and written again meanwhile finds its count.
    pub fn forget_unused(&self) {
        lock(&self.states).by_name.retain(|_, state| Arc::strong_count(state) > 1);
    }
}
