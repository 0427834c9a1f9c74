//! What a scenario's gateway configuration asks for, in the form that configurations of other gateways are made from.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use gateway::config::Config;
use gateway::config::settings::rate_limit::{LimitKey, RateLimit};
use gateway::config::settings::upstream::{Endpoint, Endpoints};
use gateway::config::settings::{Route, Upstream};

/// Everything that a configuration is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// What our gateway makes of its own, with the endpoints' real addresses.
    pub(super) config: &'a Config,
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

impl<'a> Wanted<'a> {
    /// Limits that refuse; those that only count ask for nothing.
    pub(super) fn limits(&self) -> impl Iterator<Item = &'a RateLimit> {
        self.config.rate_limits.iter().map(AsRef::as_ref).filter(|limit| !limit.shadow)
    }

    /// Limits that a route is held against.
    pub(super) fn limits_of(&self, route: &'a Route) -> impl Iterator<Item = &'a RateLimit> {
        self.limits().filter(|limit| is_on(limit, route))
    }
}

/// Whether a route is held against a limit.
pub(super) fn is_on(limit: &RateLimit, route: &Route) -> bool {
    route.rate_limits.contains(&limit.name)
}

/// The limit that all requests of a run share: the only one, on every route, with one key for one client machine.
pub(super) fn shared_limit(config: &Config) -> Option<&RateLimit> {
    let [limit] = &config.rate_limits[..] else { return None };
    let one_key = match limit.key {
        LimitKey::ClientIp | LimitKey::Global => true,
        LimitKey::Route => config.routes.len() == 1,
        LimitKey::Subject | LimitKey::Header(_) | LimitKey::Claim(_) | LimitKey::Custom(_) => false,
    };
    let plain = !limit.shadow && limit.cost == 1 && limit.anonymous.is_none() && config.in_flight_limits.is_empty();
    (one_key && plain && config.routes.iter().all(|route| is_on(limit, route))).then_some(&**limit)
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
    fn a_limit_is_shared_when_every_request_counts_under_one_key() {
        let limit = |text: &str, routes: &str| {
            let rules = format!("[rate_limits.public]\nrate = '600/m'\nburst = 20\n{text}\n");
            let config = crate::compare::nearest::tests::config(&(rules + routes));
            shared_limit(&config).map(|limit| (limit.rate.tokens, limit.rate.period.as_secs(), limit.rate.burst))
        };
        let on = "[[routes]]\npath = '/a'\nupstream = 'orders'\nrate_limits = ['public']\n";
        let off = "[[routes]]\npath = '/b'\nupstream = 'orders'\n";
        assert_eq!(limit("key = 'global'", on), Some((600, 60, 20)));
        assert_eq!(limit("key = 'client_ip'", on), Some((600, 60, 20)));
        assert_eq!(limit("key = 'header:x-user'", on), None);
        assert_eq!(limit("key = 'global'\nshadow = true", on), None);
        assert_eq!(limit("key = 'global'\nin_flight = 9", on), None, "requests at once are refused too");
        assert_eq!(limit("key = 'global'", &format!("{on}{off}")), None, "one route is free");
    }

    #[test]
    fn whole_seconds_are_never_too_short() {
        assert_eq!([0, 999, 1_000, 1_001].map(|ms| seconds(Duration::from_millis(ms))), [1, 1, 1, 2]);
        assert_eq!(millis(Duration::from_micros(10)), 1);
    }
}
