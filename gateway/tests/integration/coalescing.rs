//! `coalesce`: identical requests at the same moment share one call, and nothing else.

use std::net::SocketAddr;

use mocks::raw::{Gate, Raw, Script};
use serde_json::json;

use crate::support::h2::{self, H2Client};
use crate::support::{Answer, Client, Gateway, Issuer, echo, eventually};

fn text(up: SocketAddr, route: &str, more: &str) -> String {
    format!(
        "[upstreams.up]\nendpoints = ['{up}']\nbreaker = {{ consecutive_failures = 100, open_for = '60s' }}\n\
         [[routes]]\nname = 'all'\npath = '/{{*rest}}'\nupstream = 'up'\ncoalesce = true\nretry = {{ attempts = 1 }}\n\
         {route}\n{more}\n"
    )
}

fn ok(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len())
}

/// Answers once the gate is open; each connection once, then as often as it is asked.
async fn gated(gate: &Gate, answer: &str) -> Raw {
    Raw::script(Script::new().read_request().wait(gate).send(answer).again()).await.unwrap()
}

async fn counted(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!("gateway_coalesced_total{{route=\"all\",result=\"{result}\"}}")).await
}

/// Requests that wait for an answer, each on a connection of its own.
async fn asking(gateway: &Gateway, requests: &[String]) -> Vec<Client> {
    let mut clients = Vec::new();
    for request in requests {
        let mut client = gateway.client().await;
        client.send(request).await;
        clients.push(client);
    }
    // Each has come to its place once so many are served.
    clients
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n")
}

async fn answers(clients: &mut [Client]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.answer().await);
    }
    answers
}

/// Waits until so many requests wait for shared calls.
async fn waiting(gateway: &Gateway, count: usize) {
    let flights = &gateway.inner().shards()[0].flights;
    eventually(&format!("{count} requests wait"), || flights.waiting() == count).await;
}

#[tokio::test]
async fn what_is_asked_for_at_the_same_moment_is_asked_for_once() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("x-answer: 1\r\n", "hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "response_headers = { set = { x-edge = '1' } }", "")).await;
    // What tells clients apart, and the order of headers, is nothing to the answer.
    let requests: Vec<String> = (0..5)
        .map(|n| {
            if n % 2 == 0 {
                let of_firefox = "te: trailers\r\nsec-fetch-storage-access: active\r\n";
                get("/a?b=c", &format!("user-agent: {n}\r\n{of_firefox}a: 1\r\nb: 2\r\n"))
            } else {
                get("/a?b=c", "b: 2\r\na: 1\r\n")
            }
        })
        .collect();
    let mut clients = asking(&gateway, &requests).await;
    waiting(&gateway, 5).await;
    gate.open();
    let answers = answers(&mut clients).await;
    let mut ids: Vec<&str> = answers.iter().map(|answer| answer.header("x-request-id").unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each has its own id");
    for answer in &answers {
        assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"hello"[..], true));
        assert_eq!((answer.header("x-answer"), answer.header("x-edge")), (Some("1"), Some("1")));
    }
    assert_eq!(up.received().concat().windows(5).filter(|bytes| bytes == b"GET /").count(), 1);
    assert_eq!((counted(&gateway, "began").await, counted(&gateway, "shared").await), (Some(1.0), Some(4.0)));
    let records = gateway.records(5).await;
    let attempts: u64 = records.iter().map(|record| record["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 1);
    assert!(records.iter().all(|record| record["bytes_out"] == 5 && record["ended"] == "complete"));
    assert_eq!(gateway.inner().shards()[0].held.count(), 0, "what was held is given back");
    // Nothing is kept: what comes later is asked for anew.
    assert_eq!(gateway.get("/a?b=c").await.status, 200);
    assert_eq!(counted(&gateway, "began").await, Some(2.0));
}

#[tokio::test]
async fn requests_that_differ_share_nothing() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "x")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let requests = [
        get("/a", ""),
        get("/a?", ""),
        get("/b", ""),
        get("/a", "cookie: s=1\r\n"),
        get("/a", "cookie: s=2\r\n"),
        get("/a", "authorization: Bearer 1\r\n"),
        get("/a", "authorization: Bearer 2\r\n"),
        get("/a", "accept: text/html\r\n"),
        get("/a", "range: bytes=0-1\r\n"),
        get("/a", "if-none-match: \"x\"\r\n"),
        get("/a", "x-any: 1\r\n"),
        "GET /a HTTP/1.1\r\nhost: b.test\r\n\r\n".to_owned(),
    ];
    let mut clients = asking(&gateway, &requests).await;
    waiting(&gateway, requests.len()).await;
    eventually("each asks for itself", || up.accepted() == requests.len() as u64).await;
    gate.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    // A body, or a method that changes something, is nobody else's.
    for request in [
        "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        "GET /a HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx",
    ] {
        assert_eq!(gateway.ask(request).await.status, 200);
    }
    assert_eq!(counted(&gateway, "began").await, Some(requests.len() as f64));
}

/// Otherwise the browser is nothing to the answer.
#[tokio::test]
async fn what_edits_send_on_of_a_request_is_alike_or_the_call_is_not_shared() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "x")).await;
    let edits = "request_headers = { set = { x-browser = '{header:user-agent}' } }";
    let gateway = Gateway::start(&text(up.addr(), edits, "")).await;
    let requests =
        [get("/a", "user-agent: 1\r\n"), get("/a", "user-agent: 2\r\n"), get("/a", "user-agent: 1\r\n"), get("/a", "")];
    let mut clients = asking(&gateway, &requests).await;
    waiting(&gateway, requests.len()).await;
    eventually("three ask for themselves", || up.accepted() == 3).await;
    gate.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    assert_eq!((counted(&gateway, "began").await, counted(&gateway, "shared").await), (Some(3.0), Some(1.0)));
}

#[tokio::test]
async fn subjects_are_never_mixed_and_one_subjects_tokens_are() {
    let (gate, issuer) = (Gate::new(), Issuer::new("k1"));
    let up = gated(&gate, &ok("", "x")).await;
    let text = text(up.addr(), "auth = { providers = ['main'] }", &issuer.provider(""));
    let gateway = Gateway::start(&text).await;
    let token = |sub: &str, scope: &str, jti: u64| {
        let token = issuer.token(&serde_json::json!({ "sub": sub, "scope": scope, "jti": jti.to_string() }));
        get("/", &format!("authorization: Bearer {token}\r\n"))
    };
    // Two tokens of one subject with the same scopes; another subject; other scopes.
    let requests = [token("ada", "r", 1), token("ada", "r", 2), token("bob", "r", 3), token("ada", "r w", 4)];
    let mut clients = asking(&gateway, &requests).await;
    waiting(&gateway, 4).await;
    eventually("three calls", || up.accepted() == 3).await;
    gate.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
    assert_eq!((counted(&gateway, "began").await, counted(&gateway, "shared").await), (Some(3.0), Some(1.0)));
}

#[tokio::test]
async fn who_leaves_harms_nobody_and_the_last_one_takes_the_call_along() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut clients = asking(&gateway, &[get("/", ""), get("/", ""), get("/", "")]).await;
    waiting(&gateway, 3).await;
    // Whoever began it is among those who leave, or one who joined is: it is the same.
    clients.remove(0).reset();
    clients.remove(0).reset();
    waiting(&gateway, 1).await;
    gate.open();
    assert_eq!(clients[0].answer().await.body, b"hello");
    assert_eq!(up.accepted(), 1, "the call went on");

    let gate = Gate::new();
    let up = gated(&gate, &ok("", "hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
    waiting(&gateway, 2).await;
    eventually("it is asked", || gateway.in_flight() == 1).await;
    clients.into_iter().for_each(Client::reset);
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0), "nobody waits: what was asked is closed");
    assert_eq!(gateway.inner().shards()[0].flights.waiting(), 0);
}

#[tokio::test]
async fn answers_that_are_one_clients_are_given_to_one() {
    for fields in [
        "set-cookie: s=1\r\n",
        "cache-control: private, max-age=1\r\n",
        "cache-control: no-store\r\n",
        "vary: accept, user-agent\r\n",
        "vary: X-Forwarded-For\r\n",
        "vary: Forwarded\r\n",
        "vary: *\r\n",
        "content-type: text/event-stream\r\n",
    ] {
        let gate = Gate::new();
        let up = gated(&gate, &ok(fields, "hello")).await;
        let gateway = Gateway::start(&text(up.addr(), "", "")).await;
        let mut clients = asking(&gateway, &[get("/", ""), get("/", ""), get("/", "")]).await;
        waiting(&gateway, 3).await;
        gate.open();
        assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200 && answer.body == b"hello"));
        let asked = up.received().concat().windows(5).filter(|bytes| bytes == b"GET /").count();
        assert_eq!((asked, counted(&gateway, "unshared").await), (3, Some(2.0)), "{fields}");
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn what_is_large_or_streams_is_ones_alone_and_whole() {
    let large = "x".repeat(300 * 1024);
    let chunked = |body: &str| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
    };
    for answer in [ok("", &large), chunked(&large)] {
        let gate = Gate::new();
        let up = gated(&gate, &answer).await;
        let gateway = Gateway::start(&text(up.addr(), "", "")).await;
        let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
        waiting(&gateway, 2).await;
        gate.open();
        assert!(answers(&mut clients).await.iter().all(|answer| answer.whole && answer.body == large.as_bytes()));
        assert_eq!(counted(&gateway, "unshared").await, Some(1.0));
        let records = gateway.records(2).await;
        assert!(records.iter().all(|record| record["bytes_out"] == large.len()), "{records:?}");
        eventually("what was held is given back", || gateway.inner().shards()[0].held.count() == 0).await;
    }
    // A small one without a length is shared.
    let gate = Gate::new();
    let up = gated(&gate, &chunked("hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
    waiting(&gateway, 2).await;
    gate.open();
    for answer in answers(&mut clients).await {
        assert_eq!((answer.header("content-length"), &answer.body[..]), (Some("5"), &b"hello"[..]));
    }
    // One that goes on slowly streams to who began it, from its first byte.
    let (begin, end) = (Gate::new(), Gate::new());
    let slow = Script::new()
        .read_request()
        .wait(&begin)
        .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        .wait(&end)
        .send("world");
    let up = Raw::scripts([slow, Script::always(ok("", "helloworld"))]).await.unwrap();
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
    waiting(&gateway, 2).await;
    begin.open();
    eventually("the other one asks for itself", || up.accepted() == 2).await;
    end.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.whole && answer.body == b"helloworld"));
}

#[tokio::test]
async fn failures_are_shared_as_answers_are_and_nobodys_time_is_anothers() {
    let fallback = "fallback = { status = 200, body = 'later' }";
    for (route, status, body) in [("", 502, None), (fallback, 200, Some("later"))] {
        let gate = Gate::new();
        let closes = Raw::script(Script::new().read_request().wait(&gate)).await.unwrap();
        let gateway = Gateway::start(&text(closes.addr(), route, "")).await;
        let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
        waiting(&gateway, 2).await;
        gate.open();
        for answer in answers(&mut clients).await {
            assert_eq!(answer.status, status);
            match body {
                Some(body) => assert_eq!(answer.body, body.as_bytes()),
                None => assert_eq!(answer.code(), "upstream_reset"),
            }
        }
        let records = gateway.records(2).await;
        assert!(records.iter().all(|record| record["code"] == "upstream_reset"), "{records:?}");
    }
    // Who has little time leaves earlier, and the others get their answer.
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut clients = asking(&gateway, &[get("/", "x-request-timeout-ms: 50\r\n"), get("/", "")]).await;
    assert_eq!(clients[0].answer().await.code(), "upstream_timeout");
    waiting(&gateway, 1).await;
    gate.open();
    assert_eq!(clients[1].answer().await.body, b"hello");
    assert_eq!((up.accepted(), counted(&gateway, "late").await), (1, Some(1.0)));
    let late = gateway.records(2).await.remove(0);
    let named = (&late["code"], &late["upstream"], &late["endpoint"], &late["breaker"]);
    assert_eq!(json!(named), json!(["upstream_timeout", "up", up.addr().to_string(), "closed"]), "{late}");
}

/// The call is late for all of them at once.
#[tokio::test]
async fn who_joined_a_call_that_was_late_is_told_with_the_endpoint_that_was() {
    let up = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let gateway = Gateway::start(&text(up.addr(), "timeout = '1s'", "")).await;
    let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
    assert!(answers(&mut clients).await.iter().all(|answer| answer.code() == "upstream_timeout"));
    for record in gateway.records(2).await {
        let named = (&record["upstream"], &record["endpoint"]);
        assert_eq!(json!(named), json!(["up", up.addr().to_string()]), "{record}");
    }
}

#[tokio::test]
async fn head_and_http_2_share_too() {
    let gate = Gate::new();
    let up = gated(&gate, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let head = "HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n".to_owned();
    let mut clients = asking(&gateway, &[head.clone(), head]).await;
    waiting(&gateway, 2).await;
    gate.open();
    for client in &mut clients {
        let answer = client.head().await;
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5")));
    }
    assert_eq!((up.accepted(), counted(&gateway, "shared").await), (1, Some(1.0)));

    let up = echo().await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut client = H2Client::connect(gateway.address).await;
    for _ in 0..2 {
        assert_eq!(client.get("/x").await.echo().path(), "/x");
    }
}

/// The call is late before who waits for it: else nobody would ever hear of an endpoint that hangs.
#[tokio::test]
async fn an_endpoint_that_hangs_is_blamed_and_the_fallback_is_given() {
    let up = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let route = "timeout = '200ms'\nfallback = { status = 200, body = 'later' }";
    let gateway = Gateway::start(&text(up.addr(), route, "")).await;
    for _ in 0..2 {
        let answer = gateway.ask(get("/", "")).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"later"[..]));
    }
    let attempts = "gateway_upstream_attempts_total{upstream=\"up\",outcome=\"timeout\"}";
    assert_eq!(gateway.metric(attempts).await, Some(2.0));
    let record = gateway.records(2).await.remove(0);
    assert_eq!((&record["attempts"], &record["endpoint"]), (&1.into(), &up.addr().to_string().into()));
}

#[tokio::test]
async fn a_client_that_takes_the_answer_gets_its_cookie_and_its_trailers() {
    let up = Raw::script(Script::always(ok("", "hello"))).await.unwrap();
    let sticky =
        text(up.addr(), "", "").replacen("[[routes]]", "affinity = { cookie = 'at', key_env = 'PATH' }\n[[routes]]", 1);
    let gateway = Gateway::start(&sticky).await;
    let answer = gateway.ask(get("/", "")).await;
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("at=")), "{answer:?}");
    let chunked =
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n";
    let up = Raw::script(Script::always(chunked)).await.unwrap();
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    assert_eq!(gateway.ask(get("/", "")).await.trailers, [("x-sum".to_owned(), "1".to_owned())]);
}

/// A refusal may hang on what the comparison leaves out: it is its client's alone.
#[tokio::test]
async fn a_refusal_is_given_to_one() {
    let gate = Gate::new();
    let refusal = "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno";
    let up = gated(&gate, refusal).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let mut clients = asking(&gateway, &[get("/", "user-agent: bad\r\n"), get("/", "user-agent: good\r\n")]).await;
    waiting(&gateway, 2).await;
    gate.open();
    answers(&mut clients).await;
    assert_eq!(counted(&gateway, "unshared").await, Some(1.0), "the other one asked for itself");
}

/// As it would be had it asked for itself.
#[tokio::test]
async fn who_has_little_time_gets_what_the_route_gives_in_place_of_an_answer() {
    let up = Raw::script(Script::new().read_request().hang()).await.unwrap();
    let cache = Raw::script(Script::always(ok("", "cached"))).await.unwrap();
    let other = format!("[upstreams.cache]\nendpoints = ['{}']", cache.addr());
    for (fallback, status, result) in [
        ("fallback = { status = 200, body = 'later' }", 200, "fixed"),
        ("fallback = { upstream = 'cache' }\nidle_timeout = '1s'", 504, "unsent"),
    ] {
        for coalesce in ["true", "false"] {
            let route = text(up.addr(), &format!("{fallback}\ntimeout = '9s'"), &other)
                .replace("coalesce = true", &format!("coalesce = {coalesce}"));
            let gateway = Gateway::start(&route).await;
            let answer = gateway.ask(get("/", "x-request-timeout-ms: 50\r\n")).await;
            assert_eq!(answer.status, status, "coalesce = {coalesce}, {fallback}");
            let counted = format!("gateway_fallbacks_total{{route=\"all\",result=\"{result}\"}}");
            assert_eq!(gateway.metric(&counted).await, Some(1.0), "coalesce = {coalesce}, {fallback}");
            assert_eq!(gateway.record().await["code"], "upstream_timeout");
        }
    }
}

#[tokio::test]
async fn who_does_not_read_its_answer_keeps_its_place() {
    // Given as a whole; and as what streams, since others leave no room for its last byte.
    for (others, length) in [(0, 200 * 1024), ((16 << 20) - 200 * 1024, 128 * 1024 + 1)] {
        keeps_its_place_until_it_has_read(others, length).await;
    }
}

/// So many bytes are held by others of the worker.
async fn keeps_its_place_until_it_has_read(others: usize, length: usize) {
    let large = "x".repeat(length);
    let up = Raw::script(Script::always(ok("", &large))).await.unwrap();
    let gateway = Gateway::start(&format!("[server]\nmax_in_flight = 8\n{}", text(up.addr(), "", ""))).await;
    let _held = gateway.inner().shards()[0].held.take(others, usize::MAX);
    let in_flight = || gateway.inner().shared().in_flight.count();
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(h2::get("/"), true).await;
    let (mut answer, mut body) = h2::head(call.answer).await.unwrap();
    // What fits into its window, and no more.
    let mut taken = 0;
    while taken < 65_535 {
        let data = body.data().await.unwrap().unwrap();
        taken += data.len();
        answer.body.extend_from_slice(&data);
    }
    assert_eq!(in_flight(), 1);
    body.flow_control().release_capacity(taken).unwrap();
    h2::rest(&mut answer, &mut body).await.unwrap();
    assert_eq!(answer.body, large.as_bytes());
    eventually("its place is free", || in_flight() == 0).await;
    let record = gateway.record().await;
    assert_eq!((&record["bytes_out"], &record["ended"]), (&large.len().into(), &"complete".into()));
}

#[tokio::test]
async fn without_room_an_answer_is_ones_alone() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "hello")).await;
    let gateway = Gateway::start(&text(up.addr(), "", "")).await;
    let held = &gateway.inner().shards()[0].held;
    let all = held.take(64 << 20, usize::MAX);
    let mut clients = asking(&gateway, &[get("/", ""), get("/", "")]).await;
    waiting(&gateway, 2).await;
    gate.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.whole && answer.body == b"hello"));
    assert_eq!(counted(&gateway, "unshared").await, Some(1.0));
    drop(all);
    assert_eq!(held.count(), 0);
}

/// It tells of scheme and host too, on which an answer may hang.
#[tokio::test]
async fn requests_that_a_proxy_tells_different_things_of_share_nothing() {
    let gate = Gate::new();
    let up = gated(&gate, &ok("", "x")).await;
    let trusting = "[server]\ntrusted_proxies = ['127.0.0.1/32']\n";
    let gateway = Gateway::start(&format!("{trusting}{}", text(up.addr(), "", ""))).await;
    let of = |told: &str| get("/", &format!("forwarded: {told}\r\n"));
    let told = ["for=203.0.113.1;proto=https", "for=203.0.113.1;proto=http", "for=203.0.113.1;host=b.test"];
    let mut clients = asking(&gateway, &told.map(of)).await;
    waiting(&gateway, 3).await;
    eventually("each asks for itself", || up.accepted() == 3).await;
    gate.open();
    assert!(answers(&mut clients).await.iter().all(|answer| answer.status == 200));
}
