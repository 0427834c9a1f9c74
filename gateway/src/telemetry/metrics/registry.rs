//! All series of a process by name. Asked when a snapshot is built and when somebody scrapes, never by a request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::algorithms::breaker::State;
use crate::locked::lock;

use super::{AdminSeries, GatewaySeries, LimitSeries, ListenerSeries, RouteSeries, StoreSeries, UpstreamSeries};
use super::{AuthSeries, BatchSeries, PartSeries, ShareSeries, SpanSeries, TokenCacheSeries};

/// Names of each kind that are kept: ten times the largest configuration that we aim at (10,000 routes). A process that
/// sees more over its life counts the rest together under [`OVERFLOW`].
const NAMES_MAX: usize = 100_000;

/// The name under which everything beyond the bound is counted.
pub const OVERFLOW: &str = "_overflow";

/// The requests that one endpoint is serving, as its balancer counts them; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInFlight {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    /// Requests now.
    pub in_flight: u64,
    /// Attempts that began there.
    pub attempts: u64,
    /// Attempts that failed there.
    pub failures: u64,
    /// Attempts that clients left there before the first byte of an answer.
    pub cancelled: u64,
    /// When it was seen to have answered last, seconds since the Unix epoch; 0 where it never did.
    pub last_answer: i64,
    /// How many may wait for its answers, while its adaptive limit is in force.
    pub limit: Option<u32>,
}

/// One endpoint's breaker; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointBreaker {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    /// Its state.
    pub state: State,
    /// How often it tripped, by cause, the breakers of routes included.
    pub trips: Vec<(&'static str, u64)>,
}

/// A breaker that a route has of its own, of one endpoint; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteBreaker {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// The route's name.
    pub route: Arc<str>,
    /// The endpoint's address.
    pub endpoint: Arc<str>,
    /// Its state.
    pub state: State,
}

/// How many of an upstream's endpoints are out of balancing; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejections {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// Endpoints now.
    pub endpoints: u64,
}

/// How many requests a limit of requests at once counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPlaces {
    /// The name of the rule, or of the route.
    pub name: Arc<str>,
    /// It is a route's own.
    pub is_route: bool,
    /// Requests now.
    pub requests: u64,
}

/// Series of parts by their aggregates' names and their own.
type Parts = BTreeMap<(Arc<str>, Arc<str>), Arc<PartSeries>>;

/// Series of upstreams by the names of the routes that they share, and their own.
type OfShares = BTreeMap<(Arc<str>, Arc<str>), Arc<ShareSeries>>;

/// The process's series.
#[derive(Debug)]
pub struct Registry {
    workers: usize,
    gateway: GatewaySeries,
    admin: AdminSeries,
    routes: Mutex<BTreeMap<Arc<str>, Arc<RouteSeries>>>,
    upstreams: Mutex<BTreeMap<Arc<str>, Arc<UpstreamSeries>>>,
    listeners: Mutex<BTreeMap<Arc<str>, Arc<ListenerSeries>>>,
    auth: Mutex<BTreeMap<Arc<str>, Arc<AuthSeries>>>,
    token_cache: TokenCacheSeries,
    limits: Mutex<BTreeMap<Arc<str>, Arc<LimitSeries>>>,
    in_flight_limits: Mutex<BTreeMap<Arc<str>, Arc<LimitSeries>>>,
    stores: Mutex<BTreeMap<Arc<str>, Arc<StoreSeries>>>,
    spans: SpanSeries,
    /// By aggregate, then part.
    parts: Mutex<Parts>,
    /// By route, then upstream.
    shares: Mutex<OfShares>,
    batches: Mutex<BTreeMap<Arc<str>, Arc<BatchSeries>>>,
}

impl Registry {
    /// An empty registry for this many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            gateway: GatewaySeries::new(workers),
            admin: AdminSeries::default(),
            routes: Mutex::default(),
            upstreams: Mutex::default(),
            listeners: Mutex::default(),
            auth: Mutex::default(),
            token_cache: TokenCacheSeries::new(workers),
            limits: Mutex::default(),
            in_flight_limits: Mutex::default(),
            stores: Mutex::default(),
            spans: SpanSeries::default(),
            parts: Mutex::default(),
            shares: Mutex::default(),
            batches: Mutex::default(),
        }
    }

    /// Numbers of the whole process.
    #[inline]
    pub fn gateway(&self) -> &GatewaySeries {
        &self.gateway
    }

    /// Calls that would change the gateway by its admin API.
    pub fn admin(&self) -> &AdminSeries {
        &self.admin
    }

    /// The series of the route of this name, made if need be. Requests that match no route have one too, by the name
    /// that the caller gives it.
    pub fn route(&self, name: &str) -> Arc<RouteSeries> {
        find(&self.routes, name, |name| RouteSeries::new(name, self.workers))
    }

    /// The series of the upstream of this name, made if need be.
    pub fn upstream(&self, name: &str) -> Arc<UpstreamSeries> {
        find(&self.upstreams, name, |name| UpstreamSeries::new(name, self.workers))
    }

    /// The series of the listener of this name, made if need be.
    pub fn listener(&self, name: &str) -> Arc<ListenerSeries> {
        find(&self.listeners, name, ListenerSeries::new)
    }

    /// The series of the rate limit of this name, made if need be.
    pub fn limit(&self, name: &str) -> Arc<LimitSeries> {
        find(&self.limits, name, |name| LimitSeries::new(name, self.workers))
    }

    /// The series of the store of this name, made if need be.
    pub fn store(&self, name: &str) -> Arc<StoreSeries> {
        find(&self.stores, name, |name| StoreSeries::new(name, self.workers))
    }

    /// The series of the identity provider of this name, made if need be.
    pub fn auth(&self, name: &str) -> Arc<AuthSeries> {
        find(&self.auth, name, |name| AuthSeries::new(name, self.workers))
    }

    /// The series of this part of the aggregate of this name, made if need be.
    pub fn part(&self, aggregate: &str, part: &str) -> Arc<PartSeries> {
        let mut parts = lock(&self.parts);
        let key = (Arc::from(aggregate), Arc::from(part));
        let full = parts.len() >= NAMES_MAX && !parts.contains_key(&key);
        let (aggregate, part) = if full { (OVERFLOW.into(), OVERFLOW.into()) } else { key };
        let make = || Arc::new(PartSeries::new(Arc::clone(&aggregate), Arc::clone(&part), self.workers));
        Arc::clone(parts.entry((Arc::clone(&aggregate), Arc::clone(&part))).or_insert_with(make))
    }

    /// The series of this upstream of the split of the route of this name, made if need be.
    pub fn share(&self, route: &str, upstream: &str) -> Arc<ShareSeries> {
        let mut shares = lock(&self.shares);
        let key = (Arc::from(route), Arc::from(upstream));
        let full = shares.len() >= NAMES_MAX && !shares.contains_key(&key);
        let (route, upstream) = if full { (OVERFLOW.into(), OVERFLOW.into()) } else { key };
        let make = || Arc::new(ShareSeries::new(Arc::clone(&route), Arc::clone(&upstream), self.workers));
        Arc::clone(shares.entry((Arc::clone(&route), Arc::clone(&upstream))).or_insert_with(make))
    }

    /// All upstreams of splits, by the names of their routes and their own.
    pub fn shares(&self) -> Vec<Arc<ShareSeries>> {
        lock(&self.shares).values().cloned().collect()
    }

    /// What became of spans.
    pub fn spans(&self) -> &SpanSeries {
        &self.spans
    }

    /// All parts by the names of their aggregates and their own.
    pub fn parts(&self) -> Vec<Arc<PartSeries>> {
        lock(&self.parts).values().cloned().collect()
    }

    /// The series of the batch of this name, made if need be.
    pub fn batch(&self, name: &str) -> Arc<BatchSeries> {
        find(&self.batches, name, |name| BatchSeries::new(name, self.workers))
    }

    /// All batches by name.
    pub fn batches(&self) -> Vec<Arc<BatchSeries>> {
        lock(&self.batches).values().cloned().collect()
    }

    /// All identity providers by name.
    pub fn auths(&self) -> Vec<Arc<AuthSeries>> {
        lock(&self.auth).values().cloned().collect()
    }

    /// What is counted of the caches of verified tokens.
    #[inline]
    pub fn token_cache(&self) -> &TokenCacheSeries {
        &self.token_cache
    }

    /// All routes by name.
    pub fn routes(&self) -> Vec<Arc<RouteSeries>> {
        lock(&self.routes).values().cloned().collect()
    }

    /// All upstreams by name.
    pub fn upstreams(&self) -> Vec<Arc<UpstreamSeries>> {
        lock(&self.upstreams).values().cloned().collect()
    }

    /// The series of the limit of requests at once of this name, made if need be.
    pub fn in_flight_limit(&self, name: &str) -> Arc<LimitSeries> {
        find(&self.in_flight_limits, name, |name| LimitSeries::new(name, self.workers))
    }

    /// All limits of requests at once by name.
    pub fn in_flight_limits(&self) -> Vec<Arc<LimitSeries>> {
        lock(&self.in_flight_limits).values().cloned().collect()
    }

    /// All rate limits by name.
    pub fn limits(&self) -> Vec<Arc<LimitSeries>> {
        lock(&self.limits).values().cloned().collect()
    }

    /// All stores by name.
    pub fn stores(&self) -> Vec<Arc<StoreSeries>> {
        lock(&self.stores).values().cloned().collect()
    }

    /// All listeners by name.
    pub fn listeners(&self) -> Vec<Arc<ListenerSeries>> {
        lock(&self.listeners).values().cloned().collect()
    }
}

type Named<T> = Mutex<BTreeMap<Arc<str>, Arc<T>>>;

fn find<T>(named: &Named<T>, name: &str, make: impl FnOnce(Arc<str>) -> T) -> Arc<T> {
    let mut named = lock(named);
    let name = if named.len() >= NAMES_MAX && !named.contains_key(name) { OVERFLOW } else { name };
    if let Some(series) = named.get(name) {
        return series.clone();
    }
    let name: Arc<str> = name.into();
    let series = Arc::new(make(name.clone()));
    named.insert(name, series.clone());
    series
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_series_survives_reloads_by_its_name() {
        let registry = Registry::new(1);
        registry.route("orders").record(0, 200, None, Duration::ZERO, None);
        let again = registry.route("orders");
        again.record(0, 200, None, Duration::ZERO, None);
        assert_eq!(again.totals().unwrap().duration.count(), 2);
        assert_eq!(registry.routes().len(), 1);
    }

    #[test]
    fn names_are_bounded() {
        let registry = Registry::new(1);
        for number in 0..NAMES_MAX + 10 {
            registry.listener(&number.to_string());
        }
        assert_eq!(registry.listeners().len(), NAMES_MAX + 1);
        assert_eq!(&**registry.listener("new").name(), OVERFLOW);
        assert_eq!(&**registry.listener("5").name(), "5");
    }
}
