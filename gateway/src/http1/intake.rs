//! What has been read of a stream and not been taken yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::spare::{self, READ_BYTES};

/// The most that is read at once, of a body that keeps the buffer full.
const READ_BYTES_MAX: usize = 64 * 1024;

/// Says whether nothing has come on a stream since a read of it had to wait (`Network::is_quiet`).
pub type IsQuiet<S> = fn(&S) -> bool;

/// A buffer, which is lent only while something is in it, or about to be.
#[derive(Debug)]
pub(super) struct Intake<S> {
    pub(super) bytes: BytesMut,
    at_once: usize,
    is_quiet: IsQuiet<S>,
}

impl<S: AsyncRead + Unpin> Intake<S> {
    /// Nothing has been read.
    pub(super) fn new(is_quiet: IsQuiet<S>) -> Self {
        Self { bytes: BytesMut::new(), at_once: READ_BYTES, is_quiet }
    }

    /// Puts bytes there that were read before.
    pub(super) fn begin_with(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes = spare::read_buffer();
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether nothing is here, and nothing to be read.
    #[inline]
    pub(super) fn is_quiet(&self, stream: &S) -> bool {
        (self.is_quiet)(stream)
    }

    /// Reads once; the number of bytes, 0 at the stream's end.
    #[inline]
    pub(super) fn poll_read(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.is_quiet(stream) {
            // This only registers the task, and takes no buffer.
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut ReadBuf::new(&mut [])))?;
        }
        self.make_room();
        let space = self.bytes.capacity() - self.bytes.len();
        let Poll::Ready(read) = poll_read_buf(Pin::new(stream), cx, &mut self.bytes) else {
            self.rest();
            return Poll::Pending;
        };
        let count = read?;
        if count == space {
            self.at_once = (self.at_once * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(count))
    }

    fn make_room(&mut self) {
        if self.bytes.capacity() - self.bytes.len() >= self.at_once / 2 {
            return;
        }
        if self.bytes.capacity() == 0 && self.at_once == READ_BYTES {
            self.bytes = spare::read_buffer();
        } else {
            self.bytes.reserve(self.at_once);
        }
    }

    /// Gives the buffer back, if nothing is in it.
    #[inline]
    pub(super) fn rest(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            spare::keep_read_buffer(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Says what it has been told; counts how often it was asked, and with how much room.
    struct Told(Option<&'static [u8]>, Vec<usize>);

    impl AsyncRead for Told {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.1.push(buf.remaining());
            match self.0.take() {
                Some(bytes) => {
                    buf.put_slice(bytes);
                    Poll::Ready(Ok(()))
                }
                None => Poll::Pending,
            }
        }
    }

    #[test]
    fn a_wait_takes_no_buffer_and_what_comes_is_read_in_one() {
        let mut cx = Context::from_waker(Waker::noop());
        for is_quiet in [(|told| told.0.is_none()) as IsQuiet<Told>, |_| false] {
            let mut stream = Told(None, Vec::new());
            let mut intake = Intake::new(is_quiet);
            assert!(intake.poll_read(&mut stream, &mut cx).is_pending());
            assert_eq!((stream.1.len(), intake.bytes.capacity()), (1, 0), "asked once, and holds nothing");
            stream.0 = Some(b"hello");
            assert!(matches!(intake.poll_read(&mut stream, &mut cx), Poll::Ready(Ok(5))));
            assert_eq!((&intake.bytes[..], stream.1[1]), (&b"hello"[..], READ_BYTES));
            intake.rest();
            assert_eq!(&intake.bytes[..], b"hello", "what is in it stays");
            intake.bytes.clear();
            intake.rest();
            assert_eq!(intake.bytes.capacity(), 0);
        }
    }
}
