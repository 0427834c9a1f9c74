//! What the benchmarks share: route tables and requests of any size, balancers, a network in memory with a whole
//! gateway on it, and the committed budgets.
//!
//! All of it is made from fixed seeds, so that two runs measure the same work.

pub mod codec;
pub mod headers;
pub mod limits;
pub mod memory;
pub mod messages;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use gateway::algorithms::balancer::Balancer;
use gateway::algorithms::hash_ring::HashRing;
use gateway::algorithms::peak_ewma::{Estimate, Sample, Seen};
use gateway::algorithms::rng::Draws;
use gateway::config::settings::Route;
use gateway::config::settings::clients::Clients;
use gateway::config::settings::header_edits::HeaderEdits;
use gateway::config::settings::query_edits::QueryEdits;
use gateway::config::settings::route::{HostPolicy, RouteMatch};
use gateway::config::settings::upstream::{Balance, ConsistentHash, HashKey};
use gateway::request_fields::RequestFields;
use gateway::routing::{Ask, Body, Found, PathRules, RouteTable};
use http::{HeaderValue, Method};

/// Requests in a set: a power of two.
pub const REQUESTS: usize = 1024;

/// The server's defaults.
pub const RULES: PathRules = PathRules { keep_escaped_slash: false, merge_slashes: true };

/// A route table and requests for all of its routes.
#[derive(Debug)]
pub struct Lookups {
    table: RouteTable,
    paths: Vec<String>,
    headers: RequestFields,
}

impl Lookups {
    /// A table of so many routes: a path with a parameter, a static one, and one with two and a rest, in turn.
    pub fn new(routes: usize) -> Self {
        let listed: Vec<Arc<Route>> = (0..routes).map(|number| route(&pattern(number))).collect();
        let mut draws = Draws::new(1);
        let paths = (0..REQUESTS).map(|_| path(draws.below(routes as u64) as usize, draws.below(1_000_000))).collect();
        let mut headers = RequestFields::new();
        for name in ["host", "user-agent", "accept", "accept-encoding", "authorization"] {
            headers.insert(name, HeaderValue::from_static("some value of a header"));
        }
        Self { table: RouteTable::build(&listed), paths, headers }
    }

    /// Finds the route of one request; whether there is one.
    #[inline]
    pub fn find(&self, number: usize) -> bool {
        let path = &self.paths[number % REQUESTS];
        let ask = Ask {
            listener: "",
            host: "api.example.com",
            method: &Method::GET,
            path,
            query: None,
            client: None,
            headers: &self.headers,
            body: Body::Absent,
        };
        matches!(self.table.find(&ask), Found::Route { .. })
    }
}

fn pattern(number: usize) -> String {
    let service = number / 3;
    match number % 3 {
        0 => format!("/api/service-{service}/items/{{id}}"),
        1 => format!("/api/service-{service}/status"),
        _ => format!("/api/service-{service}/users/{{user}}/files/{{*rest}}"),
    }
}

fn path(route: usize, id: u64) -> String {
    let service = route / 3;
    match route % 3 {
        0 => format!("/api/service-{service}/items/{id}"),
        1 => format!("/api/service-{service}/status"),
        _ => format!("/api/service-{service}/users/{id}/files/a/b.txt"),
    }
}

fn route(path: &str) -> Arc<Route> {
    Arc::new(Route {
        name: path.into(),
        matches: RouteMatch {
            listeners: vec![],
            hosts: vec![],
            path: path.into(),
            path_regex: None,
            methods: vec![Method::GET],
            headers: vec![],
            query: vec![],
            clients: Clients::default(),
            body: vec![],
            body_limit: 0,
            priority: 0,
        },
        upstream: "orders".into(),
        own_answer: None,
        origin: None,
        forward_auth: None,
        rewrite: None,
        hides_path: false,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        request_query: QueryEdits::default(),
        timeout: None,
        idle_timeout: None,
        host: HostPolicy::Client,
        websocket: false,
        rate_limits: Vec::new(),
        max_in_flight: None,
        auth: None,
        max_body: None,
        buffer_request: None,
        hedge: None,
        fallback: None,
        problems: None,
        intercept: None,
        cors: None,
        grpc_web: false,
        coalesce: false,
        early_hints: gateway::config::settings::route::EarlyHints::Off,
        aggregate: None,
        split: None,
        mirror: None,
        batch: None,
        openapi: None,
        stages: Box::default(),
        compress: None,
        cache: None,
        breaker: None,
        criticality: Default::default(),
        retry: Default::default(),
    })
}

/// Each policy by its name in the configuration.
pub fn policies() -> [(&'static str, Balance); 5] {
    let hash = ConsistentHash { key: HashKey::ClientIp, bound: 1.25, bound_min: 8 };
    [
        ("round_robin", Balance::RoundRobin),
        ("least_request", Balance::LeastRequest),
        ("random", Balance::Random),
        ("consistent_hash", Balance::ConsistentHash(hash)),
        ("peak_ewma", Balance::PeakEwma),
    ]
}

/// What is known of an endpoint that was last heard of a second ago.
pub fn seen(endpoint: usize) -> Seen {
    let mut estimate = Estimate::default();
    estimate.hear(Sample::Answered(Duration::from_millis(2 + endpoint as u64 % 3)), 1);
    estimate.at(1_000_000_001)
}

/// A balancer over so many endpoints, of weights 1 to 4.
pub fn balancer(policy: &Balance, endpoints: usize) -> Balancer {
    let names = names(endpoints);
    let listed: Vec<(&str, u32)> = (1..).zip(&names).map(|(number, name)| (name.as_str(), number % 4 + 1)).collect();
    Balancer::new(policy, &listed)
}

/// A ring of so many endpoints of equal weight.
pub fn ring(endpoints: usize) -> HashRing {
    let names = names(endpoints);
    HashRing::new(names.iter().map(|name| (name.as_str(), 1)))
}

fn names(endpoints: usize) -> Vec<String> {
    (0..endpoints).map(|number| format!("10.0.{}.{}:8080", number / 256, number % 256)).collect()
}

/// The most instructions, or allocations, that a benchmark may take, from `budgets.toml`; 0, which nothing meets, where
/// it has none.
pub fn budget(name: &str) -> u64 {
    let lines = include_str!("../budgets.toml").lines();
    let entries = lines.filter_map(|line| line.split('#').next()?.split_once('='));
    let value =
        entries.filter(|(key, _)| key.trim() == name).find_map(|(_, value)| value.trim().replace('_', "").parse().ok());
    value.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_finds_a_route() {
        for routes in [1, 100, 10_000] {
            let lookups = Lookups::new(routes);
            assert!((0..REQUESTS).all(|number| lookups.find(number)), "{routes} routes");
        }
    }

    #[test]
    fn a_limits_check_may_cost_a_fifth_more_than_governors() {
        assert!(budget("limit_check_ours") * 10 <= budget("limit_governor_keyed") * 12);
    }

    #[test]
    fn budgets_are_read() {
        assert!(budget("matching_routes_10000") > 0);
        assert_eq!(budget("no such benchmark"), 0);
    }
}
