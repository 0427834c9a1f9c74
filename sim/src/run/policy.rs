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

/// The breaker of an upstream's endpoints in a configuration; `zero_ns` of the machine's monotonic clock, which the
/// gateway's windows are aligned to, is t = 0.
pub(super) fn breaker(config: &Table, upstream: &str, zero_ns: u64) -> BreakerPolicy {
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
        buckets_from_ns: (bucket_ns - zero_ns % bucket_ns) % bucket_ns,
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
    fn windows_are_aligned_to_the_gateways_clock() {
        let config: Table = toml::from_str(CONFIG).unwrap();
        // Buckets of 100 ms; t = 0 is 30 ms into one, so the next begins 70 ms later.
        assert_eq!(breaker(&config, "orders", 5_030_000_000).buckets_from_ns, 70_000_000);
        assert_eq!(breaker(&config, "orders", 5_000_000_000).buckets_from_ns, 0);
    }
}
