//! A client's stream on its way to `h2` and back: what was read before comes first, frames are counted as they pass,
//! blocks in pieces are cut anew (`recut`), and whoever drives the connection learns what `h2` does not tell (`Pulse`).

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flood::Allowance;
use super::frames::Walk;
use super::recut::Recut;
use crate::clock::Clock;
use crate::network::ByteStream;

/// What is read in one turn of the connection's task, bytes and frames of note; then others have theirs. The budget of
/// tokio's counts reads, each of which may bring thousands of frames.
const TURN_BYTES: usize = 256 * 1024;
const TURN_FRAMES: usize = 256;

/// How a connection goes, told by its stream to its driver, in one task.
#[derive(Debug)]
pub struct Pulse<S> {
    flooded: AtomicBool,
    in_block: AtomicBool,
    waits: AtomicBool,
    written: AtomicU64,
    heard: AtomicU64,
    /// The stream, once `h2` has let go of it.
    left: Mutex<Option<S>>,
}

impl<S> Pulse<S> {
    /// The client has sent more than its allowance, or was told by `h2` that it has; nothing more is read.
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

    /// Bytes that have come.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// The stream, once `h2` has let go of it.
    pub fn take_stream(&self) -> Option<S> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What was read since the stream had nothing more, or others had their turn.
#[derive(Debug, Default)]
struct Turn {
    bytes: usize,
    frames: usize,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.bytes >= TURN_BYTES || self.frames >= TURN_FRAMES
    }

    /// Ends it: the task is woken behind all others that are ready, and those whose sockets are.
    #[cold]
    fn end(&mut self, cx: &mut Context<'_>) {
        *self = Self::default();
        let others = pin!(tokio::task::yield_now());
        let _ = others.poll(cx);
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
    recut: Recut,
    went: Walk,
    turn: Turn,
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
            heard: AtomicU64::new(0),
            left: Mutex::new(None),
        });
        let (came, recut, went) = (Walk::of_client(), Recut::default(), Walk::of_server());
        let (stream, told, turn) = (Some(stream), Arc::clone(&pulse), Turn::default());
        (Self { stream, ahead, pulse: told, came, recut, went, turn, allowance, clock }, pulse)
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn came(&mut self, bytes: &[u8]) {
        let Self { came, turn, allowance, clock, pulse, .. } = self;
        turn.bytes += bytes.len();
        came.over(bytes, |seen| {
            turn.frames += 1;
            if !allowance.came(seen, || clock.now()) {
                pulse.flooded.store(true, Ordering::Relaxed);
            }
        });
        pulse.in_block.store(came.in_block(), Ordering::Relaxed);
        // One task reads.
        pulse.heard.store(pulse.heard() + bytes.len() as u64, Ordering::Relaxed);
    }

    fn went<'b>(&mut self, mut count: usize, buffers: impl Iterator<Item = &'b [u8]>) {
        let Self { went, allowance, clock, pulse, .. } = self;
        pulse.waits.store(false, Ordering::Relaxed);
        pulse.written.fetch_add(count as u64, Ordering::Relaxed);
        for buffer in buffers {
            let part = &buffer[..buffer.len().min(count)];
            count -= part.len();
            went.over(part, |seen| {
                if !allowance.went(seen, || clock.now()) {
                    pulse.flooded.store(true, Ordering::Relaxed);
                }
            });
        }
    }

    fn noted<T>(&self, polled: Poll<T>) -> Poll<T> {
        // A stream that encrypts takes bytes before they have left: only its flush tells when they have.
        self.pulse.waits.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl<S: ByteStream> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.pulse.is_flooded() {
                // Its driver looks at this after every turn, and ends the connection.
                return Poll::Pending;
            }
            if this.recut.hands_out(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.turn.is_over() {
                this.turn.end(cx);
                return Poll::Pending;
            }
            let (before, left) = (buffer.filled().len(), this.came.left());
            if this.ahead.is_empty() {
                let Poll::Ready(read) = this.stream()?.poll_read(cx, buffer) else {
                    this.turn = Turn::default();
                    return Poll::Pending;
                };
                read?;
            } else {
                let count = this.ahead.len().min(buffer.remaining());
                buffer.put_slice(&this.ahead[..count]);
                this.ahead.advance(count);
            }
            this.came(&buffer.filled()[before..]);
            if this.recut.passes(&this.came, left, before, buffer) {
                return Poll::Ready(Ok(()));
            }
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Takes what is written at once, and lets it leave when it is told to, as a stream does that encrypts.
    #[derive(Debug, Default)]
    struct Encrypts {
        leaves: Arc<AtomicBool>,
    }

    impl AsyncRead for Encrypts {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Encrypts {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.leaves.load(Ordering::Relaxed) { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Always has more pings to read.
    #[derive(Debug)]
    struct Endless;

    impl AsyncRead for Endless {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            while buffer.remaining() >= ping.len() {
                buffer.put_slice(&ping);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn d_who_always_has_more_to_say_lets_others_have_their_turn() {
        let clock = Clock::starting_at(Duration::ZERO);
        let ahead = Bytes::from_static(crate::http2::preface::PREFACE);
        let (mut watched, pulse) = Watched::new(Endless, ahead, Allowance::new(1), clock);
        let others = Arc::new(AtomicU64::new(0));
        let beside = Arc::clone(&others);
        let beside = tokio::spawn(async move {
            loop {
                beside.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let (mut turns, mut bytes) = (Vec::new(), 0);
        std::future::poll_fn(|cx| {
            let mut space = [0; 1700];
            loop {
                let mut buffer = ReadBuf::new(&mut space);
                if let Poll::Ready(read) = Pin::new(&mut watched).poll_read(cx, &mut buffer) {
                    bytes += read.map(|()| buffer.filled().len()).unwrap();
                    continue;
                }
                turns.push((std::mem::take(&mut bytes), others.load(Ordering::Relaxed)));
                return if turns.len() == 3 { Poll::Ready(()) } else { Poll::Pending };
            }
        })
        .await;
        beside.abort();
        // So many pings as are read at once are more than its due.
        assert!(turns.iter().all(|(bytes, _)| (1..=(TURN_FRAMES + 100) * 17 + 24).contains(bytes)), "{turns:?}");
        assert!(turns.windows(2).all(|pair| pair[0].1 < pair[1].1), "others had theirs: {turns:?}");
        assert!(!pulse.is_flooded());
    }

    #[test]
    fn what_has_been_flushed_waits_for_nobody() {
        let stream = Encrypts::default();
        let leaves = Arc::clone(&stream.leaves);
        let clock = Clock::starting_at(Duration::ZERO);
        let (mut watched, pulse) = Watched::new(stream, Bytes::new(), Allowance::new(1), clock);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut watched).poll_write(&mut cx, b"x").is_ready() && !pulse.waits_to_write());
        assert!(Pin::new(&mut watched).poll_flush(&mut cx).is_pending() && pulse.waits_to_write());
        leaves.store(true, Ordering::Relaxed);
        assert!(Pin::new(&mut watched).poll_flush(&mut cx).is_ready() && !pulse.waits_to_write());
    }
}
