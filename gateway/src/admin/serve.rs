//! The admin's own small server: so many connections and no more, and none that only takes a place.
//!
//! A connection has a time for each head, which counts while it idles too, and a time in which a write must move. So a
//! slow or silent client gives its place back, and whoever is refused now is served a moment later.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tower_service::Service;

use super::audit::Peer;
use crate::network::is_of_one_client;

/// Some scrapers, some dashboards, some people. A browser's page takes up to six.
const MAX_CONNECTIONS: usize = 64;
/// Connections beyond them that are being told so; more are closed without a word.
const MAX_REFUSED: usize = 64;
/// From the end of an answer, or the connection's start, to the end of the next head. No usual interval of scrapers, so
/// that none meets the very moment of the close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Without one byte moved.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest head, and what is read at once.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// After a failure that will not go away by itself at once, such as no more file descriptors.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Serves the admin API for as long as the process lives. `refuse` answers a connection for which there is no place.
pub async fn serve<F>(socket: TcpListener, router: Router, refuse: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let refused = Arc::new(Semaphore::new(MAX_REFUSED));
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_client(&error) => continue,
            Err(_) => {
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
        };
        // Answers are written whole; a delay would gather nothing. Where this fails the connection is gone.
        let _ = stream.set_nodelay(true);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let router = router.clone();
            tokio::spawn(async move {
                connection(stream, router, Some(Peer(peer))).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&refused).try_acquire_owned() {
            let refused = refuse(stream);
            tokio::spawn(async move {
                refused.await;
                drop(place);
            });
        }
    }
}

/// Serves one connection to its end.
async fn connection<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S, router: Router, peer: Option<Peer>) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let answer = router.clone().call(request.map(Body::new));
        async { answer.await.map_err(|never: Infallible| never) }
    });
    // How it ends concerns nobody: a client that breaks off has its answer, or has left.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Impatient { inner: stream, waiting: None }), service)
        .await;
}

/// A stream whose writes fail when none has moved for `WRITE_TIMEOUT`.
struct Impatient<S> {
    inner: S,
    /// Set while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Impatient<S> {
    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.judge(cx, polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.judge(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    /// A connection with this page, whose pipe holds 1 KiB; time is virtual.
    fn served(page: &'static str) -> (tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
        let (client, server) = tokio::io::duplex(1024);
        let router = Router::new().route("/", get(move || async move { page }));
        (client, tokio::spawn(connection(server, router, None)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_half_a_head_or_nothing_is_cut() {
        for sent in [&b""[..], b"GET / HTTP/1.1\r\nhos"] {
            let (mut client, task) = served("page");
            client.write_all(sent).await.unwrap();
            tokio::time::timeout(2 * HEAD_TIMEOUT, task).await.expect("it is cut in time").unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_cut_though_it_moves() {
        let (mut client, task) = served("page");
        let mut seconds = 0;
        client.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        while seconds < 2 * HEAD_TIMEOUT.as_secs() && client.write_all(b"x").await.is_ok() {
            // virtual time
            tokio::time::sleep(Duration::from_secs(1)).await;
            seconds += 1;
        }
        assert!(seconds <= HEAD_TIMEOUT.as_secs() + 1, "{seconds}");
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut() {
        let page: &'static str = "x".repeat(100_000).leak();
        let (mut client, task) = served(page);
        client.write_all(GET).await.unwrap();
        tokio::time::timeout(2 * WRITE_TIMEOUT, task).await.expect("it is cut in time").unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert!(got.starts_with(b"HTTP/1.1 200") && got.len() < page.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_served() {
        let page: &'static str = "x".repeat(100_000).leak();
        let (mut client, _task) = served(page);
        client.write_all(GET).await.unwrap();
        let (mut total, mut buffer) = (0, [0; 1024]);
        while total < page.len() {
            // virtual time
            tokio::time::sleep(WRITE_TIMEOUT / 2).await;
            let n = client.read(&mut buffer).await.unwrap();
            assert_ne!(n, 0, "cut after {total} bytes");
            total += n;
        }
        client.write_all(GET).await.unwrap();
        assert_ne!(client.read(&mut buffer).await.unwrap(), 0, "the connection is still of use");
    }
}
