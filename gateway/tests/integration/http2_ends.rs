//! How requests and connections of HTTP/2 end: clients that leave or stall, answers that are cut, idleness, drains.
//! Tests of security.md's groups D, F and L carry their letters.

use gateway::shutdown::Drained;
use h2::Reason;
use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};
use serde_json::Value;

use crate::support::h2::{
    DATA, END_HEADERS, END_STREAM, Frames, GET, H2Client, HEADERS, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block,
    frame, get, head, post, rest,
};
use crate::support::h2_upstream::FramesUpstream;
use crate::support::{Gateway, echo, eventually};
use crate::upstream_http2::text;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The head of a GET on this stream.
fn ask(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

/// Whether it was its client that did not take an answer in time.
fn was_not_taken(record: &Value) -> bool {
    record["status"] == 200
        && record["code"] == "request_timeout"
        && record["fault"] == "client"
        && record["ended"] == "timeout"
}

#[tokio::test]
async fn l10_a_client_that_resets_its_request_is_a_499_and_cancels_the_upstream() {
    let upstream = echo().await;
    upstream.set_rules([Rule::on("/hang").effect(Effect::Hang)]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(get("/hang"), true).await;
    eventually("it is in flight", || gateway.in_flight() == 1).await;
    call.body.send_reset(Reason::CANCEL);
    let record = gateway.record().await;
    assert_eq!(
        (&record["status"], &record["ended"], &record["fault"]),
        (&499.into(), &"client_left".into(), &"client".into())
    );
    gateway.at_rest().await;
    assert_eq!(client.get("/").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn l10_a_connection_that_is_gone_ends_all_its_requests() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    for stream in 0..10 {
        frames.send(ask(2 * stream + 1)).await;
    }
    eventually("all are in flight", || gateway.in_flight() == 10).await;
    drop(frames);
    let records = gateway.records(10).await;
    assert!(records.iter().all(|record| record["status"] == 499), "{records:?}");
    gateway.at_rest().await;
    assert_eq!(gateway.upstream_connections().0, 0);
}

#[tokio::test]
async fn a14_an_answer_that_is_cut_never_looks_whole() {
    let (gate, text) = (Gate::new(), "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    let upstream = Raw::script(Script::new().read_request().send(text).wait(&gate)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let (mut answer, mut body) = head(client.begin(get("/"), true).await.answer).await.unwrap();
    gate.open();
    let cut = rest(&mut answer, &mut body).await.unwrap_err();
    assert_eq!((answer.status, cut.reason()), (200, Some(Reason::INTERNAL_ERROR)));
    assert_eq!(gateway.record().await["ended"], "upstream_cut");
}

#[tokio::test]
async fn f_a_client_that_opens_no_window_is_left_and_others_on_the_connection_are_not() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '150ms'", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    // Windows of new streams are shut; the connection's own is open.
    frames.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let large = [(":method", "GET"), (":scheme", "http"), (":path", "/bytes/1000000"), (":authority", "a.test")];
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&large))).await;
    let reset = frames.next_of(RST_STREAM).await.expect("a reset");
    assert_eq!((reset.stream, reset.code(0)), (1, Reason::CANCEL));
    let record = gateway.record().await;
    assert!(was_not_taken(&record), "{record}");
    frames.send(ask(3)).await;
    frames.send(frame(WINDOW_UPDATE, 0, 3, &[0, 1, 0, 0])).await;
    loop {
        let data = frames.next_of(DATA).await.expect("an answer");
        assert_eq!(data.stream, 3);
        if data.flags & END_STREAM != 0 {
            break;
        }
    }
    gateway.at_rest().await;
}

#[tokio::test]
async fn f_a_client_that_takes_some_bytes_now_and_then_is_not_left() {
    let upstream = echo().await;
    // In all it takes longer than it may be idle, and each byte takes far less.
    let gateway = Gateway::with("body_idle_timeout = '1s'", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    frames.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let path = [(":method", "GET"), (":scheme", "http"), (":path", "/bytes/12"), (":authority", "a.test")];
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&path))).await;
    let mut turns = tokio::time::interval(std::time::Duration::from_millis(100));
    let mut got = 0;
    while got < 12 {
        turns.tick().await;
        frames.send(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
        got += frames.next_of(DATA).await.expect("a byte").payload.len();
    }
    assert_eq!(gateway.record().await["ended"], "complete");
}

#[tokio::test]
async fn f_a_client_that_reads_nothing_at_all_is_left_with_its_connection() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '200ms'", upstream.addr()).await;
    let mut frames = Frames::connect(gateway.address).await;
    let large = [(":method", "GET"), (":scheme", "http"), (":path", "/bytes/20000000"), (":authority", "a.test")];
    // Windows as wide as they can be: what holds the answer up is the socket alone.
    frames.send(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).await;
    frames.send(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await;
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&large))).await;
    let record = gateway.record().await;
    assert!(was_not_taken(&record), "{record}");
    gateway.at_rest().await;
    let sample = format!("gateway_connections{{listener=\"{}\"}}", gateway.address);
    while gateway.metric(&sample).await != Some(0.0) {}
}

#[tokio::test]
async fn d_of_an_answer_that_comes_byte_by_byte_few_frames_are_held_for_a_client_that_reads_nothing() {
    let (large, drips) = (echo().await, FramesUpstream::start().await);
    let route = format!("[[routes]]\npath = '/bytes/{{*rest}}'\nupstream = 'http://{}'\n", large.addr());
    let gateway = Gateway::start(&format!("{}{route}", text("", "", drips.address))).await;
    let mut client = Frames::connect(gateway.address).await;
    client.send(frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).await;
    client.send(frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await;
    // It fills what lies between the gateway and a client that does not read.
    let large = [(":method", "GET"), (":scheme", "http"), (":path", "/bytes/20000000"), (":authority", "a.test")];
    client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&large))).await;
    client.send(ask(3)).await;
    let mut upstream = drips.accept(b"").await;
    let stream = upstream.next_of(HEADERS).await.expect("a request").stream;
    upstream.send(frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "200")]))).await;
    for _ in 0..300 {
        upstream.is_alive().await;
    }
    for _ in 0..500 {
        upstream.send(frame(DATA, 0, stream, b"x")).await;
        // It was read, by itself.
        upstream.is_alive().await;
    }
    upstream.send(frame(DATA, END_STREAM, stream, b"x")).await;
    let (mut frames, mut bytes, mut over) = (0, 0, false);
    while !over {
        let data = client.next_of(DATA).await.expect("more of an answer");
        if data.stream == 3 {
            (frames, bytes, over) = (frames + 1, bytes + data.payload.len(), data.flags & END_STREAM != 0);
        }
    }
    assert_eq!(bytes, 501);
    assert!(frames < 250, "{frames} frames");
}

#[tokio::test]
async fn f_a_body_that_stops_is_408_and_the_connection_goes_on() {
    let upstream = echo().await;
    let gateway = Gateway::with("body_idle_timeout = '100ms'", upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let mut call = client.begin(post("/"), false).await;
    call.body.send_data("half".into(), false).unwrap();
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
    assert_eq!(client.get("/").await.status, 200);
    let records: Vec<Value> = gateway.records(2).await;
    assert_eq!(records[0]["fault"], "client");
}

#[tokio::test]
async fn f_an_idle_connection_is_told_and_closed_but_not_while_it_is_busy() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK)).await.unwrap();
    let gateway = Gateway::with("idle_timeout = '1s'", upstream.addr()).await;
    let busy = async {
        let mut client = H2Client::connect(gateway.address).await;
        let call = client.begin(get("/"), true).await;
        upstream.wait_for_accepts(1).await;
        (client, call)
    };
    let (client, call) = busy.await;
    let mut idle = Frames::connect(gateway.address).await;
    assert_eq!(idle.goaway().await, Some(Reason::NO_ERROR));
    gate.open();
    assert_eq!(call.answer().await.status, 200, "idleness has not begun for it");
    assert!(client.ended().await.is_ok());
}

#[tokio::test]
async fn f_a_head_that_does_not_come_to_its_end_ends_the_connection() {
    let upstream = echo().await;
    let gateway = Gateway::with("header_read_timeout = '150ms'\nidle_timeout = '10s'", upstream.addr()).await;
    let whole = block(&GET);
    let (open, cut) = (frame(HEADERS, END_STREAM, 1, &whole), ask(1));
    for half in [&open[..], &cut[..cut.len() - 3]] {
        let mut frames = Frames::connect(gateway.address).await;
        frames.send(half).await;
        assert_eq!(frames.goaway().await, Some(Reason::ENHANCE_YOUR_CALM));
    }
    let mut frames = Frames::silent(gateway.address).await;
    frames.send(&PREFACE[..20]).await;
    while frames.next().await.is_some() {}
    assert_eq!(upstream.counters().requests, 0);
}

#[tokio::test]
async fn l7_a_drain_says_so_and_answers_what_has_come() {
    let gate = Gate::new();
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK)).await.unwrap();
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = H2Client::connect(gateway.address).await;
    let call = client.begin(get("/"), true).await;
    upstream.wait_for_accepts(1).await;
    let mut idle = Frames::connect(gateway.address).await;
    idle.is_alive().await;
    let draining = tokio::spawn(gateway.drain());
    assert_eq!(idle.goaway().await, Some(Reason::NO_ERROR));
    gate.open();
    let answer = call.answer().await;
    assert_eq!((answer.status, answer.whole, answer.header("connection")), (200, true, None));
    assert!(client.ended().await.is_ok());
    let (drained, folder) = draining.await.unwrap();
    assert_eq!(drained, Drained::Clean);
    let log = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert_eq!(log.lines().count(), 1);
}
