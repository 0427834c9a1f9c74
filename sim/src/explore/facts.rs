//! What the checks have to know of a scenario: who asks whom, and what was configured.

use std::path::Path;
use std::time::Duration;

use gateway::config::settings::route::Fallback;
use gateway::config::settings::upstream::{Balance, Endpoints};
use gateway::config::settings::{Route, Upstream};

use super::policies;
use crate::history::Endpoint;
use crate::oracle::policy::Policies;
use crate::scenario::Scenario;
use crate::scenario::model::LoadPart;
use crate::virtual_time;

/// A service and how it is reached.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    /// The mocks' name for it.
    pub name: String,
    pub policy: Policy,
    /// One for each endpoint; 0 of a backup, whose share is nothing while all is well.
    pub weights: Vec<u64>,
    /// The route's, until the answer's head.
    pub timeout_ns: Option<u64>,
    /// The route has a fixed answer for what its upstream cannot.
    pub has_fixed_answer: bool,
    /// It gets requests beside those that its route's balancer shares out: hedges, and what it answers for others.
    pub gets_more: bool,
    /// It answers for others where they cannot.
    pub stands_in: bool,
    /// So long after its last fault nothing of it may be left.
    pub recovers_ns: u64,
    /// Probes that close a breaker.
    pub probes: u64,
}

/// How endpoints are picked, as far as shares go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Exact,
    Chance,
    Busy,
    Keyed,
}

/// A load and whom it asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub name: String,
    /// Places in the list of services.
    pub services: Vec<usize>,
    /// Its clients stay until everything has its answer.
    pub patient: bool,
    /// None of its requests may be sent twice.
    pub unsafe_only: bool,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    pub services: Vec<Service>,
    pub loads: Vec<Load>,
    /// What the oracles have to know.
    pub policies: Policies,
    /// The gateway takes its clients' ids and changes nothing of their requests but a prefix, so that requests can be
    /// held against what was sent.
    pub may_examine: bool,
}

/// Connections that a fault broke are found out, and steps of the network taken.
const AFTERMATH: Duration = Duration::from_millis(500);
/// Time for an answer's body, beside the route's timeout for its head. Clients who stay that long have patience.
const BODY_NS: u64 = 10_000_000_000;

impl Facts {
    /// Reads them off a scenario.
    pub(super) fn of(scenario: &Scenario) -> Self {
        let Ok(checked) = scenario.gateway.template.check(Path::new("scenario.gateway.toml"), scenario.endpoints())
        else {
            return Self::default();
        };
        let policies = policies::of(&checked);
        let config = checked.config;
        let mut services = Vec::new();
        let mut prefixes = Vec::new();
        for route in &config.routes {
            let Some(upstream) = config.upstreams.iter().find(|upstream| upstream.name == route.upstream) else {
                continue;
            };
            let Endpoints::Static(endpoints) = &upstream.endpoints else { continue };
            let name = endpoints.first().and_then(|first| Endpoint::parse(checked.names.get(&*first.address)?));
            let Some(name) = name.map(|endpoint| endpoint.upstream.to_string()) else { continue };
            prefixes.push(route.matches.path.split('{').next().unwrap_or_default().to_owned());
            let stands_in = config.routes.iter().any(|other| stands_in(other, &upstream.name));
            services.push(Service {
                name,
                policy: match upstream.balance {
                    Balance::RoundRobin => Policy::Exact,
                    Balance::Random => Policy::Chance,
                    // What it has learned of an endpoint in a drawn world's few seconds may keep it away.
                    Balance::ConsistentHash(_) | Balance::PeakEwma => Policy::Keyed,
                    _ => Policy::Busy,
                },
                weights: endpoints.iter().map(|one| if one.backup { 0 } else { u64::from(one.weight) }).collect(),
                timeout_ns: route.timeout.map(nanos),
                has_fixed_answer: matches!(route.fallback, Some(Fallback::Answer(_))),
                gets_more: route.hedge.is_some() || stands_in,
                stands_in,
                recovers_ns: nanos(recovers_within(route, upstream)),
                probes: u64::from(upstream.breaker.policy.probes),
            });
        }
        let loads = scenario.loads.iter().map(|part| Load::of(part, &services, &prefixes)).collect();
        Self { services, loads, policies, may_examine: virtual_time::Options::may_examine(&config) }
    }

    /// The services that a load asks.
    pub(super) fn asked_by<'a>(&'a self, load: &'a Load) -> impl Iterator<Item = &'a Service> + 'a {
        load.services.iter().filter_map(|index| self.services.get(*index))
    }

    /// The loads that ask a service.
    pub(super) fn who_asks<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Load> + 'a {
        self.loads.iter().filter(|load| self.asked_by(load).any(|asked| asked.name == service.name))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How long after its last fault an upstream may still suffer from it: what began in the fault takes its time, which
/// may open a breaker for as long as it may be open.
fn recovers_within(route: &Route, upstream: &Upstream) -> Duration {
    let policy = &upstream.breaker.policy;
    let last_failure = route.timeout.unwrap_or(Duration::MAX).max(policy.probe_timeout);
    let opened = policy.max_open_for.max(policy.open_for);
    last_failure.saturating_add(opened).saturating_add(checks_take(upstream)).saturating_add(AFTERMATH)
}

/// How long checks take to find an endpoint well again: one that is under way when the fault ends may still fail, and
/// one that opens its breaker again costs another probe.
fn checks_take(upstream: &Upstream) -> Duration {
    let Some(health) = &upstream.health else { return Duration::ZERO };
    let each = health.interval.saturating_mul(11) / 10 + health.timeout;
    each.saturating_mul(health.thresholds.healthy_after + 1)
}

/// Whether a route turns to this upstream where its own cannot answer.
fn stands_in(route: &Route, upstream: &str) -> bool {
    matches!(&route.fallback, Some(Fallback::Upstream(name)) if **name == *upstream)
}

impl Load {
    fn of(part: &LoadPart, services: &[Service], prefixes: &[String]) -> Self {
        let asks = |index: &usize| part.requests.iter().any(|request| request.path.starts_with(&prefixes[*index]));
        let asked: Vec<usize> = (0..services.len()).filter(asks).collect();
        let longest = asked.iter().map(|index| services[*index].timeout_ns.unwrap_or(u64::MAX)).max().unwrap_or(0);
        Self {
            name: part.name.clone(),
            services: asked,
            patient: part.timeout.as_nanos() >= u128::from(longest) + u128::from(BODY_NS),
            unsafe_only: part.requests.iter().all(|request| matches!(&*request.method, "POST" | "PATCH")),
        }
    }
}
