//! Clients of HTTP/2 that vanish without a word, and those that are only silent. In virtual time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::both_ways::{pass, read_head_alone};
use crate::support::h2::{
    Call, END_HEADERS, END_STREAM, GET, H2Client, HEADERS, PREFACE, SETTINGS, block, frame, get, head,
};
use crate::support::inside::{Inside, Memory};

const PING: u8 = 6;
const GOAWAY: u8 = 7;

fn world(server: &str) -> Inside<Memory> {
    let text = format!(
        "[server]\n{server}\n[upstreams.up]\nendpoints = ['up:9']\n\
         [[routes]]\npath = '/'\nupstream = 'up'\ntimeout = '0s'\nidle_timeout = '0s'\nretry = {{ attempts = 1 }}\n"
    );
    Inside::in_memory(&text, |mut stream: DuplexStream| async move {
        read_head_alone(&mut stream).await;
        // virtual time
        tokio::time::sleep(Duration::from_secs(1000)).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        std::future::pending::<()>().await;
    })
}

/// A client that asks once, and then does nothing: it answers no ping.
async fn vanished(world: &Inside<Memory>) -> DuplexStream {
    let mut stream = world.connect();
    let asked = [PREFACE, &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GET))];
    stream.write_all(&asked.concat()).await.unwrap();
    pass(Duration::from_secs(1)).await;
    assert_eq!(world.in_flight().0, 1);
    stream
}

/// The kinds of the frames that came.
async fn kinds(mut stream: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
    while let [a, b, c, kind, ..] = *rest {
        kinds.push(kind);
        rest = &rest[9 + (usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))..];
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_vanished_is_asked_and_then_left() {
    let world = world("h2_keepalive = '10s'");
    let stream = vanished(&world).await;
    pass(Duration::from_secs(28)).await;
    assert_eq!((world.in_flight().0, world.records().len()), (1, 0), "it has until the thirtieth second");
    pass(Duration::from_secs(3)).await;
    assert_eq!(world.in_flight(), (0, 0), "what its request held is free");
    let records = world.records();
    assert_eq!((&records[0]["status"], &records[0]["ended"]), (&499.into(), &"client_left".into()));
    assert_eq!(kinds(stream).await.iter().filter(|kind| **kind == PING).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_only_silent_keeps_its_request() {
    let world = world("h2_keepalive = '10s'");
    let mut client = H2Client::on(world.connect(), h2::client::Builder::new()).await;
    let Call { answer, .. } = client.begin(get("/"), true).await;
    pass(Duration::from_secs(990)).await;
    assert_eq!((world.in_flight().0, world.records().len()), (1, 0));
    pass(Duration::from_secs(20)).await;
    assert_eq!(head(answer).await.unwrap().0.status, 200);
}

/// What is sent to it leaves the gateway all the same: the system takes it for anybody.
#[tokio::test(start_paused = true)]
async fn an_event_stream_to_a_client_that_has_vanished_is_no_sign_of_life() {
    let text = "[server]\nh2_keepalive = '10s'\n[upstreams.up]\nendpoints = ['up:9']\n[[routes]]\npath = '/'\nupstream = 'up'\n";
    let world = Inside::in_memory(text, |mut stream: DuplexStream| async move {
        read_head_alone(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while stream.write_all(b"2\r\nhi\r\n").await.is_ok() {
            pass(Duration::from_secs(1)).await;
        }
    });
    let _stream = vanished(&world).await;
    pass(Duration::from_secs(28)).await;
    assert_eq!((world.in_flight().0, world.records().len()), (1, 0));
    pass(Duration::from_secs(4)).await;
    assert_eq!((world.in_flight().0, world.records().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let world = world("h2_keepalive = '10s'");
    let mut stream = vanished(&world).await;
    for _ in 0..10 {
        // After its ping went out, and before the time to answer it is over.
        pass(Duration::from_secs(25)).await;
        stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    }
    pass(Duration::from_secs(9)).await;
    assert_eq!((world.in_flight().0, world.records().len()), (1, 0));
    pass(Duration::from_secs(25)).await;
    assert_eq!((world.in_flight(), world.records().len()), ((0, 0), 1));
}

#[tokio::test(start_paused = true)]
async fn without_it_nobody_is_asked_and_who_rests_is_not_either() {
    let off = world("");
    let stream = vanished(&off).await;
    pass(Duration::from_secs(900)).await;
    assert_eq!((off.in_flight().0, off.records().len()), (1, 0));
    drop(stream);

    let on = world("h2_keepalive = '10s'\nidle_timeout = '300s'");
    let mut stream = on.connect();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).await.unwrap();
    pass(Duration::from_secs(290)).await;
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    pass(Duration::from_secs(400)).await;
    // Behind GOAWAY comes one that asks whether it has arrived.
    let told = kinds(stream).await;
    let asked = told.iter().take_while(|kind| **kind != GOAWAY).filter(|kind| **kind == PING).count();
    assert!(asked == 0 && told.contains(&GOAWAY), "a connection without requests is for `idle_timeout`: {told:?}");
}
