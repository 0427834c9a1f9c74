//! Hedging over real sockets: a second attempt beside a slow first one, and what becomes of the one that loses.

use std::net::SocketAddr;
use std::time::Duration;

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Mock, Rule};

use crate::requests::{asked, recording};
use crate::support::{Gateway, eventually, guarded};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn endpoints(count: usize) -> Mock {
    Mock::builder().service("up").endpoints(count).start().await.unwrap()
}

/// Round robin over the mock's endpoints, so that the first one gets the first request; one attempt but for hedges.
fn text(mock: &Mock, upstream: &str, route: &str) -> String {
    text_of(&mock.addrs(), upstream, route)
}

fn text_of(endpoints: &[SocketAddr], upstream: &str, route: &str) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("'{address}'")).collect();
    format!(
        "[upstreams.up]\nendpoints = [{}]\nbalance = 'round_robin'\n{upstream}\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\n{route}\n",
        endpoints.join(", ")
    )
}

const SOON: &str = "hedge = { after = '10ms' }\nretry = { attempts = 1 }";

/// An endpoint that answers so, once the gate is open: a delay in its place would be a race between two timers.
async fn kept(gate: &Gate, status: &str) -> Raw {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

/// Waits until so many hedges have come to this.
async fn until_hedged(gateway: &Gateway, result: &str, count: f64) {
    let counted = async { while hedges(gateway, result).await != Some(count) {} };
    guarded(result, counted).await;
}

async fn hedges(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!("gateway_hedges_total{{upstream=\"up\",result=\"{result}\"}}")).await
}

#[tokio::test]
async fn the_first_good_answer_wins_and_the_loser_leaves_nothing_behind() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", SOON)).await;
    let answer = gateway.get("/").await;
    assert_eq!(answer.echo().get("endpoint"), &upstream.addrs()[1].port());
    let record = gateway.record().await;
    assert_eq!((&record["attempts"], &record["hedged"]), (&2.into(), &true.into()));
    assert_eq!(record["endpoint"], upstream.addrs()[1].to_string(), "the one that answered");
    assert_eq!(hedges(&gateway, "won").await, Some(1.0));
    let cancelled = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"cancelled\"}";
    assert_eq!(gateway.metric(cancelled).await, Some(1.0));
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (1, 1), "the loser's connection is closed, the winner's is kept");
    let shown = gateway.admin("GET", "/breakers").await.json()["breakers"][0]["endpoints"].clone();
    assert_eq!(shown[0]["window"]["requests"], 0, "to be given up says nothing about an endpoint: {shown}");
    assert_eq!(shown[1]["window"]["requests"], 1);
}

#[tokio::test]
async fn a_hedge_that_is_slower_is_dropped() {
    let (gate, hangs) = (Gate::new(), endpoints(1).await);
    hangs.set_rules([Rule::any().effect(Effect::Hang)]);
    let first = kept(&gate, "200 OK").await;
    let gateway = Gateway::start(&text_of(&[first.addr(), hangs.addr()], "", SOON)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    hangs.wait_for_requests(1).await;
    gate.open();
    assert_eq!(client.answer().await.status, 200);
    let record = gateway.record().await;
    assert_eq!((&record["hedged"], &record["endpoint"]), (&true.into(), &first.addr().to_string().into()));
    assert_eq!(hedges(&gateway, "lost").await, Some(1.0));
    gateway.at_rest().await;
}

#[tokio::test]
async fn who_is_fast_enough_is_never_hedged() {
    let upstream = endpoints(2).await;
    let gateway = Gateway::start(&text(&upstream, "", "hedge = { after = '5s' }\nretry = { attempts = 1 }")).await;
    let mut client = gateway.client().await;
    for _ in 0..20 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert_eq!(upstream.counters().requests, 20);
    let records = gateway.records(20).await;
    assert!(records.iter().all(|record| record["hedged"] == false && record["attempts"] == 1));
}

#[tokio::test]
async fn a_bad_answer_does_not_win_and_where_all_are_bad_one_is_told() {
    let (gate, bad) = (Gate::new(), endpoints(1).await);
    bad.set_rules([Rule::any().status(503)]);
    let first = kept(&gate, "200 OK").await;
    let gateway = Gateway::start(&text_of(&[first.addr(), bad.addr()], "", SOON)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    until_hedged(&gateway, "failed", 1.0).await;
    gate.open();
    assert_eq!(client.answer().await.status, 200, "the first is waited for");

    let gate = Gate::new();
    let both = [kept(&gate, "500 No").await, kept(&gate, "503 No").await];
    let gateway = Gateway::start(&text_of(&both.each_ref().map(Raw::addr), "", SOON)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    eventually("both are asked", || both.iter().all(|one| !one.received().concat().is_empty())).await;
    gate.open();
    let answer = client.answer().await;
    assert!(matches!(answer.echo_status(), 500 | 503), "{answer:?}");
    gateway.at_rest().await;
    let shown = gateway.admin("GET", "/breakers").await.json()["breakers"][0]["endpoints"].clone();
    assert_eq!((&shown[0]["window"]["requests"], &shown[1]["window"]["requests"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn whose_failure_a_hedge_covers_is_told_and_who_is_merely_slow_is_not() {
    for (status, is_told) in [("503 No", true), ("200 OK", false)] {
        let (before, after) = (Gate::new(), Gate::new());
        let (first, second) = (kept(&before, status).await, kept(&after, "200 OK").await);
        let text = text_of(&[first.addr(), second.addr()], "", SOON);
        let gateway = Gateway::start(&recording("sample = 0.0\nslow = '0s'", &text)).await;
        let mut client = gateway.client().await;
        client.send(GET).await;
        eventually("both are asked", || [&first, &second].iter().all(|one| !one.received().concat().is_empty())).await;
        before.open();
        if is_told {
            let failed = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"status_5xx\"}";
            guarded("the first fails", async { while gateway.metric(failed).await != Some(1.0) {} }).await;
        }
        after.open();
        assert_eq!(client.answer().await.status, 200);
        let listed = gateway.listed("", 1).await;
        assert_eq!(listed.len(), usize::from(is_told), "{listed:#?}");
        if is_told {
            let told = gateway.only("retried", 1).await;
            let (bad, good) = (first.addr().to_string(), second.addr().to_string());
            assert_eq!(asked(&told), [("", &*bad, "status_5xx"), ("", &*good, "ok")]);
        }
    }
}

#[tokio::test]
async fn there_is_none_without_budget_or_another_endpoint() {
    let other = endpoints(1).await;
    let poor = "retry_budget = { ratio = 0.0, min_per_second = 0 }";
    for (others, keys, why) in [(&[other.addr()][..], poor, "no_budget"), (&[][..], "", "no_endpoint")] {
        let gate = Gate::new();
        let first = kept(&gate, "200 OK").await;
        let gateway = Gateway::start(&text_of(&[&[first.addr()][..], others].concat(), keys, SOON)).await;
        let mut client = gateway.client().await;
        client.send(GET).await;
        until_hedged(&gateway, why, 1.0).await;
        gate.open();
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(gateway.record().await["hedged"], false);
        assert_eq!(other.counters().requests, 0);
    }
}

#[tokio::test]
async fn only_what_may_be_sent_twice_is_hedged_and_bodies_byte_for_byte() {
    let upstream = endpoints(2).await;
    let slow = "hedge = { after = '10ms' }\nretry = { attempts = 1, buffer = '20000B' }";
    let gateway = Gateway::start(&text(&upstream, "retry_budget = { ratio = 10.0, min_per_second = 100 }", slow)).await;
    upstream.set_rules([Rule::any().delay(Duration::from_millis(40))]);
    assert_eq!(gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.status, 200);
    assert_eq!(upstream.counters().requests, 1);

    let mut sums = std::collections::BTreeMap::new();
    for (length, expected) in [(1_usize, 2), (19_999, 2), (20_000, 2), (20_001, 1), (200_000, 1)] {
        for chunked in [false, true] {
            upstream.reset();
            upstream.set_rules([Rule::any().delay(Duration::from_millis(40))]);
            let body: Vec<u8> = (0..length).map(|n| (n * 7 % 251) as u8).collect();
            let mut bytes = b"PUT /x HTTP/1.1\r\nhost: a\r\n".to_vec();
            if chunked {
                bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for part in body.chunks(7_000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                    bytes.extend_from_slice(part);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            } else {
                bytes.extend_from_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
                bytes.extend_from_slice(&body);
            }
            let echo = gateway.ask(&bytes).await.echo();
            assert_eq!(echo.get("body_bytes"), &length);
            gateway.at_rest().await;
            eventually("both have come", || upstream.counters().requests == expected).await;
            let sum = echo.get("body_sha256").clone();
            assert_eq!(sums.entry(length).or_insert(sum.clone()), &sum, "{length}, chunked {chunked}");
        }
    }
}

#[tokio::test]
async fn a_hedge_waits_for_a_body_that_is_still_on_its_way() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", SOON)).await;
    let mut client = gateway.client().await;
    client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").await;
    let first = || upstream.counters_of(0).accepts == 1;
    eventually("the first attempt is under way", first).await;
    assert_eq!(upstream.counters_of(1).requests, 0);
    client.send("world").await;
    let echo = client.answer().await.echo();
    assert_eq!((echo.get("body_bytes"), echo.get("endpoint")), (&10.into(), &upstream.addrs()[1].port().into()));
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_all_attempts_with_it() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", SOON)).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    eventually("both are under way", || gateway.in_flight() == 2).await;
    client.reset();
    gateway.at_rest().await;
    eventually("nothing is open", || gateway.upstream_connections() == (0, 0)).await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&499.into(), &"client_left".into()));
    assert_eq!((&record["attempts"], &record["hedged"]), (&2.into(), &true.into()));
}

#[tokio::test]
async fn one_deadline_ends_all_attempts() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::start(&text(&upstream, "", &format!("{SOON}\ntimeout = '1s'"))).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_timeout");
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["attempts"], &record["code"]), (&2.into(), &"upstream_timeout".into()));
    let shown = gateway.admin("GET", "/breakers").await.json()["breakers"][0]["endpoints"].clone();
    assert_eq!((&shown[0]["window"]["failures"], &shown[1]["window"]["failures"]), (&1.into(), &1.into()));
}

#[tokio::test]
async fn several_hedges_go_to_different_endpoints_and_a_retry_to_another_one_again() {
    let upstream = endpoints(4).await;
    upstream.set_rules((0..3).map(|endpoint| Rule::any().endpoint(endpoint).effect(Effect::Hang)));
    let keys = "hedge = { after = '10ms', max = 3 }\nretry = { attempts = 1 }";
    let gateway = Gateway::start(&text(&upstream, "ejection = { max_percent = 100 }", keys)).await;
    assert_eq!(gateway.get("/").await.echo().get("endpoint"), &upstream.addrs()[3].port());
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert!((2..=4).contains(&record["attempts"].as_u64().unwrap()), "{record}");
    let most = (0..4).map(|endpoint| upstream.counters_of(endpoint).requests).max();
    assert_eq!(most, Some(1), "no endpoint is asked twice");

    upstream.reset();
    upstream
        .set_rules((0..3).map(|endpoint| Rule::any().endpoint(endpoint).delay(Duration::from_millis(60)).status(503)));
    let keys = "hedge = { after = '10ms', max = 2 }\nretry = { attempts = 2, backoff = '0ms', max_backoff = '0ms' }";
    let gateway = Gateway::start(&text(&upstream, "ejection = { max_percent = 100 }", keys)).await;
    assert_eq!(gateway.get("/").await.status, 200, "hedges failed, and a retry goes where none of them was");
}

#[tokio::test]
async fn a_percentile_is_used_once_it_is_known_and_outlives_a_reload() {
    let upstream = endpoints(2).await;
    let keys = "hedge = { after = 'p95' }\nretry = { attempts = 1 }";
    let rich = "retry_budget = { ratio = 10.0, min_per_second = 100 }";
    let gateway = Gateway::start(&text(&upstream, rich, keys)).await;
    let now = async || gateway.admin("GET", "/routes").await.json()["routes"][0]["hedge"]["now_us"].clone();
    let mut client = gateway.client().await;
    for _ in 0..95 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    assert!(now().await.is_null());
    assert_eq!(upstream.counters().requests, 95, "too little was seen to tell what is slow");
    for _ in 0..40 {
        assert_eq!(client.ask(GET).await.status, 200);
    }
    let known = now().await.as_u64().unwrap();
    assert!(known > 0);
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(now().await, known);
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    for _ in 0..10 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    assert!(hedges(&gateway, "won").await.unwrap() >= 5.0);
    let explained = gateway.admin("GET", "/explain?method=GET&url=/x").await.json()["policies"]["hedge"].clone();
    assert_eq!(explained, "after p95, at most 1");
    gateway.at_rest().await;
}

#[tokio::test]
async fn a_probe_that_loses_gives_its_place_back() {
    let upstream = endpoints(2).await;
    upstream.set_rules([Rule::any().endpoint(0).status(503)]);
    let keys = "breaker = { consecutive_failures = 1, open_for = '5ms', max_open_for = '5ms', probes = 1 }";
    let gateway = Gateway::start(&text(&upstream, keys, SOON)).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.ask(GET).await;
    }
    let probes = || gateway.inner().upstreams()[0].active().endpoints[0].standing.guard.has_room_for_a_probe();
    upstream.set_rules([Rule::any().endpoint(0).effect(Effect::Hang)]);
    for _ in 0..5 {
        eventually("half-open with room", probes).await;
        let before = upstream.counters_of(0).requests;
        while upstream.counters_of(0).requests == before {
            assert_eq!(client.ask(GET).await.status, 200, "the hedge answers where a probe hangs");
        }
    }
    gateway.at_rest().await;
}
