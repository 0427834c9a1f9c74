//! What was configured, read from the gateway's file for the oracles.
//!
//! The file is read as data, with the contract's defaults, and not through the gateway's own settings: what judges
//! shares no code with what is judged. The gateway has checked the file before, so what cannot be read here is taken
//! for its default.

use std::time::Duration;

use loadgen::clock::duration_ns;
use loadgen::units::parse_duration;
use toml::{Table, Value};

use crate::oracle::policy::{BreakerPolicy, Failure};

/// The parts that a breaker's window is made of (`BreakerPolicy`).
const BUCKETS: u64 = 10;
/// Where a bucket may begin, in parts of a bucket. A gateway's windows begin when it makes its endpoints, which nobody
/// outside sees.
pub(super) const ALIGNMENTS: u64 = 20;

/// The breaker of an upstream's endpoints in a configuration, with buckets that begin in this part of one.
pub(super) fn breaker(config: &Table, upstream: &str, alignment: u64) -> BreakerPolicy {
    let own = config.get("upstreams").and_then(|all| all.get(upstream)).and_then(|one| one.get("breaker"));
    let shared = config.get("defaults").and_then(|all| all.get("upstream")).and_then(|one| one.get("breaker"));
    let get = |key: &str| own.and_then(|table| table.get(key)).or_else(|| shared.and_then(|table| table.get(key)));
    let duration = |key: &str| get(key).and_then(Value::as_str).and_then(|text| parse_duration(text).ok());
    let count = |key: &str| get(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
    let share = |key: &str| get(key).and_then(|value| value.as_float().or_else(|| Some(value.as_integer()? as f64)));
    let default = BreakerPolicy::default();
    let window_ns = duration("window").map_or(default.window_ns, duration_ns);
    let bucket_ns = (window_ns / BUCKETS).max(1);
    BreakerPolicy {
        failures: get("failures").and_then(failures).unwrap_or(default.failures),
        window_ns,
        min_requests: count("min_requests").unwrap_or(default.min_requests),
        failure_ratio: share("failure_ratio").unwrap_or(default.failure_ratio),
        consecutive_failures: count("consecutive_failures").unwrap_or(default.consecutive_failures),
        slow_call_ns: duration("slow_call").filter(|time| *time > Duration::ZERO).map(duration_ns),
        slow_ratio: share("slow_ratio").unwrap_or(default.slow_ratio),
        open_for_ns: duration("open_for").map_or(default.open_for_ns, duration_ns),
        max_open_for_ns: duration("max_open_for").map_or(default.max_open_for_ns, duration_ns),
        probes: count("probes").unwrap_or(default.probes),
        buckets_from_ns: bucket_ns * alignment / ALIGNMENTS,
    }
}

fn failures(value: &Value) -> Option<Vec<Failure>> {
    Some(value.as_array()?.iter().filter_map(|one| Failure::parse(one.as_str()?)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[defaults.upstream.breaker]\nopen_for = '2s'\nprobes = 1\n\
        [upstreams.orders.breaker]\nfailures = ['connect', '503']\nconsecutive_failures = 3\nopen_for = '1s'\n\
        failure_ratio = 1\nslow_call = '0s'\nwindow = '1s'\n[upstreams.users]\nendpoints = []\n";

    #[test]
    fn what_is_written_counts_then_what_is_shared_then_the_contract() {
        let config: Table = toml::from_str(CONFIG).unwrap();
        let orders = breaker(&config, "orders", 0);
        assert_eq!(orders.failures, [Failure::Connect, Failure::Status(503)]);
        assert_eq!((orders.consecutive_failures, orders.open_for_ns, orders.probes), (3, 1_000_000_000, 1));
        assert_eq!((orders.slow_call_ns, orders.min_requests), (None, BreakerPolicy::default().min_requests));
        assert!((orders.failure_ratio - 1.0).abs() < 1e-9);
        assert_eq!(breaker(&config, "users", 0).open_for_ns, 2_000_000_000);
    }

    #[test]
    fn every_alignment_is_within_one_bucket() {
        let config: Table = toml::from_str(CONFIG).unwrap();
        let from = |alignment| breaker(&config, "orders", alignment).buckets_from_ns;
        assert_eq!((from(0), from(1), from(ALIGNMENTS - 1)), (0, 5_000_000, 95_000_000), "buckets of 100 ms");
    }
}
