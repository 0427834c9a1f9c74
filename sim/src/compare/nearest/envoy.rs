//! For Envoy: one listener, a cluster for each upstream, outlier detection for breakers.
//!
//! Outlier detection ejects an endpoint for `base_ejection_time` times the number of ejections and gives it back all
//! its traffic at once; shares of failures are looked at once an `interval`.

use std::time::Duration;

use gateway::config::settings::rate_limit::{LimitKey, Rate, RateLimit};
use gateway::config::settings::route::HostPolicy;
use gateway::config::settings::upstream::{Balance, Failures, HashKey, Target};
use gateway::config::settings::{Route, Upstream};
use serde_json::{Value, json};

use super::path::{self, Path};
use super::{Lacks, Nearest, fixed_host, methods, only_gateway_errors, retries, routes};
use crate::compare::wanted::{Wanted, endpoints, millis};

const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";
/// No limit of Envoy's own where the scenario has none.
const NO_LIMIT: u32 = 1_000_000;
/// The most of an interval between two looks at shares, and between two looks at who may come back.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time in which Envoy's buckets are filled.
const LEAST_FILL: Duration = Duration::from_millis(50);

/// The configuration.
pub(super) fn make(wanted: &Wanted<'_>) -> Nearest {
    let mut lacks = Lacks::default();
    lacks.not_carried_over(wanted);
    let routes: Vec<Value> =
        routes(wanted).into_iter().map(|(route, upstream)| of_route(wanted, route, upstream, &mut lacks)).collect();
    let clusters: Vec<Value> = wanted.config.upstreams.iter().map(|upstream| cluster(upstream, &mut lacks)).collect();
    let limits = json!({
        "name": "envoy.filters.http.local_ratelimit",
        "typed_config": { "@type": format!("{TYPES}.http.local_ratelimit.v3.LocalRateLimit"), "stat_prefix": "limit" },
    });
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": format!("{TYPES}.http.router.v3.Router"), "suppress_envoy_headers": true },
    });
    let filters = if wanted.limits().next().is_none() { vec![router] } else { vec![limits, router] };
    let manager = json!({
        "@type": format!("{TYPES}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "clients",
        "generate_request_id": false,
        "common_http_protocol_options": { "idle_timeout": seconds(wanted.config.server.idle_timeout) },
        "drain_timeout": seconds(Duration::from_secs(1)),
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] },
        "http_filters": filters,
    });
    let filter = json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": manager });
    let config = json!({
        "admin": { "address": address(wanted.spot.admin) },
        "static_resources": {
            "listeners": [{
                "name": "clients",
                "address": address(wanted.spot.listen),
                "filter_chains": [{ "filters": [filter] }],
            }],
            "clusters": clusters,
        },
    });
    Nearest { text: format!("{config:#}\n"), lacks: lacks.0 }
}

fn address(at: std::net::SocketAddr) -> Value {
    json!({ "socket_address": { "address": at.ip().to_string(), "port_value": at.port() } })
}

fn seconds(duration: Duration) -> String {
    format!("{:.3}s", duration.as_secs_f64())
}

fn of_route(wanted: &Wanted<'_>, route: &Route, upstream: &Upstream, lacks: &mut Lacks) -> Value {
    let mut matches = match path::path(route) {
        Path::Exact(path) => json!({ "path": path }),
        Path::Prefix(path) => json!({ "prefix": path }),
        Path::Pattern(pattern) => json!({ "safe_regex": { "regex": pattern } }),
    };
    if !route.matches.methods.is_empty() {
        let regex = json!({ "safe_regex": { "regex": methods(&route.matches.methods) } });
        matches["headers"] = json!([{ "name": ":method", "string_match": regex }]);
        lacks.say("another method than the route's is 404, not 405");
    }
    let mut action = json!({
        "cluster": &*upstream.name,
        "timeout": seconds(route.timeout.unwrap_or_default()),
        "idle_timeout": seconds(route.idle_timeout.unwrap_or_default()),
    });
    if let Some(rewriting) = path::rewriting(route) {
        let target = rewriting.target(|group| format!("\\{group}"));
        let pattern = json!({ "regex": format!("^{}$", rewriting.pattern) });
        action["regex_rewrite"] = json!({ "pattern": pattern, "substitution": target });
    }
    if let Some(host) = fixed_host(route) {
        action["host_rewrite_literal"] = host.into();
    }
    lacks.when(matches!(route.host, HostPolicy::Upstream), "sends the client's host, not the endpoint's address");
    if retries(route) > 0 {
        action["retry_policy"] = retry(route, lacks);
    }
    if let Balance::ConsistentHash(hash) = &upstream.balance {
        action["hash_policy"] = json!([match &hash.key {
            HashKey::ClientIp => json!({ "connection_properties": { "source_ip": true } }),
            HashKey::Path => json!({ "header": { "header_name": ":path" } }),
            HashKey::Header(name) => json!({ "header": { "header_name": name.as_str() } }),
            HashKey::Cookie(name) => json!({ "cookie": { "name": name } }),
        }]);
    }
    let mut one = json!({ "match": matches, "route": action });
    if let Some(limit) = wanted.limits_of(route).next() {
        one["typed_per_filter_config"] = json!({ "envoy.filters.http.local_ratelimit": bucket(limit, lacks) });
        lacks.when(wanted.limits_of(route).count() > 1, "only the first limit of a route holds");
        lacks.when(limit.key != LimitKey::Global, "a limit is one bucket for all clients of a route");
    }
    one
}

fn bucket(limit: &RateLimit, lacks: &mut Lacks) -> Value {
    let rate = &limit.rate;
    let whole = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    let (filled, fill_ms) = fill(rate);
    // Tokens of so many periods, as they are configured and as they come back.
    let (wanted, made) = (fill_ms * 1_000_000 * u128::from(rate.tokens), filled * rate.period.as_nanos());
    if wanted != made {
        let percent = (made as f64 / wanted as f64 - 1.0) * 100.0;
        lacks.say(format!("a limit of {rate} is off by {percent:+.2} %: whole tokens come back at whole milliseconds"));
    }
    lacks.when(
        filled > u128::from(rate.burst),
        "tokens come back no more often than each 50 ms, and no more than the burst",
    );
    json!({
        "@type": format!("{TYPES}.http.local_ratelimit.v3.LocalRateLimit"),
        "stat_prefix": &*limit.name,
        "token_bucket": {
            "max_tokens": rate.burst,
            "tokens_per_fill": u64::try_from(filled).unwrap_or(u64::MAX),
            "fill_interval": seconds(Duration::from_millis(u64::try_from(fill_ms).unwrap_or(u64::MAX))),
        },
        "filter_enabled": whole,
        "filter_enforced": whole,
    })
}

/// How many tokens come back at a time, and each how many milliseconds: the fewest, as often as Envoy fills.
fn fill(rate: &Rate) -> (u128, u128) {
    let (tokens, period) = (u128::from(rate.tokens).max(1), rate.period.as_nanos().max(1));
    let filled = (LEAST_FILL.as_nanos() * tokens).div_ceil(period).max(1);
    (filled, (filled * period + tokens * 500_000) / (tokens * 1_000_000))
}

fn retry(route: &Route, lacks: &mut Lacks) -> Value {
    let Failures { connect, reset, timeout, statuses } = &route.retry.on;
    let mut on = Vec::new();
    on.extend(connect.then_some("connect-failure"));
    on.extend(reset.then_some("reset"));
    on.extend((!statuses.is_empty()).then_some("retriable-status-codes"));
    lacks.when(*timeout && !*reset, "a time limit is retried as a reset is");
    let allowed = json!({ "safe_regex": { "regex": methods(&route.retry.methods) } });
    let mut policy = json!({
        "retry_on": on.join(","),
        "num_retries": retries(route),
        "retriable_status_codes": statuses,
        "retriable_request_headers": [{ "name": ":method", "string_match": allowed }],
        "retry_back_off": {
            "base_interval": seconds(Duration::from_millis(u64::try_from(millis(route.retry.backoff)).unwrap_or(25))),
            "max_interval": seconds(route.retry.max_backoff.max(route.retry.backoff)),
        },
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }],
        "host_selection_retry_max_attempts": 3,
    });
    if let Some(most) = route.retry.per_try_timeout {
        policy["per_try_timeout"] = seconds(most).into();
    }
    policy
}

fn cluster(upstream: &Upstream, lacks: &mut Lacks) -> Value {
    let balance = match &upstream.balance {
        Balance::RoundRobin => "ROUND_ROBIN",
        Balance::LeastRequest | Balance::PeakEwma | Balance::Custom(_) => "LEAST_REQUEST",
        Balance::Random => "RANDOM",
        Balance::ConsistentHash(_) => "RING_HASH",
    };
    let one = |endpoint: &gateway::config::settings::upstream::Endpoint| {
        let at = match &endpoint.target {
            Target::Socket(at) => address(*at),
            Target::Name(name, port) => json!({ "socket_address": { "address": &**name, "port_value": port } }),
        };
        json!({ "endpoint": { "address": at }, "load_balancing_weight": endpoint.weight })
    };
    let tier = |backups: bool| {
        let all = endpoints(upstream).iter().filter(|endpoint| endpoint.weight > 0 && endpoint.backup == backups);
        let all: Vec<Value> = all.map(one).collect();
        (!all.is_empty()).then(|| json!({ "priority": u8::from(backups), "lb_endpoints": all }))
    };
    let tiers: Vec<Value> = [tier(false), tier(true)].into_iter().flatten().collect();
    lacks.when(tiers.len() > 1, "backups take load by and by, from 72 % of healthy endpoints down");
    let named = endpoints(upstream).iter().any(|endpoint| matches!(endpoint.target, Target::Name(..)));
    let budget = &upstream.retry_budget;
    let most =
        upstream.pool.max_connections.map_or(u64::from(NO_LIMIT), |most| (most * endpoints(upstream).len()) as u64);
    lacks
        .when(upstream.pool.max_connections.is_some(), "connections are limited for the upstream, not for an endpoint");
    let mut cluster = json!({
        "name": &*upstream.name,
        "type": if named { "STRICT_DNS" } else { "STATIC" },
        "lb_policy": balance,
        "connect_timeout": seconds(upstream.pool.connect_timeout),
        "circuit_breakers": { "thresholds": [{
            "max_connections": most,
            "max_pending_requests": NO_LIMIT,
            "max_requests": NO_LIMIT,
            "retry_budget": {
                "budget_percent": { "value": f64::from(budget.share) / 1e4 },
                "min_retry_concurrency": budget.min_per_second,
            },
        }] },
        "common_lb_config": { "healthy_panic_threshold": { "value": f64::from(upstream.ejection.panic_below) / 1e4 } },
        "load_assignment": {
            "cluster_name": &*upstream.name,
            "endpoints": tiers,
        },
        "outlier_detection": outliers(upstream, lacks),
    });
    lacks.say("the budget for retries is a share of requests under way, not of those of a second");
    if let Some(health) = &upstream.health {
        cluster["health_checks"] = json!([{
            "timeout": seconds(health.timeout),
            "interval": seconds(health.interval),
            "healthy_threshold": health.thresholds.healthy_after,
            "unhealthy_threshold": health.thresholds.unhealthy_after,
            "http_health_check": { "path": health.path.as_str() },
        }]);
    }
    if !upstream.slow_start.is_zero() {
        let config = json!({ "slow_start_config": { "slow_start_window": seconds(upstream.slow_start) } });
        match &upstream.balance {
            Balance::RoundRobin => cluster["round_robin_lb_config"] = config,
            Balance::LeastRequest => cluster["least_request_lb_config"] = config,
            _ => lacks.say("slow start is for round robin and least request alone"),
        }
    }
    cluster
}

fn outliers(upstream: &Upstream, lacks: &mut Lacks) -> Value {
    let policy = &upstream.breaker.policy;
    let in_a_row = policy.consecutive_failures.unwrap_or(0);
    let gateway_only = only_gateway_errors(&upstream.breaker.failures);
    let on = |wanted: bool| if wanted { 100 } else { 0 };
    let share = policy.failure_share;
    lacks.when(!gateway_only, "every 5xx counts as a failure, and no other status");
    lacks.when(share > 0 && gateway_only, "in shares every 5xx counts");
    lacks.when(share > 0, "shares are looked at at the end of each interval, not at each answer");
    let slow = upstream.breaker.slow_call.is_some() && policy.slow_share.is_some();
    lacks.when(slow, "slow answers never count against an endpoint");
    lacks.say("an endpoint comes back with all its traffic at once, untried");
    json!({
        "interval": seconds(policy.window.min(policy.open_for).min(LONGEST_INTERVAL)),
        "base_ejection_time": seconds(policy.open_for),
        "max_ejection_time": seconds(policy.max_open_for.max(policy.open_for)),
        "max_ejection_percent": upstream.ejection.max_percent,
        "consecutive_5xx": in_a_row.max(1),
        "enforcing_consecutive_5xx": on(in_a_row > 0 && !gateway_only),
        "consecutive_gateway_failure": in_a_row.max(1),
        "enforcing_consecutive_gateway_failure": on(in_a_row > 0 && gateway_only),
        "enforcing_success_rate": 0,
        "failure_percentage_threshold": (f64::from(share) / 1e4).ceil() as u32,
        "enforcing_failure_percentage": on(share > 0),
        "failure_percentage_minimum_hosts": 1,
        "failure_percentage_request_volume": policy.min_requests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(tokens: u64, seconds: u64) -> Rate {
        Rate { tokens, period: Duration::from_secs(seconds), burst: tokens.max(1) }
    }

    #[test]
    fn tokens_come_back_at_the_rate_that_is_asked_for() {
        for tokens in 1..=2_000 {
            for seconds in [1, 60, 3_600] {
                let (filled, fill_ms) = fill(&rate(tokens, seconds));
                assert!(fill_ms >= LEAST_FILL.as_millis(), "{tokens} in {seconds} s: Envoy refuses {fill_ms} ms");
                let made = filled as f64 * 1e3 / fill_ms as f64;
                let wanted = tokens as f64 / seconds as f64;
                assert!((made / wanted - 1.0).abs() < 0.01, "{tokens} in {seconds} s: {made}/s, not {wanted}/s");
            }
        }
        assert_eq!(fill(&rate(30, 1)), (2, 67));
        assert_eq!(fill(&rate(100, 1)), (5, 50));
        assert_eq!(fill(&rate(100, 3_600)), (1, 36_000));
    }
}
