//! One client connection: HTTP/1 by hyper, with deadlines of our own, to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;

use super::drain::{self, Draining};
use super::stream::{ClientStream, StreamTimeouts};
use crate::client::{ClientConnection, Phase};
use crate::clock::Clock;
use crate::context::{Peer, Scheme};
use crate::error::{Code, GatewayError};
use crate::exchange::Arrival;
use crate::network::Network;
use crate::pipeline;
use crate::request_body::Source;
use crate::shard::Shard;
use crate::timer::{Deadlines, Wait, Watch};

/// hyper answers 431 with nothing but a status. Its limits are set wider than ours, so that ours, which answer with a
/// problem document and a record, are met first by all but the grossest heads.
const SLACK_HEADERS: usize = 28;
const SLACK_BYTES: usize = 16 * 1024;
/// What is read and thrown away after an answer that closes, so that the client gets to read it: a socket closed over
/// unread bytes is reset.
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// What is read at once when a request begins on a connection that dozed.
const FIRST_BYTES: usize = 2048;

/// How a connection came to its end.
enum End<S> {
    /// hyper is done: closed, failed, or switched protocols.
    Done { stream: S, read_ahead: Bytes, clean: bool },
    /// The head took too long.
    SlowHead { stream: S },
    /// The client did not take its answer.
    Stuck,
    /// Nothing has come for a while: what hyper holds for the connection is given back.
    Doze { stream: S, read_ahead: Bytes },
}

/// Serves a connection to its end. Turning `drain` to true closes it after the answer in flight, or, when it is idle,
/// after a moment in which a request that was on its way can still come. What is `kept` is dropped with the connection.
/// (A future around this one would hold it twice: once as captured, once as awaited. With ten thousand idle connections
/// that is seen.)
pub async fn serve<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    peer: SocketAddr,
    drain: watch::Receiver<bool>,
    kept: K,
) {
    let deadlines = Deadlines::new(shard.shared.clock.clone());
    let connection = Arc::new(ClientConnection {
        peer: Peer::new(peer, Scheme::Http),
        deadlines,
        phase: Arc::default(),
        idle_timeout: Some(shard.snapshot().config.server.idle_timeout),
        tunnel: Mutex::new(None),
    });
    let clock = &shard.shared.clock;
    let mut watch = Watch::new(Arc::clone(&connection.deadlines));
    let wait = pin!(drain::wait(drain.clone()));
    let mut draining = Draining::new(wait, drain);
    connection.deadlines.set(Wait::Idle, clock.now(), connection.idle_timeout);
    let mut awake = doze(&connection, stream, &mut watch, &mut draining, clock).await;
    let end = loop {
        let Some((stream, read_ahead)) = awake else { return };
        match drive(&shard, &connection, stream, read_ahead, &mut watch, &mut draining).await {
            End::Doze { stream, read_ahead } if read_ahead.is_empty() => {
                // Empty as it is, it would keep hyper's buffer for as long as the connection dozes.
                drop(read_ahead);
                awake = doze(&connection, stream, &mut watch, &mut draining, clock).await;
            }
            End::Doze { stream, read_ahead } => awake = Some((stream, read_ahead)),
            end => break end,
        }
    };
    let tunnel = connection.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (end, tunnel) {
        (End::Done { stream, read_ahead, clean: true }, Some(tunnel)) => {
            Box::pin(pipeline::tunnel(stream, read_ahead, *tunnel)).await;
        }
        (End::Done { stream, .. }, _) => Box::pin(linger(stream)).await,
        (End::SlowHead { stream }, _) => Box::pin(answer_slow_head(&shard, &connection, stream)).await,
        (End::Stuck | End::Doze { .. }, _) => {}
    }
    drop(kept);
}

/// Waits for the first bytes of a next request, with nothing in memory but the socket. `None` when there will be none.
async fn doze<N: Network>(
    connection: &ClientConnection<N>,
    mut stream: N::Stream,
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
    clock: &Clock,
) -> Option<(N::Stream, Bytes)> {
    let read_ahead = std::future::poll_fn(|cx| {
        let mut space = [0; FIRST_BYTES];
        let mut buffer = ReadBuf::new(&mut space);
        if let Poll::Ready(read) = Pin::new(&mut stream).poll_read(cx, &mut buffer) {
            return Poll::Ready(read.is_ok().then(|| Bytes::copy_from_slice(buffer.filled())));
        }
        draining.poll_closes(cx, connection, clock);
        while watch.poll_expired(cx).is_ready() {
            if connection.deadlines.has_expired(Wait::Idle) {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    })
    .await;
    // No bytes: the client has closed.
    read_ahead.filter(|bytes| !bytes.is_empty()).map(|bytes| (stream, bytes))
}

async fn drive<N: Network>(
    shard: &Arc<Shard<N>>,
    connection: &Arc<ClientConnection<N>>,
    stream: N::Stream,
    read_ahead: Bytes,
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
) -> End<N::Stream> {
    let snapshot = shard.snapshot();
    let server = &snapshot.config.server;
    let deadlines = &connection.deadlines;
    let timeouts = StreamTimeouts { head: server.header_read_timeout, write: server.body_idle_timeout };
    let phase = Arc::clone(&connection.phase);
    let clock = shard.shared.clock.clone();
    let stream = ClientStream::new(stream, read_ahead, phase, Arc::clone(deadlines), clock, timeouts);
    let service = service_fn(|request: http::Request<Incoming>| {
        let arrival = Arrival { shard: Arc::clone(shard), connection: Arc::clone(connection) };
        let (parts, body) = request.into_parts();
        pipeline::serve(arrival, parts, Source::Incoming(body))
    });
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(server.max_headers + SLACK_HEADERS)
        .max_buf_size(server.max_header_bytes + server.max_uri_bytes + SLACK_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    drop(snapshot);
    let outcome = std::future::poll_fn(|cx| {
        if draining.poll_closes(cx, connection, &shard.shared.clock) {
            Pin::new(&mut http).graceful_shutdown();
        }
        poll_connection(&mut http, watch, connection, cx)
    })
    .await;
    let parts = http.into_parts();
    let (stream, not_given) = parts.io.into_inner().into_parts();
    let read_ahead = if not_given.is_empty() { parts.read_buf } else { [parts.read_buf, not_given].concat().into() };
    match outcome {
        Outcome::Done(clean) => End::Done { stream, read_ahead, clean },
        Outcome::SlowHead => End::SlowHead { stream },
        Outcome::Stuck => End::Stuck,
        Outcome::Doze => End::Doze { stream, read_ahead },
    }
}

enum Outcome {
    Done(bool),
    SlowHead,
    Stuck,
    Doze,
}

/// One turn: let hyper work, then see whether something has waited for too long.
fn poll_connection<N, S, H>(
    http: &mut http1::Connection<TokioIo<ClientStream<S>>, H>,
    watch: &mut Watch,
    connection: &ClientConnection<N>,
    cx: &mut Context<'_>,
) -> Poll<Outcome>
where
    N: Network,
    S: AsyncRead + AsyncWrite + Unpin,
    H: hyper::service::HttpService<Incoming>,
    H::ResBody: 'static,
    H::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    <H::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let deadlines = &connection.deadlines;
    loop {
        if let Poll::Ready(done) = Pin::new(&mut *http).poll(cx) {
            return Poll::Ready(Outcome::Done(done.is_ok()));
        }
        if watch.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        if deadlines.has_expired(Wait::Write) {
            return Poll::Ready(Outcome::Stuck);
        }
        if deadlines.has_expired(Wait::Head) {
            return Poll::Ready(Outcome::SlowHead);
        }
        if deadlines.has_expired(Wait::Idle) {
            Pin::new(&mut *http).graceful_shutdown();
        }
        let at_rest = connection.phase.get() == Phase::Idle && !deadlines.is_set(Wait::Write);
        if at_rest && deadlines.has_expired(Wait::Doze) {
            return Poll::Ready(Outcome::Doze);
        }
        // The other deadlines are the exchange's; it sees them when hyper polls it.
    }
}

/// A head that never came whole is answered and recorded like any other request.
async fn answer_slow_head<N: Network>(
    shard: &Arc<Shard<N>>,
    connection: &Arc<ClientConnection<N>>,
    mut stream: N::Stream,
) {
    let error = GatewayError::new(Code::RequestTimeout, "The request head did not arrive in time.").closing();
    let arrival = Arrival { shard: Arc::clone(shard), connection: Arc::clone(connection) };
    let bytes = pipeline::answer_without_request(arrival, &error);
    let _ = tokio::time::timeout(LINGER_TIME, stream.write_all(&bytes)).await;
    linger(stream).await;
}

/// Says that no more will come, and lets the client read what was sent before the socket goes.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let drain = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut buffer = [0; 4096];
        let mut left = LINGER_BYTES;
        while let Ok(n) = stream.read(&mut buffer).await {
            if n == 0 || n >= left {
                return;
            }
            left -= n;
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, drain).await;
}
