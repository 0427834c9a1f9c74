//! When an answer over HTTP/2 counts as delivered, whose time its delivery is, and who is listened to behind it. In
//! virtual time.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::Builder;
use http::Request;
use serde_json::Value;
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::both_ways::{pass, read_head_alone};
use crate::support::h2::{Call, H2Client, get, head, post, rest};
use crate::support::h2_upstream;
use crate::support::inside::{Inside, Memory};

const ROUTE: &str = "[server]\nbody_idle_timeout = '60s'\nmax_body = '1KiB'\n\
                     [upstreams.up]\nendpoints = ['up:9']\n[[routes]]\npath = '/a'\nupstream = 'up'\n";
/// What an upstream answers with, bytes: more than a client's window here, less than fits on the way to the gateway.
const LENGTH: usize = 20_000;

async fn answers(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &[b'x'; LENGTH]].concat()).await.unwrap();
    std::future::pending::<()>().await;
}

/// Reads a head, and does nothing more.
async fn hangs(mut stream: DuplexStream) {
    read_head_alone(&mut stream).await;
    std::future::pending::<()>().await;
}

fn world() -> Inside<Memory> {
    Inside::in_memory(ROUTE, answers)
}

/// A client that gives each answer so much of a window at first.
async fn client(world: &Inside<Memory>, window: u32) -> H2Client {
    let mut builder = Builder::new();
    builder.initial_window_size(window);
    H2Client::on(world.connect(), builder).await
}

fn ended(record: &Value) -> (&str, &str, &str) {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    (text("ended"), text("code"), text("fault"))
}

#[tokio::test(start_paused = true)]
async fn who_does_not_take_an_answer_keeps_nobody_elses_place() {
    let text = ROUTE.replace("[server]\n", "[server]\nmax_in_flight = 1\n");
    let own = "[[routes]]\npath = '/own'\nanswer = { body = 'a word' }\n";
    let world = Inside::in_memory(&format!("{text}{own}"), answers);
    let mut greedy = client(&world, 0).await;
    let Call { answer, .. } = greedy.begin(get("/own"), true).await;
    let (_head, _rest) = head(answer).await.unwrap();
    // Its body waits for a window that never comes; the gateway has nothing more to do for it.
    let mut other = client(&world, 65_535).await;
    for _ in 0..3 {
        let Call { answer, .. } = other.begin(get("/own"), true).await;
        assert_eq!(head(answer).await.unwrap().0.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_its_client_never_takes_is_not_complete_however_small_it_is() {
    let world = world();
    let mut client = client(&world, 0).await;
    for (path, status) in [("/a", 200), ("/nowhere", 404)] {
        let Call { answer, mut body } = client.begin(get(path), true).await;
        let (answer, _rest) = head(answer).await.unwrap();
        assert_eq!(answer.status, status);
        pass(Duration::from_secs(3)).await;
        body.send_reset(Reason::CANCEL);
        pass(Duration::from_secs(1)).await;
    }
    let records = world.records();
    assert_eq!(ended(&records[0]), ("client_left", "ok", "client"));
    assert_eq!(ended(&records[1]), ("client_left", "route_not_found", "client"));
    assert!(records.iter().all(|record| record["bytes_out"] == 0), "{records:?}");

    // One that stays, and takes nothing, is left by the gateway.
    for (path, before) in [("/a", 2), ("/nowhere", 3)] {
        let (_answer, mut body) = head(client.begin(get(path), true).await.answer).await.unwrap();
        pass(Duration::from_secs(59)).await;
        assert_eq!(world.records().len(), before, "{path}: it has time left");
        pass(Duration::from_secs(2)).await;
        assert!(body.data().await.unwrap().is_err(), "{path}: it is reset");
        assert_eq!(ended(&world.records()[before]), ("timeout", "request_timeout", "client"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_takes_to_read_is_no_time_of_the_gateways_own() {
    let world = world();
    let mut client = client(&world, 1000).await;
    let (mut answer, mut body) = head(client.begin(get("/a"), true).await.answer).await.unwrap();
    pass(Duration::from_secs(2)).await;
    assert!(world.records().is_empty(), "it is still to be taken");
    rest(&mut answer, &mut body).await.unwrap();
    assert_eq!(answer.body.len(), LENGTH);
    pass(Duration::from_secs(1)).await;
    let record = &world.records()[0];
    assert_eq!((ended(record), &record["bytes_out"]), (("complete", "ok", ""), &LENGTH.into()));
    assert!(record["total_us"].as_u64().unwrap() >= 2_000_000, "{record}");
    assert!(record["overhead_us"].as_u64().unwrap() < 100_000, "{record}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_all_of_a_refused_body_before_it_reads_gets_its_answer() {
    const BODY: usize = 1_000_000;
    let world = Inside::in_memory(ROUTE, hangs);
    let mut client = client(&world, 65_535).await;
    let declared = Request::builder().method("POST").uri("http://a.test/a").header("content-length", BODY);
    for request in [post("/a"), declared.body(()).unwrap()] {
        let Call { answer, mut body } = client.begin(request, false).await;
        assert!(h2_upstream::send(&mut body, Bytes::from(vec![b'x'; BODY]), true).await, "all of it is taken");
        let (mut answer, mut problem) = head(answer).await.unwrap();
        rest(&mut answer, &mut problem).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (413, "body_too_large"));
    }
}
