//! What waits to be written to a connection: a head and small parts of a body in one buffer, and one large part behind
//! it that is never copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;
use tokio::io::AsyncWrite;

use super::{chunked, spare};

/// A part of a body up to this size is copied behind what waits to be written, so that it leaves in one system call.
const COPY_BYTES: usize = 8 * 1024;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    None,
    /// `Content-Length`; bytes that are left.
    Length(u64),
    /// `Transfer-Encoding: chunked`
    Chunked,
    /// The body ends when the connection does.
    UntilClose,
}

/// Why a frame cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// More data than the length that was announced.
    TooLong,
    /// Less.
    TooShort,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    /// Waits from `written` on. Lent while something is in it.
    bytes: Vec<u8>,
    written: usize,
    /// A large part of a body that waits behind `bytes`.
    part: Bytes,
    /// What closes the part: the line end behind a chunk's data.
    part_end: &'static [u8],
    /// The stream has taken bytes that it may still hold: one that encrypts does.
    unflushed: bool,
}

impl WriteQueue {
    /// Where a head is written, behind what waits.
    #[inline]
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare::write_buffer();
        }
        &mut self.bytes
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
        self.part = Bytes::new();
        self.part_end = b"";
        self.unflushed = false;
    }

    /// Whether nothing waits, here or in the stream.
    pub(super) fn is_empty(&self) -> bool {
        self.is_written() && !self.unflushed
    }

    fn is_written(&self) -> bool {
        self.written == self.bytes.len() && self.part.is_empty() && self.part_end.is_empty()
    }

    /// Whether a further frame can be put behind what waits. A large part must leave first.
    pub(super) fn has_room(&self) -> bool {
        self.part.is_empty() && self.part_end.is_empty() && self.bytes.len() - self.written < COPY_BYTES
    }

    /// Puts a frame of a body behind what waits; there must be room. Trailers end the body.
    ///
    /// # Errors
    /// The frame does not fit the framing; nothing was queued.
    pub(super) fn push(&mut self, frame: Frame<Bytes>, framing: &mut Framing) -> Result<(), Misfit> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.push_end(frame.into_trailers().ok().as_ref(), framing),
        };
        if data.is_empty() {
            return Ok(());
        }
        match framing {
            Framing::None => {}
            Framing::UntilClose => self.put(data),
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Misfit::TooLong)?;
                self.put(data);
            }
            Framing::Chunked => {
                chunked::write_chunk_head(data.len(), self.out());
                self.put(data);
                if self.part.is_empty() {
                    self.bytes.extend_from_slice(b"\r\n");
                } else {
                    self.part_end = b"\r\n";
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes) {
        if data.len() <= COPY_BYTES {
            self.out().extend_from_slice(&data);
        } else {
            self.part = data;
        }
    }

    /// The body has come to its end.
    ///
    /// # Errors
    /// It is shorter than it said: whoever reads it must not take it for whole.
    pub(super) fn push_end(&mut self, trailers: Option<&HeaderMap>, framing: &mut Framing) -> Result<(), Misfit> {
        match *framing {
            Framing::Length(left) if left > 0 => return Err(Misfit::TooShort),
            // It goes behind the part that waits, not behind the part's head.
            Framing::Chunked if !self.part.is_empty() && trailers.is_none() => self.part_end = b"\r\n0\r\n\r\n",
            Framing::Chunked => chunked::write_end(trailers, self.out()),
            Framing::Length(_) | Framing::None | Framing::UntilClose => {}
        }
        *framing = Framing::None;
        Ok(())
    }

    /// Writes out what waits; ready with its length when nothing does any more.
    ///
    /// # Errors
    /// The stream's.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            let head = &self.bytes[self.written..];
            let mut count = if self.part.is_empty() && self.part_end.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, head))?
            } else {
                let bufs = [IoSlice::new(head), IoSlice::new(&self.part), IoSlice::new(self.part_end)];
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &bufs))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += count as u64;
            self.unflushed = true;
            let of_head = count.min(head.len());
            self.written += of_head;
            count -= of_head;
            let of_part = count.min(self.part.len());
            if of_part < self.part.len() {
                self.part.advance(of_part);
            } else if of_part > 0 {
                // The last byte may go, and with it what keeps the part.
                self.part = Bytes::new();
            }
            self.part_end = &self.part_end[count - of_part..];
        }
        spare::keep_write_buffer(std::mem::take(&mut self.bytes));
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Takes at most so many bytes at once.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(queue: &mut WriteQueue, at_once: usize) -> Vec<u8> {
        let (mut stream, mut sent) = (Narrow(Vec::new(), at_once), 0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(queue.poll_write(&mut stream, &mut cx, &mut sent).is_ready_and_ok());
        assert_eq!(sent, stream.0.len() as u64);
        stream.0
    }

    trait ReadyOk {
        fn is_ready_and_ok(&self) -> bool;
    }
    impl ReadyOk for Poll<io::Result<()>> {
        fn is_ready_and_ok(&self) -> bool {
            matches!(self, Poll::Ready(Ok(())))
        }
    }

    #[test]
    fn e_what_has_been_written_is_held_no_longer() {
        let (mut queue, mut framing) = (WriteQueue::default(), Framing::Length(100_000));
        let data = Bytes::from(vec![b'x'; 100_000]);
        queue.push(Frame::data(data.clone()), &mut framing).unwrap();
        assert!(!data.is_unique());
        assert_eq!(written(&mut queue, 30_000).len(), 100_000);
        assert!(data.is_unique());
    }

    #[test]
    fn what_is_queued_leaves_in_order_however_little_the_stream_takes() {
        for (at_once, size) in [(1, 10), (7, COPY_BYTES), (1000, COPY_BYTES + 1), (usize::MAX, 100_000)] {
            let mut queue = WriteQueue::default();
            let mut framing = Framing::Chunked;
            queue.out().extend_from_slice(b"head");
            let data = vec![b'x'; size];
            queue.push(Frame::data(data.clone().into()), &mut framing).unwrap();
            let mut wire = written(&mut queue, at_once);
            queue.push_end(None, &mut framing).unwrap();
            wire.extend(written(&mut queue, at_once));
            let expected = [b"head", format!("{size:x}\r\n").as_bytes(), &data, b"\r\n0\r\n\r\n"].concat();
            assert!(wire == expected, "{size} bytes, {at_once} at once");
        }
    }

    #[test]
    fn an_end_that_is_queued_with_the_last_part_leaves_behind_it() {
        for (at_once, size) in [(1, 10), (1000, COPY_BYTES), (1000, COPY_BYTES + 1), (usize::MAX, 100_000)] {
            let (mut queue, mut framing) = (WriteQueue::default(), Framing::Chunked);
            let data = vec![b'x'; size];
            queue.push(Frame::data(data.clone().into()), &mut framing).unwrap();
            queue.push_end(None, &mut framing).unwrap();
            assert_eq!(framing, Framing::None);
            let expected = [format!("{size:x}\r\n").as_bytes(), &data, b"\r\n0\r\n\r\n"].concat();
            assert!(written(&mut queue, at_once) == expected, "{size} bytes, {at_once} at once");
        }
    }

    #[test]
    fn a_body_that_differs_from_its_announced_length_is_found_out() {
        let mut queue = WriteQueue::default();
        let mut framing = Framing::Length(3);
        assert_eq!(queue.push(Frame::data(Bytes::from_static(b"four")), &mut framing), Err(Misfit::TooLong));
        queue.push(Frame::data(Bytes::from_static(b"ab")), &mut framing).unwrap();
        assert_eq!(queue.push_end(None, &mut framing), Err(Misfit::TooShort));
        queue.push(Frame::data(Bytes::from_static(b"c")), &mut framing).unwrap();
        assert_eq!(queue.push_end(None, &mut framing), Ok(()));
        assert_eq!(queue.bytes, b"abc");
    }
}
