//! Upstream connections: kept, shared between workers, closed when they have had their time.

use mocks::raw::{Raw, Script};
use serde_json::{Value, json};

use crate::support::{Collector, Gateway, echo, eventually, traced};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn text(server: &str, pool: &str, upstream: std::net::SocketAddr) -> String {
    format!(
        "[server]\n{server}\n[upstreams.up]\nendpoints = ['{upstream}']\npool = {{ {pool} }}\n\
         [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n"
    )
}

#[tokio::test]
async fn workers_borrow_from_each_other_before_they_dial() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("workers = 4", "", upstream.addr())).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(gateway.client().await);
    }
    for _ in 0..5 {
        for client in &mut clients {
            assert_eq!(client.ask(GET).await.status, 200);
            eventually("the connection is back in its pool", || gateway.upstream_connections() == (1, 1)).await;
        }
    }
    assert_eq!(upstream.counters().accepts, 1, "forty requests on four workers, one connection");
}

#[tokio::test]
async fn an_upstream_that_says_close_is_believed() {
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::script(Script::new().read_request().send(close).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        let answer = client.ask(GET).await;
        assert_eq!((answer.status, answer.header("connection")), (200, None), "the client's connection is its own");
    }
    assert_eq!(upstream.accepted(), 3);
    assert_eq!(gateway.upstream_connections(), (0, 0));
}

/// NTLM and Negotiate prove who is at a connection, once: whoever was lent it next was taken for that one.
#[tokio::test]
async fn nobody_is_lent_a_connection_at_which_somebody_has_proven_who_they_are() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for (credentials, opened) in [
        ("", 1),
        ("authorization: Basic eA==\r\n", 1),
        ("authorization: NTLM TlRMTVNTUAAD\r\n", 1),
        ("", 2),
        ("authorization: negotiate YII=\r\n", 2),
        ("", 3),
    ] {
        assert_eq!(client.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{credentials}\r\n")).await.status, 200);
        gateway.at_rest().await;
        assert_eq!(upstream.counters().accepts, opened, "{credentials}");
    }
}

/// Nor one at which somebody was asked so: some services remember by it whom they have asked.
#[tokio::test]
async fn nobody_is_lent_a_connection_at_which_somebody_was_asked_to_prove_it() {
    for (challenge, opened) in [("Basic realm=\"a\"", 1), ("Basic realm=\"a\", NTLM", 3), ("Negotiate", 3)] {
        let refused =
            format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\ncontent-length: 0\r\n\r\n");
        let upstream = Raw::script(Script::always(refused)).await.unwrap();
        let gateway = Gateway::to(upstream.addr()).await;
        let mut client = gateway.client().await;
        for _ in 0..3 {
            let answer = client.ask(GET).await;
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)));
            gateway.at_rest().await;
        }
        assert_eq!(upstream.accepted(), opened, "{challenge}");
    }
}

#[tokio::test]
async fn a_connection_has_a_longest_life() {
    let upstream = echo().await;
    let gateway = Gateway::start(&text("", "max_lifetime = '1s'", upstream.addr())).await;
    let mut client = gateway.client().await;
    let mut asked = 0;
    while upstream.counters().accepts < 2 {
        assert_eq!(client.ask(GET).await.status, 200);
        asked += 1;
        assert!(asked < 1_000_000);
    }
    eventually("the old one is closed", || upstream.counters().connections == 1).await;
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_allowed_once_nobody_needs_them() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().delay(std::time::Duration::from_millis(100))]);
    let gateway = Gateway::start(&text("", "max_idle_per_worker = 2", upstream.addr())).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = gateway.client().await;
        client.send(GET).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.at_rest().await;
    eventually("two are left", || gateway.upstream_connections() == (2, 2)).await;
}

/// At six busy connections and two that may idle, four in a row were closed and opened anew with every round.
#[tokio::test]
async fn connections_that_are_needed_again_at_once_are_not_opened_again() {
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().delay(std::time::Duration::from_millis(20))]);
    let gateway = Gateway::start(&text("workers = 1", "max_idle_per_worker = 2", upstream.addr())).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(gateway.client().await);
    }
    for _ in 0..10 {
        for client in &mut clients {
            client.send(GET).await;
        }
        for client in &mut clients {
            assert_eq!(client.answer().await.status, 200);
        }
        gateway.at_rest().await;
    }
    let accepts = upstream.counters().accepts;
    assert!(accepts < 30, "{accepts} connections for sixty requests");
}

/// Whether a connection was closed for being idle, or for this very request, nobody can tell.
#[tokio::test]
async fn a_request_that_was_cut_goes_out_again_only_as_its_route_and_its_upstreams_budget_let_it() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let never = "retry_budget = { ratio = 0.0, min_per_second = 0 }";
    for (upstream_keys, retry, method, expected) in [
        ("", "attempts = 1", "GET", 200),
        ("", "attempts = 1", "DELETE", 200),
        ("", "attempts = 1, methods = ['GET']", "GET", 200),
        ("", "attempts = 1, methods = ['GET']", "DELETE", 502),
        ("", "attempts = 2, methods = ['GET']", "DELETE", 502),
        (never, "attempts = 2", "GET", 502),
    ] {
        let upstream =
            Raw::scripts([Script::new().read_request().send(OK).read_head(), Script::always(OK)]).await.unwrap();
        let text = format!(
            "[upstreams.up]\nendpoints = ['{}']\n{upstream_keys}\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ {retry} }}\n",
            upstream.addr()
        );
        let gateway = Gateway::start(&text).await;
        let mut client = gateway.client().await;
        assert_eq!(client.ask(GET).await.status, 200);
        let answer = client.ask(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        assert_eq!(answer.status, expected, "{method}, {retry}, {upstream_keys}");
        assert_eq!(upstream.accepted(), if expected == 200 { 2 } else { 1 }, "{method}, {retry}, {upstream_keys}");
    }
}

/// An upstream that breaks every connection looks like one that has closed them for being idle.
#[tokio::test]
async fn an_outage_over_warm_connections_costs_no_more_than_the_budget() {
    const CLIENTS: u64 = 40;
    let upstream = echo().await;
    upstream.set_rules([mocks::Rule::any().delay(std::time::Duration::from_millis(100))]);
    let text = format!(
        "[server]\nworkers = 1\n[upstreams.up]\nendpoints = ['{}']\nbreaker = {{ failures = [] }}\n\
         retry_budget = {{ ratio = 0.0, min_per_second = 2 }}\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'up'\n",
        upstream.addr()
    );
    let gateway = Gateway::start(&text).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(gateway.client().await);
    }
    for client in &mut clients {
        client.send(GET).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.at_rest().await;
    upstream.set_rules([mocks::Rule::any().effect(mocks::Effect::Reset(mocks::Reset::BeforeHeaders))]);
    let clock = gateway::clock::Clock::system();
    let (before, began) = (upstream.counters().requests, clock.now());
    for client in &mut clients {
        client.send(GET).await;
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.code(), "upstream_reset");
    }
    let sent = upstream.counters().requests - before;
    let most = CLIENTS + 2 * ((clock.now() - began).as_secs() + 2);
    assert!(sent <= most, "{sent} of {CLIENTS}, and {most} may be");
}

/// It is one attempt, that is good and counts for nothing else; but who wonders where its time went is told.
#[tokio::test]
async fn what_met_a_closed_connection_is_one_attempt_that_says_so() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::scripts([Script::new().read_request().send(OK).read_head(), Script::always(OK)]).await.unwrap();
    let collector = Collector::start().await;
    let gateway = Gateway::start(&format!(
        "{}[telemetry.recorder]\nsample = 1.0\n{}",
        traced(&collector.endpoint()),
        text("", "", upstream.addr())
    ))
    .await;
    let replays = "gateway_upstream_stale_replays_total{upstream=\"up\"}";
    let mut client = gateway.client().await;
    assert_eq!(client.ask(GET).await.status, 200);
    assert_eq!(gateway.metric(replays).await, Some(0.0));
    assert_eq!((client.ask(GET).await.status, upstream.accepted()), (200, 2));
    assert_eq!(gateway.metric(replays).await, Some(1.0));
    assert_eq!(gateway.metric("gateway_upstream_attempts_total{upstream=\"up\",outcome=\"ok\"}").await, Some(2.0));
    assert_eq!(gateway.metric("gateway_upstream_attempts_total{upstream=\"up\",outcome=\"reset\"}").await, None);

    let marks = gateway.records(2).await.into_iter().map(|record| {
        assert_eq!((&record["attempts"], &record["code"]), (&json!(1), &json!("ok")));
        record["request_id"].as_str().unwrap().to_owned()
    });
    for (id, replayed) in marks.collect::<Vec<_>>().into_iter().zip([Value::Null, json!(true)]) {
        let told = gateway.admin("GET", &format!("/requests/{id}")).await.json();
        let exchanges = told["exchanges"].as_array().unwrap();
        assert_eq!((exchanges.len(), &exchanges[0]["replayed"]), (1, &replayed), "{told:#}");
    }
    let spans = collector.spans(4).await;
    let mut marks: Vec<_> = spans.iter().filter(|it| it.is_client()).map(|it| it.get("gateway.replayed")).collect();
    marks.sort();
    assert_eq!(marks, ["", "1"]);
}

#[tokio::test]
async fn a_socket_for_each_worker_serves_and_drains_too() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nworkers = 2\n[[listeners]]\naddress = '127.0.0.1:0'\nreuse_port = true\n[admin]\naddress = ''\n\
         [telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    let loaded = gateway::config::load_text(&text, folder.path(), gateway::config::Purpose::Run).unwrap();
    let running =
        gateway::startup::start(loaded.config, None, loaded.files).await.unwrap_or_else(|e| panic!("{}", e.0));
    assert_eq!(running.listeners.len(), 1);
    for _ in 0..20 {
        let mut client = crate::support::Client::connect(running.listeners[0]).await;
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.status, 200);
    }
    assert_eq!(running.drain().await, gateway::shutdown::Drained::Clean);
}
