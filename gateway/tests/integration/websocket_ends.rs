//! WebSockets whose tunnel never begins: nothing of them is left.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use gateway::listener::connection;
use gateway::network::ByteStream;
use http_body_util::BodyExt;
use mocks::raw::{Raw, Script};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::{Notify, watch};

use crate::support::inside::{Inside, read_head};
use crate::support::{Echo, echo, guarded, one_route};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// A client that asks, and whose reset is seen no earlier than when it is answered.
struct Reset(&'static [u8]);

impl AsyncRead for Reset {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0.is_empty() {
            return Poll::Pending;
        }
        buffer.put_slice(std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reset {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Switches, and says when its connection has come to its end.
async fn switches(mut stream: DuplexStream, ended: Arc<Notify>) {
    read_head(&mut stream).await;
    stream.write_all(SWITCH).await.unwrap();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "not a byte comes, but the end");
    ended.notify_one();
}

#[tokio::test]
async fn a_client_that_resets_as_its_101_is_written_leaves_nothing_behind() {
    let ended = Arc::<Notify>::default();
    let told = Arc::clone(&ended);
    let text = "[server]\nmax_in_flight = 1\n[upstreams.up]\nendpoints = ['up:9']\n\
                [[routes]]\npath = '/{*rest}'\nupstream = 'up'\n";
    let world = Inside::in_memory(text, move |stream| switches(stream, Arc::clone(&told)));
    let (_never, drain) = watch::channel(false);
    // The second one would find no place.
    for round in 1..=2 {
        let shard = Arc::clone(&world.gateway.shards()[0]);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4000));
        let client: Box<dyn ByteStream> = Box::new(Reset(HANDSHAKE.as_bytes()));
        guarded("the connection's end", connection::serve(shard, client, peer, drain.clone(), ())).await;
        guarded("the upstream's end", ended.notified()).await;
        assert_eq!((world.in_flight(), world.gateway.shared().in_flight.count()), ((0, 0), 0));
        let records = world.records();
        assert_eq!(records.len(), round, "one for each");
        let record = &records[round - 1];
        assert_eq!((&record["status"], &record["ended"]), (&101.into(), &"client_left".into()), "{record}");
    }
}

fn asks_to_switch(path: &str) -> http::Request<Body> {
    let request = http::Request::get(path).header("host", "a").header("connection", "upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
    request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(Body::empty()).unwrap()
}

/// Its program's server has the client's bytes, and would go on as behind any answer.
#[tokio::test]
async fn a_gateway_inside_a_program_never_switches() {
    let upstream = echo().await;
    let gateway = Inside::on_sockets(&one_route("", "", upstream.addr()));
    let answer = gateway.ask(asks_to_switch("/echo")).await;
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let echo = Echo::of(&body);
    assert_eq!((echo.all("upgrade").len(), echo.all("connection").len()), (0, 0), "a request like any other");

    let upstream = Raw::script(Script::new().read_head().send(SWITCH).hang()).await.unwrap();
    let gateway = Inside::on_sockets(&one_route("", "", upstream.addr()));
    let answer = gateway.ask(asks_to_switch("/ws")).await;
    assert_eq!(answer.status(), 502, "nobody asked the upstream to");
    drop(answer);
    assert_eq!(gateway.in_flight(), (0, 0));
}
