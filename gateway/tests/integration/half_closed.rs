//! Clients of HTTP/1 that end their side of the connection behind their request (`shutdown`, `nc -N`): they have left,
//! or wait for their answers, as `half_closed` says.

use mocks::raw::{Gate, Raw, Script};
use mocks::{Effect, Rule};

use crate::support::{Gateway, echo, eventually};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const ANSWER: &str = "half_closed = 'answer'";

#[tokio::test]
async fn who_has_ended_its_side_has_left() {
    let upstream = echo().await;
    upstream.set_rules([Rule::any().effect(Effect::Hang)]);
    let gateway = Gateway::to(upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    client.finish().await;
    client.closed().await;
    assert_eq!(gateway.record().await["ended"], "client_left");
    eventually("its call is cancelled", || upstream.counters().connections == 0).await;
}

#[tokio::test]
async fn who_is_to_be_answered_is_though_its_side_has_ended() {
    for request in [GET, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"] {
        let gate = Gate::new();
        let upstream = Raw::script(Script::new().read_request().wait(&gate).send(OK).again()).await.unwrap();
        let gateway = Gateway::with(ANSWER, upstream.addr()).await;
        let mut client = gateway.client().await;
        client.send(request).await;
        client.finish().await;
        eventually("it is asked", || gateway.in_flight() == 1).await;
        gate.open();
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.whole), (200, true), "{request}");
        client.closed().await;
        let record = gateway.record().await;
        assert_eq!((&record["status"], &record["ended"]), (&200.into(), &"complete".into()), "{request}");
    }
}

#[tokio::test]
async fn all_that_was_asked_before_the_end_is_answered_and_what_is_not_whole_is_not() {
    let upstream = Raw::script(Script::always(OK)).await.unwrap();
    let gateway = Gateway::with(ANSWER, upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(format!("{GET}{GET}{GET}GET /half HT")).await;
    client.finish().await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.status, 200);
    }
    client.closed().await;
    assert_eq!(gateway.records(3).await.len(), 3);
}

#[tokio::test]
async fn a_body_that_ends_before_its_end_is_of_a_client_that_has_left() {
    let upstream = echo().await;
    let gateway = Gateway::with(ANSWER, upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf").await;
    client.finish().await;
    client.rest().await;
    gateway.at_rest().await;
    assert_eq!(gateway.record().await["ended"], "client_left");
}

#[tokio::test]
async fn a_client_that_is_gone_is_found_when_it_is_written_to() {
    let gate = Gate::new();
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n{}", "x".repeat(1 << 20));
    let upstream = Raw::script(Script::new().read_request().wait(&gate).send(long).hang()).await.unwrap();
    let gateway = Gateway::with(ANSWER, upstream.addr()).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    eventually("it is asked", || gateway.in_flight() == 1).await;
    drop(client);
    gate.open();
    gateway.at_rest().await;
    assert_eq!(gateway.record().await["ended"], "client_left");
}
