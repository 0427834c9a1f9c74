//! The breakers that a gateway's configuration has, in the words of the oracles.

use gateway::config::settings::upstream::{Breaker, Endpoints, Failures};

use crate::history::Endpoint;
use crate::oracle::policy::{BreakerPolicy, Failure, Policies, UpstreamPolicy};
use crate::scenario::gateway::Checked;

/// The parts of a policy, as its shares are written.
const WHOLE: f64 = 1_000_000.0;

/// Reads them off a configuration. Upstreams are called by their mocks.
pub(super) fn of(checked: &Checked, zero_ns: u64) -> Policies {
    let upstreams = checked.config.upstreams.iter().filter_map(|upstream| {
        let Endpoints::Static(endpoints) = &upstream.endpoints else { return None };
        let name = Endpoint::parse(checked.names.get(&*endpoints.first()?.address)?)?.upstream;
        let weights = endpoints.iter().map(|endpoint| endpoint.weight).collect();
        Some((name, UpstreamPolicy { weights, breaker: Some(breaker(&upstream.breaker, zero_ns)) }))
    });
    Policies { upstreams: upstreams.collect(), ..Policies::default() }
}

fn breaker(settings: &Breaker, zero_ns: u64) -> BreakerPolicy {
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
        buckets_from_ns: zero_ns,
    }
}

fn failures(settings: &Failures) -> Vec<Failure> {
    let ways =
        [(settings.connect, Failure::Connect), (settings.reset, Failure::Reset), (settings.timeout, Failure::Timeout)];
    let ways = ways.into_iter().filter_map(|(on, way)| on.then_some(way));
    ways.chain(settings.statuses.iter().copied().map(Failure::Status)).collect()
}
