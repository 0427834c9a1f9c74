//! `mirror`: a copy of some requests for another upstream, which the client and the first upstream never notice.

use std::net::SocketAddr;

use mocks::raw::{Gate, Raw, Script};
use mocks::{Mock, Rule};
use serde_json::{Value, json};

use crate::support::{Gateway, Issuer, echo, eventually, nowhere};

/// A route whose requests are copied to a shadow, with these keys of the mirror and of the route.
fn text((up, shadow): (SocketAddr, SocketAddr), mirror: &str, route: &str, more: &str) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{up}']\nbreaker = {{ consecutive_failures = 1, open_for = '60s' }}\n\
         [upstreams.shadow]\nendpoints = ['{shadow}']\nbreaker = {{ consecutive_failures = 2, open_for = '60s' }}\n\
         [upstreams.other]\nendpoints = ['{up}']\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\nretry = {{ attempts = 1 }}\n\
         mirror = {{ upstream = 'shadow'{mirror} }}\n{route}\n{more}\n"
    )
}

fn both(up: &Mock, shadow: &Raw) -> (SocketAddr, SocketAddr) {
    (up.addr(), shadow.addr())
}

/// A shadow that answers, and keeps what it was sent.
async fn shadow() -> Raw {
    Raw::script(Script::new().read_request().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").again())
        .await
        .unwrap()
}

async fn counted(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric(&format!("gateway_mirrored_total{{route=\"all\",result=\"{result}\"}}")).await.unwrap_or(0.0)
}

/// Waits until so many copies have come to this.
async fn came_to(gateway: &Gateway, result: &str, count: u32) {
    for _ in 0..2_000 {
        if counted(gateway, result).await >= f64::from(count) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(counted(gateway, result).await, f64::from(count), "{result}");
}

fn sent(shadow: &Raw) -> String {
    String::from_utf8(shadow.received().concat()).unwrap()
}

/// A field of what was sent.
fn field<'t>(sent: &'t str, name: &str) -> Vec<&'t str> {
    let of = |line: &'t str| line.split_once(": ").filter(|(found, _)| found.eq_ignore_ascii_case(name));
    sent.split("\r\n").filter_map(of).map(|(_, value)| value).collect()
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /a?b=c HTTP/1.1\r\nhost: a.test\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_copy_is_what_the_first_upstream_is_sent_and_says_that_it_is_one() {
    let (up, shadow, issuer) = (echo().await, shadow().await, Issuer::new("k1"));
    let keys = "auth = { providers = ['main'] }\nrewrite = { path = '/v2/{rest}' }\n\
                request_headers = { set = { x-added = '1' }, remove = ['x-taken'] }";
    let gateway = Gateway::start(&text(both(&up, &shadow), "", keys, &issuer.provider(""))).await;
    let token = issuer.token(&json!({ "sub": "ada" }));
    let fields = format!(
        "authorization: Bearer {token}\r\nx-taken: 1\r\nx-kept: 2\r\nx-auth-subject: root\r\nx-shadow-request: 0\r\n\
         x-request-timeout-ms: 9000\r\n"
    );
    let answer = gateway.ask(post(&fields, "hello")).await;
    let echo = answer.echo();
    came_to(&gateway, "answered", 1).await;
    let sent = sent(&shadow);
    assert!(sent.starts_with("POST /v2/a?b=c HTTP/1.1\r\n") && sent.ends_with("\r\n\r\nhello"), "{sent}");
    assert_eq!(field(&sent, "x-shadow-request"), ["1"]);
    assert_eq!(echo.all("x-shadow-request"), Vec::<&str>::new(), "no client says that of its request");
    for name in [
        "host",
        "x-kept",
        "x-added",
        "x-taken",
        "x-auth-subject",
        "x-request-id",
        "traceparent",
        "x-forwarded-for",
        "forwarded",
        "authorization",
        "content-length",
    ] {
        assert_eq!(field(&sent, name), echo.all(name), "{name}");
    }
    assert_eq!(field(&sent, "x-auth-subject"), ["ada"]);
    assert_eq!(field(&sent, "x-request-timeout-ms").len(), 1);
    // The record is of the one request, and of the one upstream that the client was answered by.
    let record = gateway.record().await;
    assert_eq!((&record["upstream"], &record["attempts"]), (&json!("up"), &json!(1)));
    let attempts = "gateway_upstream_attempts_total{upstream=\"shadow\",outcome=\"ok\"}";
    assert_eq!(gateway.metric(attempts).await, Some(1.0));
    gateway.at_rest().await;
    assert_eq!(gateway.inner().shards()[0].held.count(), 0, "what was held is given back");
}

#[tokio::test]
async fn a_passport_of_a_copy_is_for_the_shadow() {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let (up, shadow, issuer, folder) = (echo().await, shadow().await, Issuer::new("k1"), tempfile::tempdir().unwrap());
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let file = folder.path().join("passport.pem");
    std::fs::write(&file, pem).unwrap();
    let identity = format!("[identity]\npassport = {{ key = '{}' }}\n{}", file.display(), issuer.provider(""));
    let gateway = Gateway::start(&text(both(&up, &shadow), "", "auth = { providers = ['main'] }", &identity)).await;
    let token = issuer.token(&json!({ "sub": "ada" }));
    let get = format!("GET / HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n");
    let answer = gateway.ask(get).await;
    came_to(&gateway, "answered", 1).await;
    let (echo, sent) = (answer.echo(), sent(&shadow));
    let (first, copy) = (echo.all("x-auth-passport"), field(&sent, "x-auth-passport"));
    for (passport, meant) in [(first, "up"), (copy, "shadow")] {
        assert_eq!(passport.len(), 1, "{passport:?}");
        let claims = URL_SAFE_NO_PAD.decode(passport[0].split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["aud"], &claims["sub"]), (&json!(meant), &json!("ada")));
    }
}

#[tokio::test]
async fn nobody_waits_for_a_shadow_that_hangs_and_nothing_of_it_is_the_first_upstreams() {
    let (up, hangs) = (echo().await, Raw::script(Script::new().read_request().hang()).await.unwrap());
    let keys = "timeout = '300ms'";
    let gateway = Gateway::start(&text(both(&up, &hangs), "", keys, "")).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(client.ask(post("", "hello")).await.status, 200);
    }
    // They are late at last, which the shadow's own breaker hears of.
    came_to(&gateway, "failed", 3).await;
    let late = "gateway_upstream_attempts_total{upstream=\"shadow\",outcome=\"timeout\"}";
    assert_eq!(gateway.metric(late).await, Some(3.0), "each was sent once");
    assert_eq!(client.ask(post("", "hello")).await.status, 200);
    came_to(&gateway, "refused", 1).await;
    let state = |of: &str, at: SocketAddr| format!("gateway_breaker_state{{upstream=\"{of}\",endpoint=\"{at}\"}}");
    assert_eq!(gateway.metric(&state("shadow", hangs.addr())).await, Some(2.0));
    assert_eq!(gateway.metric(&state("up", up.addr())).await, Some(0.0));
    assert!(gateway.records(4).await.iter().all(|record| record["code"] == "ok" && record["upstream"] == "up"));
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"upstream_in_flight\"}").await.unwrap_or(0.0), 0.0);
}

#[tokio::test]
async fn a_shadow_that_is_gone_or_resets_is_no_clients_matter() {
    let up = echo().await;
    let resets = Raw::script(Script::new().read_request().reset()).await.unwrap();
    let gateway = Gateway::start(&text(both(&up, &resets), "", "", "")).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
    came_to(&gateway, "failed", 2).await;
    assert_eq!(resets.accepted(), 2, "nothing is sent again");
    let nowhere = nowhere();
    let gateway = Gateway::start(&text((up.addr(), nowhere), "", "", "")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    came_to(&gateway, "failed", 1).await;
    // And what the first upstream answers says nothing of the copy.
    let (up, shadow) = (echo().await, shadow().await);
    up.set_rules([Rule::any().status(503)]);
    let gateway = Gateway::start(&text(both(&up, &shadow), "", "", "")).await;
    assert_eq!(gateway.get("/").await.status, 503);
    came_to(&gateway, "answered", 1).await;
}

#[tokio::test]
async fn what_is_too_large_or_never_comes_whole_is_not_copied() {
    let (up, shadow) = (echo().await, shadow().await);
    let gateway = Gateway::start(&text(both(&up, &shadow), ", max_body = '10B'", "", "")).await;
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let small = format!("{chunked}5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n");
    let large = format!("{chunked}5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    for request in [post("", "hello world"), large, post("", "helloworld"), small] {
        let answer = gateway.ask(request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    came_to(&gateway, "too_large", 2).await;
    came_to(&gateway, "answered", 2).await;
    let copied = sent(&shadow);
    assert_eq!(copied.matches("POST ").count(), 2, "{copied}");
    assert!(!copied.contains(" world"), "{copied}");
    // A client that leaves in the middle.
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhell").await;
    eventually("it is asked", || gateway.in_flight() == 1).await;
    client.reset();
    came_to(&gateway, "body_cut", 1).await;
    assert_eq!(sent(&shadow).matches("POST ").count(), 2);
    // A worker holds only so much, of whatever.
    let held = &gateway.inner().shards()[0].held;
    let all = held.take(64 << 20, usize::MAX);
    assert_eq!(gateway.ask(post("", "hello")).await.status, 200);
    came_to(&gateway, "no_memory", 1).await;
    drop(all);
    assert_eq!(held.count(), 0);
    assert_eq!(sent(&shadow).matches("POST ").count(), 2);
}

#[tokio::test]
async fn a_body_that_routing_has_read_is_copied_from_its_first_byte() {
    let (up, shadow) = (echo().await, shadow().await);
    let keys = "body = { '/type' = 'refund' }\nbody_match_limit = '64B'";
    let other = "[[routes]]\nname = 'rest'\npath = '/{*rest}'\nupstream = 'other'";
    let gateway = Gateway::start(&text(both(&up, &shadow), "", keys, other)).await;
    let refund = "{\"type\":\"refund\",\"id\":7}";
    assert_eq!(gateway.ask(post("content-type: application/json\r\n", refund)).await.status, 200);
    came_to(&gateway, "answered", 1).await;
    assert!(sent(&shadow).ends_with(refund), "{}", sent(&shadow));
}

#[tokio::test]
async fn only_some_are_copied_and_only_what_is_named() {
    let (up, shadow) = (echo().await, shadow().await);
    let gateway = Gateway::start(&text(both(&up, &shadow), ", methods = ['GET']", "", "")).await;
    assert_eq!(gateway.ask(post("", "hello")).await.status, 200);
    assert_eq!(gateway.get("/").await.status, 200);
    came_to(&gateway, "answered", 1).await;
    assert!(sent(&shadow).starts_with("GET /") && shadow.accepted() == 1);

    let gateway = Gateway::start(&text(both(&up, &shadow), ", fraction = 0.25", "", "")).await;
    let mut client = gateway.client().await;
    for _ in 0..400 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    eventually("all are answered", || gateway.inner().shards()[0].copies.count() == 0).await;
    let copies = counted(&gateway, "answered").await;
    // Of 400 with one in four, five standard deviations are 43.
    assert!((57.0..=143.0).contains(&copies), "{copies}");

    let gateway = Gateway::start(&text(both(&up, &shadow), ", fraction = 0.0", "", "")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    assert!(gateway.inner().snapshot().routes[0].mirror.is_none());
}

#[tokio::test]
async fn so_many_are_in_flight_and_no_more() {
    let (up, gate) = (echo().await, Gate::new());
    let waits = Script::new().read_request().wait(&gate).send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").again();
    let waits = Raw::script(waits).await.unwrap();
    let gateway = Gateway::start(&text(both(&up, &waits), "", "", "")).await;
    let mut client = gateway.client().await;
    for _ in 0..260 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    came_to(&gateway, "full", 4).await;
    assert_eq!(gateway.inner().shards()[0].copies.count(), 256);
    gate.open();
    came_to(&gateway, "answered", 256).await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    came_to(&gateway, "answered", 257).await;
}

#[tokio::test]
async fn answers_are_read_and_dropped_and_their_connections_used_again() {
    let (up, shadow) = (echo().await, shadow().await);
    let gateway = Gateway::start(&text(both(&up, &shadow), "", "", "")).await;
    for n in 1..=3 {
        assert_eq!(gateway.get("/").await.status, 200);
        came_to(&gateway, "answered", n).await;
        gateway.at_rest().await;
    }
    assert_eq!(shadow.accepted(), 1);
    // One that has no end has one here.
    let endless = format!("HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    let endless = Raw::script(Script::new().read_request().send(endless).again()).await.unwrap();
    let gateway = Gateway::start(&text(both(&up, &endless), "", "", "")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    came_to(&gateway, "answered", 1).await;
    gateway.at_rest().await;
    eventually("its connection is closed", || gateway.upstream_connections().0 == 1).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_copies() {
    let (up, hangs) = (echo().await, Raw::script(Script::new().read_request().hang()).await.unwrap());
    let gateway = Gateway::start(&text(both(&up, &hangs), "", "timeout = '600s'", "")).await;
    assert_eq!(gateway.get("/").await.status, 200);
    eventually("it is asked", || gateway.inner().shards()[0].copies.count() == 1).await;
    let (drained, _folder) = gateway.drain().await;
    assert_eq!(drained, gateway::shutdown::Drained::Clean);
}

#[tokio::test]
async fn of_a_call_that_several_share_there_is_one_copy() {
    let (gate, shadow) = (Gate::new(), shadow().await);
    let up = Raw::script(
        Script::new().read_request().wait(&gate).send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").again(),
    );
    let up = up.await.unwrap();
    let gateway = Gateway::start(&text((up.addr(), shadow.addr()), "", "coalesce = true", "")).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.client().await;
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        clients.push(client);
    }
    let flights = &gateway.inner().shards()[0].flights;
    eventually("all wait", || flights.waiting() == 3).await;
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    came_to(&gateway, "answered", 1).await;
    assert_eq!(shadow.accepted(), 1);
}

#[tokio::test]
async fn upstreams_that_share_a_route_are_copied_alike_and_operators_see_it() {
    let (up, shadow) = (echo().await, shadow().await);
    let split = "split = [{ upstream = 'up', weight = 1 }, { upstream = 'other', weight = 1 }]";
    let text = text(both(&up, &shadow), ", fraction = 1", "", "").replacen(
        "upstream = 'up'\nretry",
        &format!("{split}\nretry"),
        1,
    );
    let gateway = Gateway::start(&text).await;
    for n in 1..=6 {
        assert_eq!(gateway.get("/").await.status, 200);
        came_to(&gateway, "answered", n).await;
    }
    let told = "100 % of all requests to shadow, with bodies up to 65536 bytes";
    let routes = gateway.admin("GET", "/routes").await.json();
    assert_eq!(routes["routes"].as_array().unwrap().len(), 1, "{routes}");
    assert_eq!(routes["routes"][0]["mirror"], told);
    let explained = gateway.admin("GET", "/explain?url=/x").await.json();
    assert_eq!(explained["policies"]["mirror"], told);
}
