//! Loads over TLS, HTTP/2 and the PROXY protocol, and hostile clients, as `sim run` does them on real programs.

mod worlds;

use std::path::Path;

use reports::result::ResultFile;
use serde_json::Value;
use worlds::{assert_schema, result_of, sim, text, written};

/// Listeners in the clear, over TLS, and behind a balancer; time-outs that a test can wait for.
const GATEWAY: &str = r#"
[server]
trusted_proxies = ["127.0.0.1/32"]
header_read_timeout = "300ms"
body_idle_timeout = "300ms"
tls_handshake_timeout = "300ms"
idle_timeout = "600ms"

[[listeners]]
address = "127.0.0.1:0"
[[listeners]]
address = "127.0.0.1:0"
tls = { cert = "edge.pem", key = "edge.key.pem" }
[[listeners]]
address = "127.0.0.1:0"
proxy_protocol = true

[upstreams.orders]
endpoints = ["mock://orders/0"]
pool = { idle_timeout = "500ms" }

[[routes]]
path = "/{*rest}"
upstream = "orders"
"#;

fn scenario(more: &str) -> String {
    let load = |name: &str, way: &str| {
        format!(
            "[[load]]\nname = \"{name}\"\nmodel = \"open\"\nrate = \"60/s\"\nduration = \"2s\"\nconnections = 2\n{way}\n\
             request = {{ path = \"/a\" }}\n"
        )
    };
    let loads = [
        load("plain", ""),
        load("tls", "listener = 1\ntls = { ca = \"edge.ca.pem\" }"),
        load("http2", "listener = 1\ntls = { ca = \"edge.ca.pem\" }\nhttp2 = true\nstreams = 5"),
        load("balancer", "listener = 2\nproxy_protocol = \"v2\""),
    ];
    let head = "name = \"edge\"\nwarm_up = \"100ms\"\nrest = \"3s\"\n[gateway]\nconfig = \"gateway.toml\"\n\
                [mocks.orders]\nendpoints = 1\n";
    head.to_owned() + &loads.concat() + more
}

fn run(more: &str) -> ResultFile {
    let folder = written(&scenario(more), GATEWAY);
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for file in ["edge.pem", "edge.key.pem", "edge.ca.pem"] {
        std::fs::copy(scenarios.join(file), folder.path().join(file)).unwrap();
    }
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--json", "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_schema(&out);
    result
}

fn count(figures: &Value) -> u64 {
    figures.as_u64().unwrap_or_else(|| panic!("{figures} is no count"))
}

#[test]
fn every_way_to_a_listener_carries_its_load_and_what_is_held_at_rest_is_compared() {
    let expected = r#"
[[expect]]
figure = "prometheus.0.gateway_proxy_protocol_total{result=\"client\"}"
min = 2
[[expect]]
figure = "prometheus.0.gateway_tls_handshakes_total{result=\"ok\"}"
min = 3
[[expect]]
figure = "rest.0.descriptors.grown"
max = 0
"#;
    let result = run(expected);
    for expectation in &result.expectations {
        assert!(expectation.holds, "{expectation:?}");
    }
    for (name, load) in &result.load {
        let phase = &load.phases["before"];
        assert!(phase.arrivals() > 50 && phase.outcome("ok") == phase.arrivals(), "{name}: {phase:?}");
    }
    let held = &result.other["rest"]["0"];
    assert!(count(&held["rss_bytes"]["before"]) > 1_000_000 && count(&held["descriptors"]["after"]) > 3, "{held}");
}

#[test]
fn hostile_clients_are_ended_counted_and_told_from_the_loads() {
    let part = |name: &str, act: &str, more: &str| {
        format!("[[hostile]]\nname = \"{name}\"\nact = \"{act}\"\nhold = \"1500ms\"\nevery = \"50ms\"\n{more}\n")
    };
    let more = [
        part("head", "slow_head", ""),
        part("malformed", "malformed", ""),
        part("endless", "endless_head", ""),
        part("silent", "silent", ""),
        part("handshake", "half_handshake", "listener = 1"),
        part("reader", "slow_reader", "path = \"/bytes/16000000\"\nconnections = 1"),
        part("resets", "rapid_reset", ""),
        part("strangers", "malformed", "listener = 2"),
        part("broken", "broken", "path = \"/stream/5/100\""),
    ];
    let expected = "[[expect]]\nfigure = 'prometheus.0.gateway_shed_total{reason=\"h2_flood\"}'\nmin = 1\n\
                    [[expect]]\nfigure = \"hostile.head.status.503\"\nmax = 0\n";
    let result = run(&(more.concat() + expected));
    for expectation in &result.expectations {
        assert!(expectation.holds, "{expectation:?}");
    }
    let hostile = &result.other["hostile"];
    for name in ["head", "malformed", "endless", "silent", "handshake", "reader", "resets", "strangers"] {
        let figures = &hostile[name];
        assert!(count(&figures["ended_by_gateway"]) >= 1, "{name}: {figures}");
        assert_eq!(count(&figures["ended_by_client"]), 0, "{name}: {figures}");
    }
    assert!(count(&hostile["head"]["status"]["408"]) >= 1, "{hostile}");
    assert!(count(&hostile["malformed"]["status"]["400"]) >= 1, "{hostile}");
    assert!(count(&hostile["endless"]["status"]["431"]) >= 1, "{hostile}");
    assert!(count(&hostile["resets"]["goaway"]["ENHANCE_YOUR_CALM"]) >= 1, "{hostile}");
    // Each has a record of its own, and the loads' account is not touched by them.
    let malformed = &hostile["malformed"];
    assert_eq!(malformed["records"], malformed["status"]["400"], "{malformed}");
    assert_eq!(count(&hostile["strangers"]["records"]), 0, "who is not trusted is not heard");
    assert!(count(&hostile["broken"]["records"]) >= 1, "{hostile}");
    assert_eq!(result.other["accounting"]["surplus"], 0, "{}", result.other["accounting"]);
    assert_eq!(result.other["accounting"]["missing"], 0, "{}", result.other["accounting"]);
}
