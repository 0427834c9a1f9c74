//! Drains in virtual time, over streams in memory: a client that is slow to read gets the last bytes of its answers,
//! one that has just come gets its first, and neither holds up the drain.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::network::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::h2::{
    DATA, END_HEADERS, END_STREAM, GET, GOAWAY, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, block, frame,
};

/// What a stream in memory holds, bytes: much less than the answer.
const PIPE: usize = 1024;
/// The answer's body, bytes: less than what a stream may hold of one that nobody takes.
const BODY: usize = 20_000;

/// Streams in memory; whoever is connected to answers with one large body.
#[derive(Clone)]
struct InMemory;

impl Network for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
        let (ours, mut theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let _ = theirs.read(&mut buffer).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\n\r\n");
            let _ = theirs.write_all(&[head.as_bytes(), &[b'x'; BODY]].concat()).await;
            std::future::pending::<()>().await;
        });
        Ok(ours)
    }

    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
    }

    fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
        Ok(stream)
    }
}

/// Kind, flags, length and payload of each frame, the last one perhaps cut.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (u8, u8, usize, &[u8])> {
    std::iter::from_fn(move || {
        let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = bytes else { return None };
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let (payload, behind) = rest.split_at(length.min(rest.len()));
        bytes = behind;
        Some((*kind, *flags, length, payload))
    })
}

/// Bytes of DATA among these frames, and whether the last of them ends its stream.
fn data(bytes: &[u8]) -> (usize, bool) {
    frames(bytes).filter(|(kind, ..)| *kind == DATA).fold((0, false), |(count, ended), (_, flags, length, payload)| {
        (count + payload.len(), ended || flags & END_STREAM != 0 && payload.len() == length)
    })
}

/// A connection that is served, and its drain.
struct Served {
    client: DuplexStream,
    serving: JoinHandle<()>,
    start_drain: watch::Sender<bool>,
}

impl Served {
    fn new() -> Self {
        let text = "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{*rest}'\nupstream = 'http://up:9'\n";
        let config = load_text(text, Path::new("in-memory"), Purpose::Run).unwrap().config;
        let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
        let gateway = Gateway::new(config, World { network: InMemory, clock, seed: 7, shards: 1 }).unwrap();
        let (start_drain, drain) = watch::channel(false);
        let (client, accepted) = duplex(PIPE);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
        let shard = Arc::clone(&gateway.shards()[0]);
        let serving = tokio::spawn(async move {
            connection::serve(shard, accepted, peer, drain, ()).await;
            drop(gateway);
        });
        Self { client, serving, start_drain }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All that comes until the connection's end, which is no further away than this.
    async fn rest_within(self, time: Duration) -> Vec<u8> {
        tokio::time::timeout(time, self.rest()).await.expect("the connection's end")
    }

    /// All that comes until the connection's end.
    async fn rest(self) -> Vec<u8> {
        let Self { mut client, serving, start_drain } = self;
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        drop(client);
        serving.await.unwrap();
        drop(start_drain);
        got
    }
}

/// Some time goes by.
async fn pass(time: Duration) {
    // virtual time: the runtime is paused
    tokio::time::sleep(time).await;
}

/// Room for a whole answer, and one request.
fn ask() -> Vec<u8> {
    let wide = [frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0])].concat();
    [wide, frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GET))].concat()
}

#[tokio::test(start_paused = true)]
async fn l7_the_last_bytes_of_an_answer_outlive_a_drain_while_the_client_is_slow() {
    let mut served = Served::new();
    served.send([PREFACE, &ask()].concat()).await;
    // By its end the answer has been handed over whole, and waits behind a full pipe.
    pass(Duration::from_secs(1)).await;
    served.start_drain.send(true).unwrap();
    // Longer than a drain waits for a client that has nothing left to get, shorter than `body_idle_timeout`.
    pass(Duration::from_secs(20)).await;
    assert!(!served.serving.is_finished(), "bytes still wait for the client");
    assert_eq!(data(&served.rest().await), (BODY, true));
}

#[tokio::test(start_paused = true)]
async fn l7_who_takes_its_last_bytes_after_a_drain_has_begun_does_not_hold_it_up() {
    let mut served = Served::new();
    served.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // All but the end, which has been handed over, and waits behind a full pipe.
    let mut got = vec![0; BODY - PIPE];
    served.client.read_exact(&mut got).await.unwrap();
    pass(Duration::from_millis(1)).await;
    served.start_drain.send(true).unwrap();
    pass(Duration::from_secs(20)).await;
    assert!(!served.serving.is_finished(), "bytes still wait for the client");
    got.extend(served.rest_within(Duration::from_secs(1)).await);
    assert!(got.starts_with(b"HTTP/1.1 200 OK\r\n") && got.ends_with(&[b'x'; BODY]), "{}", got.len());
}

#[tokio::test(start_paused = true)]
async fn l7_a_preface_that_is_on_its_way_when_a_drain_begins_is_waited_for_and_its_request_is_answered() {
    let mut served = Served::new();
    served.send(&PREFACE[..18]).await;
    pass(Duration::from_millis(1)).await;
    served.start_drain.send(true).unwrap();
    pass(Duration::from_millis(50)).await;
    served.send([&PREFACE[18..], &ask()].concat()).await;
    let got = served.rest().await;
    assert_eq!(data(&got), (BODY, true));
    assert!(frames(&got).any(|(kind, ..)| kind == GOAWAY), "it is told that no more is taken");
}

#[tokio::test(start_paused = true)]
async fn l7_a_preface_that_does_not_come_holds_up_no_drain() {
    let mut served = Served::new();
    served.send(&PREFACE[..18]).await;
    pass(Duration::from_millis(1)).await;
    served.start_drain.send(true).unwrap();
    assert!(!frames(&served.rest_within(Duration::from_secs(2)).await).any(|(kind, ..)| kind == HEADERS));
}
