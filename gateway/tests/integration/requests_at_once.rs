//! Limits of requests at once: of a key and of a route. A place is held to the end of the exchange, and no end keeps
//! it.

use h2::Reason;
use mocks::{Effect, Rule};
use serde_json::Value;

use crate::support::h2::{H2Client, get};
use crate::support::{Answer, Client, Gateway, echo, eventually};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn text(limits: &str, route: &str, upstream: &mocks::Mock) -> String {
    format!(
        "[server]\nworkers = 2\n{limits}\n[upstreams.up]\nendpoints = ['{}']\n[[routes]]\nname = 'all'\n\
         path = '/{{*rest}}'\nupstream = 'up'\n{route}\n",
        upstream.addr()
    )
}

/// A gateway of two workers, before an upstream that never answers `/hang`.
async fn limited(limits: &str, route: &str) -> (Gateway, mocks::Mock) {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    (Gateway::start(&text(limits, route, &upstream)).await, upstream)
}

async fn sent(gateway: &Gateway, path: &str, fields: &str) -> Client {
    let mut client = gateway.client().await;
    client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
    client
}

/// What is held of the limit of this name.
fn held(gateway: &Gateway, name: &str) -> u64 {
    let snapshot = gateway.inner().snapshot();
    snapshot.in_flight.iter().find(|rule| &*rule.settings.name == name).unwrap().state.fill().requests
}

async fn all_given_back(gateway: &Gateway, name: &str) {
    eventually("every place is given back", || held(gateway, name) == 0).await;
}

fn is_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn of_twenty_that_hold_a_place_each_none_is_too_many_and_none_leaks() {
    let (gateway, _upstream) = limited("", "max_in_flight = 20").await;
    for round in 0..3 {
        let mut holders = Vec::new();
        for _ in 0..20 {
            holders.push(sent(&gateway, "/hang", "").await);
        }
        eventually("all hold one", || held(&gateway, "all") == 20).await;
        is_refused(&gateway.get("/").await, 503, "overloaded");
        for (number, holder) in holders.into_iter().enumerate() {
            if (number + round) % 2 == 0 { holder.reset() } else { drop(holder) }
        }
        all_given_back(&gateway, "all").await;
    }
    assert_eq!(gateway.get("/").await.status, 200);
    let shed = "gateway_shed_total{reason=\"route_in_flight\"}";
    assert_eq!(gateway.metric(shed).await, Some(3.0));
    all_given_back(&gateway, "all").await;
    assert_eq!(gateway.metric("gateway_route_in_flight{route=\"all\"}").await, Some(0.0));
}

#[tokio::test]
async fn twenty_at_the_same_moment_get_the_three_places_that_there_are() {
    let (gateway, upstream) = limited("", "max_in_flight = 3").await;
    let mut holders = Vec::new();
    for _ in 0..20 {
        holders.push(sent(&gateway, "/hang", "").await);
    }
    upstream.wait_for_requests(3).await;
    let refused = "gateway_shed_total{reason=\"route_in_flight\"}";
    let mut turns = 0;
    while gateway.metric(refused).await != Some(17.0) {
        turns += 1;
        assert!(turns < 10_000, "{:?}", gateway.metric(refused).await);
    }
    assert_eq!((held(&gateway, "all"), gateway.in_flight()), (3, 3));
    drop(holders);
    all_given_back(&gateway, "all").await;
}

#[tokio::test]
async fn a_key_has_its_own_places_and_another_one_others() {
    let limits = "[rate_limits.each]\nin_flight = 2\nkey = 'header:x-tenant'\n";
    let (gateway, _upstream) = limited(limits, "rate_limits = ['each']").await;
    let holders = [sent(&gateway, "/hang", "x-tenant: a\r\n").await, sent(&gateway, "/hang", "x-tenant: a\r\n").await];
    eventually("both hold one", || held(&gateway, "each") == 2).await;
    let refused = sent(&gateway, "/", "x-tenant: a\r\n").await.answer().await;
    is_refused(&refused, 429, "rate_limited");
    assert_eq!(refused.header("ratelimit"), None, "there is no rate to tell of");
    assert_eq!(sent(&gateway, "/", "x-tenant: b\r\n").await.answer().await.status, 200);
    let records = gateway.records(2).await;
    assert!(records.iter().any(|record| record["limit"] == "each" && record["status"] == 429), "{records:?}");

    eventually("the other one is gone", || held(&gateway, "each") == 2).await;
    let shown = gateway.admin("GET", "/limits").await.json()["in_flight"][0].clone();
    assert_eq!((&shown["name"], &shown["max"], &shown["in_flight"]), (&"each".into(), &2.into(), &2.into()));
    assert_eq!((&shown["decisions"]["refused"], &shown["keys"]["now"]), (&1.into(), &1.into()));
    assert!(shown["refused_most"][0]["key"].as_str().unwrap().starts_with("sha256:"), "a header may be a secret");
    let explained = gateway.admin("GET", "/explain?method=GET&url=/a").await.json();
    let told = &explained["policies"]["rate_limits"][0];
    assert_eq!((&told["rule"], &told["rate"]), (&"each".into(), &"at most 2 requests at once".into()));
    drop(holders);
    all_given_back(&gateway, "each").await;
}

#[tokio::test]
async fn who_gets_no_place_pays_no_tokens_and_who_gets_no_tokens_keeps_no_place() {
    let limits = "[rate_limits.both]\nrate = '1/h'\nburst = 2\nin_flight = 1\nkey = 'client_ip'\n";
    let (gateway, _upstream) = limited(limits, "rate_limits = ['both']").await;
    let holder = sent(&gateway, "/hang", "").await;
    eventually("it holds one", || held(&gateway, "both") == 1).await;
    for _ in 0..3 {
        is_refused(&gateway.get("/").await, 429, "rate_limited");
    }
    drop(holder);
    all_given_back(&gateway, "both").await;
    assert_eq!(gateway.get("/").await.status, 200, "the second token is there");
    all_given_back(&gateway, "both").await;
    let waits = gateway.get("/").await.header("retry-after").map(|seconds| seconds.parse::<u32>().unwrap());
    assert!(
        waits.is_some_and(|seconds| (3_000..=3_600).contains(&seconds)),
        "an hour, of which some has gone: {waits:?}"
    );
    all_given_back(&gateway, "both").await;
}

#[tokio::test]
async fn a_rule_in_the_shadow_counts_and_refuses_nobody() {
    let limits = "[rate_limits.trial]\nin_flight = 1\nkey = 'client_ip'\nshadow = true\n";
    let (gateway, _upstream) = limited(limits, "rate_limits = ['trial']").await;
    let holders = [sent(&gateway, "/hang", "").await, sent(&gateway, "/hang", "").await];
    eventually("both are counted", || held(&gateway, "trial") == 2).await;
    assert_eq!(gateway.get("/").await.status, 200);
    let sample = "gateway_limit_in_flight_decisions_total{rule=\"trial\",decision=\"shadow_refused\"}";
    assert_eq!(gateway.metric(sample).await, Some(2.0));
    drop(holders);
    all_given_back(&gateway, "trial").await;
}

#[tokio::test]
async fn a_place_is_held_to_the_last_byte_and_to_the_end_of_a_tunnel() {
    let (gateway, _upstream) = limited("", "max_in_flight = 1").await;
    let mut reader = gateway.client().await;
    reader.send("GET /bytes/100000000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(reader.head().await.status, 200);
    is_refused(&gateway.get("/").await, 503, "overloaded");
    reader.reset();
    all_given_back(&gateway, "all").await;

    let mut tunnel = gateway.client().await;
    assert_eq!(tunnel.ask(HANDSHAKE).await.status, 101);
    is_refused(&gateway.get("/").await, 503, "overloaded");
    tunnel.send([0x88, 0x80, 0, 0, 0, 0]).await;
    tunnel.finish().await;
    all_given_back(&gateway, "all").await;
    assert_eq!(gateway.get("/").await.status, 200);
}

#[tokio::test]
async fn who_asks_one_after_the_other_on_a_connection_always_has_a_place() {
    let (gateway, _upstream) = limited("", "max_in_flight = 1").await;
    let mut client = gateway.client().await;
    for path in ["/", "/bytes/100000", "/"].into_iter().cycle().take(60) {
        assert_eq!(client.ask(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status, 200, "{path}");
    }
    drop(client);
    all_given_back(&gateway, "all").await;
}

#[tokio::test]
async fn a_stream_that_is_reset_and_a_deadline_give_theirs_back() {
    let (gateway, _upstream) = limited("", "max_in_flight = 2\ntimeout = '300ms'").await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut calls = [client.begin(get("/hang"), true).await, client.begin(get("/hang"), true).await];
    calls[0].body.send_reset(Reason::CANCEL);
    let [_, late] = calls;
    assert_eq!(late.answer().await.status, 504);
    all_given_back(&gateway, "all").await;
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn an_upload_that_breaks_off_gives_its_place_back() {
    let (gateway, _upstream) = limited("", "max_in_flight = 20").await;
    let mut holders = Vec::new();
    for _ in 0..20 {
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
        holders.push(client);
    }
    eventually("all hold one", || held(&gateway, "all") == 20).await;
    drop(holders);
    all_given_back(&gateway, "all").await;
}

#[tokio::test]
async fn a_reload_finds_the_requests_that_are_under_way() {
    let (gateway, upstream) = limited("", "max_in_flight = 1").await;
    let holder = sent(&gateway, "/hang", "").await;
    eventually("it holds one", || held(&gateway, "all") == 1).await;
    for route in ["max_in_flight = 1\ntimeout = '14s'", "", "max_in_flight = 1"] {
        gateway.rewrite(&text("", route, &upstream));
        assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
        let expected = if route.is_empty() { 200 } else { 503 };
        assert_eq!(gateway.get("/").await.status, expected, "{route}");
    }
    gateway.rewrite(&text("", "max_in_flight = 2", &upstream));
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    drop(holder);
    all_given_back(&gateway, "all").await;
    let shown: Value = gateway.admin("GET", "/limits").await.json();
    assert_eq!((&shown["in_flight"][0]["of"], &shown["in_flight"][0]["max"]), (&"route".into(), &2.into()));
}
