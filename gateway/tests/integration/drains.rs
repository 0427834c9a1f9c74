//! Drains in virtual time, over streams in memory: a client that is slow to read gets the last bytes of its answers,
//! one that has just come gets its first, and neither holds up the drain.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateway::clock::Clock;
use gateway::config::{Purpose, load_text};
use gateway::connections::Connections;
use gateway::gateway::{Gateway, World};
use gateway::listener::connection;
use gateway::network::Network;
use gateway::shutdown::{Drained, Switches, drain};
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

/// What a drain may take in all.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(300);

/// Streams in memory; whoever is connected to answers with one large body, or never.
#[derive(Clone)]
struct InMemory;

impl Network for InMemory {
    type Stream = DuplexStream;

    async fn connect(&self, _: SocketAddr) -> io::Result<DuplexStream> {
        let (ours, mut theirs) = duplex(64 * 1024);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            let read = theirs.read(&mut buffer).await.unwrap_or(0);
            if buffer[..read].starts_with(b"GET /hang") {
                std::future::pending::<()>().await;
            }
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

/// A connection that is served.
struct Served {
    gateway: Arc<Gateway<InMemory>>,
    client: DuplexStream,
    serving: JoinHandle<()>,
    connections: Arc<Connections>,
    switches: Switches,
}

impl Served {
    fn new() -> Self {
        let text = format!(
            "[server]\nidle_timeout = '5s'\ndrain_timeout = '{}ms'\n[telemetry.access_log]\noutput = 'off'\n\
             [[routes]]\npath = '/{{*rest}}'\nupstream = 'http://up:9'\n",
            DRAIN_TIMEOUT.as_millis()
        );
        let config = load_text(&text, Path::new("in-memory"), Purpose::Run).unwrap().config;
        let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
        let world = World { network: InMemory, clock, seed: 7, shards: 1 };
        let gateway = Arc::new(Gateway::new(config, world).unwrap());
        let (close_idle, closes) = watch::channel(false);
        let [stop_accepting, stop_workers] = [(); 2].map(|()| watch::Sender::new(false));
        let switches = Switches { stop_accepting, close_idle, stop_workers };
        let connections = Arc::new(Connections::default());
        let (client, accepted) = duplex(PIPE);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
        let place = connections.enter(peer.ip(), 1, None).unwrap();
        let shard = Arc::clone(&gateway.shards()[0]);
        let serving = tokio::spawn(connection::serve(shard, accepted, peer, closes, place));
        Self { gateway, client, serving, connections, switches }
    }

    /// Its connections are told that a drain begins, which nobody else is.
    fn start_drain(&self) {
        self.switches.close_idle.send_replace(true);
    }

    /// The gateway drains; how that ends, and how long it takes.
    async fn drain(&self) -> (Drained, Duration) {
        let clock = &self.gateway.shared().clock;
        let began = clock.now();
        let drained = drain(&self.gateway, &self.switches, &self.connections, std::future::pending()).await;
        (drained, clock.now() - began)
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
        let Self { mut client, serving, switches, gateway: _gateway, connections: _ } = self;
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        drop(client);
        serving.await.unwrap();
        drop(switches);
        got
    }
}

/// The gateway drains while its client reads, and runs out of time; all that comes meanwhile and behind.
async fn last_call(mut served: Served) -> Vec<u8> {
    let mut client = std::mem::replace(&mut served.client, duplex(1).0);
    let mut got = Vec::new();
    let (drained, read) = tokio::join!(served.drain(), client.read_to_end(&mut got));
    read.unwrap();
    drop(client);
    assert_eq!(drained, (Drained::Cut(1), DRAIN_TIMEOUT), "no longer than it takes to say so");
    served.serving.await.unwrap();
    got
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
    served.start_drain();
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
    served.start_drain();
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
    served.start_drain();
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
    served.start_drain();
    assert!(!frames(&served.rest_within(Duration::from_secs(2)).await).any(|(kind, ..)| kind == HEADERS));
}

#[tokio::test(start_paused = true)]
async fn l7_who_waits_when_a_drain_runs_out_of_time_is_told_so() {
    let mut served = Served::new();
    served.send("GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
    pass(Duration::from_millis(1)).await;
    let got = last_call(served).await;
    let got = String::from_utf8(got).unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("connection: close"), "{got}");
    let told: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["code"], "overloaded");
    assert!(head.contains(&format!("x-request-id: {}", told["request_id"].as_str().unwrap())), "{got}");
}

#[tokio::test(start_paused = true)]
async fn l7_so_is_who_waits_on_a_stream_of_http2() {
    let mut served = Served::new();
    let hang = [GET[0], GET[1], (":path", "/hang"), GET[3]];
    let asks = [1, 3].map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&hang))).concat();
    served.send([PREFACE, &frame(SETTINGS, 0, 0, &[]), &asks].concat()).await;
    pass(Duration::from_millis(1)).await;
    let got = last_call(served).await;
    assert_eq!(frames(&got).filter(|(kind, ..)| *kind == HEADERS).count(), 2, "each has its answer");
    assert_eq!(problems(&got).len(), 2);
}

/// What is told in DATA, where it is a problem.
fn problems(got: &[u8]) -> Vec<String> {
    let told = frames(got).filter(|(kind, ..)| *kind == DATA).map(|(.., data)| String::from_utf8_lossy(data).into());
    told.filter(|data: &String| data.contains("\"code\":\"overloaded\"")).collect()
}

#[tokio::test(start_paused = true)]
async fn l7_so_is_who_had_been_told_to_go_before_the_drain() {
    let mut served = Served::new();
    served.send([PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
    // Longer than `idle_timeout`: the client is told to go, and its request is on its way meanwhile.
    pass(Duration::from_millis(5_500)).await;
    let hang = [GET[0], GET[1], (":path", "/hang"), GET[3]];
    served.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&hang))).await;
    pass(Duration::from_secs(5)).await;
    assert!(!served.serving.is_finished(), "it is waited for what it is answered");
    let got = last_call(served).await;
    let told: Vec<u8> = frames(&got).map(|(kind, ..)| kind).filter(|kind| [GOAWAY, HEADERS].contains(kind)).collect();
    assert_eq!((told[0], problems(&got).len()), (GOAWAY, 1), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn l7_an_answer_that_is_on_its_way_is_not_waited_for() {
    let mut served = Served::new();
    served.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // Its head has come, and the rest waits behind a full pipe.
    let mut begun = [0; 64];
    served.client.read_exact(&mut begun).await.unwrap();
    assert_eq!(served.drain().await, (Drained::Cut(1), DRAIN_TIMEOUT));
    let rest = served.rest().await;
    assert!(rest.ends_with(&[b'x'; 64]), "until it is cut it goes on");
}
