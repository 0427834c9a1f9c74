//! Aggregates and how clients behave: who asks with a body or for a head alone, reads late, or leaves.

use mocks::raw::{Raw, Script};

use crate::aggregates::{asked, body, counted, json, stalls_after, text};
use crate::support::{Gateway, eventually, nowhere};

#[tokio::test]
async fn who_leaves_takes_the_calls_along() {
    let (a, b) = (stalls_after("").await, stalls_after("").await);
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "timeout = '60s'", &parts)).await;
    let mut client = gateway.client().await;
    client.send("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("both are asked", || gateway.in_flight() == 2).await;
    client.reset();
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&499.into(), &"client_left".into()));
    assert_eq!(
        (counted(&gateway, "a", "cancelled").await, counted(&gateway, "b", "cancelled").await),
        (Some(1.0), Some(1.0))
    );
    let (open, idle) = gateway.upstream_connections();
    assert_eq!((open, idle), (0, 0), "what was asked is closed");
}

#[tokio::test]
async fn head_is_answered_with_the_length_and_other_methods_are_not() {
    let a = json("[1]").await;
    let gateway = Gateway::start(&text(&[a.addr()], "", &["name = 'a', upstream = 'a', path = '/'"])).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        client.send("HEAD /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("9")));
    }
    assert_eq!((a.accepted(), counted(&gateway, "a", "ok").await), (1, Some(2.0)), "its connection is used again");
    assert!(asked(&a)[0].starts_with("GET / "), "parts are documents, of which there is a head only if they are had");
    let answer = client.ask("POST /board/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    let upgrade = "GET /board/1 HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(body(&gateway.ask(upgrade).await), "{\"a\":[1]}", "a request to switch is answered without");
}

#[tokio::test]
async fn a_request_with_a_body_is_refused_before_anybody_is_asked() {
    let a = json("1").await;
    let gateway = Gateway::start(&text(&[a.addr()], "", &["name = 'a', upstream = 'a', path = '/'"])).await;
    let answer = gateway.ask("GET /board/1 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    let chunked = |body: &str| format!("GET /board/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    assert_eq!(gateway.ask(chunked("1\r\nx\r\n0\r\n\r\n")).await.status, 413);
    assert_eq!(a.accepted(), 0);
    assert_eq!(gateway.ask(chunked("0\r\n\r\n")).await.status, 200, "a body without a byte is none");
}

async fn stops_after(bytes: &str) -> Raw {
    Raw::script(Script::new().read_request().send(bytes)).await.unwrap()
}

/// Nor is an upstream that does not wait until somebody reads its part.
#[tokio::test]
async fn a_part_that_breaks_off_while_nobody_reads_it_is_nobodys_fault() {
    let large = format!("\"{}\"", "x".repeat(16 << 20));
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n[1,";
    let (a, cut, silent) = (json(&large).await, stops_after(half).await, stalls_after("").await);
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/'"];
    let slow = "[[routes]]\nname = 'slow'\npath = '/slow'\nupstream = 'c'\ntimeout = '2s'\n";
    let small =
        "[[aggregates]]\nname = 'small'\npath = '/small'\nparts = [{ name = 'b', upstream = 'b', path = '/' }]\n";
    let upstreams = [a.addr(), cut.addr(), silent.addr()];
    let text =
        text(&upstreams, "max_response = '64MiB'", &parts).replace("consecutive_failures = 2", "min_requests = 1");
    let gateway = Gateway::start(&format!("{text}{small}{slow}")).await;
    let state = || gateway.inner().upstreams()[1].active().endpoints[0].standing.guard.state().as_str();
    let mut client = gateway.client().await;
    client.send("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    // Two seconds pass, and the client has read nothing.
    assert_eq!(gateway.get("/slow").await.status, 504);
    client.body_of(&mut answer).await;
    assert!(!answer.whole);
    gateway.at_rest().await;
    assert_eq!((counted(&gateway, "b", "failed").await, state()), (Some(1.0), "closed"));
    // Where its turn comes at once it is.
    let mut client = gateway.client().await;
    client.send("GET /small HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.rest().await;
    eventually("open", || state() == "open").await;
}

/// A phone in a tunnel is not an upstream that fails.
#[tokio::test]
async fn the_time_that_a_client_takes_to_read_is_nobodys_fault() {
    let large = format!("\"{}\"", "x".repeat(16 << 20));
    let (a, silent) = (json(&large).await, stalls_after("").await);
    let keys = "timeout = '2s'\nmax_response = '64MiB'";
    let parts = ["name = 'a', upstream = 'a', path = '/'"];
    let slow = "[[routes]]\nname = 'slow'\npath = '/slow'\nupstream = 'b'\ntimeout = '4s'\n";
    let gateway = Gateway::start(&format!("{}{slow}", text(&[a.addr(), silent.addr()], keys, &parts))).await;
    let mut client = gateway.client().await;
    client.send("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = client.head().await;
    // Twice the aggregate's time passes, and the client has read nothing.
    assert_eq!(gateway.get("/slow").await.status, 504);
    client.body_of(&mut answer).await;
    assert!(answer.whole, "{} bytes", answer.body.len());
    assert_eq!(answer.body.len(), large.len() + 6);
    assert_eq!(counted(&gateway, "a", "ok").await, Some(1.0), "and its breaker is closed");
}

#[tokio::test]
async fn calls_that_are_given_up_are_attempts_too() {
    let (slow, bad) = (
        stalls_after("").await,
        Raw::script(Script::always("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")).await.unwrap(),
    );
    let parts =
        ["name = 'slow', upstream = 'a', path = '/'", "name = 'bad', upstream = 'b', path = '/', required = true"];
    let gateway = Gateway::start(&text(&[slow.addr(), bad.addr()], "", &parts)).await;
    assert_eq!(gateway.get("/board/1").await.status, 500);
    assert_eq!(gateway.record().await["attempts"], 2);

    let gateway = Gateway::start(&text(&[slow.addr(), slow.addr()], "", &parts)).await;
    let mut client = gateway.client().await;
    client.send("GET /board/1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually("both are asked", || gateway.in_flight() == 2).await;
    client.reset();
    let record = gateway.record().await;
    assert_eq!((&record["ended"], &record["attempts"]), (&"client_left".into(), &2.into()));
}

const PAGE: &str = "https://app.example";

fn of_a_page(method: &str, origin: &str, fields: &str) -> String {
    format!("{method} /board/1 HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\n{fields}\r\n")
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_where_it_says_so() {
    let (a, dead) = (json("1").await, nowhere());
    let keys = "cors = { origins = ['https://app.example'], headers = ['x-view'] }";
    let parts = ["name = 'a', upstream = 'a', path = '/'", "name = 'b', upstream = 'b', path = '/'"];
    let gateway = Gateway::start(&text(&[a.addr(), dead], keys, &parts)).await;
    let asks = "access-control-request-method: GET\r\naccess-control-request-headers: x-view\r\n";
    let preflight = gateway.ask(of_a_page("OPTIONS", PAGE, asks)).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some(PAGE)));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("x-view"));
    assert_eq!(a.accepted(), 0, "it asks nobody");
    assert_eq!(gateway.ask(of_a_page("OPTIONS", "https://evil.example", asks)).await.status, 403);
    let answer = gateway.ask(of_a_page("GET", PAGE, "")).await;
    assert_eq!((answer.status, body(&answer)), (200, "{\"a\":1,\"b\":null}"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE));
    let exposed: Vec<_> =
        answer.headers.iter().filter(|(name, _)| name == "access-control-expose-headers").map(|it| &*it.1).collect();
    assert!(exposed.contains(&"x-aggregate-missing"), "{exposed:?}");
    let stranger = gateway.ask(of_a_page("GET", "https://evil.example", "")).await;
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (200, None));
    assert_eq!(stranger.header("vary"), Some("origin"));
}

#[tokio::test]
async fn c5_parts_get_of_the_query_what_they_name_and_nothing_else() {
    let (a, b) = (json("1").await, json("2").await);
    let parts = [
        "name = 'a', upstream = 'a', path = '/items?q={query.q}&n=1&page={query.page}&of={id}'",
        "name = 'b', upstream = 'b', path = '/b?page={query.page}'",
    ];
    let gateway = Gateway::start(&text(&[a.addr(), b.addr()], "", &parts)).await;
    for (query, of_a, of_b) in [
        ("", "/items?n=1&of=7", "/b"),
        ("?x=1&admin=true", "/items?n=1&of=7", "/b"),
        ("?q=a+b&q=c%26n%3D2&page=", "/items?q=a+b&q=c%26n%3D2&n=1&page=&of=7", "/b?page="),
        ("?page=2;n=3&%71=/../x?y", "/items?q=%2F..%2Fx%3Fy&n=1&page=2%3Bn%3D3&of=7", "/b?page=2%3Bn%3D3"),
    ] {
        assert_eq!(body(&gateway.get(&format!("/board/7{query}")).await), "{\"a\":1,\"b\":2}");
        let last = |upstream: &Raw| asked(upstream).pop().unwrap().lines().next().unwrap().to_owned();
        let line = |target: &str| format!("GET {target} HTTP/1.1");
        assert_eq!((last(&a), last(&b)), (line(of_a), line(of_b)), "{query}");
    }
}

/// As a route: after all that the gateway says itself, and on problems too.
#[tokio::test]
async fn clients_are_told_what_it_edits_and_its_own_words_for_problems() {
    let (a, dead) = (json("1").await, nowhere());
    let keys = "response_headers = { set = { x-board = '{id} of {host}', cache-control = 'private, max-age=5' }, \
                remove = ['x-aggregate-missing'] }\nproblems = { 5xx = { body = 'sorry: {code}' } }";
    let optional = "name = 'b', upstream = 'b', path = '/'";
    let part = "name = 'a', upstream = 'a', path = '/', required = true";
    let gateway = Gateway::start(&text(&[a.addr(), dead], keys, &[part, optional])).await;
    for method in ["GET", "HEAD"] {
        let mut client = gateway.client().await;
        client.send(format!("{method} /board/7 HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n")).await;
        let answer = String::from_utf8(client.rest().await).unwrap().to_ascii_lowercase();
        assert!(answer.contains("x-board: 7 of a.test\r\n"), "{answer}");
        assert!(answer.contains("cache-control: private, max-age=5\r\n") && !answer.contains("no-store"), "{answer}");
        assert!(!answer.contains("x-aggregate-missing") && answer.contains("x-request-id: "), "{answer}");
    }
    let gateway = Gateway::start(&text(&[dead], keys, &[part])).await;
    let answer = gateway.get("/board/7").await;
    assert_eq!((answer.status, body(&answer)), (502, "sorry: upstream_connect"));
    assert_eq!((answer.header("cache-control"), answer.header("x-board").is_some()), (Some("no-store"), true));
}
