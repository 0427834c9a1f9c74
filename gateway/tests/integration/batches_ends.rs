//! Batches and what goes wrong: clients that leave, upstreams that fail, time that runs out, a configuration that
//! changes, a gateway that ends.

use mocks::raw::{Gate, Raw, Script};

use crate::batches::{always, answers, asked, asking, bodies, body, gated, gathered, get, item, items, ok, text};
use crate::support::{Client, Gateway, eventually};

#[tokio::test]
async fn who_leaves_is_not_asked_for_and_harms_nobody() {
    let up = always(&items(&["1", "2", "3", "4"])).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 3", "")).await;
    // The first, who began it, and one of two who want the same.
    let mut clients = asking(&gateway, &[get("1", ""), get("2", ""), get("2", "")]).await;
    gathered(&gateway, 3).await;
    clients.remove(0).reset();
    clients.remove(0).reset();
    gathered(&gateway, 1).await;
    clients.extend(asking(&gateway, &[get("3", ""), get("4", "")]).await);
    let answers = answers(&mut clients).await;
    assert_eq!(answers.iter().map(body).collect::<Vec<_>>(), [&*item("2"), &*item("3"), &*item("4")]);
    assert_eq!(bodies(&up), ["{\"ids\": [\"2\",\"3\",\"4\"]}"]);
    // All of them: nothing is asked.
    let clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
    gathered(&gateway, 2).await;
    clients.into_iter().for_each(Client::reset);
    gathered(&gateway, 0).await;
    assert_eq!(bodies(&up).len(), 1);
    let records = gateway.records(7).await;
    let left: Vec<_> = records.iter().filter(|record| record["ended"] == "client_left").collect();
    assert_eq!(left.len(), 4);
    assert!(left.iter().all(|record| record["status"] == 499 && record.get("batch_size").is_none()), "{left:?}");
}

#[tokio::test]
async fn a_call_lives_as_long_as_anybody_waits_for_it() {
    let gate = Gate::new();
    let up = gated(&gate, &items(&["1", "2"])).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 2", "")).await;
    let mut clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
    eventually("it is asked", || bodies(&up).len() == 1).await;
    clients.remove(0).reset();
    gate.open();
    assert_eq!(body(&clients.remove(0).answer().await), item("2"));

    let up = gated(&Gate::new(), "").await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 2\nadaptive = true", "")).await;
    let mut clients = asking(&gateway, &[get("1", "")]).await;
    eventually("it is asked", || bodies(&up).len() == 1).await;
    clients.extend(asking(&gateway, &[get("2", "")]).await);
    gathered(&gateway, 1).await;
    clients.remove(0).reset();
    eventually("what was gathered goes when the call is given up", || bodies(&up).len() == 2).await;
    clients.remove(0).reset();
    gateway.at_rest().await;
    eventually("nobody waits: what was asked is closed", || gateway.upstream_connections() == (0, 0)).await;
}

#[tokio::test]
async fn an_upstreams_failure_is_told_to_each_of_them() {
    let status = |status: u16, fields: &str| format!("HTTP/1.1 {status} No\r\n{fields}content-length: 2\r\n\r\nno");
    let coded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}";
    for (answer, expected, code) in [
        (status(503, "retry-after: 7\r\n"), 503, "batch_failed"),
        (status(429, "retry-after: 7\r\n"), 429, "batch_failed"),
        (status(401, "www-authenticate: Basic\r\n"), 401, "batch_failed"),
        (status(404, ""), 502, "batch_failed"),
        (status(400, ""), 502, "batch_failed"),
        (status(302, "location: /x\r\n"), 502, "batch_failed"),
        ("HTTP/1.1 204 No\r\n\r\n".to_owned(), 502, "upstream_invalid"),
        (coded.to_owned(), 502, "upstream_invalid"),
        (ok("{\"items\":[{\"id\":\"1\"}"), 502, "upstream_invalid"),
        (ok("{\"items\":{}}"), 502, "upstream_invalid"),
        (ok("{\"other\":[]}"), 502, "upstream_invalid"),
        (ok(&format!("{{\"items\":[{{\"id\":\"1\",\"x\":\"{}\"}}]}}", "x".repeat(2000))), 502, "upstream_invalid"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), 502, "upstream_invalid"),
        ("no http\r\n\r\n".to_owned(), 502, "upstream_invalid"),
    ] {
        let up = always(&answer).await;
        let route = "max_size = 2\nmax_response = '1KiB'";
        let gateway = Gateway::start(&text(
            up.addr(),
            route,
            "[defaults.upstream]\nretry_budget = { ratio = 0.0, min_per_second = 0 }\n",
        ))
        .await;
        let mut clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
        for told in answers(&mut clients).await {
            assert_eq!((told.status, &*told.code()), (expected, code), "{answer}");
            assert!(told.json().get("part").is_none());
            assert_eq!(told.header("retry-after").is_some(), answer.contains("retry-after"));
            assert_eq!(told.header("www-authenticate").is_some(), answer.contains("www-authenticate"));
        }
        let records = gateway.records(2).await;
        assert!(records.iter().all(|record| record["code"] == code && record["batch_size"] == 2), "{records:?}");
        let fault = (expected != 429 && expected != 401).then_some("upstream");
        assert!(records.iter().all(|record| record.get("fault").and_then(|it| it.as_str()) == fault), "{records:?}");
        assert_eq!(gateway.inner().shards()[0].held.count(), 0);
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_call_that_is_lost_is_made_again_with_the_same_body() {
    let up = Raw::scripts([Script::new().read_request().reset(), Script::always(items(&["1", "2"]))]).await.unwrap();
    let gateway = Gateway::start(&text(up.addr(), "max_size = 2", "")).await;
    let mut clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    let calls = asked(&up);
    assert_eq!((calls.len(), &calls[0].1), (2, &calls[1].1));
    let attempts: u64 = gateway.records(2).await.iter().map(|record| record["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn an_upstream_that_hangs_is_blamed_also_where_who_asks_took_time_to_find_out() {
    // Longer than a request waits for a call beyond its own time.
    let issuer = wiremock::MockServer::start().await;
    let active = serde_json::json!({ "active": true, "sub": "ada" });
    let slow = wiremock::ResponseTemplate::new(200).set_body_json(active);
    let slow = slow.set_delay(std::time::Duration::from_millis(100));
    wiremock::Mock::given(wiremock::matchers::method("POST")).respond_with(slow).mount(&issuer).await;
    let provider = format!(
        "[identity.providers.opaque]\nkind = 'introspection'\nurl = '{}'\nclient_id = 'gateway'\n\
         client_secret_env = 'PATH'\n",
        issuer.uri()
    );
    let up = gated(&Gate::new(), "").await;
    let keys = "window = '1s'\nmax_size = 2\ntimeout = '2s'\nauth = { providers = ['opaque'] }";
    let gateway = Gateway::start(&text(up.addr(), keys, &provider)).await;
    let bearer = "authorization: Bearer t\r\n";
    let mut clients = asking(&gateway, &[get("1", bearer), get("2", bearer)]).await;
    for told in answers(&mut clients).await {
        assert_eq!((told.status, &*told.code()), (504, "upstream_timeout"));
    }
    let attempts = |outcome: &str| format!("gateway_upstream_attempts_total{{upstream=\"up\",outcome=\"{outcome}\"}}");
    assert_eq!(gateway.metric(&attempts("timeout")).await, Some(1.0), "its breaker hears of it");
    assert_eq!(gateway.metric(&attempts("cancelled")).await.unwrap_or(0.0), 0.0);
    let records = gateway.records(2).await;
    assert!(records.iter().any(|record| record["upstream"] == "up" && record["attempts"] == 1), "{records:?}");
}

#[tokio::test]
async fn nobodys_time_is_anothers() {
    // Who has little time leaves earlier, and the others get their items.
    let gate = Gate::new();
    let up = gated(&gate, &items(&["1", "2", "3"])).await;
    let gateway = Gateway::start(&text(up.addr(), "max_size = 2", "")).await;
    let hurried = "x-request-timeout-ms: 50\r\n";
    let mut clients = asking(&gateway, &[get("1", hurried), get("2", "")]).await;
    assert_eq!(clients.remove(0).answer().await.code(), "upstream_timeout");
    let late = gateway.record().await;
    let named = (&late["upstream"], &late["endpoint"], &late["attempts"]);
    assert_eq!(serde_json::json!(named), serde_json::json!(["up", up.addr().to_string(), 0]), "{late}");
    gate.open();
    assert_eq!(body(&clients.remove(0).answer().await), item("2"));
    assert_eq!(bodies(&up), ["{\"ids\": [\"1\",\"2\"]}"], "what others were given was not asked for anew");
    // One that is gathered alone is not asked for at all, and names nobody.
    assert_eq!(gateway.ask(get("3", hurried)).await.code(), "upstream_timeout");
    assert_eq!(gateway.records(3).await.remove(2)["upstream"], serde_json::Value::Null);
    gathered(&gateway, 0).await;
    assert!(bodies(&up).iter().all(|body| !body.contains("\"3\"")));
}

#[tokio::test]
async fn an_upstream_that_hangs_is_blamed_once_and_each_is_told() {
    for script in [
        Script::new().read_request().hang(),
        Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").hang(),
    ] {
        let up = Raw::script(script).await.unwrap();
        let gateway = Gateway::start(&text(up.addr(), "max_size = 2\ntimeout = '300ms'\nwindow = '50ms'", "")).await;
        let mut clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
        assert!(answers(&mut clients).await.iter().all(|answer| answer.code() == "upstream_timeout"));
        assert_eq!(bodies(&up).len(), 1);
        let records = gateway.records(2).await;
        assert!(records.iter().all(|record| record["fault"] == "upstream" && record["status"] == 504), "{records:?}");
        assert!(records.iter().all(|record| record["endpoint"] == up.addr().to_string()), "{records:?}");
    }
}

#[tokio::test]
async fn answers_take_no_more_memory_than_they_may() {
    let large = format!("{{\"items\":[{{\"id\":\"1\",\"x\":\"{}\"}}]}}", "x".repeat(5 << 20));
    let up = always(&ok(&large)).await;
    let gateway = Gateway::start(&text(
        up.addr(),
        "window = '0s'\nmax_response = '8MiB'",
        "[server]\nbody_match_memory = '4MiB'\n",
    ))
    .await;
    let answer = gateway.get("/items/1").await;
    assert_eq!((answer.status, &*answer.code()), (503, "overloaded"));
    assert_eq!(gateway.inner().shards()[0].held.count(), 0);
}

#[tokio::test]
async fn a_batch_ends_under_the_configuration_that_it_began_under() {
    let up = always(&items(&["1", "2"])).await;
    let old = text(up.addr(), "window = '500ms'", "");
    let gateway = Gateway::start(&old).await;
    let mut clients = asking(&gateway, &[get("1", "")]).await;
    gathered(&gateway, 1).await;
    gateway.rewrite(&old.replace("/items:batch", "/new:batch").replace("500ms", "0s"));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(body(&gateway.ask(get("2", "")).await), item("2"), "it joins none of before");
    assert_eq!(body(&clients.remove(0).answer().await), item("1"));
    let calls = asked(&up);
    let of = |path: &str, ids: &str| {
        calls.iter().any(|(head, body)| head.starts_with(&format!("POST {path} ")) && body.contains(ids))
    };
    assert!(of("/items:batch", "[\"1\"]") && of("/new:batch", "[\"2\"]"), "{calls:?}");
}

#[tokio::test]
async fn a_drain_waits_for_what_is_gathered() {
    let up = always(&items(&["1", "2"])).await;
    let gateway = Gateway::start(&text(up.addr(), "window = '500ms'", "")).await;
    let mut clients = asking(&gateway, &[get("1", ""), get("2", "")]).await;
    gathered(&gateway, 2).await;
    let (drained, _folder) = gateway.drain().await;
    assert_eq!(drained, gateway::shutdown::Drained::Clean);
    for (answer, id) in answers(&mut clients).await.iter().zip(["1", "2"]) {
        assert_eq!((answer.status, body(answer), answer.header("connection")), (200, &*item(id), Some("close")));
    }
    assert_eq!(bodies(&up).len(), 1);
}

/// A network that breaks when it is asked to connect.
#[derive(Clone)]
struct Breaks;

impl gateway::network::Network for Breaks {
    type Stream = tokio::net::TcpStream;

    async fn connect(&self, _: std::net::SocketAddr) -> std::io::Result<Self::Stream> {
        panic!("a bug")
    }

    async fn resolve(&self, _: &str, _: u16) -> std::io::Result<Vec<std::net::SocketAddr>> {
        panic!("a bug")
    }

    fn adopt(&self, stream: Self::Stream) -> std::io::Result<Self::Stream> {
        Ok(stream)
    }
}

#[tokio::test]
async fn a_bug_in_a_call_costs_those_who_wait_for_it_and_nobody_who_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let text = format!(
        "[telemetry.access_log]\noutput = '{}'\n{}",
        log.display(),
        text("127.0.0.1:1".parse().unwrap(), "max_size = 3", "")
    );
    let config = gateway::config::load_text(&text, folder.path(), gateway::config::Purpose::Run).unwrap().config;
    let clock = gateway::clock::Clock::system();
    let world = gateway::gateway::World { network: Breaks, clock, seed: 1, shards: 1 };
    let gateway = std::sync::Arc::new(gateway::gateway::Gateway::new(config, world).unwrap());
    let service = std::sync::Arc::clone(&gateway).into_service();
    let ask = |id: &str| {
        let request = http::Request::get(format!("/items/{id}")).header("host", "a");
        let asked = tower::ServiceExt::oneshot(service.clone(), request.body(axum::body::Body::empty()).unwrap());
        async { asked.await.unwrap().status() }
    };
    for round in 1..3 {
        let statuses = tokio::join!(ask("1"), ask("2"), ask("3"));
        assert_eq!(statuses, (http::StatusCode::INTERNAL_SERVER_ERROR, statuses.0, statuses.0));
        assert_eq!(gateway.shared().metrics.gateway().panics_total(), round);
    }
    gateway.shared().log.flush(std::time::Duration::from_secs(5));
    let lines = std::fs::read_to_string(log).unwrap();
    let records: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(records.len(), 6);
    assert!(records.iter().all(|record| record["status"] == 500 && record["code"] == "internal"), "{records:?}");
    assert!(records.iter().all(|record| record["batch_size"] == 3), "{records:?}");
}
