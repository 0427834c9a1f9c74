//! Plain forwarding: what the upstream is asked, what the client gets.

use mocks::raw::{Raw, Script};

use crate::support::{Gateway, echo};

#[tokio::test]
async fn a_request_reaches_its_upstream_and_the_answer_its_client() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway
        .ask("POST /orders/7?full=1 HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 5\r\nx-tone: calm\r\n\r\nhello")
        .await;
    let echo = answer.echo();
    assert_eq!(echo.get("method"), "POST");
    assert_eq!(echo.path(), "/orders/7");
    assert_eq!(echo.get("query"), "full=1");
    assert_eq!(echo.get("body_bytes"), 5);
    assert_eq!(echo.header("x-tone"), Some("calm"));
    assert_eq!(echo.header("host"), Some("shop.test"), "the client's host is passed on by default");
    assert_eq!(answer.header("x-mock-service"), Some("mock"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn the_upstream_is_told_who_asks_and_by_which_names() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    let echo = answer.echo();
    let id = echo.header("x-request-id").unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(answer.header("x-request-id"), Some(id), "the client learns the same id");
    assert_eq!(echo.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(echo.header("x-forwarded-proto"), Some("http"));
    assert_eq!(echo.header("x-forwarded-host"), Some("a.test"));
    assert_eq!(echo.forwarded(), "for=127.0.0.1;host=a.test;proto=http");
    let trace: Vec<&str> = echo.header("traceparent").unwrap().split('-').collect();
    assert_eq!((trace[0], trace[1].len(), trace[2].len()), ("00", 32, 16));
    assert_eq!(gateway.record().await["trace_id"], trace[1]);
}

#[tokio::test]
async fn a_trace_goes_on_under_a_span_of_the_gateways_own() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\ntraceparent: {came}\r\ntracestate: vendor=1\r\n\r\n");
    let echo = gateway.ask(head).await.echo();
    let sent = echo.header("traceparent").unwrap();
    assert!(sent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{sent}");
    assert!(!sent.contains("b7ad6b7169203331"), "the parent is the gateway's span: {sent}");
    assert_eq!(echo.header("tracestate"), Some("vendor=1"));
}

#[tokio::test]
async fn connections_to_clients_and_to_upstreams_are_used_again() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for n in 0..20 {
        assert_eq!(client.ask(format!("GET /{n} HTTP/1.1\r\nhost: a\r\n\r\n")).await.status, 200);
    }
    assert_eq!(upstream.counters().accepts, 1, "twenty requests, one connection");
}

#[tokio::test]
async fn requests_in_one_write_are_answered_in_their_order() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    let all: String = (0..10)
        .map(|n| format!("POST /{n} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{}", n, "x".repeat(n)))
        .collect();
    client.send(all).await;
    for n in 0..10 {
        let echo = client.answer().await.echo();
        assert_eq!(echo.path(), format!("/{n}"));
        assert_eq!(echo.get("body_bytes"), n);
    }
}

#[tokio::test]
async fn a_client_that_asks_for_it_is_closed_after_its_answer() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.closed().await;
}

#[tokio::test]
async fn an_http_1_0_client_is_answered_in_its_own_way() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;

    let mut client = gateway.client().await;
    let answer = client.ask("GET /old HTTP/1.0\r\n\r\n").await;
    // RFC 9110, section 6.2: a server says which version it speaks, and keeps to what the client's allows.
    assert_eq!((&*answer.version, answer.header("transfer-encoding")), ("HTTP/1.1", None));
    let echo = answer.echo();
    assert_eq!(echo.path(), "/old");
    assert!(echo.header("host").is_some(), "an HTTP/1.1 upstream is always told a host");
    client.closed().await;

    let mut client = gateway.client().await;
    let head = "GET /kept HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    assert_eq!(client.ask(head).await.header("connection"), Some("keep-alive"));
    assert_eq!(client.ask(head).await.echo().path(), "/kept");

    let mut client = gateway.client().await;
    let answer = client.ask("GET /stream/3/0 HTTP/1.0\r\n\r\n").await;
    assert_eq!(answer.header("transfer-encoding"), None, "HTTP/1.0 knows no chunks: {answer:?}");
    assert!(!answer.body.is_empty());

    let protocols: Vec<_> = gateway.records(4).await.iter().map(|record| record["protocol"].clone()).collect();
    assert_eq!(protocols, ["HTTP/1.0"; 4]);
}

#[tokio::test]
async fn an_http_1_0_upstream_is_heard_to_its_close() {
    let answers = Script::new().read_request().send("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it");
    let upstream = Raw::script(answers).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for _ in 0..2 {
        let answer = client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert_eq!((answer.status, &answer.body[..], answer.whole), (200, &b"all of it"[..], true));
    }
    assert_eq!(upstream.accepted(), 2);
}

#[tokio::test]
async fn what_an_upstream_answers_passes_whatever_its_status() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    for status in [200, 201, 302, 400, 404, 418, 429, 500, 503] {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx-mock-fault: status={status}\r\n\r\n");
        let answer = gateway.ask(head).await;
        assert_eq!(answer.status, status);
        assert_ne!(answer.header("content-type"), Some("application/problem+json"), "it is the upstream's own");
    }
}

#[tokio::test]
async fn c3_a_redirect_is_the_clients_to_follow() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/secret\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.get("/").await;
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://127.0.0.1:1/secret")));
}
