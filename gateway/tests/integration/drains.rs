//! A drain of HTTP/2 in virtual time, over streams in memory: a client that is slow to read gets the last bytes of its
//! answers.

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

use crate::support::h2::{DATA, END_HEADERS, END_STREAM, GET, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, block, frame};

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

/// Bytes of DATA among these frames, and whether the last of them ends its stream.
fn data(mut bytes: &[u8]) -> (usize, bool) {
    let (mut count, mut ended) = (0, false);
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        if *kind == DATA {
            count += length.min(rest.len());
            ended |= flags & END_STREAM != 0 && rest.len() >= length;
        }
        bytes = &rest[length.min(rest.len())..];
    }
    (count, ended)
}

#[tokio::test(start_paused = true)]
async fn l7_the_last_bytes_of_an_answer_outlive_a_drain_while_the_client_is_slow() {
    let text = "[telemetry.access_log]\noutput = 'off'\n[[routes]]\npath = '/{*rest}'\nupstream = 'http://up:9'\n";
    let config = load_text(text, Path::new("in-memory"), Purpose::Run).unwrap().config;
    let clock = Clock::starting_at(Duration::from_secs(1_700_000_000));
    let gateway = Gateway::new(config, World { network: InMemory, clock, seed: 7, shards: 1 }).unwrap();
    let (start_drain, drain) = watch::channel(false);
    let (mut client, accepted) = duplex(PIPE);
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
    let serving = tokio::spawn(connection::serve(Arc::clone(&gateway.shards()[0]), accepted, peer, drain, ()));

    let ask = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&GET));
    let wide = [frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]), frame(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0])].concat();
    client.write_all(&[PREFACE.to_vec(), wide, ask].concat()).await.unwrap();
    // In virtual time: by its end the answer has been handed over whole, and waits behind a full pipe.
    tokio::time::sleep(Duration::from_secs(1)).await;
    start_drain.send(true).unwrap();
    // Longer than a drain waits for a client that has nothing left to get, shorter than `body_idle_timeout`.
    // It passes in virtual time.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(!serving.is_finished(), "bytes still wait for the client");
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    assert_eq!(data(&got), (BODY, true));
    serving.await.unwrap();
}
