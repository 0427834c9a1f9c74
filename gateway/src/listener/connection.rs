//! One client connection, with its deadlines, to its end.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use super::drain::{self, Draining};
use super::drive::{self, End};
use super::streams;
use crate::client::ClientConnection;
use crate::clock::Clock;
use crate::context::{Caller, Peer, Scheme};
use crate::hints::Hints;
use crate::http1::IsQuiet;
use crate::network::{ByteStream, Network};
use crate::pipeline;
use crate::shard::Shard;
use crate::timer::{Deadlines, Wait, Watch};
use crate::tls::{Handshake, Secured};

/// How long anything is waited for on a connection that is to close.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(1);
/// How long a client is listened to that goes on sending a body which was refused. A socket closed over unread bytes is
/// reset, and a client that is busy sending looks for an answer only afterwards (RFC 9112, section 9.6).
pub(super) const LISTEN_TIME: Duration = Duration::from_secs(30);
/// Of that, in silence.
pub(super) const SILENCE_TIME: Duration = Duration::from_secs(5);

/// What is read at once when a request begins on a connection that dozed.
const FIRST_BYTES: usize = 2048;

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2: the handshake said so.
    Http2,
    /// Its first bytes will tell.
    Either,
}

/// What can be done with a stream beside reading and writing it.
#[derive(Debug)]
pub(super) struct Beside<S> {
    /// `Network::is_quiet`
    pub(super) is_quiet: IsQuiet<S>,
    /// `Network::reset`
    reset: fn(&S),
}

/// Serves a connection to its end. Turning `drain` to true closes it after the answer in flight, or, when it is idle,
/// after a moment in which a request that was on its way can still come. What is `kept` is dropped with the connection.
/// (A future around this one would hold it twice: once as captured, once as awaited. With ten thousand idle connections
/// that is seen.)
pub fn serve<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    peer: SocketAddr,
    drain: watch::Receiver<bool>,
    kept: K,
) -> impl Future<Output = ()> + Send {
    serve_for(shard, stream, (Caller::At(peer), None), drain, kept)
}

/// The same for whoever the connection is for, and by the listener of this number.
pub fn serve_for<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    (caller, listener): (Caller, Option<u16>),
    drain: watch::Receiver<bool>,
    kept: K,
) -> impl Future<Output = ()> + Send {
    let peer = Peer::of(caller, Scheme::Http).named(shard.shared.own_name);
    let connection = client(&shard, (peer, listener), None);
    let protocol = if shard.snapshot().config.server.h2.is_spoken() { Protocol::Either } else { Protocol::Http1 };
    let beside = const { &Beside { is_quiet: N::is_quiet, reset: N::reset } };
    run(shard, connection, (stream, beside, protocol), drain, kept)
}

/// The same over TLS, once the handshake is over.
pub fn serve_secured<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    handshake: Handshake<N::Stream>,
    (caller, listener): (Caller, Option<u16>),
    drain: watch::Receiver<bool>,
    kept: K,
) -> impl Future<Output = ()> + Send {
    let Handshake { stream, secured, http2 } = handshake;
    let peer = Peer::of(caller, Scheme::Https).named(shard.shared.own_name);
    let connection = client(&shard, (peer, listener), Some(Arc::new(secured)));
    // RFC 9113, section 3.3: over TLS the handshake alone decides.
    let protocol = if http2 { Protocol::Http2 } else { Protocol::Http1 };
    // What has been decrypted waits where no socket tells of it: only a read finds out.
    let beside: &Beside<TlsStream<N::Stream>> =
        const { &Beside { is_quiet: |_| false, reset: |stream| N::reset(stream.get_ref().0) } };
    run(shard, connection, (stream, beside, protocol), drain, kept)
}

/// The connection as its requests see it.
pub(super) fn client<N: Network>(
    shard: &Shard<N>,
    (peer, listener): (Peer, Option<u16>),
    secured: Option<Arc<Secured>>,
) -> Arc<ClientConnection> {
    Arc::new(ClientConnection {
        peer: Arc::new(peer),
        listener,
        secured,
        deadlines: Deadlines::new(shard.shared.clock.clone()),
        phase: Arc::default(),
        idle_timeout: Some(shard.snapshot().config.server.idle_timeout),
        identity: Mutex::new(None),
        websocket_key: None,
        can_switch: true,
        hints: Some(Hints::default()),
    })
}

async fn run<N: Network, S: ByteStream, K: Send>(
    shard: Arc<Shard<N>>,
    connection: Arc<ClientConnection>,
    (stream, beside, protocol): (S, &'static Beside<S>, Protocol),
    drain: watch::Receiver<bool>,
    kept: K,
) {
    let clock = &shard.shared.clock;
    let mut watch = Watch::new(Arc::clone(&connection.deadlines));
    let wait = pin!(drain::wait(drain.clone()));
    let mut draining = Draining::new(wait, drain);
    connection.deadlines.set(Wait::Idle, clock.now(), connection.idle_timeout);
    let mut may_speak_http2 = protocol == Protocol::Either;
    let mut awake = if protocol == Protocol::Http2 {
        Box::pin(streams::serve(&shard, &connection, (stream, Bytes::new()), &mut watch, &mut draining)).await;
        None
    } else {
        doze(&connection, stream, &mut watch, &mut draining, clock).await
    };
    while let Some((stream, read_ahead)) = awake {
        // What is awake is boxed: a connection that dozes holds none of it.
        let input = (stream, beside.is_quiet, &*read_ahead);
        let end = drive::drive(&shard, &connection, input, may_speak_http2, &mut watch, &mut draining);
        let end = Box::pin(end).await;
        may_speak_http2 = false;
        drop(read_ahead);
        awake = match end {
            End::Doze(stream) => doze(&connection, stream, &mut watch, &mut draining, clock).await,
            End::Linger(stream) => {
                Box::pin(hear_out(stream, draining.follow())).await;
                None
            }
            End::Switched(stream, read_ahead, tunnel) => {
                Box::pin(pipeline::tunnel(stream, read_ahead, *tunnel)).await;
                None
            }
            End::Http2(stream, read_ahead) => {
                let input = (stream, read_ahead);
                Box::pin(streams::serve(&shard, &connection, input, &mut watch, &mut draining)).await;
                None
            }
            End::Cut(stream) => {
                (beside.reset)(&stream);
                None
            }
            End::Closed => None,
        };
    }
    drop(kept);
}

/// Waits for the first bytes of a next request, with nothing in memory but the socket. `None` when there will be none.
async fn doze<S: ByteStream>(
    connection: &ClientConnection,
    mut stream: S,
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
    clock: &Clock,
) -> Option<(S, Bytes)> {
    let read_ahead = std::future::poll_fn(|cx| {
        if let Poll::Ready(read) = poll_first_bytes(&mut stream, cx) {
            return Poll::Ready(read);
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
    let Some(bytes) = read_ahead.filter(|bytes| !bytes.is_empty()) else {
        // Over TLS an end is said (RFC 8446, section 6.1), or it may be anybody's doing.
        Box::pin(end(stream)).await;
        return None;
    };
    Some((stream, bytes))
}

/// Says that no more will come.
async fn end<S: AsyncWrite + Unpin>(mut stream: S) {
    let _ = tokio::time::timeout(LINGER_TIME, stream.shutdown()).await;
}

/// Apart, so that the space is on the stack only while it is read into.
#[inline(never)]
fn poll_first_bytes<S: AsyncRead + Unpin>(stream: &mut S, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
    let mut space = [0; FIRST_BYTES];
    let mut buffer = ReadBuf::new(&mut space);
    let read = std::task::ready!(Pin::new(stream).poll_read(cx, &mut buffer));
    Poll::Ready(read.is_ok().then(|| Bytes::copy_from_slice(buffer.filled())))
}

/// Says that no more will come, and lets the client read what was sent before the socket goes: for a moment, which is
/// enough for one that is not busy sending.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let _ = tokio::time::timeout(LINGER_TIME, throw_away(&mut stream)).await;
}

/// The same, for as long as a client takes that sends a large body; a drain leaves it a moment.
async fn hear_out<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, drain: watch::Receiver<bool>) {
    let ends = async {
        let _ = tokio::time::timeout(LISTEN_TIME, drain::wait(drain)).await;
        tokio::time::sleep(LINGER_TIME).await;
    };
    tokio::select! {
        () = throw_away(&mut stream) => {}
        () = ends => {}
    }
}

/// Reads what comes until the client has ended too, or is silent.
async fn throw_away<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut buffer = [0; 16 * 1024];
    while let Ok(Ok(1..)) = tokio::time::timeout(SILENCE_TIME, stream.read(&mut buffer)).await {}
}
