//! What the gateway was told of its breakers and rate limits, in the words of the oracles.
//!
//! The settings are the gateway's own reading of its file (short forms, shared defaults and environment resolved). What
//! is judged by them is what it *did*: its events and the mocks' journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway::config::Config;
use gateway::config::settings::rate_limit::RateLimit;
use gateway::config::settings::upstream::{Breaker, Failures};

use crate::history::Name;
use crate::oracle::policy::{BreakerPolicy, Failure, LimitPolicy};

/// The parts of a policy, as its shares are written.
const WHOLE: f64 = 1_000_000.0;

/// The breaker of an upstream's endpoints, with buckets that begin at t = 0.
pub(crate) fn breaker(settings: &Breaker) -> BreakerPolicy {
    let policy = &settings.policy;
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    BreakerPolicy {
        failures: failures(&settings.failures),
        window_ns: nanos(policy.window),
        min_requests: u64::from(policy.min_requests),
        failure_ratio: f64::from(policy.failure_share) / WHOLE,
        consecutive_failures: policy.consecutive_failures.map_or(0, u64::from),
        slow_call_ns: settings.slow_call.filter(|_| policy.slow_share.is_some()).map(nanos),
        slow_ratio: policy.slow_share.map_or(1.0, |share| f64::from(share) / WHOLE),
        open_for_ns: nanos(policy.open_for),
        max_open_for_ns: nanos(policy.max_open_for),
        probes: u64::from(policy.probes),
        probe_timeout_ns: nanos(policy.probe_timeout),
        buckets_from_ns: 0,
    }
}

fn failures(settings: &Failures) -> Vec<Failure> {
    let ways =
        [(settings.connect, Failure::Connect), (settings.reset, Failure::Reset), (settings.timeout, Failure::Timeout)];
    let ways = ways.into_iter().filter_map(|(on, way)| on.then_some(way));
    ways.chain(settings.statuses.iter().copied().map(Failure::Status)).collect()
}

/// Whether a rule's buckets are in a store that gateways share.
pub(crate) fn is_shared(config: &Config, rule: &str) -> bool {
    config.rate_limits.iter().any(|limit| &*limit.name == rule && limit.shared.is_some())
}

/// The rate limits that can be taken again from outside, by name. One with a rate of its own for those who proved no
/// identity is left out: the gateway does not tell which of the two it went by.
pub(crate) fn limits(config: &Config) -> BTreeMap<Name, LimitPolicy> {
    let one = |limit: &Arc<RateLimit>| {
        let per_ns = u64::try_from(limit.rate.period.as_nanos()).unwrap_or(u64::MAX);
        let (tokens, burst) = (limit.rate.tokens, limit.rate.burst);
        (Name::from(&*limit.name), LimitPolicy { tokens, per_ns, burst, shadow: limit.shadow })
    };
    config.rate_limits.iter().filter(|limit| limit.anonymous.is_none()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gateway::config::{Purpose, load_text};

    use super::*;

    const CONFIG: &str = "[defaults.upstream.breaker]\nopen_for = '2s'\nprobes = 1\n\
        [upstreams.orders]\nendpoints = ['127.0.0.1:9']\n[upstreams.orders.breaker]\n\
        failures = ['connect', '503']\nconsecutive_failures = 3\nopen_for = '1s'\n\
        failure_ratio = 1\nslow_call = '0s'\nwindow = '1s'\n[upstreams.users]\nendpoints = ['127.0.0.1:9']\n\
        [[routes]]\npath = '/a'\nupstream = 'orders'\n[[routes]]\npath = '/b'\nupstream = 'users'\n";

    fn configured(upstream: &str) -> BreakerPolicy {
        let config = load_text(CONFIG, Path::new("test"), Purpose::Run).unwrap().config;
        breaker(&config.upstreams.iter().find(|one| &*one.name == upstream).unwrap().breaker)
    }

    #[test]
    fn what_is_written_counts_then_what_is_shared_then_the_contract() {
        let orders = configured("orders");
        assert_eq!(orders.failures, [Failure::Connect, Failure::Status(503)]);
        assert_eq!((orders.consecutive_failures, orders.open_for_ns, orders.probes), (3, 1_000_000_000, 1));
        assert_eq!((orders.slow_call_ns, orders.min_requests), (None, BreakerPolicy::default().min_requests));
        assert!((orders.failure_ratio - 1.0).abs() < 1e-9);
        assert_eq!(configured("users").open_for_ns, 2_000_000_000);
    }
}
