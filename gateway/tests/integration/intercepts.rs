//! `intercept`: of an upstream's error its client sees the status, what it needs to go on, and nothing that the service
//! said.

use mocks::raw::{Raw, Script};
use serde_json::json;

use crate::support::h2::{H2Client, get};
use crate::support::{Gateway, one_route};

const SECRET: &str = "at shop.Orders.find (orders.py:17)";

fn answer(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status} Told\r\nx-trace: db-7\r\n{fields}content-length: {}\r\n\r\n{SECRET}", SECRET.len())
}

/// A gateway before an upstream that answers always so.
async fn gateway(route: &str, answer: &str) -> (Gateway, Raw) {
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway =
        Gateway::start(&one_route("", &format!("retry = {{ attempts = 1 }}\n{route}"), upstream.addr())).await;
    (gateway, upstream)
}

#[tokio::test]
async fn of_an_error_that_is_named_the_client_sees_the_status_alone() {
    let (gateway, _upstream) = gateway("intercept = ['5xx']", &answer("500", "")).await;
    let told = gateway.get("/").await;
    assert_eq!((told.status, told.code().as_str()), (500, "upstream_error"));
    assert_eq!(told.header("content-type"), Some("application/problem+json"));
    assert_eq!(told.header("x-trace"), None);
    assert!(!String::from_utf8_lossy(&told.body).contains("orders.py"));
    let record = gateway.records(1).await.remove(0);
    let seen = ["status", "code", "fault", "ended", "attempts"].map(|key| record[key].clone());
    assert_eq!(seen, [json!(500), json!("upstream_error"), json!("upstream"), json!("complete"), json!(1)], "{record}");
    assert!(record["endpoint"].is_string(), "and who said so: {record}");
}

#[tokio::test]
async fn what_is_not_named_passes_as_it_is() {
    let (gateway, _upstream) = gateway("intercept = ['500-502', '404']", &answer("503", "")).await;
    let told = gateway.get("/").await;
    assert_eq!((told.status, told.header("x-trace"), told.body.as_slice()), (503, Some("db-7"), SECRET.as_bytes()));
    assert_eq!(gateway.records(1).await[0]["code"], "ok");
}

#[tokio::test]
async fn problems_have_the_words() {
    let problems = "intercept = ['404', '5xx']\nproblems = { upstream_error = { body = 'sorry: {status}' } }";
    let (gateway, _upstream) = gateway(problems, &answer("404", "")).await;
    let told = gateway.get("/").await;
    assert_eq!((told.status, told.body.as_slice()), (404, &b"sorry: 404"[..]));
    assert_eq!(gateway.records(1).await[0].get("fault"), None, "a service that has nothing there has not failed");
}

#[tokio::test]
async fn when_to_come_back_how_to_sign_in_and_which_methods_would_do_are_kept() {
    for (status, field, value) in [
        ("503", "retry-after", "7"),
        ("401", "www-authenticate", "Basic realm=\"a\", Bearer"),
        ("405", "allow", "GET, HEAD"),
    ] {
        let (gateway, _upstream) =
            gateway("intercept = ['4xx', '5xx']", &answer(status, &format!("{field}: {value}\r\n"))).await;
        let told = gateway.get("/").await;
        assert_eq!((told.status.to_string().as_str(), told.code().as_str()), (status, "upstream_error"));
        assert_eq!(told.header(field), Some(value));
    }
}

#[tokio::test]
async fn the_connection_to_the_service_is_used_on_where_its_word_was_short() {
    let (gateway, upstream) = gateway("intercept = ['5xx']", &answer("500", "")).await;
    let mut client = gateway.client().await;
    for _ in 0..5 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 500);
    }
    assert_eq!(upstream.accepted(), 1);
    let head = client.ask("HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.len()), (500, 0));
}

#[tokio::test]
async fn clients_of_http2_and_those_who_share_a_call_are_told_the_same() {
    let (gateway, _upstream) = gateway("intercept = ['5xx']\ncoalesce = true", &answer("500", "")).await;
    let mut client = H2Client::connect(gateway.address).await;
    let told = client.send(get("/"), "").await;
    assert_eq!((told.status, told.header("x-trace")), (500, None));
    assert!(!String::from_utf8_lossy(&told.body).contains("orders.py"));
}

#[tokio::test]
async fn an_answer_that_is_kept_is_told_so_each_time() {
    let kept = answer("404", "cache-control: max-age=60\r\n");
    let (gateway, upstream) = gateway("intercept = ['404']\ncache = true", &kept).await;
    for _ in 0..3 {
        let told = gateway.get("/").await;
        assert_eq!((told.status, told.code().as_str(), told.header("x-trace")), (404, "upstream_error", None));
    }
    let asked: usize =
        upstream.received().iter().map(|sent| String::from_utf8_lossy(sent).matches("GET / ").count()).sum();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_breaker_sees_what_the_service_said() {
    let route = "intercept = ['5xx']\nbreaker = { consecutive_failures = 3, failures = ['5xx'] }";
    let (gateway, _upstream) = gateway(route, &answer("500", "")).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.code(), "upstream_error");
    }
    assert_eq!(gateway.get("/").await.code(), "breaker_open");
}

#[tokio::test]
async fn a_long_answer_is_kept_too_though_nobody_gets_it() {
    let long = "x".repeat(300_000);
    let kept = format!("HTTP/1.1 404 No\r\ncache-control: max-age=60\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let (gateway, upstream) = gateway("intercept = ['404']\ncache = true", &kept).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.code(), "upstream_error");
    }
    assert_eq!(upstream.received().len(), 1, "one connection, asked once");
}

#[tokio::test]
async fn callers_of_grpc_are_told_as_they_would_have_mapped_it_themselves() {
    for (status, told) in [("401", "16"), ("403", "7"), ("404", "12"), ("503", "14"), ("500", "2")] {
        let (gateway, _upstream) = gateway("intercept = ['4xx', '5xx']", &answer(status, "")).await;
        let call = "POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\nte: trailers\r\ncontent-length: 0\r\n\r\n";
        let answer = gateway.ask(call).await;
        assert_eq!(
            (answer.status, answer.header("grpc-status"), answer.header("x-trace")),
            (200, Some(told), None),
            "{status}"
        );
    }
}
