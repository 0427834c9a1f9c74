//! All that one configuration compiled to. Immutable: a reload builds a new one and swaps it.
//!
//! What must outlive a configuration (counts, connections, metrics) is not here; the snapshot holds handles to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::algorithms::criticality::Criticality;
use crate::caching::RouteCache;
use crate::compose::{Aggregate, Batch};
use crate::config::settings::own_answer::OwnAnswer;
use crate::config::settings::route::Fallback;
use crate::config::settings::server::EscapedSlash;
use crate::config::settings::telemetry::Slow;
use crate::config::settings::{self, Config};
use crate::context::{HeaderRules, Peer, TracePolicy, TrustedProxies};
use crate::exchange::Exchange;
use crate::forward::Authority;
use crate::forward::mirror::Mirroring;
use crate::header_edits::RouteEdits;
use crate::identity::{Office, RouteAuth};
use crate::network::Network;
use crate::origin::Origin;
use crate::plugins::{AnyStage, Handler, Plugins};
use crate::rate_limit::{InFlightRule, RouteLimits, RoutePlaces, Rule};
use crate::routing::of_url::params_of;
use crate::routing::{CompiledRewrite, PathRules, RouteTable, normalise};
use crate::shard::Shared;
use crate::telemetry::metrics::{Registry as Metrics, RouteSeries};
use crate::upstream::Upstream;
use crate::upstream::hedging::Hedging;
use crate::upstream::split::Split;

/// Everything a route needs, ready to be used.
pub struct CompiledRoute<N: Network> {
    /// As configured.
    pub settings: Arc<settings::Route>,
    /// Where its requests go; `None` where the gateway answers itself, or where there are several.
    pub upstream: Option<Arc<Upstream<N>>>,
    /// Several upstreams by weight.
    pub split: Option<Box<Split>>,
    /// What is copied of its requests.
    pub mirror: Option<Box<Mirroring>>,
    /// What it asks of where a request comes from.
    pub origin: Option<Box<Origin>>,
    /// Its limits, where it has some.
    pub limits: Option<Box<RouteLimits>>,
    /// What the upstream is sent instead of the path.
    pub rewrite: Option<CompiledRewrite>,
    /// What becomes of its requests' and its answers' headers.
    pub edits: RouteEdits,
    /// Who may use it; `None` = everybody.
    pub auth: Option<Arc<RouteAuth>>,
    /// Who is asked whether a request may pass.
    pub authority: Option<Arc<Authority<N>>>,
    /// The program's own stages that see its requests.
    pub(crate) stages: Option<Arc<[Arc<dyn AnyStage>]>>,
    /// Which of the steps that few routes have are its.
    pub steps: Steps,
    /// What answers in place of an upstream.
    pub handler: Option<Handler>,
    /// Its metrics.
    pub series: Arc<RouteSeries>,
    /// A request body's limit, bytes; `None` = no limit.
    pub max_body: Option<u64>,
    /// How its requests are hedged.
    pub hedging: Option<Box<Hedging>>,
    /// The upstream that stands in for a failing one.
    pub stand_in: Option<Arc<Upstream<N>>>,
    /// What its answer is put together of.
    pub aggregate: Option<Arc<Aggregate>>,
    /// How its requests become one call.
    pub batch: Option<Arc<Batch>>,
    /// Which of its answers are kept.
    pub cache: Option<Arc<RouteCache>>,
}

/// The steps of a request's way that hang on its route: a request looks once which there are, and not for each of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steps {
    /// It matters where clients ask from.
    pub origin: bool,
    /// There are limits.
    pub limits: bool,
    /// It matters who asks.
    pub identity: bool,
    /// Something comes between limits and upstream: others have a word about its requests (who is asked, or stages), or
    /// its tokens hold once.
    pub has_last_words: bool,
    /// Its requests may share calls, or answers: it coalesces, is a batch, or keeps answers.
    pub sharing: bool,
    /// The whole body is waited for.
    pub whole_body: bool,
    /// Some requests are copied.
    pub mirror: bool,
    /// Answers are compressed.
    pub compression: bool,
}

impl<N: Network> Exchange<N> {
    /// The steps that its route has.
    #[inline]
    pub fn steps(&self) -> Steps {
        self.route().map(|route| route.steps).unwrap_or_default()
    }
}

impl Steps {
    fn of(route: &settings::Route, has_limits: bool, is_copied: bool) -> Self {
        Self {
            origin: route.origin.is_some(),
            limits: has_limits,
            identity: route.auth.is_some(),
            has_last_words: has_last_words(route),
            sharing: route.coalesce || route.batch.is_some() || route.cache.is_some(),
            whole_body: route.buffer_request.is_some(),
            mirror: is_copied,
            compression: route.compress.is_some(),
        }
    }
}

/// One configuration, compiled.
pub struct Snapshot<N: Network> {
    /// Counts from 1; grows by one with each configuration that came into force.
    pub version: u64,
    /// As configured; for admin.
    pub config: Arc<Config>,
    /// Makes passports, where that is configured.
    pub passport: Option<Arc<Office>>,
    /// Every rule, in the order of the file.
    pub limits: Box<[Arc<Rule>]>,
    /// Every limit of requests at once: those of `[rate_limits]` in the order of the file, then those of routes.
    pub in_flight: Box<[Arc<InFlightRule>]>,
    /// Finds routes.
    pub table: RouteTable,
    /// Routes, by the index that the table gives; behind them those that parts of aggregates, then those that
    /// upstreams of splits are called by, then those for copies.
    pub routes: Box<[CompiledRoute<N>]>,
    /// What listeners are called, in the order of those that the process was started with.
    listeners: Box<[Arc<str>]>,
    /// Whose forwarding headers are believed.
    pub trusted: TrustedProxies,
    /// Which client headers go; shared with bodies, whose trailers it screens.
    pub header_rules: Arc<HeaderRules>,
    /// Whose traces are continued, and which are sampled.
    pub trace_policy: TracePolicy,
    /// How paths are brought to one form.
    pub path_rules: PathRules,
    /// The most critical of the routes: for those above it nothing is kept free.
    pub highest: Criticality,
    /// Something of `[server]` is said beside what upstreams say: `hsts`, `via`.
    pub adds_to_answers: bool,
    /// Some problems are answered with bodies of the configuration's own.
    pub has_own_problems: bool,
    /// Answers of some route are kept.
    pub keeps_answers: bool,
    /// Records tell some headers, or parameters of queries.
    pub records_heads: bool,
    /// Metrics of requests that no route matched.
    pub unrouted: Arc<RouteSeries>,
}

/// The route label of requests that no route matched.
pub const UNROUTED: &str = "";

/// What is counted of a route, and from what time on a request of it is slow.
fn series<N: Network>(name: &str, slow: Slow, shared: &Shared<N>) -> Arc<RouteSeries> {
    let series = shared.metrics.route(name);
    match slow {
        Slow::Never => series.set_slow_above(None),
        Slow::From(from) => series.set_slow_above(from.checked_sub(Duration::from_nanos(1))),
        // Found out in time, and kept over reloads.
        Slow::Percentile(_) => {}
    }
    series
}

/// Whether somebody is asked about a request of this route once it is known who sends it.
fn has_last_words(route: &settings::Route) -> bool {
    let is_single_use = route.auth.as_ref().is_some_and(|auth| auth.single_use);
    route.forward_auth.is_some() || !route.stages.is_empty() || is_single_use
}

impl<N: Network> Snapshot<N> {
    /// Compiles a checked configuration, and puts its upstreams' settings in force.
    pub fn build(config: Arc<Config>, version: u64, shared: &Shared<N>) -> Self {
        let upstreams: HashMap<&str, Arc<Upstream<N>>> =
            config.upstreams.iter().map(|settings| (&*settings.name, shared.upstreams.apply(settings))).collect();
        shared.tls.apply(&config.listeners, config.server.h2.is_spoken(), shared.events.voice());
        shared.upstreams.retain(|name| upstreams.contains_key(name));
        let (limits, in_flight) = (limits(&config, shared), in_flight(&config, shared));
        let providers = shared.identity.apply(&config.providers, &config.identity);
        let passport = shared.identity.apply_passport(config.passport.as_ref(), &config.identity);
        let auth = |settings: &settings::identity::Auth| {
            let (provider, store) = (|name: &str| providers.get(name).cloned(), |name: &str| shared.stores.find(name));
            Arc::new(RouteAuth::new(settings, provider, store))
        };
        let (path_rules, table, tags) = (path_rules(&config), RouteTable::build(&config.routes), tags(&config, shared));
        let mut places = Places::of(&config);
        let series = |name: &str| series(name, config.telemetry.recorder.slow, shared);
        let compile = |(index, route): (usize, &Arc<settings::Route>)| {
            let upstream = upstreams.get(&*route.upstream).map(Arc::clone);
            let hedging = |hedge| Some(Box::new(Hedging::new(hedge, upstream.as_ref()?.sightings.of(&route.name))));
            let (split, mirror) = (places.split(route, &shared.metrics), places.mirror(route, index));
            let limits = RouteLimits::new(named(&limits, &route.rate_limits), places_of(&in_flight, route));
            Some(CompiledRoute {
                steps: Steps::of(route, limits.is_some(), mirror.is_some()),
                hedging: route.hedge.as_ref().and_then(hedging),
                upstream,
                split,
                mirror,
                origin: route.origin.as_deref().map(|origin| Box::new(Origin::new(origin))),
                limits,
                rewrite: rewrite(route, (&table, index), path_rules),
                edits: RouteEdits::new(route),
                auth: route.auth.as_ref().map(auth),
                authority: match &route.forward_auth {
                    Some(asked) => Some(Arc::new(Authority::new(asked, Arc::clone(upstreams.get(&*asked.upstream)?)))),
                    None => None,
                },
                series: series(&route.name),
                max_body: route.max_body.unwrap_or(config.server.max_body),
                stand_in: match &route.fallback {
                    Some(Fallback::Upstream(name)) => Some(Arc::clone(upstreams.get(&**name)?)),
                    _ => None,
                },
                aggregate: aggregate(route, &table, index, &mut places.part, &shared.metrics)?,
                batch: batch(route, &table, index, &shared.metrics)?,
                stages: shared.plugins.stages(&route.stages),
                handler: handler(route, &shared.plugins),
                cache: cache(route, &tags),
                settings: Arc::clone(route),
            })
        };
        let routes = complete(all(&config).filter_map(compile).collect(), &config);
        Self {
            version,
            passport,
            limits,
            in_flight,
            table,
            routes,
            listeners: listener_names(&config, shared),
            trusted: TrustedProxies::new(&config.server.trusted_proxies),
            header_rules: Arc::new(HeaderRules::new(&config.identity, config.server.underscores_in_headers)),
            trace_policy: TracePolicy::new(&config.telemetry.tracing),
            path_rules,
            highest: config.routes.iter().map(|route| route.criticality).max().unwrap_or_default(),
            adds_to_answers: config.server.hsts.is_some() || config.server.via.is_some(),
            keeps_answers: !tags.is_empty(),
            has_own_problems: config.server.problems.is_some()
                || config.routes.iter().any(|route| route.problems.is_some()),
            records_heads: !config.telemetry.recorded.is_empty(),
            unrouted: series(UNROUTED),
            config,
        }
    }

    /// What the listener of this number is called; empty where it has no name.
    pub fn listener_name(&self, number: Option<u16>) -> &str {
        number.and_then(|number| self.listeners.get(usize::from(number))).map_or("", |name| name)
    }

    /// The number of the listener that is called so.
    pub(crate) fn listener_number(&self, name: &str) -> Option<u16> {
        let number = self.listeners.iter().position(|listener| !name.is_empty() && **listener == *name)?;
        u16::try_from(number).ok()
    }

    /// The forms in which a route may know a path: its one form, and what is sent on of it where the route rewrites.
    pub fn forms_of(&self, route: &str, path: &str) -> Vec<String> {
        let Ok(normal) = normalise(path, self.path_rules) else { return Vec::new() };
        let compiled = self.routes.iter().find(|it| &*it.settings.name == route);
        let sent = compiled.and_then(|it| {
            let params = params_of(&it.settings, &normal)?;
            Some(it.rewrite.as_ref()?.apply(&normal, &params, None).ok()?.path().to_owned())
        });
        sent.into_iter().chain([normal.into_owned()]).collect()
    }

    /// Whether this peer's word on forwarding is believed.
    #[inline]
    pub fn trusts(&self, peer: &Peer) -> bool {
        !self.trusted.is_empty() && self.trusted.contains(peer.ip) && !peer.is_behind
    }
}

/// The routes, of which none is missing: they are found by their number, and others would serve in its place.
fn complete<N: Network>(routes: Box<[CompiledRoute<N>]>, config: &Config) -> Box<[CompiledRoute<N>]> {
    assert_eq!(routes.len(), all(config).count(), "every route of a checked configuration compiles");
    routes
}

/// What the listeners are called by whose numbers requests know them. Those of a gateway that is mounted are names
/// alone, and others with each configuration; those of one that listens are the sockets that it began with.
fn listener_names<N: Network>(config: &Config, shared: &Shared<N>) -> Box<[Arc<str>]> {
    if !shared.plugins.is_mounted() {
        return shared.tls.names(&config.listeners);
    }
    config.listeners.iter().map(|listener| listener.name.clone().unwrap_or_else(|| Arc::from(""))).collect()
}

/// How paths are brought to one form.
fn path_rules(config: &Config) -> PathRules {
    PathRules {
        keep_escaped_slash: config.server.escaped_slash == EscapedSlash::Keep,
        merge_slashes: config.server.merge_slashes,
    }
}

/// Whose answers are kept: those of other routes go.
fn tags<N: Network>(config: &Config, shared: &Shared<N>) -> HashMap<Arc<str>, u64> {
    let tags = shared.cache_tags.apply(config);
    shared.cache.apply(config.server.cache_memory, &tags.values().copied().collect::<Vec<_>>());
    tags
}

/// Which answers of a route are kept; an upstream's of a split are the split route's.
fn cache(route: &settings::Route, tags: &HashMap<Arc<str>, u64>) -> Option<Arc<RouteCache>> {
    let tag = *tags.get(&route.name)?;
    route.cache.as_deref().map(|settings| Arc::new(RouteCache::new(settings, &route.request_headers, tag)))
}

/// The handler of a route that has one.
fn handler(route: &settings::Route, plugins: &Plugins) -> Option<Handler> {
    match route.own_answer.as_deref()? {
        OwnAnswer::Handler(name) => plugins.handler(name),
        OwnAnswer::Redirect(_) | OwnAnswer::Fixed(_) => None,
    }
}

/// Compiles the aggregate of a route, where it is one, whose parts have the routes from `first_part` on; what follows
/// begins behind them. `None` where it cannot be.
fn aggregate(
    route: &settings::Route,
    table: &RouteTable,
    index: usize,
    first_part: &mut usize,
    metrics: &Metrics,
) -> Option<Option<Arc<Aggregate>>> {
    let Some(settings) = &route.aggregate else { return Some(None) };
    let place = |name: &str| table.pattern(index).place_of(name);
    let compiled = Aggregate::new(&route.name, settings, *first_part, place, metrics);
    *first_part += settings.parts.len();
    compiled.map(|compiled| Some(Arc::new(compiled)))
}

/// Every route in its place, with that of the one whose path it is sent by.
fn all(config: &Config) -> impl Iterator<Item = (usize, &Arc<settings::Route>)> {
    // What a part sends is not rewritten: it is of no route's path.
    let parts = config.parts().map(|part| (usize::MAX, part));
    config.routes.iter().enumerate().chain(parts).chain(config.shares()).chain(config.copies())
}

/// Where routes stand that no request matches.
struct Places {
    /// The next part of an aggregate.
    part: usize,
    /// The next upstream of a split.
    share: usize,
    /// The first of those that copies are sent by.
    copies: usize,
    /// The routes whose requests are copied, in their order.
    mirrored: Vec<usize>,
}

impl Places {
    fn of(config: &Config) -> Self {
        let part = config.routes.len();
        let share = part + config.parts().count();
        let copies = share + config.shares().count();
        Self { part, share, copies, mirrored: config.copies().map(|(of, _)| of).collect() }
    }

    /// Compiles the split of a route.
    fn split(&mut self, route: &settings::Route, metrics: &Metrics) -> Option<Box<Split>> {
        let settings = route.split.as_ref()?;
        let compiled = Split::new(&route.name, settings, self.share, metrics);
        self.share += settings.shares.len();
        Some(Box::new(compiled))
    }

    /// Compiles what is copied of the requests of the route at this place, or of an upstream that shares them.
    fn mirror(&self, route: &settings::Route, at: usize) -> Option<Box<Mirroring>> {
        let number = self.mirrored.binary_search(&at).ok()?;
        Some(Box::new(Mirroring::new(route.mirror.as_ref()?, self.copies + number)))
    }
}

/// Compiles what the upstream of a route is sent instead of the path, which is that of the route at this place.
fn rewrite(route: &settings::Route, (table, at): (&RouteTable, usize), rules: PathRules) -> Option<CompiledRewrite> {
    // A rule of the route has tried it (`config::validate::route`): one that cannot be compiled never gets here.
    CompiledRewrite::new(route.rewrite.as_ref()?, table.pattern(at), rules).ok()
}

/// Compiles the batch of a route, where it is one; `None` where it cannot be.
fn batch(route: &settings::Route, table: &RouteTable, index: usize, metrics: &Metrics) -> Option<Option<Arc<Batch>>> {
    let Some(settings) = &route.batch else { return Some(None) };
    let pattern = table.pattern(index);
    let named = |name| (name, pattern.place_of(name).is_some_and(|(_, is_rest)| is_rest));
    let parameters: Vec<(&str, bool)> = pattern.names().map(named).collect();
    Batch::new(&route.name, settings, &parameters, metrics).map(|batch| Some(Arc::new(batch)))
}

/// Compiles every rule, and forgets the state of those that are gone.
fn limits<N: Network>(config: &Config, shared: &Shared<N>) -> Box<[Arc<Rule>]> {
    let now = shared.clock.monotonic_ns(shared.clock.now());
    shared.stores.apply(&config.stores);
    let compile = |rule| Arc::new(shared.limits.compile(rule, &shared.stores, now));
    let rules = config.rate_limits.iter().map(compile).collect();
    shared.limits.retain(|name| config.rate_limits.iter().any(|rule| &*rule.name == name));
    rules
}

fn named(rules: &[Arc<Rule>], names: &[Arc<str>]) -> Vec<Arc<Rule>> {
    names.iter().filter_map(|name| rules.iter().find(|rule| rule.settings.name == *name).cloned()).collect()
}

/// Compiles every limit of requests at once, and forgets those that are gone and hold nothing.
fn in_flight<N: Network>(config: &Config, shared: &Shared<N>) -> Box<[Arc<InFlightRule>]> {
    let registry = &shared.limits.in_flight;
    let named = config.in_flight_limits.iter().map(|settings| registry.compile(settings));
    let own = |route: &Arc<settings::Route>| {
        Some(registry.compile_route(&route.name, route.max_in_flight?, route.auth.is_some()))
    };
    let own = config.routes.iter().filter_map(own);
    let rules = named.chain(own).collect();
    registry.forget_unused();
    rules
}

/// The limits of requests at once of one route, its own first.
fn places_of(rules: &[Arc<InFlightRule>], route: &settings::Route) -> Option<RoutePlaces> {
    let own = rules
        .iter()
        .filter(|rule| rule.is_of_route() && route.max_in_flight.is_some() && rule.settings.name == route.name);
    let named = route
        .rate_limits
        .iter()
        .filter_map(|name| rules.iter().find(|rule| !rule.is_of_route() && rule.settings.name == *name));
    RoutePlaces::new(own.chain(named).cloned().collect())
}
