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
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

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

/// When a drain begins, a request may be on its way already, on a connection that looks idle from here. It is waited
/// for this long, and answered; closing at once would fail it.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// How a connection came to its end.
enum End<S> {
    /// hyper is done: closed, failed, or switched protocols.
    Done { stream: S, read_ahead: Bytes, clean: bool },
    /// The head took too long.
    SlowHead { stream: S },
    /// The client did not take its answer.
    Stuck,
}

/// Serves a connection to its end. Turning `drain` to true closes it after the answer in flight, or, when it is idle,
/// after a moment in which a request that was on its way can still come.
pub async fn serve<N: Network>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    peer: SocketAddr,
    drain: watch::Receiver<bool>,
) {
    let deadlines = Deadlines::new(shard.shared.clock.clone());
    let connection = Arc::new(ClientConnection {
        peer: Peer::new(peer, Scheme::Http),
        deadlines,
        phase: Arc::default(),
        idle_timeout: Some(shard.snapshot().config.server.idle_timeout),
        tunnel: Mutex::new(None),
    });
    let end = drive(&shard, &connection, stream, drain).await;
    let tunnel = connection.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (end, tunnel) {
        (End::Done { stream, read_ahead, clean: true }, Some(tunnel)) => {
            pipeline::tunnel(stream, read_ahead, *tunnel).await;
        }
        (End::Done { stream, .. }, _) => linger(stream).await,
        (End::SlowHead { stream }, _) => answer_slow_head(&shard, &connection, stream).await,
        (End::Stuck, _) => {}
    }
}

async fn drive<N: Network>(
    shard: &Arc<Shard<N>>,
    connection: &Arc<ClientConnection<N>>,
    stream: N::Stream,
    mut drain: watch::Receiver<bool>,
) -> End<N::Stream> {
    let snapshot = shard.snapshot();
    let server = &snapshot.config.server;
    let clock = shard.shared.clock.clone();
    let deadlines = &connection.deadlines;
    let timeouts = StreamTimeouts { head: server.header_read_timeout, write: server.body_idle_timeout };
    deadlines.set(Wait::Idle, clock.now(), connection.idle_timeout);
    let stream = ClientStream::new(stream, Arc::clone(&connection.phase), Arc::clone(deadlines), clock, timeouts);
    let service = service_fn(|request: http::Request<Incoming>| {
        let arrival = Arrival { shard: Arc::clone(shard), connection: Arc::clone(connection) };
        async move {
            let (parts, body) = request.into_parts();
            Ok::<_, std::convert::Infallible>(pipeline::serve(arrival, parts, Source::Incoming(body)).await)
        }
    });
    let mut http = http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(server.max_headers + SLACK_HEADERS)
        .max_buf_size(server.max_header_bytes + server.max_uri_bytes + SLACK_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    drop(snapshot);
    let mut watch = Watch::new(Arc::clone(deadlines));
    let mut draining = pin!(async move { drain.wait_for(|drain| *drain).await.map(|_| ()) });
    let mut drain = Drain::NotYet;
    let outcome = std::future::poll_fn(|cx| {
        if drain == Drain::NotYet && draining.as_mut().poll(cx).is_ready() {
            drain = Drain::Begun;
        }
        if drain.closes(connection, &shard.shared.clock) {
            Pin::new(&mut http).graceful_shutdown();
        }
        poll_connection(&mut http, &mut watch, deadlines, cx)
    })
    .await;
    let parts = http.into_parts();
    let stream = parts.io.into_inner().into_inner();
    match outcome {
        Outcome::Done(clean) => End::Done { stream, read_ahead: parts.read_buf, clean },
        Outcome::SlowHead => End::SlowHead { stream },
        Outcome::Stuck => End::Stuck,
    }
}

/// How far a connection is with a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    /// None has begun.
    NotYet,
    /// It has begun, and the connection has not been looked at since.
    Begun,
    /// The connection is idle, and is waited for a moment.
    Waiting,
    /// The connection closes after the answer in flight.
    Closing,
}

impl Drain {
    /// Whether the connection is to be told now that its next answer is its last.
    fn closes<N: Network>(&mut self, connection: &ClientConnection<N>, clock: &Clock) -> bool {
        if matches!(self, Self::NotYet | Self::Closing) {
            return false;
        }
        match connection.phase.get() {
            Phase::Idle if *self == Self::Begun => {
                connection.deadlines.set(Wait::Idle, clock.now(), Some(ON_ITS_WAY));
                *self = Self::Waiting;
                false
            }
            Phase::Idle => false,
            // Half a head must not be thrown away: its request is still to come, and is answered.
            Phase::Head => {
                *self = Self::Begun;
                false
            }
            Phase::Serving => {
                *self = Self::Closing;
                true
            }
        }
    }
}

enum Outcome {
    Done(bool),
    SlowHead,
    Stuck,
}

/// One turn: let hyper work, then see whether something has waited for too long.
fn poll_connection<S, H>(
    http: &mut http1::Connection<TokioIo<ClientStream<S>>, H>,
    watch: &mut Watch,
    deadlines: &Deadlines,
    cx: &mut Context<'_>,
) -> Poll<Outcome>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    H: hyper::service::HttpService<Incoming>,
    H::ResBody: 'static,
    H::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    <H::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
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
pub(super) async fn linger<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut stream: S) {
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
