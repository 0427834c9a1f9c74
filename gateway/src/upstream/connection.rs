//! One connection to an endpoint, driven inside the exchange that uses it.
//!
//! No task and no queue stand between a request and its connection. The exchange polls the connection from its own
//! task, so an answer wakes exactly one task, and a request that is dropped takes its connection with it, which is what
//! cancels the work upstream. An idle connection is polled by nobody: that its peer closed it is seen when it is taken
//! out of the pool, or by the pool's sweep.

use std::io;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::in_flight::Permit;
use crate::config::settings::upstream::Target;
use crate::http1::{Client, IsQuiet};
use crate::network::Network;
use crate::telemetry::metrics::{ConnectionEvent, UpstreamSeries};

/// An open connection. As an HTTP/1 client it is used through `Deref`.
pub struct Connection<S> {
    http: Box<Client<S>>,
    opened: Instant,
    /// When it was last put into a pool.
    pub(super) idle_since: Instant,
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
    pooled_before: bool,
}

impl OpenConnection {
    /// Counts a connection that has been opened.
    pub fn new(permit: Permit, series: Arc<UpstreamSeries>, worker: usize) -> Self {
        series.connection(worker, ConnectionEvent::Opened);
        Self { _permit: permit, series, worker, idle: false, pooled_before: false }
    }

    /// Counts that it went into a pool.
    pub(super) fn park(&mut self) {
        self.idle = true;
        self.pooled_before = true;
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

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Puts HTTP/1 on a fresh stream.
    pub fn new(stream: S, is_quiet: IsQuiet<S>, now: Instant, open: OpenConnection) -> Self {
        Self { http: Box::new(Client::new(stream, is_quiet)), opened: now, idle_since: now, open }
    }

    /// Whether it was idle in a pool: only then can the peer have closed it for being idle.
    pub fn is_reused(&self) -> bool {
        self.open.pooled_before
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Registers the stream with this worker; the connection must be idle.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn adopt(self, adopt: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        Ok(Self { http: Box::new(self.http.map_stream(adopt)?), ..self })
    }

    /// The bare stream, after the upstream switched protocols, with what it has sent already.
    pub fn into_stream(self) -> (S, Bytes, OpenConnection) {
        let (stream, read_ahead) = self.http.into_parts();
        (stream, read_ahead, self.open)
    }
}

impl<S> Deref for Connection<S> {
    type Target = Client<S>;

    fn deref(&self) -> &Client<S> {
        &self.http
    }
}

impl<S> DerefMut for Connection<S> {
    fn deref_mut(&mut self) -> &mut Client<S> {
        &mut self.http
    }
}

/// Opens a connection to an endpoint. The caller limits the time.
///
/// # Errors
/// What the network says, of the last address that was tried.
pub async fn dial<N: Network>(network: &N, target: &Target) -> io::Result<N::Stream> {
    match target {
        Target::Socket(address) => network.connect(*address).await,
        Target::Name(host, port) => dial_any(network, &network.resolve(host, *port).await?).await,
    }
}

/// The first address that answers.
async fn dial_any<N: Network>(network: &N, addresses: &[SocketAddr]) -> io::Result<N::Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match network.connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
