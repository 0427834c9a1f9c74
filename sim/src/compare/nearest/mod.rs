//! The nearest equal of a scenario's gateway configuration, for each gateway that it can be written for, and in words
//! what that gateway cannot be told.
//!
//! A statement in `lacks` is about what the scenario asks for and nothing else: a gateway without active health checks
//! lacks nothing where none are configured. Pure: text out of settings.

mod envoy;
mod haproxy;
mod nginx;
mod path;

use gateway::config::settings::route::HostPolicy;
use gateway::config::settings::upstream::{Balance, Failures};
use gateway::config::settings::{Route, Upstream};

use super::wanted::{Wanted, endpoints};

/// A configuration and what it cannot say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nearest {
    pub(super) text: String,
    pub(super) lacks: Vec<String>,
}

/// Who makes a configuration, and what its file is called.
pub(super) type Maker = (&'static str, fn(&Wanted<'_>) -> Nearest);

/// The maker of a gateway's configuration; `None` for one that none can be written for.
pub(super) fn maker(name: &str) -> Option<Maker> {
    match name {
        "nginx" => Some(("nginx.conf", nginx::make)),
        "haproxy" => Some(("haproxy.cfg", haproxy::make)),
        "envoy" => Some(("envoy.json", envoy::make)),
        _ => None,
    }
}

/// Of requests at once, of a route or of a key.
const AT_ONCE: &str = "requests at once are not limited here";

/// What is lacking, each thing said once.
#[derive(Debug, Default)]
struct Lacks(Vec<String>);

impl Lacks {
    fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    fn when(&mut self, holds: bool, text: &str) {
        if holds {
            self.say(text);
        }
    }

    /// What no configuration here carries over, though these gateways could do it.
    fn not_carried_over(&mut self, wanted: &Wanted<'_>) {
        for route in &wanted.config.routes {
            let matches = &route.matches;
            let by_more = !(matches.hosts.is_empty() && matches.headers.is_empty() && matches.query.is_empty());
            self.when(by_more, "routes are told apart by their path alone here, not by host, header or query");
            self.when(matches.path_regex.is_some(), "no route's path has to match an expression");
            self.when(route.max_in_flight.is_some(), AT_ONCE);
            self.when(route.breaker.is_some(), "no breaker of a route's own");
            self.when(route.hedge.is_some(), "no second attempt beside a slow first one");
            self.when(route.fallback.is_some(), "no fallback is configured here");
        }
        self.when(!wanted.config.in_flight_limits.is_empty(), AT_ONCE);
        for upstream in &wanted.config.upstreams {
            self.when(endpoints(upstream).is_empty(), "endpoints are written down here, not discovered");
            let by_time = upstream.balance == Balance::PeakEwma;
            self.when(by_time, "balances by requests in flight, and not by how long answers take");
        }
    }
}

/// Routes, the more specific path first, each with its upstream.
fn routes<'a>(wanted: &Wanted<'a>) -> Vec<(&'a Route, &'a Upstream)> {
    let config = wanted.config;
    let upstream = |route: &Route| config.upstreams.iter().find(|upstream| upstream.name == route.upstream);
    let mut routes: Vec<(&Route, &Upstream)> =
        config.routes.iter().filter_map(|route| Some((&**route, &**upstream(route)?))).collect();
    let literal = |route: &Route| route.matches.path.split('{').next().map_or(0, str::len);
    routes.sort_by_key(|(route, _)| {
        let is_exact = !route.matches.path.contains('{');
        (std::cmp::Reverse(route.matches.priority), std::cmp::Reverse(is_exact), std::cmp::Reverse(literal(route)))
    });
    routes
}

/// Retries after the first attempt.
fn retries(route: &Route) -> u32 {
    route.retry.attempts.saturating_sub(1)
}

/// Whether statuses are all gateway errors.
fn only_gateway_errors(failures: &Failures) -> bool {
    failures.statuses.iter().all(|status| (502..=504).contains(status))
}

/// The `host` that a route sends, when it is neither the client's nor the endpoint's.
fn fixed_host(route: &Route) -> Option<&str> {
    match &route.host {
        HostPolicy::Fixed(host) => host.to_str().ok(),
        _ => None,
    }
}

/// Methods joined as in a regular expression.
fn methods(methods: &[impl AsRef<str>]) -> String {
    let mut names: Vec<&str> = methods.iter().map(AsRef::as_ref).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.join("|")
}

#[cfg(test)]
pub(in crate::compare) mod tests;
