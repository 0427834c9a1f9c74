//! A stream of HTTP/2 as bytes both ways: what an extended CONNECT makes of it (RFC 8441).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::small_frames::{SMALL_BYTES, SmallFrames};

/// The stream.
#[derive(Debug)]
pub struct Duplex {
    reads: RecvStream,
    writes: SendStream<Bytes>,
    small: SmallFrames,
    /// Has come, and was not read.
    ahead: Bytes,
}

impl Duplex {
    /// Both halves of a stream whose answer has been sent.
    pub fn new(reads: RecvStream, writes: SendStream<Bytes>) -> Self {
        Self { reads, writes, small: SmallFrames::default(), ahead: Bytes::new() }
    }
}

impl AsyncRead for Duplex {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ahead.is_empty() {
            match ready!(this.reads.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(data)) => {
                    // It is read at once; that the stream is over already is seen by who writes.
                    let _ = this.reads.flow_control().release_capacity(data.len());
                    this.ahead = data;
                }
            }
        }
        let count = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { writes, small, .. } = self.get_mut();
        writes.reserve_capacity(bytes.len());
        let mut room = writes.capacity();
        if room == 0 {
            room = match ready!(writes.poll_capacity(cx)) {
                Some(Ok(capacity)) => capacity,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let count = room.min(bytes.len());
        let mut frame = Bytes::copy_from_slice(&bytes[..count]);
        if count < SMALL_BYTES {
            ready!(small.poll_room(cx));
            frame = small.frame(frame);
        }
        let sent = writes.send_data(frame, false);
        Poll::Ready(sent.map(|()| count).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task does that.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.get_mut().writes.send_data(Bytes::new(), true).map_err(io::Error::other))
    }
}
