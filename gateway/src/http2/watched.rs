//! A client's stream on its way to `h2` and back: what was read before comes first, frames are counted as they pass,
//! and whoever drives the connection learns what `h2` does not tell (`Pulse`).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::Allowance;
use super::frames::Walk;
use crate::clock::Clock;
use crate::network::ByteStream;

/// How a connection goes, told by its stream to its driver, in one task.
#[derive(Debug)]
pub struct Pulse<S> {
    flooded: AtomicBool,
    in_block: AtomicBool,
    waits: AtomicBool,
    written: AtomicU64,
    /// The stream, once `h2` has let go of it.
    left: Mutex<Option<S>>,
}

impl<S> Pulse<S> {
    /// The client has sent more than its allowance; nothing more is read.
    pub fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// A block of header fields has begun, and not come to its end.
    pub fn is_in_block(&self) -> bool {
        self.in_block.load(Ordering::Relaxed)
    }

    /// Whether bytes wait for the client to take them.
    pub fn waits_to_write(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Bytes that have left.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The stream, once `h2` has let go of it.
    pub fn take_stream(&self) -> Option<S> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The stream.
#[derive(Debug)]
pub struct Watched<S> {
    /// `None` only while it is dropped.
    stream: Option<S>,
    /// Read before, and not handed on.
    ahead: Bytes,
    pulse: Arc<Pulse<S>>,
    came: Walk,
    went: Walk,
    allowance: Allowance,
    clock: Clock,
}

impl<S: ByteStream> Watched<S> {
    /// Watches a stream of which these bytes have been read.
    pub fn new(stream: S, ahead: Bytes, allowance: Allowance, clock: Clock) -> (Self, Arc<Pulse<S>>) {
        let pulse = Arc::new(Pulse {
            flooded: AtomicBool::new(false),
            in_block: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            written: AtomicU64::new(0),
            left: Mutex::new(None),
        });
        let (came, went) = (Walk::of_client(), Walk::of_server());
        let watched = Self { stream: Some(stream), ahead, pulse: Arc::clone(&pulse), came, went, allowance, clock };
        (watched, pulse)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn came(&mut self, bytes: &[u8]) {
        let Self { came, allowance, clock, pulse, .. } = self;
        came.over(bytes, |seen| {
            if !allowance.came(seen, clock.now()) {
                pulse.flooded.store(true, Ordering::Relaxed);
            }
        });
        pulse.in_block.store(came.in_block(), Ordering::Relaxed);
    }

    fn went<'b>(&mut self, mut count: usize, buffers: impl Iterator<Item = &'b [u8]>) {
        let Self { went, allowance, clock, pulse, .. } = self;
        pulse.waits.store(false, Ordering::Relaxed);
        pulse.written.fetch_add(count as u64, Ordering::Relaxed);
        for buffer in buffers {
            let part = &buffer[..buffer.len().min(count)];
            count -= part.len();
            went.over(part, |seen| {
                if !allowance.went(seen, clock.now()) {
                    pulse.flooded.store(true, Ordering::Relaxed);
                }
            });
        }
    }

    fn noted<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() {
            self.pulse.waits.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: ByteStream> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.pulse.is_flooded() {
            // Its driver looks at this after every turn, and ends the connection.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if this.ahead.is_empty() {
            ready!(this.stream()?.poll_read(cx, buffer))?;
        } else {
            let count = this.ahead.len().min(buffer.remaining());
            buffer.put_slice(&this.ahead[..count]);
            this.ahead.advance(count);
        }
        this.came(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_write(cx, bytes);
        let count = ready!(this.noted(polled))?;
        this.went(count, std::iter::once(bytes));
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_write_vectored(cx, buffers);
        let count = ready!(this.noted(polled))?;
        this.went(count, buffers.iter().map(|buffer| &**buffer));
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_flush(cx);
        this.noted(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        *self.pulse.left.lock().unwrap_or_else(PoisonError::into_inner) = self.stream.take();
    }
}
