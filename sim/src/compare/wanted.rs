//! What a scenario's gateway configuration asks for, in the form that configurations of other gateways are made from.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gateway::config::Config;
use gateway::config::settings::upstream::{Endpoint, Endpoints};
use gateway::config::settings::{Route, Upstream};
use toml::{Table, Value};

use crate::oracle::policy::LimitPolicy;

/// Everything that a configuration is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// What our gateway makes of its own, with the endpoints' real addresses.
    pub(super) config: &'a Config,
    pub(super) limits: &'a [Limit],
    pub(super) spot: Spot<'a>,
}

/// Where a program stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) listen: SocketAddr,
    /// For its own admin port, where it has one.
    pub(super) admin: SocketAddr,
    pub(super) folder: &'a Path,
    /// Worker threads or processes.
    pub(super) workers: usize,
    /// Client connections that it may hold, each with an upstream connection.
    pub(super) connections: u64,
}

/// One `[rate_limits.NAME]` and the routes that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(super) name: String,
    pub(super) policy: LimitPolicy,
    /// As written: `client_ip`, `global`, `header:NAME`.
    pub(super) key: String,
    /// Names or paths of routes, as written.
    routes: Vec<String>,
}

impl Limit {
    /// Whether a route is held against it.
    pub(super) fn is_on(&self, route: &Route) -> bool {
        self.routes.iter().any(|name| **name == *route.name || **name == *route.matches.path)
    }

    /// Whether all requests of one client machine have one key.
    pub(super) fn has_one_key(&self) -> bool {
        matches!(self.key.as_str(), "client_ip" | "global") || (self.key == "route" && self.routes.len() == 1)
    }
}

/// The rate limits of a configuration, read as data with the contract's defaults.
pub(super) fn limits(config: &Table) -> Vec<Limit> {
    let routes = config.get("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let named = |limit: &str| -> Vec<String> {
        let has = |route: &&Value| {
            let limits = route.get("rate_limits").and_then(Value::as_array);
            limits.is_some_and(|limits| limits.iter().any(|one| one.as_str() == Some(limit)))
        };
        let name = |route: &Value| route.get("name").or_else(|| route.get("path"))?.as_str().map(str::to_owned);
        routes.iter().filter(has).filter_map(name).collect()
    };
    let tables = config.get("rate_limits").and_then(Value::as_table).into_iter().flatten();
    tables.filter_map(|(name, table)| limit(name, table, named(name))).collect()
}

fn limit(name: &str, table: &Value, routes: Vec<String>) -> Option<Limit> {
    let (tokens, per) = table.get("rate")?.as_str()?.split_once('/')?;
    let seconds = match per {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    let tokens = tokens.parse().ok()?;
    let whole = |key: &str| table.get(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
    let burst = whole("burst").unwrap_or(tokens);
    let shadow = table.get("shadow").and_then(Value::as_bool).unwrap_or(false);
    let key = table.get("key").and_then(Value::as_str).unwrap_or("client_ip").to_owned();
    let policy = LimitPolicy { tokens, per_ns: seconds * 1_000_000_000, burst, shadow };
    Some(Limit { name: name.to_owned(), policy, key, routes })
}

impl Wanted<'_> {
    /// Limits that a route is held against, those that only count left out.
    pub(super) fn limits_of(&self, route: &Route) -> Vec<&Limit> {
        self.limits.iter().filter(|limit| !limit.policy.shadow && limit.is_on(route)).collect()
    }
}

/// The endpoints of an upstream that take requests.
pub(super) fn endpoints(upstream: &Upstream) -> &[Endpoint] {
    match &upstream.endpoints {
        Endpoints::Static(endpoints) => endpoints,
        Endpoints::Dns(_) => &[],
    }
}

/// How many failures in a row come nearest to what opens the breaker; `None` when nothing does.
pub(super) fn failures_that_open(upstream: &Upstream) -> Option<u32> {
    let policy = &upstream.breaker.policy;
    let by_share = f64::from(policy.min_requests) * f64::from(policy.failure_share) / 1e6;
    policy.consecutive_failures.or_else(|| (by_share > 0.0).then(|| (by_share.ceil() as u32).max(1)))
}

/// A duration in milliseconds, one at least.
pub(super) fn millis(duration: Duration) -> u128 {
    duration.as_millis().max(1)
}

/// A duration in whole seconds, rounded up, one at least.
pub(super) fn seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_routes_and_defaults() {
        let text = "[rate_limits.public]\nrate = '600/m'\nburst = 20\nkey = 'global'\n[rate_limits.quiet]\nrate = '5/s'\n\
            shadow = true\n[[routes]]\npath = '/a'\nrate_limits = ['public']\n[[routes]]\npath = '/b'\n";
        let found = limits(&toml::from_str(text).unwrap());
        let [public, quiet] = &found[..] else { panic!("{found:?}") };
        assert_eq!((public.policy.tokens, public.policy.per_ns, public.policy.burst), (600, 60_000_000_000, 20));
        assert_eq!((public.routes.clone(), public.has_one_key()), (vec!["/a".to_owned()], true));
        assert_eq!((quiet.key.as_str(), quiet.policy.burst, quiet.policy.shadow), ("client_ip", 5, true));
        assert!(limits(&toml::from_str("[rate_limits.x]\nrate = 'often'").unwrap()).is_empty());
    }

    #[test]
    fn whole_seconds_are_never_too_short() {
        assert_eq!([0, 999, 1_000, 1_001].map(|ms| seconds(Duration::from_millis(ms))), [1, 1, 1, 2]);
        assert_eq!(millis(Duration::from_micros(10)), 1);
    }
}
