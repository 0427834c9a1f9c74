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
        if self.bytes.is_empty() {
            spare::keep_read_buffer(std::mem::take(&mut self.bytes));
        }
    }
}
