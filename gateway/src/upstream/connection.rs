//! One connection to an endpoint, driven inside the exchange that uses it.
//!
//! No task and no queue stand between a request and its connection. The exchange polls the connection from its own
//! task, so an answer wakes exactly one task, and a request that is dropped takes its connection with it, which is what
//! cancels the work upstream. An idle connection is polled by nobody: that its peer closed it is seen when it is taken
//! out of the pool, or by the pool's sweep.

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::dial::Dialled;
use super::in_flight::Permit;
use super::transport::{Transport, is_quiet};
use crate::http1::Client;
use crate::network::{ByteStream, Network};
use crate::telemetry::metrics::{ConnectionEvent, UpstreamSeries};

/// An open connection. As an HTTP/1 client it is used through `Deref`. One pointer, since each request hands it on a
/// few times.
pub struct Connection<S: ByteStream>(Box<Open<S>>);

/// What it is made of.
pub struct Open<S: ByteStream> {
    http: Client<Transport<S>>,
    opened: Instant,
    /// The number of the way in which it was made.
    pub(super) way: u32,
    /// When it was last put into a pool.
    pub(super) idle_since: Instant,
    /// Its place among the endpoint's open connections.
    pub(super) open: OpenConnection,
}

/// An open connection's place in the endpoint's count and in the metrics.
#[derive(Debug)]
pub struct OpenConnection {
    /// `None` once it counts no more.
    permit: Option<Permit>,
    series: Arc<UpstreamSeries>,
    worker: usize,
    idle: bool,
    pooled_before: bool,
}

impl OpenConnection {
    /// Counts a connection that has been opened.
    pub fn new(permit: Permit, series: Arc<UpstreamSeries>, worker: usize) -> Self {
        series.connection(worker, ConnectionEvent::Opened);
        Self { permit: Some(permit), series, worker, idle: false, pooled_before: false }
    }

    /// Gives its place among the endpoint's connections to another one, though it is open still: it takes nothing new.
    pub(super) fn give_way(&mut self) {
        self.permit = None;
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

impl<S: ByteStream> Connection<S> {
    /// Puts HTTP/1 on a fresh stream.
    pub fn new<N: Network<Stream = S>>(dialled: Dialled<S>, now: Instant, open: OpenConnection) -> Self {
        let Dialled { stream, way } = dialled;
        let http = Client::new(stream, is_quiet::<N>);
        Self(Box::new(Open { http, opened: now, way, idle_since: now, open }))
    }

    /// Whether it was idle in a pool: only then can the peer have closed it for being idle.
    pub fn is_reused(&self) -> bool {
        self.0.open.pooled_before
    }

    /// When it was opened.
    pub fn opened(&self) -> Instant {
        self.0.opened
    }

    /// Registers the stream with this worker; the connection must be idle.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn adopt(self, adopt: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        let open = *self.0;
        let http = open.http.map_stream(|stream| stream.adopt(adopt))?;
        Ok(Self(Box::new(Open { http, ..open })))
    }

    /// The bare stream, after the upstream switched protocols, with what it has sent already.
    pub fn into_stream(self) -> (Transport<S>, Bytes, OpenConnection) {
        let Open { http, open, .. } = *self.0;
        let (stream, read_ahead) = http.into_parts();
        (stream, read_ahead, open)
    }
}

impl<S: ByteStream> Deref for Connection<S> {
    type Target = Open<S>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: ByteStream> DerefMut for Connection<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<S: ByteStream> Deref for Open<S> {
    type Target = Client<Transport<S>>;

    fn deref(&self) -> &Self::Target {
        &self.http
    }
}

impl<S: ByteStream> DerefMut for Open<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.http
    }
}
