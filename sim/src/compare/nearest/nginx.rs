//! For nginx (ngx_http_upstream_module, ngx_http_proxy_module, ngx_http_limit_req_module).
//!
//! nginx counts failed attempts within `fail_timeout`, and leaves an endpoint alone for that same time; one request
//! then tries it. A status counts as failed only where it is named for `proxy_next_upstream` and another attempt is
//! allowed.

use std::fmt::Write as _;

use gateway::config::settings::rate_limit::{LimitKey, RateLimit};
use gateway::config::settings::route::HostPolicy;
use gateway::config::settings::upstream::{Balance, Failures, HashKey};
use gateway::config::settings::{Route, Upstream};

use super::path::{self, Path};
use super::{Lacks, Nearest, fixed_host, methods, retries, routes};
use crate::compare::wanted::{Wanted, endpoints, failures_that_open, millis, seconds};

/// The configuration.
pub(super) fn make(wanted: &Wanted<'_>) -> Nearest {
    let mut lacks = Lacks::default();
    lacks.not_carried_over(wanted);
    let routes = routes(wanted);
    let mut text = head(wanted);
    for limit in wanted.limits() {
        text += &zone(limit, &mut lacks);
    }
    for upstream in &wanted.config.upstreams {
        text += &of_upstream(upstream, &mut lacks);
    }
    let _ = writeln!(text, "    server {{\n        listen {} backlog=4096;", wanted.spot.listen);
    let most = wanted.config.server.max_body.unwrap_or(0);
    let _ = writeln!(text, "        client_max_body_size {most};\n        limit_req_status 429;");
    for (route, upstream) in routes {
        text += &location(wanted, route, upstream, &mut lacks);
    }
    text += "    }\n}\n";
    Nearest { text, lacks: lacks.0 }
}

fn head(wanted: &Wanted<'_>) -> String {
    let (spot, dir) = (&wanted.spot, wanted.spot.folder.display());
    let idle = seconds(wanted.config.server.idle_timeout);
    let mut text = format!(
        "# nginx as near to the scenario's gateway as it can be configured. Written by `sim compare`.\n\
         worker_processes {};\ndaemon off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.error.log warn;\n\
         events {{ worker_connections {}; }}\nhttp {{\n    access_log off;\n    keepalive_requests 1000000000;\n    \
         keepalive_timeout {idle}s;\n",
        spot.workers,
        spot.connections.clamp(256, 65_536),
    );
    for kind in ["client_body_temp", "proxy_temp", "fastcgi_temp", "uwsgi_temp", "scgi_temp"] {
        let _ = writeln!(text, "    {kind}_path {dir}/nginx-{kind};");
    }
    // Large answers wait for the client, and are not written to a disk.
    text + "    proxy_max_temp_file_size 0;\n"
}

fn zone(limit: &RateLimit, lacks: &mut Lacks) -> String {
    let key = match &limit.key {
        LimitKey::ClientIp => "$binary_remote_addr".to_owned(),
        LimitKey::Global | LimitKey::Route => "$server_port".to_owned(),
        LimitKey::Header(name) => variable("http", name.as_str()),
        LimitKey::Subject | LimitKey::Claim(_) | LimitKey::Custom(_) => {
            lacks.say(format!("limits by `{}`: by the client's address instead", limit.key));
            "$binary_remote_addr".to_owned()
        }
    };
    let rate = match limit.rate.period.as_secs() {
        1 => format!("{}r/s", limit.rate.tokens),
        seconds => {
            let (tokens, seconds) = (limit.rate.tokens.saturating_mul(60), seconds.max(1));
            let a_minute = tokens.div_ceil(seconds).max(1);
            if !tokens.is_multiple_of(seconds) {
                lacks.say(format!("a limit of {} is {a_minute} a minute: whole requests", limit.rate));
            }
            format!("{a_minute}r/m")
        }
    };
    format!("    limit_req_zone {key} zone={}:10m rate={rate};\n", limit.name)
}

fn variable(kind: &str, name: &str) -> String {
    format!("${kind}_{}", name.to_ascii_lowercase().replace('-', "_"))
}

fn of_upstream(upstream: &Upstream, lacks: &mut Lacks) -> String {
    let mut text = format!("    upstream {} {{\n        zone {} 256k;\n", upstream.name, upstream.name);
    match &upstream.balance {
        Balance::RoundRobin => {}
        Balance::LeastRequest | Balance::PeakEwma | Balance::Custom(_) => text += "        least_conn;\n",
        Balance::Random => text += "        random;\n",
        Balance::ConsistentHash(hash) => {
            let key = match &hash.key {
                HashKey::ClientIp => "$remote_addr".to_owned(),
                HashKey::Path => "$uri".to_owned(),
                HashKey::Header(name) => variable("http", name.as_str()),
                HashKey::Cookie(name) => variable("cookie", name),
            };
            let _ = writeln!(text, "        hash {key} consistent;");
            lacks.say("consistent hashing without a bound on load");
        }
    }
    let fails = failures_that_open(upstream).unwrap_or(0);
    let out = seconds(upstream.breaker.policy.open_for);
    breaker_lacks(upstream, lacks);
    for endpoint in endpoints(upstream).iter().filter(|endpoint| endpoint.weight > 0) {
        let most = upstream.pool.max_connections.map_or_else(String::new, |most| format!(" max_conns={most}"));
        let (address, weight) = (&endpoint.address, endpoint.weight);
        // Which it refuses beside `hash` and `random`.
        let by_turns = !matches!(upstream.balance, Balance::Random | Balance::ConsistentHash(_));
        let backup = if endpoint.backup && by_turns { " backup" } else { "" };
        lacks.when(endpoint.backup && !by_turns, "a backup is an endpoint like all others");
        let _ = writeln!(
            text,
            "        server {address} weight={weight} max_fails={fails} fail_timeout={out}s{most}{backup};"
        );
    }
    let _ = writeln!(text, "        keepalive {};", upstream.pool.max_idle_per_worker);
    let _ = writeln!(text, "        keepalive_timeout {}s;", seconds(upstream.pool.idle_timeout));
    text + "        keepalive_requests 1000000000;\n    }\n"
}

fn breaker_lacks(upstream: &Upstream, lacks: &mut Lacks) {
    let policy = &upstream.breaker.policy;
    if failures_that_open(upstream).is_some() {
        lacks.say("counts failed attempts within fail_timeout, neither in a row nor as a share of a window");
    }
    let slow = upstream.breaker.slow_call.is_some() && policy.slow_share.is_some();
    lacks.when(slow, "slow answers never count against an endpoint");
    lacks.when(policy.max_open_for > policy.open_for, "is out for the same time each time, not longer");
    lacks.when(policy.probes > 1, "one request tries an endpoint that was out, and one that succeeds is enough");
    lacks.when(policy.open_for.subsec_nanos() > 0, "is out for whole seconds");
    lacks.when(upstream.health.is_some(), "active health checks (in the commercial version alone)");
    lacks.when(!upstream.slow_start.is_zero(), "slow start (in the commercial version alone)");
    lacks.when(upstream.retry_budget.share > 0, "no budget for retries");
}

fn location(wanted: &Wanted<'_>, route: &Route, upstream: &Upstream, lacks: &mut Lacks) -> String {
    let of = match path::path(route) {
        Path::Exact(path) => format!("= {path}"),
        Path::Prefix(path) => format!("^~ {path}"),
        Path::Pattern(pattern) => format!("~ \"^{pattern}$\""),
    };
    let mut text = format!("        location {of} {{\n");
    if !route.matches.methods.is_empty() {
        let allowed = methods(&route.matches.methods);
        let _ = writeln!(text, "            if ($request_method !~ ^({allowed})$) {{ return 405; }}");
    }
    for limit in wanted.limits_of(route) {
        // The burst does not count the request that is admitted anyhow.
        let (name, more) = (&limit.name, limit.rate.burst.saturating_sub(1));
        let _ = match more {
            0 => writeln!(text, "            limit_req zone={name};"),
            more => writeln!(text, "            limit_req zone={name} burst={more} nodelay;"),
        };
    }
    if let Some(rewriting) = path::rewriting(route) {
        let target = rewriting.target(|group| format!("${group}"));
        let _ = writeln!(text, "            rewrite \"^{}$\" {target} break;", rewriting.pattern);
    }
    let _ = writeln!(text, "            proxy_pass http://{};", upstream.name);
    text += "            proxy_http_version 1.1;\n            proxy_set_header Connection \"\";\n";
    let host = match (&route.host, fixed_host(route)) {
        (_, Some(host)) => host.to_owned(),
        (HostPolicy::Client, _) => "$http_host".to_owned(),
        _ => "$proxy_host".to_owned(),
    };
    let _ = writeln!(text, "            proxy_set_header Host {host};");
    text + &limits_of_time(route, upstream, lacks) + "        }\n"
}

fn limits_of_time(route: &Route, upstream: &Upstream, lacks: &mut Lacks) -> String {
    let mut text = format!("            proxy_connect_timeout {}ms;\n", millis(upstream.pool.connect_timeout));
    if let Some(most) = route.retry.per_try_timeout.or(route.timeout) {
        let ms = millis(most);
        let _ = writeln!(text, "            proxy_read_timeout {ms}ms;\n            proxy_send_timeout {ms}ms;");
        lacks.say("the time limit is between two reads of an attempt, not for the whole request");
    }
    let tries = retries(route) + 1;
    let mut on = failures(&upstream.breaker.failures, lacks);
    if tries > 1 {
        on = failures(&route.retry.on, lacks);
        let unsafe_too = route.retry.methods.iter().any(|method| method.as_str() == "POST");
        on += if unsafe_too { " non_idempotent" } else { "" };
        lacks.say("retries at once, without a wait");
    } else {
        lacks.when(
            !upstream.breaker.failures.statuses.is_empty(),
            "without retries no status counts against an endpoint",
        );
    }
    let _ = writeln!(text, "            proxy_next_upstream {on};\n            proxy_next_upstream_tries {tries};");
    if let Some(most) = route.timeout {
        let _ = writeln!(text, "            proxy_next_upstream_timeout {}ms;", millis(most));
    }
    text
}

/// What `proxy_next_upstream` is told.
fn failures(failures: &Failures, lacks: &mut Lacks) -> String {
    const KNOWN: [u16; 8] = [403, 404, 429, 500, 502, 503, 504, 0];
    let mut words: Vec<String> = Vec::new();
    if failures.connect || failures.reset {
        words.extend(["error".to_owned(), "invalid_header".to_owned()]);
    }
    if failures.timeout {
        words.push("timeout".to_owned());
    }
    let (known, unknown): (Vec<u16>, Vec<u16>) = failures.statuses.iter().partition(|status| KNOWN.contains(status));
    words.extend(known.iter().map(|status| format!("http_{status}")));
    for status in unknown {
        lacks.say(format!("status {status} cannot be named as a failure"));
    }
    if words.is_empty() { "off".to_owned() } else { words.join(" ") }
}
