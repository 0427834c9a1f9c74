//! What each configuration says, and that the programs themselves take it (where they are installed).

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use gateway::config::{Config, Purpose, load_text};

use super::*;
use crate::compare::wanted::Spot;

const UPSTREAM: &str = "\n[upstreams.orders]\nendpoints = [{ address = '127.0.0.1:9001', weight = 3 }, '127.0.0.1:9002']\n\
    pool = { connect_timeout = '300ms', max_connections = 64 }\n\
    [upstreams.orders.breaker]\nconsecutive_failures = 5\nopen_for = '1500ms'\nmax_open_for = '6s'\nslow_call = '100ms'\nslow_ratio = 0.5\n";

/// A route of every kind.
const ROUTES: &str = "\n[[routes]]\nname = 'all'\npath = '/api/orders/{*rest}'\nupstream = 'orders'\n\
    rewrite = { strip_prefix = '/api' }\ntimeout = '2s'\n[[routes]]\npath = '/one'\nupstream = 'orders'\nmethods = ['GET']\n\
    retry = { attempts = 1 }\n[[routes]]\npath = '/a/{id}/b'\nupstream = 'orders'\nrewrite = { path = '/v2/{id}' }\n\
    host = 'upstream'\n";

pub(in crate::compare) fn config(text: &str) -> Config {
    let whole = if text.contains("[upstreams.") { text.to_owned() } else { text.to_owned() + UPSTREAM };
    load_text(&whole, Path::new("gateway.toml"), Purpose::Check).unwrap_or_else(|problems| panic!("{problems}")).config
}

/// What a gateway is told of this configuration, and of a limit on each of its routes.
fn made(name: &str, text: &str, limited: bool, folder: &Path) -> Nearest {
    let route = if limited { "upstream = 'orders'\nrate_limits = ['public']" } else { "upstream = 'orders'" };
    let text = text.replace("upstream = 'orders'", route) + if limited { LIMIT } else { "" };
    let config = config(&text);
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let spot = Spot { listen: at(8001), admin: at(8002), folder, workers: 1, connections: 1_000 };
    maker(name).unwrap().1(&Wanted { config: &config, spot })
}

const LIMIT: &str = "\n[rate_limits.public]\nrate = '100/s'\nburst = 20\nkey = 'global'\n";

/// Asks the program itself; a line says so where it is not here.
fn is_taken(name: &str, arguments: &[&str], file: &str, nearest: &Nearest, folder: &Path) {
    let Some(found) = crate::peers::program::find(name, None) else {
        let _ = writeln!(std::io::stderr(), "skipped: {name} is not on this machine");
        return;
    };
    let path = folder.join(file);
    std::fs::write(&path, &nearest.text).unwrap();
    let output = Command::new(found.path).args(arguments).arg(&path).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{name}: {said}\n{}", nearest.text);
}

#[test]
fn each_program_takes_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let health = UPSTREAM.replace(
        "[upstreams.orders.breaker]",
        "slow_start = '2s'\nhealth = { path = '/healthz' }\n[upstreams.orders.breaker]",
    );
    let hash = "balance = { policy = 'consistent_hash', key = 'header:x-user' }\n[upstreams.orders.breaker]";
    let texts = [
        ROUTES.to_owned(),
        ROUTES.to_owned() + &health,
        ROUTES.to_owned() + &UPSTREAM.replace("[upstreams.orders.breaker]", hash),
        "[[routes]]\npath = '/{*rest}'\nupstream = 'http://127.0.0.1:9001'".to_owned() + UPSTREAM,
    ];
    for text in &texts {
        for limited in [false, true] {
            let of = |name| made(name, text, limited, folder.path());
            is_taken(
                "nginx",
                &["-t", "-q", "-p", ".", "-e", "stderr", "-c"],
                "nginx.conf",
                &of("nginx"),
                folder.path(),
            );
            is_taken("haproxy", &["-c", "-f"], "haproxy.cfg", &of("haproxy"), folder.path());
            let flags = ["--mode", "validate", "--log-level", "error", "-c"];
            is_taken("envoy", &flags, "envoy.json", &of("envoy"), folder.path());
        }
    }
}

#[test]
fn what_is_asked_for_is_written_down() {
    let of = |name| made(name, ROUTES, true, Path::new("/d")).text;
    let nginx = of("nginx");
    for line in [
        "proxy_max_temp_file_size 0;",
        "server 127.0.0.1:9001 weight=3 max_fails=5 fail_timeout=2s max_conns=64;",
        "location ^~ /api/orders/ {",
        "rewrite \"^/api(/.*)$\" $1 break;",
        "limit_req zone=public burst=19 nodelay;",
        "proxy_next_upstream_tries 2;",
        "proxy_connect_timeout 300ms;",
        "if ($request_method !~ ^(GET|HEAD)$) { return 405; }",
    ] {
        assert!(nginx.contains(line), "{line} is not in\n{nginx}");
    }
    let haproxy = of("haproxy");
    for line in [
        "server s0 127.0.0.1:9001 weight 3 check inter 1500ms rise 1 fall 3 observe layer7 error-limit 5 on-error mark-down maxconn 64",
        "acl r1 path_beg /api/orders/",
        "retry-on conn-failure empty-response junk-response 502 503 504",
        "store gpc0,gpc0_rate(200ms)",
        "http-request return status 429 if { sc_gpc0_rate(0,limit0) ge 20 }",
    ] {
        assert!(haproxy.contains(line), "{line} is not in\n{haproxy}");
    }
    let at = |text: &str| haproxy.find(text).unwrap_or_else(|| panic!("{text} is not in\n{haproxy}"));
    assert!(at("ge 20 }") < at("sc-inc-gpc0(0) if r0 || r1 || r2"), "who is refused is not counted:\n{haproxy}");
    assert!(!haproxy.contains("http_req_rate"), "it counts who is refused:\n{haproxy}");
    let envoy: serde_json::Value = serde_json::from_str(&of("envoy")).unwrap();
    let cluster = &envoy["static_resources"]["clusters"][0];
    assert_eq!(cluster["outlier_detection"]["consecutive_gateway_failure"], 5);
    assert_eq!(cluster["outlier_detection"]["base_ejection_time"], "1.500s");
    let hosts = &envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let routes = &hosts["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes[0]["match"]["path"], "/one", "the exact path comes first");
    assert_eq!(routes[1]["route"]["retry_policy"]["num_retries"], 1);
}

#[test]
fn a_rate_that_cannot_be_written_down_exactly_is_said_to_be_off() {
    let of = |name, rate: &str| {
        let limited = ROUTES.replace("upstream = 'orders'", "upstream = 'orders'\nrate_limits = ['public']");
        let config = config(&(limited + &LIMIT.replace("100/s", rate)));
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let spot = Spot { listen: at(8001), admin: at(8002), folder: Path::new("/d"), workers: 1, connections: 1_000 };
        maker(name).unwrap().1(&Wanted { config: &config, spot })
    };
    let off = |name, rate| {
        let lacks = of(name, rate).lacks;
        lacks.into_iter().find(|lack| lack.starts_with(&format!("a limit of {rate} is"))).unwrap_or_default()
    };
    assert!(of("nginx", "100/h").text.contains("rate=2r/m"));
    assert_eq!(off("nginx", "100/h"), "a limit of 100/h is 2 a minute: whole requests");
    assert_eq!((off("nginx", "100/s"), off("nginx", "120/h")), (String::new(), String::new()));
    assert!(off("envoy", "30/s").contains("off by -0.50 %"), "{:?}", of("envoy", "30/s").lacks);
    assert_eq!((off("envoy", "100/s"), off("envoy", "100/h")), (String::new(), String::new()));
    let small = "tokens come back no more often than each 50 ms, and no more than the burst".to_owned();
    assert!(of("envoy", "1000/s").lacks.contains(&small) && !of("envoy", "100/s").lacks.contains(&small));
}

#[test]
fn what_is_lacking_is_said_when_it_was_asked_for_and_not_otherwise() {
    let of = |name, text: &str| made(name, text, false, Path::new("/d")).lacks.join("\n");
    for name in ["nginx", "haproxy", "envoy"] {
        let slow = of(name, ROUTES);
        assert!(slow.contains("slow answers never count"), "{name}: {slow}");
        let plain =
            "[upstreams.orders]\nendpoints = ['127.0.0.1:9001']\n[[routes]]\npath = '/{*rest}'\nupstream = 'orders'\n";
        let plain = of(name, plain);
        assert!(!plain.contains("slow") && !plain.contains("host, header"), "{name}: {plain}");
        assert!(!plain.contains("requests at once") && !plain.contains("expression"), "{name}: {plain}");
        let more = "[upstreams.orders]\nendpoints = ['127.0.0.1:9001']\n[rate_limits.each]\nin_flight = 2\n\
            key = 'client_ip'\n[[routes]]\npath = '/{*rest}'\npath_regex = '/v[0-9]+/.*'\nupstream = 'orders'\n\
            rate_limits = ['each']\n";
        let more = of(name, more);
        assert!(more.contains("requests at once are not limited") && more.contains("expression"), "{name}: {more}");
    }
    let health = "[upstreams.orders]\nendpoints = ['127.0.0.1:9001']\nhealth = { path = '/healthz' }\n[[routes]]\n\
        path = '/{*rest}'\nupstream = 'orders'\n";
    assert!(of("nginx", health).contains("health checks") && !of("envoy", health).contains("health checks"));
    assert!(maker("caddy").is_none());
}
