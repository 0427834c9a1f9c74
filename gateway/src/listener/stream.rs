//! A client's stream that knows what it is waiting for.
//!
//! hyper's own header timer would also cut idle connections, and hyper says nothing about a client that does not take
//! what it is sent. Watching the bytes pass tells both apart.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{Phase, PhaseCell};
use crate::clock::Clock;
use crate::timer::{Deadlines, Wait};

/// Timeouts of a client's stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamTimeouts {
    /// From a head's first byte to its last.
    pub head: Duration,
    /// A response that waits to be written.
    pub write: Duration,
}

/// The stream.
pub struct ClientStream<S> {
    inner: S,
    /// Bytes that were read before this form of the stream was made.
    ahead: Bytes,
    phase: Arc<PhaseCell>,
    deadlines: Arc<Deadlines>,
    clock: Clock,
    timeouts: StreamTimeouts,
    write_waits: bool,
}

impl<S> ClientStream<S> {
    /// Watches a stream.
    pub fn new(
        stream: S,
        ahead: Bytes,
        phase: Arc<PhaseCell>,
        deadlines: Arc<Deadlines>,
        clock: Clock,
        timeouts: StreamTimeouts,
    ) -> Self {
        Self { inner: stream, ahead, phase, deadlines, clock, timeouts, write_waits: false }
    }

    /// The bare stream, and what was not read of the bytes that came before it.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.inner, self.ahead)
    }

    fn note_written<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Pending if !self.write_waits => {
                self.write_waits = true;
                self.deadlines.set(Wait::Write, self.clock.now(), Some(self.timeouts.write));
            }
            Poll::Ready(_) if self.write_waits => {
                self.write_waits = false;
                self.deadlines.clear(Wait::Write);
            }
            _ => {}
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = if this.ahead.is_empty() {
            Pin::new(&mut this.inner).poll_read(cx, buf)
        } else {
            buf.put_slice(&this.ahead.split_to(this.ahead.len().min(buf.remaining())));
            Poll::Ready(Ok(()))
        };
        // Bytes that arrive between two requests begin a head.
        if buf.filled().len() > before && this.phase.get() == Phase::Idle {
            this.phase.set(Phase::Head);
            this.deadlines.clear(Wait::Idle);
            this.deadlines.set(Wait::Head, this.clock.now(), Some(this.timeouts.head));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.note_written(polled)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.note_written(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.note_written(polled)
    }
}
