//! Requests and answers that overlap, and what else the two sides of an exchange can do to each other.

use mocks::raw::{Gate, Raw, Script};

use crate::support::{Gateway, echo, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn an_answer_can_stream_while_its_request_still_does() {
    let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
    let talk = Script::new().read_head().send(first).read_bytes(7).send("3\r\ntwo\r\n0\r\n\r\n").hang();
    let upstream = Raw::script(talk).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n").await;
    let mut answer = client.head().await;
    assert_eq!(client.bytes(8).await, b"3\r\none\r\n", "the answer begins before the request ends");
    client.send("request").await;
    client.body_of(&mut answer).await;
    assert_eq!((&answer.body[..], answer.whole), (&b"two"[..], true));
    let record = gateway.record().await;
    assert_eq!((&record["bytes_in"], &record["bytes_out"]), (&7.into(), &6.into()));
}

#[tokio::test]
async fn a_refusal_that_comes_in_the_middle_of_an_upload_reaches_the_client() {
    let refusal = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 7\r\n\r\ntoo big";
    let upstream = Raw::script(Script::new().read_head().send(refusal)).await.unwrap();
    let gateway = Gateway::with("max_body = '0'", upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n").await;
    client.send("b".repeat(100_000)).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, &answer.body[..]), (413, &b"too big"[..]), "the upstream's word, not a 502");
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections(), (0, 0), "with half a request on it, it is of no more use");
    assert_eq!(gateway.record().await["code"], "ok");
}

#[tokio::test]
async fn a_connection_with_half_a_request_on_it_is_not_used_again() {
    let early = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let upstream = Raw::script(Script::new().read_head().send(early).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    for count in 1..=3 {
        let mut client = gateway.client().await;
        let answer = client.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
        gateway.at_rest().await;
        assert_eq!(upstream.accepted(), count);
        assert_eq!(gateway.upstream_connections(), (0, 0));
    }
}

#[tokio::test]
async fn framing_of_requests_without_a_body_is_what_it_was() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    let echo = gateway.ask("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.echo();
    assert_eq!((echo.header("content-length"), echo.header("transfer-encoding")), (Some("0"), None));
    let echo = gateway.get("/").await.echo();
    assert_eq!((echo.header("content-length"), echo.header("transfer-encoding")), (None, None));
    let echo = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.echo();
    assert_eq!((echo.header("content-length"), echo.get("body_bytes")), (Some("2"), &2.into()));
    let empty = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(gateway.ask(empty).await.echo().get("body_bytes"), 0);
}

#[tokio::test]
async fn repeated_fields_keep_their_order_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                  set-cookie: c=3\r\ncontent-length: 0\r\n\r\n";
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let answer = gateway.ask("GET / HTTP/1.1\r\nhost: a\r\nx-n: 1\r\naccept: */*\r\nx-n: 2\r\n\r\n").await;
    let cookies: Vec<&str> =
        answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["a=1", "b=2", "c=3"]);
    assert_eq!(answer.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"), "the upstream's date is the answer's");
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    let (one, two) = (sent.find("x-n: 1").unwrap(), sent.find("x-n: 2").unwrap());
    assert!(one < two, "{sent}");
}

#[tokio::test]
async fn a_304_with_a_length_has_no_body_and_keeps_its_connection() {
    let upstream =
        Raw::script(Script::always("HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    for _ in 0..3 {
        assert_eq!(client.ask(GET).await.status, 304);
    }
    assert_eq!(upstream.accepted(), 1);
}

#[tokio::test]
async fn a14_a_folded_field_of_an_answer_is_502() {
    let upstream =
        Raw::script(Script::always("HTTP/1.1 200 OK\r\nx-a: 1\r\n folded\r\ncontent-length: 0\r\n\r\n")).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/").await.code(), "upstream_invalid");
}

#[tokio::test]
async fn a4_endless_trailers_and_extensions_are_the_clients_400() {
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    let bodies = [
        format!("1\r\nx\r\n0\r\n{many}\r\n"),
        format!("1\r\nx\r\n0\r\nx-long: {}\r\n\r\n", "v".repeat(200_000)),
        format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(200_000)),
        "1\r\nx\r\n0\r\nno colon\r\n\r\n".to_owned(),
    ];
    for body in bodies {
        let upstream = echo().await;
        let gateway = Gateway::to(upstream.addr()).await;
        let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = gateway.ask(format!("{head}{body}")).await;
        assert!(matches!(answer.status, 400 | 413 | 431), "{} to {:?}", answer.status, &body[..40]);
        gateway.at_rest().await;
        assert_eq!((upstream.counters().requests, gateway.record().await["fault"].as_str()), (0, Some("client")));
    }
}

#[tokio::test]
async fn half_a_head_behind_a_request_is_cut_with_a_408() {
    let upstream = echo().await;
    let gateway = Gateway::with("header_read_timeout = '150ms'\nidle_timeout = '75s'", upstream.addr()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.ask(format!("{GET}GET / HT")).await.status, 200);
    assert_eq!(client.answer().await.code(), "request_timeout");
    assert_eq!(upstream.counters().requests, 1);
    assert_eq!(gateway.records(2).await[1]["code"], "request_timeout");
}

#[tokio::test]
async fn a_client_that_half_closes_within_its_request_has_left() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_head().wait(&gate).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf").await;
    client.finish().await;
    let _ = client.rest().await;
    gateway.at_rest().await;
    let record = gateway.record().await;
    assert_eq!(record["fault"], "client", "{record}");
}

#[tokio::test]
async fn logs_can_be_rotated_by_a_reload() {
    let upstream = echo().await;
    let gateway = Gateway::to(upstream.addr()).await;
    assert_eq!(gateway.get("/before").await.status, 200);
    gateway.record().await;
    let log = gateway.file().with_file_name("access.log");
    let old = gateway.file().with_file_name("access.log.1");
    std::fs::rename(&log, &old).unwrap();
    assert_eq!(gateway.admin("POST", "/reload").await.status, 200);
    assert_eq!(gateway.get("/after").await.status, 200);
    assert_eq!(gateway.record().await["path"], "/after");
    assert!(std::fs::read_to_string(old).unwrap().contains("/before"));
}

#[tokio::test]
async fn a4_a_body_that_breaks_while_its_answer_streams_never_looks_whole_upstream() {
    let first = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
    let upstream = Raw::script(Script::new().read_head().send(first).hang()).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    assert_eq!(client.head().await.status, 200);
    assert_eq!(client.bytes(8).await, b"3\r\none\r\n");
    client.send("zz\r\nnot a chunk\r\n").await;
    client.finish().await;
    gateway.at_rest().await;
    eventually("the upstream's connection is closed", || gateway.upstream_connections() == (0, 0)).await;
    let sent = String::from_utf8(upstream.received().concat()).unwrap();
    assert!(sent.contains("5\r\nhello\r\n"), "{sent}");
    assert!(!sent.contains("\r\n0\r\n"), "the end was sent of a body that has none: {sent}");
}
