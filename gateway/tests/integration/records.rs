//! Access records: one for each request, whatever its end; the contract's fields in the contract's order.

use std::path::Path;

use gateway::error::Code;
use gateway::startup::Running;
use mocks::raw::{Raw, Script};
use mocks::{Effect, Reset, Rule};

use crate::support::{Gateway, echo};

/// The contract's order (records.md).
const ORDER: [&str; 30] = [
    "ts",
    "schema",
    "request_id",
    "trace_id",
    "span_id",
    "client",
    "method",
    "host",
    "path",
    "protocol",
    "route",
    "subject",
    "status",
    "code",
    "fault",
    "upstream",
    "endpoint",
    "attempts",
    "hedged",
    "breaker",
    "limit",
    "bytes_in",
    "bytes_out",
    "total_us",
    "upstream_us",
    "overhead_us",
    "ended",
    "parts",
    "batch_size",
    "",
];

#[tokio::test]
async fn a_record_says_what_happened_in_the_contracts_order() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway
        .ask("POST /a/../orders/7?token=secret HTTP/1.1\r\nhost: shop.test\r\ncookie: s=secret\r\nauthorization: Bearer secret\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    let record = gateway.record().await;
    let text = gateway.log_text(1).await;
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    let places: Vec<usize> = keys.iter().map(|key| ORDER.iter().position(|known| known == key).unwrap()).collect();
    assert!(places.is_sorted(), "{keys:?}");
    assert!(!text.contains("secret"), "{text}");

    let ts = record["ts"].as_str().unwrap();
    assert!(ts.ends_with('Z') && ts.len() == "2026-11-23T15:00:00.000000Z".len(), "{ts}");
    for (key, value) in [
        ("schema", 1.into()),
        ("request_id", answer.header("x-request-id").unwrap().into()),
        ("client", "127.0.0.1".into()),
        ("method", "POST".into()),
        ("host", "shop.test".into()),
        ("path", "/orders/7".into()),
        ("protocol", "HTTP/1.1".into()),
        ("route", "all".into()),
        ("status", 200.into()),
        ("code", "ok".into()),
        ("upstream", "up".into()),
        ("endpoint", upstream.addr().to_string().into()),
        ("attempts", 1.into()),
        ("breaker", "closed".into()),
        ("bytes_in", 3.into()),
        ("bytes_out", answer.body.len().into()),
        ("ended", serde_json::Value::from("complete")),
    ] {
        assert_eq!(record[key], value, "{key}");
    }
    let of = |key: &str| record[key].as_u64().unwrap();
    let lost = of("total_us") - of("upstream_us") - of("overhead_us");
    assert!(lost <= 1, "each is cut to whole microseconds: {record}");
    for absent in ["subject", "fault", "hedged", "limit", "parts", "batch_size"] {
        assert!(record.get(absent).is_none(), "{absent} is absent, not null");
    }
}

#[tokio::test]
async fn every_ending_leaves_exactly_one_record() {
    let upstream = echo().await;
    upstream.set_rules([
        Rule::on("/reset").effect(Effect::Reset(Reset::BeforeHeaders)),
        Rule::on("/cut").effect(Effect::Truncate(Some(1))),
        Rule::on("/hang").effect(Effect::Hang),
        Rule::on("/500").status(500),
    ]);
    let text = format!(
        "[server]\nmax_body = '5B'\n[upstreams.up]\nendpoints = ['{}']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nmethods = ['GET', 'POST']\nupstream = 'up'\ntimeout = '200ms'",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let cases = [
        ("GET /ok HTTP/1.1\r\nhost: a\r\n\r\n", 200, "ok", "complete"),
        ("GET /500 HTTP/1.1\r\nhost: a\r\n\r\n", 500, "ok", "complete"),
        ("DELETE /x HTTP/1.1\r\nhost: a\r\n\r\n", 405, "method_not_allowed", "complete"),
        ("GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", 400, "bad_request", "complete"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "bad_request", "complete"),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nsixsix", 413, "body_too_large", "complete"),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request", "complete"),
        ("GET /reset HTTP/1.1\r\nhost: a\r\n\r\n", 502, "upstream_reset", "complete"),
        ("GET /cut HTTP/1.1\r\nhost: a\r\n\r\n", 200, "upstream_reset", "upstream_cut"),
        ("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n", 504, "upstream_timeout", "complete"),
        ("HEAD /ok HTTP/1.1\r\nhost: a\r\n\r\n", 200, "ok", "complete"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 204, "ok", "complete"),
    ];
    for (count, (request, status, code, ended)) in cases.iter().enumerate() {
        let mut client = gateway.client().await;
        client.send(request.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nconnection: close\r\n", 1)).await;
        let _ = client.rest().await;
        let record = gateway.records(count + 1).await.pop().unwrap();
        let got = (&record["status"], &record["code"], &record["ended"]);
        assert_eq!(got, (&(*status).into(), &(*code).into(), &(*ended).into()), "{request:?}");
    }
    gateway.at_rest().await;
    gateway.records(cases.len()).await;
}

#[tokio::test]
async fn j4_what_a_client_sends_cannot_break_a_line() {
    let upstream = echo().await;
    let gateway = Gateway::with("trusted_proxies = ['127.0.0.1']\nescaped_slash = 'keep'", upstream.addr()).await;
    let answer = gateway.get("/a%0d%0a%1b%5b31m%22b").await;
    assert_eq!(answer.status, 200);
    let text = gateway.log_text(1).await;
    assert_eq!(text.lines().count(), 1);
    assert!(text.trim_end().bytes().all(|byte| byte >= b' '), "{text:?}");
}

#[tokio::test]
async fn what_is_refused_by_its_head_is_on_record_with_its_host_and_the_bytes_of_its_answer() {
    let upstream = echo().await;
    let gateway = Gateway::with("max_header_bytes = '1KiB'\nmax_uri_bytes = '64B'", upstream.addr()).await;
    let (long, large) = (format!("GET /{}", "p".repeat(100)), format!("x: {}\r\n", "v".repeat(1100)));
    let host = Some("shop.test");
    let requests = [
        ("TRACE /", "host: shop.test\r\n", 405, host),
        ("GET /", "host: shop.test\r\nexpect: tea\r\n", 417, host),
        (&long, "host: shop.test\r\n", 414, host),
        ("GET /", &format!("host: shop.test\r\n{large}"), 431, host),
        ("POST /", "host: shop.test\r\ncontent-length: x\r\n", 400, host),
        // Which one it is cannot be told.
        ("GET /", "host: shop.test\r\nhost: other.test\r\n", 400, None),
        // These are no requests.
        ("GET /a#b", "host: shop.test\r\n", 400, None),
        ("GET", "host: shop.test\r\n", 400, None),
    ];
    let mut lengths = Vec::new();
    for (line, fields, status, _) in requests {
        let answer = gateway.ask(format!("{line} HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(answer.status, status, "{line}");
        lengths.push(answer.body.len());
    }
    let records = gateway.records(requests.len()).await;
    for ((record, (line, .., host)), length) in records.iter().zip(requests).zip(lengths) {
        assert_eq!(record["host"].as_str(), host, "{line}: {record}");
        assert_eq!(record["bytes_out"], length, "{line}: {record}");
    }
}

/// A gateway with these routes that keeps no record of a good answer; the others are in `sampled.log`.
async fn sampled(folder: &Path, routes: &str) -> Running {
    let text = format!(
        "[server]\nworkers = 1\nbody_idle_timeout = '150ms'\n[[listeners]]\naddress = '127.0.0.1:0'\n\
         [admin]\naddress = ''\n[telemetry.access_log]\noutput = '{}'\nsample = 0.0\n{routes}",
        folder.join("sampled.log").display(),
    );
    let loaded = gateway::config::load_text(&text, folder, gateway::config::Purpose::Run).unwrap();
    let running =
        gateway::startup::start(loaded.config, None, loaded.files).await.unwrap_or_else(|e| panic!("{}", e.0));
    assert_eq!(running.admin, None);
    running
}

#[tokio::test]
async fn only_good_answers_are_sampled_away() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("sampled.log");
    let running =
        sampled(folder.path(), &format!("[[routes]]\npath = '/a'\nupstream = 'http://{}'", upstream.addr())).await;
    let mut client = crate::support::Client::connect(running.listeners[0]).await;
    for _ in 0..20 {
        assert_eq!(client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    assert_eq!(client.ask("GET /b HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 404);
    drop(client);
    running.drain().await;
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("route_not_found"));
}

#[tokio::test]
async fn answers_that_break_off_behind_a_good_head_are_failures_that_are_kept_and_counted() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
    let cuts = Raw::script(Script::new().read_request().send(half).reset()).await.unwrap();
    let stalls = Raw::script(Script::new().read_request().send(half).hang()).await.unwrap();
    let route = |name: &str, upstream: &Raw| {
        let address = upstream.addr();
        format!("[[routes]]\nname = '{name}'\npath = '/{name}'\nupstream = 'http://{address}'\nidle_timeout = '60ms'\n")
    };
    let folder = tempfile::tempdir().unwrap();
    let large = echo().await;
    let untaken =
        format!("[[routes]]\nname = 'untaken'\npath = '/bytes/{{n}}'\nupstream = 'http://{}'\n", large.addr());
    let running = sampled(folder.path(), &(route("cut", &cuts) + &route("stall", &stalls) + &untaken)).await;
    for path in ["/cut", "/stall"] {
        let mut client = crate::support::Client::connect(running.listeners[0]).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let _ = client.rest().await;
    }
    // It reads the head, and no more while it stays.
    let mut client = crate::support::Client::connect(running.listeners[0]).await;
    client.send("GET /bytes/1000000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.head().await.status, 200);
    let inner = std::sync::Arc::clone(running.gateway());
    running.drain().await;
    let text = std::fs::read_to_string(folder.path().join("sampled.log")).unwrap();
    let records: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |record: &serde_json::Value| {
        ["route", "status", "code", "fault", "ended"].map(|key| record[key].to_string().replace('"', "")).join(" ")
    };
    assert_eq!(
        records.iter().map(told).collect::<Vec<_>>(),
        [
            "cut 200 upstream_reset upstream upstream_cut",
            "stall 200 upstream_timeout upstream timeout",
            "untaken 200 request_timeout client timeout",
        ]
    );
    let counted = inner.shared().metrics.routes();
    let counted: Vec<_> = counted.iter().filter_map(|route| Some(route.totals()?.requests)).collect();
    let one = |code| vec![(2, Some(code), 1)];
    let codes = [Code::UpstreamReset, Code::UpstreamTimeout, Code::RequestTimeout];
    assert_eq!(counted, codes.map(one));
    drop(client);
}
