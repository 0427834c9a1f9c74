//! For HAProxy: a backend for each route, since retries and time limits are a backend's.
//!
//! HAProxy observes answers (`observe layer7`) and takes a server out after so many errors in a row; its checks, which
//! are connections or a health path, put it back.

use std::fmt::Write as _;

use gateway::config::settings::rate_limit::{LimitKey, RateLimit};
use gateway::config::settings::route::HostPolicy;
use gateway::config::settings::upstream::{Balance, Failures, HashKey};
use gateway::config::settings::{Route, Upstream};

use super::path::{self, Path};
use super::{Lacks, Nearest, fixed_host, methods, retries, routes};
use crate::compare::wanted::{Wanted, endpoints, failures_that_open, is_on, millis};

/// Counters of a request that HAProxy is built with.
const COUNTERS: usize = 3;
/// Statuses that can be retried.
const RETRIABLE: [u16; 11] = [401, 403, 404, 408, 425, 429, 500, 501, 502, 503, 504];

/// The configuration.
pub(super) fn make(wanted: &Wanted<'_>) -> Nearest {
    let mut lacks = Lacks::default();
    lacks.not_carried_over(wanted);
    let routes = routes(wanted);
    let (spot, server) = (&wanted.spot, &wanted.config.server);
    let mut text = format!(
        "# HAProxy as near to the scenario's gateway as it can be configured. Written by `sim compare`.\n\
         global\n    nbthread {}\n    maxconn {}\n    hard-stop-after {}ms\n\ndefaults\n    mode http\n    \
         option http-keep-alive\n    http-reuse always\n    timeout client {}ms\n    timeout http-keep-alive {}ms\n    \
         timeout connect 5s\n    timeout server 1h\n",
        spot.workers,
        spot.connections.max(100),
        millis(server.drain_timeout),
        millis(server.idle_timeout.max(server.body_idle_timeout)),
        millis(server.idle_timeout),
    );
    let _ = writeln!(text, "\nfrontend clients\n    bind {} backlog 4096", spot.listen);
    for (number, (route, _)) in routes.iter().enumerate() {
        let _ = writeln!(text, "    acl r{number} {}", condition(route));
        if !route.matches.methods.is_empty() {
            let allowed = methods(&route.matches.methods).replace('|', " ");
            let _ = writeln!(text, "    http-request return status 405 if r{number} !{{ method {allowed} }}");
        }
    }
    for (number, limit) in wanted.limits().enumerate() {
        text += &refusal(number, limit, &routes, &mut lacks);
    }
    // Whom one limit refuses, none is charged for.
    for (number, limit) in wanted.limits().enumerate().take(COUNTERS) {
        text += &charge(number, limit, &routes);
    }
    text += "    http-request return status 404 unless ";
    let any: Vec<String> = (0..routes.len()).map(|number| format!("r{number}")).collect();
    text += &(any.join(" || ") + "\n");
    for (number, _) in routes.iter().enumerate() {
        let _ = writeln!(text, "    use_backend r{number} if r{number}");
    }
    for (number, (route, upstream)) in routes.iter().enumerate() {
        text += &backend(number, route, upstream, &mut lacks);
    }
    for (number, limit) in wanted.limits().enumerate() {
        text += &table(number, limit);
    }
    let shared =
        wanted.config.upstreams.iter().any(|one| routes.iter().filter(|(_, of)| of.name == one.name).count() > 1);
    lacks.when(shared, "each route counts the failures of an endpoint for itself");
    Nearest { text, lacks: lacks.0 }
}

fn condition(route: &Route) -> String {
    match path::path(route) {
        Path::Exact(path) => format!("path {path}"),
        Path::Prefix(path) => format!("path_beg {path}"),
        Path::Pattern(pattern) => format!("path_reg ^{pattern}$"),
    }
}

/// What counts admitted requests in a sliding time in which the burst comes back once. Not `http_req_rate`: it counts
/// who is refused too, and with an offer that stays above the rate it would let nobody in any more.
fn table(number: usize, limit: &RateLimit) -> String {
    let RateLimit { rate, key, .. } = limit;
    let window_ms = (millis(rate.period) * u128::from(rate.burst) / u128::from(rate.tokens.max(1))).max(1);
    let kind = if matches!(key, LimitKey::Header(_)) { "string len 64" } else { "ip" };
    format!(
        "\nbackend limit{number}\n    stick-table type {kind} size 1m expire {}ms store gpc0,gpc0_rate({window_ms}ms)\n",
        window_ms * 2
    )
}

fn refusal(number: usize, limit: &RateLimit, routes: &[(&Route, &Upstream)], lacks: &mut Lacks) -> String {
    let key = match &limit.key {
        LimitKey::ClientIp => "src".to_owned(),
        LimitKey::Global | LimitKey::Route => "dst".to_owned(),
        LimitKey::Header(name) => format!("req.hdr({name})"),
        LimitKey::Subject | LimitKey::Claim(_) | LimitKey::Custom(_) => {
            lacks.say(format!("limits by `{}`: by the client's address instead", limit.key));
            "src".to_owned()
        }
    };
    if number >= COUNTERS {
        lacks.say(format!("only {COUNTERS} limits at once; `{}` is left out", limit.name));
        return String::new();
    }
    lacks.say("a limit is a count in a sliding time, not a bucket of tokens");
    let Some(on) = on(limit, routes) else { return String::new() };
    let most = limit.rate.burst;
    format!(
        "    http-request track-sc{number} {key} table limit{number} if {on}\n    \
         http-request return status 429 if {{ sc_gpc0_rate({number},limit{number}) ge {most} }}\n"
    )
}

/// Counts a request that no limit has refused.
fn charge(number: usize, limit: &RateLimit, routes: &[(&Route, &Upstream)]) -> String {
    on(limit, routes).map_or_else(String::new, |on| format!("    http-request sc-inc-gpc0({number}) if {on}\n"))
}

/// The routes that are held against a limit, as a condition; `None` where none is.
fn on(limit: &RateLimit, routes: &[(&Route, &Upstream)]) -> Option<String> {
    let on: Vec<String> =
        (0..routes.len()).filter(|at| is_on(limit, routes[*at].0)).map(|at| format!("r{at}")).collect();
    (!on.is_empty()).then(|| on.join(" || "))
}

fn backend(number: usize, route: &Route, upstream: &Upstream, lacks: &mut Lacks) -> String {
    let mut text = format!("\nbackend r{number}\n");
    let balance = match &upstream.balance {
        Balance::RoundRobin => "roundrobin".to_owned(),
        Balance::LeastRequest | Balance::PeakEwma | Balance::Custom(_) => "leastconn".to_owned(),
        Balance::Random => "random(1)".to_owned(),
        Balance::ConsistentHash(hash) => {
            let factor = ((hash.bound * 100.0) as u32).max(101);
            let _ = writeln!(text, "    hash-type consistent\n    hash-balance-factor {factor}");
            match &hash.key {
                HashKey::ClientIp => "source".to_owned(),
                HashKey::Path => "uri path-only".to_owned(),
                HashKey::Header(name) => format!("hdr({name})"),
                HashKey::Cookie(name) => format!("hash req.cook({name})"),
            }
        }
    };
    let _ = writeln!(text, "    balance {balance}\n    timeout connect {}ms", millis(upstream.pool.connect_timeout));
    if let Some(most) = route.retry.per_try_timeout.or(route.timeout) {
        let _ = writeln!(text, "    timeout server {}ms", millis(most));
        lacks.say("the time limit is for an attempt, not for the whole request");
    }
    if let Some(rewriting) = path::rewriting(route) {
        let target = rewriting.target(|group| format!("\\{group}"));
        let _ = writeln!(text, "    http-request replace-path ^{}$ {target}", rewriting.pattern);
    }
    if let Some(host) = fixed_host(route) {
        let _ = writeln!(text, "    http-request set-header host {host}");
    }
    lacks.when(matches!(route.host, HostPolicy::Upstream), "sends the client's host, not the endpoint's address");
    text += &of_retries(route, lacks);
    text + &servers(upstream, lacks)
}

fn of_retries(route: &Route, lacks: &mut Lacks) -> String {
    let more = retries(route);
    if more == 0 {
        return "    retries 0\n".to_owned();
    }
    let Failures { connect, reset, timeout, statuses } = &route.retry.on;
    let mut on: Vec<String> = Vec::new();
    let mut add = |wanted: bool, words: &[&str]| {
        if wanted {
            on.extend(words.iter().map(|word| (*word).to_owned()));
        }
    };
    add(*connect, &["conn-failure"]);
    add(*reset, &["empty-response", "junk-response"]);
    add(*timeout, &["response-timeout"]);
    let known = statuses.iter().filter(|status| RETRIABLE.contains(status));
    on.extend(known.map(u16::to_string));
    for status in statuses.iter().filter(|status| !RETRIABLE.contains(status)) {
        lacks.say(format!("status {status} cannot be retried"));
    }
    lacks.say("retries at once, without a wait, and without a budget");
    lacks.when(!statuses.is_empty(), "an answer that is tried again does not count against its endpoint");
    let allowed = methods(&route.retry.methods).replace('|', " ");
    let on = if on.is_empty() { "none".to_owned() } else { on.join(" ") };
    format!(
        "    retries {more}\n    option redispatch 1\n    retry-on {on}\n    \
         http-request disable-l7-retry unless {{ method {allowed} }}\n"
    )
}

fn servers(upstream: &Upstream, lacks: &mut Lacks) -> String {
    let mut text = String::new();
    let policy = &upstream.breaker.policy;
    let out_ms = millis(policy.open_for);
    let check = match &upstream.health {
        Some(health) => {
            let _ = writeln!(
                text,
                "    option httpchk GET {}\n    timeout check {}ms",
                health.path,
                millis(health.timeout)
            );
            let thresholds = &health.thresholds;
            let (rise, fall) = (thresholds.healthy_after, thresholds.unhealthy_after);
            format!("check inter {}ms downinter {out_ms}ms rise {rise} fall {fall}", millis(health.interval))
        }
        None => format!("check inter {out_ms}ms rise 1 fall 3"),
    };
    let observe = failures_that_open(upstream).map(|errors| {
        lacks.say("an endpoint is out after so many errors in a row; shares of a window do not count");
        lacks.say("which statuses are errors is fixed: 5xx but for 501 and 505");
        lacks
            .when(upstream.health.is_none(), "a new connection puts an endpoint back, whatever it answers to requests");
        format!(" observe layer7 error-limit {errors} on-error mark-down")
    });
    let slow = upstream.breaker.slow_call.is_some() && policy.slow_share.is_some();
    lacks.when(slow, "slow answers never count against an endpoint");
    lacks.when(policy.max_open_for > policy.open_for, "is out for the same time each time, not longer");
    let more = [
        observe,
        upstream.pool.max_connections.map(|most| format!(" maxconn {most}")),
        (!upstream.slow_start.is_zero()).then(|| format!(" slowstart {}ms", millis(upstream.slow_start))),
    ];
    let more: String = more.into_iter().flatten().collect();
    if endpoints(upstream).iter().any(|endpoint| endpoint.backup) {
        // Else the first of them takes all.
        text += "    option allbackups\n";
    }
    for (number, endpoint) in endpoints(upstream).iter().enumerate() {
        let weight = endpoint.weight.min(256);
        let backup = if endpoint.backup { " backup" } else { "" };
        let _ = writeln!(text, "    server s{number} {} weight {weight} {check}{more}{backup}", endpoint.address);
    }
    text
}
