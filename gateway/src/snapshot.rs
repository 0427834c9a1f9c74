//! All that one configuration compiled to. Immutable: a reload builds a new one and swaps it.
//!
//! What must outlive a configuration (counts, connections, metrics) is not here; the snapshot holds handles to it.

use std::sync::Arc;

use crate::config::settings::{self, Config};
use crate::context::forwarded::TrustedProxies;
use crate::context::screening::HeaderRules;
use crate::network::Network;
use crate::routing::path::PathRules;
use crate::routing::table::RouteTable;
use crate::shard::Shared;
use crate::telemetry::metrics::RouteSeries;
use crate::upstream::Upstream;

/// Everything a route needs, ready to be used.
pub struct CompiledRoute<N: Network> {
    /// As configured.
    pub settings: Arc<settings::Route>,
    /// Where its requests go.
    pub upstream: Arc<Upstream<N>>,
    /// Its metrics.
    pub series: Arc<RouteSeries>,
    /// A request body's limit, bytes; `None` = no limit.
    pub max_body: Option<u64>,
}

/// One configuration, compiled.
pub struct Snapshot<N: Network> {
    /// Counts from 1; grows by one with each configuration that came into force.
    pub version: u64,
    /// As configured; for admin.
    pub config: Arc<Config>,
    /// Finds routes.
    pub table: RouteTable,
    /// Routes, by the index that the table gives.
    pub routes: Box<[CompiledRoute<N>]>,
    /// Whose forwarding headers are believed.
    pub trusted: TrustedProxies,
    /// Which client headers go.
    pub header_rules: HeaderRules,
    /// How paths are brought to one form.
    pub path_rules: PathRules,
    /// Metrics of requests that no route matched.
    pub unrouted: Arc<RouteSeries>,
}

/// The route label of requests that no route matched.
pub const UNROUTED: &str = "";

impl<N: Network> Snapshot<N> {
    /// Compiles a checked configuration, and puts its upstreams' settings in force.
    pub fn build(config: Arc<Config>, version: u64, shared: &Shared<N>) -> Self {
        let upstreams: std::collections::HashMap<&str, Arc<Upstream<N>>> =
            config.upstreams.iter().map(|settings| (&*settings.name, shared.upstreams.apply(settings))).collect();
        shared.upstreams.retain(|name| upstreams.contains_key(name));
        let routes = config
            .routes
            .iter()
            .filter_map(|route| {
                Some(CompiledRoute {
                    upstream: Arc::clone(upstreams.get(&*route.upstream)?),
                    series: shared.metrics.route(&route.name),
                    max_body: route.max_body.unwrap_or(config.server.max_body),
                    settings: Arc::clone(route),
                })
            })
            .collect();
        Self {
            version,
            table: RouteTable::build(&config.routes),
            routes,
            trusted: TrustedProxies::new(&config.server.trusted_proxies),
            header_rules: HeaderRules::new(&config.identity, config.server.underscores_in_headers),
            path_rules: PathRules {
                escaped_slash: config.server.escaped_slash,
                merge_slashes: config.server.merge_slashes,
            },
            unrouted: shared.metrics.route(UNROUTED),
            config,
        }
    }
}
