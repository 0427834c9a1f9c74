//! Stages that want bodies: of requests and of answers, whole and within bounds, looked at or replaced; and stages that
//! do not, past which bodies stream as ever.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use gateway::prelude::{RequestInfo, Stage, StageRequest};
use http::StatusCode;
use http_body_util::BodyExt as _;
use mocks::raw::{Raw, Script};

use crate::support::{Answer, Gateway, echo, eventually};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const MOST: usize = 16;

/// Reads bodies of requests, and does this with them.
#[derive(Clone, Copy, PartialEq)]
enum Reads {
    /// Looks.
    Looks,
    /// Gives them on in capitals, and twice.
    Doubles,
    /// Lets pass what is too large.
    Lenient,
    /// Looks at large ones too.
    Large,
    /// Puts another one there without a look.
    Instead(&'static str),
}

impl Stage for Reads {
    async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
        match self {
            Self::Looks => {
                let body = request.body(MOST).await?;
                if body.starts_with(b"bad") {
                    return ControlFlow::Break((StatusCode::IM_A_TEAPOT, "bad").into_response());
                }
            }
            Self::Doubles => {
                let body = request.body(MOST).await?.to_ascii_uppercase();
                request.set_body([&body[..], &body].concat());
            }
            Self::Lenient => {
                if let ControlFlow::Continue(body) = request.body(MOST).await {
                    assert!(body.len() <= MOST);
                }
            }
            Self::Large => drop(request.body(2 << 20).await?),
            Self::Instead(text) => request.set_body(*text),
        }
        ControlFlow::Continue(())
    }
}

fn text(upstream: &str, stages: &str, keys: &str) -> String {
    format!("[[routes]]\nname = 'all'\npath = '/{{*rest}}'\n{upstream}\nstages = [{stages}]\n{keys}\n")
}

/// An upstream that answers so, and keeps what it was sent.
async fn upstream(answer: &str) -> (Raw, String) {
    let raw = Raw::script(Script::new().read_request().send(answer).again()).await.unwrap();
    let to = format!("upstream = 'http://{}'", raw.addr());
    (raw, to)
}

/// The requests that it was sent, each as its length, `chunked` or nothing, and its body as framed.
fn sent(upstream: &Raw) -> Vec<(String, String)> {
    let text = String::from_utf8(upstream.received().concat()).unwrap();
    let requests = text.split(" /a HTTP/1.1\r\n").skip(1);
    let one = |request: &str| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let framing = head.lines().find_map(|line| {
            line.strip_prefix("content-length: ").or_else(|| line.strip_prefix("transfer-encoding: "))
        });
        // The method of the next one stands behind it.
        let body = body.trim_end_matches("POST").trim_end_matches("GET");
        (framing.unwrap_or_default().to_owned(), body.to_owned())
    };
    requests.map(one).collect()
}

fn pair(framing: &str, body: &str) -> (String, String) {
    (framing.to_owned(), body.to_owned())
}

fn length(body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chunked(body: &str) -> String {
    format!(
        "POST /a HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\nx-sum: 1\r\n\r\n",
        body.len()
    )
}

/// A handler that says what it was sent.
async fn says(request: Request) -> String {
    let told = request.headers().get("content-length").map(|it| it.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    format!("{told:?} {}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn a_body_is_whole_before_anybody_is_asked_and_goes_on_as_it_was() {
    let (upstream, to) = upstream(OK).await;
    let gateway = Gateway::built(&text(&to, "'one', 'two'", ""), |builder| {
        builder.stage("one", Reads::Looks).stage("two", Reads::Looks)
    })
    .await;
    let mut client = gateway.client().await;
    client.send(length("half").replace(": 4", ": 9")).await;
    eventually("it is held", || held(&gateway) > 0).await;
    assert_eq!((upstream.accepted(), gateway.in_flight()), (0, 0));
    assert_eq!(client.ask("whole").await.status, 200);
    assert_eq!(client.ask(chunked("five.")).await.status, 200);
    let refused = client.ask(length("bad")).await;
    assert_eq!((refused.status, &refused.body[..]), (418, &b"bad"[..]));
    assert_eq!(client.ask("GET /a HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200, "the connection goes on");
    client.send("POST /a HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n").await;
    assert_eq!(client.head().await.status, 100);
    assert_eq!(client.ask("later").await.status, 200);
    let bodies = [
        pair("9", "halfwhole"),
        pair("chunked", "5\r\nfive.\r\n0\r\nx-sum: 1\r\n\r\n"),
        pair("", ""),
        pair("5", "later"),
    ];
    assert_eq!(sent(&upstream), bodies);
    let bytes: Vec<u64> = gateway.records(5).await.iter().map(|record| record["bytes_in"].as_u64().unwrap()).collect();
    assert_eq!(bytes, [9, 5, 3, 0, 5]);
    gateway.at_rest().await;
    assert_eq!(held(&gateway), 0);
}

/// What bodies hold of the worker's memory.
fn held(gateway: &Gateway) -> usize {
    gateway.inner().shards().iter().map(|shard| shard.held.count()).sum()
}

#[tokio::test]
async fn one_that_is_replaced_has_its_own_length_for_upstreams_and_handlers() {
    let (upstream, to) = upstream(OK).await;
    for to in [&*to, "handler = 'says'"] {
        // What a stage makes is no client's: `max_body` is not for it.
        let gateway = Gateway::built(&text(to, "'doubles'", "max_body = '8B'"), |builder| {
            builder.stage("doubles", Reads::Doubles).handler("says", any(says))
        })
        .await;
        let mut client = gateway.client().await;
        for request in [length("letters."), chunked("letters.")] {
            let answer = client.ask(request).await;
            if to.starts_with("handler") {
                assert_eq!(String::from_utf8_lossy(&answer.body), "Some(\"16\") LETTERS.LETTERS.");
            }
        }
        let large = client.ask(length("letters..")).await;
        assert_eq!((large.status, large.code().as_str()), (413, "body_too_large"));
        let records = gateway.records(3).await;
        assert_eq!((&records[0]["bytes_in"], &records[1]["bytes_in"]), (&8.into(), &8.into()), "what the client sent");
        gateway.at_rest().await;
        assert_eq!(held(&gateway), 0);
    }
    assert_eq!(sent(&upstream), [pair("16", "LETTERS.LETTERS."), pair("16", "LETTERS.LETTERS.")]);
}

#[tokio::test]
async fn one_may_be_put_where_none_was_and_taken_away() {
    for (put, framing) in [("more", ["4", "4"]), ("", ["0", ""])] {
        let (upstream, to) = upstream(OK).await;
        let gateway =
            Gateway::built(&text(&to, "'instead'", ""), |builder| builder.stage("instead", Reads::Instead(put))).await;
        assert_eq!(gateway.ask(length("client's")).await.status, 200);
        assert_eq!(gateway.get("/a").await.status, 200);
        assert_eq!(sent(&upstream), framing.map(|framing| pair(framing, put)));
        assert_eq!(gateway.records(2).await[1]["bytes_in"], 0);
        gateway.at_rest().await;
    }
}

#[tokio::test]
async fn a_replaced_body_is_sent_again_where_its_request_is() {
    let (upstream, to) = upstream("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await;
    let keys = "retry = { attempts = 2, methods = ['POST'] }";
    let gateway =
        Gateway::built(&text(&to, "'doubles'", keys), |builder| builder.stage("doubles", Reads::Doubles)).await;
    assert_eq!(gateway.ask(length("ab")).await.status, 503);
    assert_eq!(sent(&upstream), [pair("4", "ABAB"), pair("4", "ABAB")]);
}

#[tokio::test]
async fn what_cannot_be_had_is_told_by_the_gateway() {
    let (upstream, to) = upstream(OK).await;
    let large = "b".repeat(MOST + 1);
    for (server, request, status, code) in [
        ("", length(&large), 413, "body_too_large"),
        ("", chunked(&large), 413, "body_too_large"),
        ("", chunked("bytes").replace("0\r\nx-sum", "x\r\nx-sum"), 400, "bad_request"),
        ("body_idle_timeout = '50ms'", length("half").replace(": 4", ": 9"), 408, "request_timeout"),
        ("body_match_memory = '4MiB'", length("fits"), 200, "ok"),
    ] {
        let text = format!("[server]\n{server}\n{}", text(&to, "'looks'", ""));
        let gateway = Gateway::built(&text, |builder| builder.stage("looks", Reads::Looks)).await;
        let answer = gateway.ask(request).await;
        let told = if status == 200 { "ok".to_owned() } else { answer.code() };
        assert_eq!((answer.status, &*told), (status, code), "{server}");
        let record = gateway.record().await;
        assert_eq!((&record["status"], &record["code"]), (&status.into(), &code.into()), "{record}");
        gateway.at_rest().await;
        assert_eq!(held(&gateway), 0);
    }
    assert_eq!(sent(&upstream), [pair("4", "fits")]);
}

#[tokio::test]
async fn a_client_that_leaves_midway_has_left_and_nothing_is_held() {
    let (_upstream, to) = upstream(OK).await;
    let gateway = Gateway::built(&text(&to, "'looks'", ""), |builder| builder.stage("looks", Reads::Looks)).await;
    let mut client = gateway.client().await;
    client.send(length("half").replace(": 4", ": 9")).await;
    eventually("some of it is held", || held(&gateway) > 0).await;
    client.reset();
    let record = gateway.record().await;
    assert_eq!((&record["status"], &record["ended"]), (&499.into(), &"client_left".into()), "{record}");
    gateway.at_rest().await;
    eventually("nothing is held", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn all_that_stages_read_takes_no_more_than_it_may() {
    let (_upstream, to) = upstream(OK).await;
    let text = format!("[server]\nbody_match_memory = '4MiB'\n{}", text(&to, "'large'", ""));
    let gateway = Gateway::built(&text, |builder| builder.stage("large", Reads::Large)).await;
    let part = "b".repeat(1_000_000);
    let mut clients = Vec::new();
    for number in 1..=4 {
        let mut client = gateway.client().await;
        client.send(length(&part).replace(": 1000000", ": 1000009")).await;
        eventually("its body is held", || held(&gateway) == number << 20).await;
        clients.push(client);
    }
    let refused = gateway.ask(length("small")).await;
    assert_eq!(
        (refused.status, refused.code().as_str(), refused.header("retry-after")),
        (503, "overloaded", Some("1"))
    );
    assert_eq!(gateway.metric("gateway_shed_total{reason=\"routing_bodies\"}").await, Some(1.0));
    let mut last = clients.pop().unwrap();
    assert_eq!(last.ask("the rest.").await.status, 200);
    drop(clients);
    gateway.at_rest().await;
    eventually("all is given back", || held(&gateway) == 0).await;
}

#[tokio::test]
async fn larger_ones_stream_on_where_the_stage_lets_them() {
    let (upstream, to) = upstream(OK).await;
    let gateway = Gateway::built(&text(&to, "'lenient'", ""), |builder| builder.stage("lenient", Reads::Lenient)).await;
    let mut client = gateway.client().await;
    let large = "b".repeat(1000);
    for request in [length(&large), chunked(&large), length("small")] {
        assert_eq!(client.ask(&request).await.status, 200);
    }
    let all = sent(&upstream);
    assert_eq!((&all[0], &all[2]), (&pair("1000", &large), &pair("5", "small")));
    assert_eq!((&*all[1].0, all[1].1.matches('b').count()), ("chunked", 1000));
    gateway.at_rest().await;
    assert_eq!(held(&gateway), 0);
}

#[tokio::test]
async fn a_websocket_has_no_body_and_takes_none() {
    let upstream = echo().await;
    let to = format!("upstream = 'http://{}'", upstream.addr());
    let gateway = Gateway::built(&text(&to, "'looks', 'instead'", ""), |builder| {
        builder.stage("looks", Reads::Looks).stage("instead", Reads::Instead("more"))
    })
    .await;
    let mut client = gateway.client().await;
    let handshake = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(client.ask(handshake).await.status, 101);
    client.send([0x88, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(client.bytes(2).await, [0x88, 0]);
}

/// Gives answers on in capitals; what it does not get passes, or does not.
struct Capitals(bool, Arc<AtomicUsize>);

impl Stage for Capitals {
    async fn response(&self, request: &RequestInfo, response: Response) -> Response {
        match request.read(response, 64).await {
            Ok(whole) => whole.map(|bytes| Body::from(bytes.to_ascii_uppercase())),
            Err(unread) => {
                self.1.fetch_add(1, Ordering::Relaxed);
                if self.0 { unread.pass() } else { unread.refuse() }
            }
        }
    }
}

async fn capitals(answer: &str, passes: bool) -> (Gateway, Raw) {
    let upstream = Raw::script(Script::always(answer)).await.unwrap();
    let to = format!("upstream = 'http://{}'", upstream.addr());
    let gateway = Gateway::built(&text(&to, "'capitals'", ""), |builder| {
        builder.stage("capitals", Capitals(passes, Arc::default()))
    })
    .await;
    (gateway, upstream)
}

fn shown(answer: &Answer) -> (u16, String, Option<String>) {
    let length = answer.header("content-length").map(str::to_owned);
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned(), length)
}

#[tokio::test]
async fn an_answer_is_read_and_changed_whatever_its_framing() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\npla\r\n2\r\nin\r\n0\r\nx-sum: 1\r\n\r\n",
    ] {
        let (gateway, _upstream) = capitals(answer, false).await;
        assert_eq!(shown(&gateway.get("/").await), (200, "PLAIN".to_owned(), Some("5".to_owned())), "{answer}");
        gateway.at_rest().await;
        assert_eq!(held(&gateway), 0);
    }
}

#[tokio::test]
async fn one_that_cannot_be_read_passes_or_is_refused_as_the_stage_says() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{}", "b".repeat(100));
    let grows = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n64\r\n{}\r\n0\r\n\r\n", "b".repeat(100));
    let coded = "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 5\r\n\r\nplain".to_owned();
    for (answer, body, length) in [
        (&large, "b".repeat(100), Some("100")),
        (&grows, "b".repeat(100), None),
        (&coded, "plain".to_owned(), Some("5")),
    ] {
        let (gateway, _upstream) = capitals(answer, true).await;
        let passed = gateway.get("/").await;
        assert_eq!(shown(&passed), (200, body, length.map(str::to_owned)));
        assert!(passed.whole);
        gateway.at_rest().await;
        assert_eq!(held(&gateway), 0);
        let (gateway, _upstream) = capitals(answer, false).await;
        let refused = gateway.get("/").await;
        assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_invalid"));
        let record = gateway.record().await;
        assert_eq!(
            (&record["status"], &record["code"], &record["fault"]),
            (&502.into(), &"upstream_invalid".into(), &"upstream".into())
        );
        gateway.at_rest().await;
        assert_eq!(held(&gateway), 0);
    }
}

#[tokio::test]
async fn answers_without_a_body_pass_in_any_case() {
    for (method, answer, status) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n", 200),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n", 304),
    ] {
        let (gateway, _upstream) = capitals(answer, false).await;
        let mut client = gateway.client().await;
        client.send(format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-length")), (status, None), "{method} {answer}");
        let record = gateway.record().await;
        assert_eq!((&record["status"], &record["code"]), (&status.into(), &"ok".into()));
    }
}
