//! One HTTP/1 connection to an endpoint: hyper's client connection, driven inside the exchange that uses it.
//!
//! No task and no queue stand between a request and its connection. The exchange polls the connection from its own
//! task, so an answer wakes exactly one task, and a request that is dropped takes its connection with it, which is what
//! cancels the work upstream. An idle connection is polled by nobody: that its peer closed it is seen when it is taken
//! out of the pool, or by the pool's sweep.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::in_flight::Permit;
use crate::request_body::RequestBody;
use crate::telemetry::metrics::{ConnectionEvent, UpstreamSeries};

/// Bounds of an upstream's answer; beyond them it is `upstream_invalid`.
const MAX_RESPONSE_HEADERS: usize = 128;
/// hyper's read buffer: it bounds the size of a response head.
const MAX_RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// An open connection.
pub struct Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    sender: SendRequest<RequestBody>,
    driver: Box<http1::Connection<TokioIo<S>, RequestBody>>,
    opened: Instant,
    /// When it was last put into a pool.
    pub(super) idle_since: Instant,
    exchanges: u64,
    /// Its place among the endpoint's open connections.
    pub(super) open: OpenConnection,
}

/// An open connection's place in the endpoint's count and in the metrics.
#[derive(Debug)]
pub struct OpenConnection {
    _permit: Permit,
    series: Arc<UpstreamSeries>,
    worker: usize,
    idle: bool,
}

impl OpenConnection {
    /// Counts a connection that has been opened.
    pub fn new(permit: Permit, series: Arc<UpstreamSeries>, worker: usize) -> Self {
        series.connection(worker, ConnectionEvent::Opened);
        Self { _permit: permit, series, worker, idle: false }
    }

    /// Counts that it went into a pool.
    pub(super) fn park(&mut self) {
        self.idle = true;
        self.series.connection(self.worker, ConnectionEvent::Parked);
    }

    /// Counts that it was taken out of a pool.
    pub(super) fn take(&mut self) {
        self.idle = false;
        self.series.connection(self.worker, ConnectionEvent::Taken);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let event = if self.idle { ConnectionEvent::ClosedIdle } else { ConnectionEvent::ClosedBusy };
        self.series.connection(self.worker, event);
    }
}

impl<S> Connection<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Puts HTTP/1 on a fresh stream.
    ///
    /// # Errors
    /// hyper's handshake cannot fail on HTTP/1 today; should it ever, that is an I/O error.
    pub async fn new(stream: S, now: Instant, preserve_case: bool, open: OpenConnection) -> io::Result<Self> {
        let (sender, driver) =
            builder(preserve_case).handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: Box::new(driver), opened: now, idle_since: now, exchanges: 0, open })
    }

    /// Whether it has carried an exchange before: only then can the peer have closed it for being idle.
    pub fn is_reused(&self) -> bool {
        self.exchanges > 0
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Sends a request and waits for the response's head; `poll` looks at the caller's own deadlines.
    pub fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, Box<TrySendError<Request<RequestBody>>>>> + Send {
        self.exchanges += 1;
        let mut answer = Box::pin(self.sender.try_send_request(request));
        let driver = &mut *self.driver;
        let mut closed = false;
        std::future::poll_fn(move |cx| {
            if !closed && Pin::new(&mut *driver).poll(cx).is_ready() {
                closed = true;
            }
            // The answer comes out of the driver, polled just above by this task: no wake-up of its own is needed.
            answer.as_mut().poll(&mut quiet()).map_err(Box::new)
        })
    }

    /// Lets the connection read and write; ready when it has come to its end.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Pin::new(&mut *self.driver).poll(cx)
    }

    /// Whether a next request can be sent: the last exchange is over on both sides, and the peer has not closed.
    pub fn is_ready(&mut self) -> bool {
        Pin::new(&mut *self.driver).poll(&mut quiet()).is_pending() && self.sender.is_ready()
    }

    /// Registers the stream with this worker; the connection must be idle.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn adopt(self, adopt: impl FnOnce(S) -> io::Result<S>, preserve_case: bool) -> io::Result<Self> {
        let Self { driver, opened, idle_since, exchanges, open, .. } = self;
        let parts = driver.into_parts();
        if !parts.read_buf.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the upstream sent bytes that nobody asked for"));
        }
        let stream = adopt(parts.io.into_inner())?;
        let (sender, driver) =
            builder(preserve_case).handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { sender, driver: Box::new(driver), opened, idle_since, exchanges, open })
    }

    /// The bare stream, after the upstream switched protocols, with what it has sent already.
    pub fn into_stream(self) -> (S, Bytes, OpenConnection) {
        let parts = self.driver.into_parts();
        (parts.io.into_inner(), parts.read_buf, self.open)
    }
}

fn builder(preserve_case: bool) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.max_headers(MAX_RESPONSE_HEADERS).max_buf_size(MAX_RESPONSE_HEAD_BYTES).preserve_header_case(preserve_case);
    builder
}

/// A context that wakes nobody.
pub(crate) fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
