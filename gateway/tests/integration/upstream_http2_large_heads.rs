//! Heads and trailers beyond what an upstream of HTTP/2 takes, for which many services end the connection, and what
//! becomes of those who share it: one client's fault is its own.

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use http::{HeaderMap, HeaderValue, Request};

use crate::support::h2::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, H2Client, HEADERS, RST_STREAM, block, frame, get, head, post, rest,
};
use crate::support::h2_upstream::{FramesUpstream, H2Upstream};
use crate::support::{Gateway, eventually};
use crate::upstream_http2::text;

/// One failure opens it.
const STRICT: &str = "breaker = { consecutive_failures = 1 }";
/// SETTINGS_MAX_HEADER_LIST_SIZE = 8192, as Netty and Jetty say unless they are told otherwise.
const SETTINGS: &[u8] = &[0, 6, 0, 0, 0x20, 0];

fn answer(stream: u32, status: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", status)]))
}

/// What a GOAWAY says: the last stream that was looked at, and an error.
fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), u32::from(Reason::PROTOCOL_ERROR).to_be_bytes()].concat())
}

/// The stream of the next request.
async fn asked(frames: &mut Frames) -> u32 {
    frames.next_of(HEADERS).await.expect("a request").stream
}

fn large(mut request: Request<()>) -> Request<()> {
    let long = HeaderValue::from_str(&"z".repeat(8100)).unwrap();
    request.headers_mut().insert("x-big", long);
    request
}

/// How often a breaker has opened.
async fn trips(gateway: &Gateway) -> usize {
    let page = String::from_utf8(gateway.admin("GET", "/metrics").await.body).unwrap();
    let trips = page.lines().filter(|line| line.starts_with("gateway_breaker_trips_total"));
    trips.filter(|line| !line.ends_with(" 0")).count()
}

#[tokio::test]
async fn d_a_head_beyond_what_its_upstream_takes_is_its_clients_fault_and_never_sent() {
    let upstream = FramesUpstream::start().await;
    let text = text(STRICT, "retry = { attempts = 3 }", upstream.address);
    let gateway = Gateway::start(&format!("[server]\nworkers = 1\n{text}")).await;
    let mut client = H2Client::connect(gateway.address).await;
    let beside = client.begin(get("/beside"), true).await;
    let mut frames = upstream.accept(SETTINGS).await;
    assert_eq!(asked(&mut frames).await, 1);
    let refused = client.begin(large(get("/")), true).await.answer().await;
    assert_eq!((refused.status, refused.code().as_str()), (431, "headers_too_large"));
    let line = format!("x-big: {}\r\n", "z".repeat(8100));
    let refused = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\n{line}\r\n")).await;
    assert_eq!((refused.status, refused.code().as_str()), (431, "headers_too_large"));
    let mut call = large(post("/a.B/C"));
    call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let refused = client.begin(call, true).await.answer().await;
    assert_eq!((refused.status, refused.header("grpc-status")), (200, Some("8")));
    let records = gateway.records(3).await;
    for record in &records {
        assert_eq!((&record["code"], &record["fault"]), (&"headers_too_large".into(), &"client".into()), "{record}");
    }
    // One that is within it passes, by the same connection.
    let mut within = get("/within");
    within.headers_mut().insert("x-big", HeaderValue::from_str(&"z".repeat(6000)).unwrap());
    let within = client.begin(within, true).await;
    assert_eq!(asked(&mut frames).await, 3, "nothing of the others was sent");
    frames.send([answer(3, "200"), answer(1, "200")].concat()).await;
    assert_eq!((within.answer().await.status, beside.answer().await.status), (200, 200));
    assert_eq!(trips(&gateway).await, 0);
    gateway.at_rest().await;
}

#[tokio::test]
async fn d_trailers_beyond_what_their_upstream_takes_end_their_own_request() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&text(STRICT, "", upstream.address)).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(post("/"), false).await;
    let mut frames = upstream.accept(SETTINGS).await;
    let stream = asked(&mut frames).await;
    call.body.send_data(Bytes::from_static(b"body"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-big", HeaderValue::from_str(&"z".repeat(8190)).unwrap());
    call.body.send_trailers(trailers).unwrap();
    let refused = call.answer().await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"));
    assert_eq!(frames.next_of(RST_STREAM).await.expect("a reset").stream, stream);
    let next = client.begin(get("/next"), true).await;
    assert_eq!(asked(&mut frames).await, 3, "on the same connection");
    frames.send(answer(3, "200")).await;
    assert_eq!((next.answer().await.status, trips(&gateway).await), (200, 0));
}

#[tokio::test]
async fn d_what_an_upstream_may_have_ended_its_connection_for_is_not_sent_again() {
    for request in [get("/"), post("/")] {
        let upstream = FramesUpstream::start().await;
        let route = "retry = { attempts = 3, on = ['reset', 'connect'], methods = ['GET', 'POST'] }";
        let gateway = Gateway::start(&text("", route, upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let first = client.begin(get("/first"), true).await;
        let mut old = upstream.accept(b"").await;
        assert_eq!(asked(&mut old).await, 1);
        let suspect = client.begin(request, true).await;
        assert_eq!(asked(&mut old).await, 3);
        old.send([answer(1, "200"), goaway(1)].concat()).await;
        assert_eq!(first.answer().await.status, 200);
        let failed = suspect.answer().await;
        assert_eq!((failed.status, failed.code().as_str()), (502, "upstream_reset"));
        let next = client.begin(get("/next"), true).await;
        let mut new = upstream.accept(b"").await;
        let stream = asked(&mut new).await;
        new.send(answer(stream, "201")).await;
        assert_eq!(next.answer().await.status, 201, "it is the first on the new connection");
        let records = gateway.records(3).await;
        assert!(records.iter().all(|record| record["attempts"] == 1), "{records:?}");
    }
}

#[tokio::test]
async fn d_all_calls_that_end_with_one_connection_are_one_failure_to_the_breaker() {
    for (failures, opened) in [(1, 1), (2, 0)] {
        let mut upstream = H2Upstream::with(Builder::new()).await;
        let breaker = format!("breaker = {{ consecutive_failures = {failures} }}");
        let gateway = Gateway::start(&text(&breaker, "", upstream.address)).await;
        let mut client = H2Client::connect(gateway.address).await;
        let (mut calls, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            calls.push(client.begin(post("/"), true).await);
            asked.push(upstream.next().await);
        }
        // One whose answer has begun breaks off behind its head, which counts like the others.
        let begun = client.begin(get("/begun"), true).await;
        let mut begun_asked = upstream.next().await;
        begun_asked.begin(200, &[]).send_data("half".into(), false).unwrap();
        let (mut half, mut body) = head(begun.answer).await.unwrap();
        asked[0].cut();
        for call in calls {
            assert_eq!(call.answer().await.code(), "upstream_reset");
        }
        assert!(rest(&mut half, &mut body).await.is_err());
        gateway.records(6).await;
        assert_eq!(trips(&gateway).await, opened, "of {failures}");
        eventually("it is closed", || gateway.upstream_connections() == (0, 0)).await;
    }
}

#[tokio::test]
async fn d_a_binary_value_that_is_none_is_its_clients_fault_and_never_sent() {
    let upstream = FramesUpstream::start().await;
    let text = text(STRICT, "", upstream.address);
    let gateway = Gateway::start(&format!("[server]\nworkers = 1\n{text}")).await;
    let mut client = H2Client::connect(gateway.address).await;
    let beside = client.begin(get("/beside"), true).await;
    let mut frames = upstream.accept(b"").await;
    assert_eq!(asked(&mut frames).await, 1);
    for value in ["1", "%%%", "-_8"] {
        let refused = gateway.ask(format!("GET / HTTP/1.1\r\nhost: a\r\nx-b-bin: {value}\r\n\r\n")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad_request"), "{value}");
    }
    let mut call = post("/a.B/C");
    call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    call.headers_mut().insert("x-b-bin", HeaderValue::from_static("AAAAA"));
    let refused = client.begin(call, true).await.answer().await;
    assert!(refused.status == 200 && refused.header("grpc-status").is_some_and(|status| status != "0"));
    for record in &gateway.records(4).await {
        assert_eq!((&record["code"], &record["fault"]), (&"bad_request".into(), &"client".into()), "{record}");
    }
    let mut right = get("/right");
    right.headers_mut().insert("x-b-bin", HeaderValue::from_static("AAA,BBBB"));
    let right = client.begin(right, true).await;
    assert_eq!(asked(&mut frames).await, 3, "nothing of the others was sent");
    frames.send([answer(3, "200"), answer(1, "200")].concat()).await;
    assert_eq!((right.answer().await.status, beside.answer().await.status), (200, 200));
    assert_eq!(trips(&gateway).await, 0);
}

#[tokio::test]
async fn d_a_stream_that_was_asked_too_much_of_opens_no_breaker() {
    let upstream = FramesUpstream::start().await;
    let text = text(STRICT, "", upstream.address);
    let gateway = Gateway::start(&format!("[server]\nworkers = 1\n{text}")).await;
    let mut client = H2Client::connect(gateway.address).await;
    let calm = |stream| frame(RST_STREAM, 0, stream, &u32::from(Reason::ENHANCE_YOUR_CALM).to_be_bytes());
    let refused = client.begin(large(post("/")), true).await;
    let mut frames = upstream.accept(b"").await;
    assert_eq!(asked(&mut frames).await, 1);
    frames.send(calm(1)).await;
    let refused = refused.answer().await;
    assert_eq!((refused.status, refused.code().as_str()), (502, "upstream_reset"));
    let next = client.begin(get("/next"), true).await;
    assert_eq!(asked(&mut frames).await, 3);
    frames.send(answer(3, "200")).await;
    assert_eq!((next.answer().await.status, trips(&gateway).await), (200, 0));
}

#[tokio::test]
async fn d_trailers_go_to_no_call_of_grpc_and_not_behind_an_answer() {
    let upstream = FramesUpstream::start().await;
    let gateway = Gateway::start(&format!("[server]\nworkers = 1\n{}", text("", "", upstream.address))).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-end", HeaderValue::from_static("1"));
    let mut grpc = post("/a.B/C");
    grpc.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut call = client.begin(grpc, false).await;
    let mut frames = upstream.accept(b"").await;
    assert_eq!(asked(&mut frames).await, 1);
    call.body.send_data(Bytes::from_static(b"body"), false).unwrap();
    call.body.send_trailers(trailers.clone()).unwrap();
    while frames.next_of(DATA).await.expect("the body's end").flags & END_STREAM == 0 {}
    // One whose answer has begun.
    let mut early = client.begin(post("/early"), false).await;
    assert_eq!(asked(&mut frames).await, 3);
    frames.send(frame(HEADERS, END_HEADERS, 3, &block(&[(":status", "200")]))).await;
    let (_head, _answer) = head(early.answer).await.unwrap();
    early.body.send_data(Bytes::from_static(b"body"), false).unwrap();
    early.body.send_trailers(trailers).unwrap();
    while frames.next_of(DATA).await.expect("the body's end").flags & END_STREAM == 0 {}
    frames.is_alive().await;
}
