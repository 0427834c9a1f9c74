//! A socket that does not block, as h2 wants to see it. The driver's epoll tells when to try again, so no waker is
//! kept.

use std::io::{ErrorKind, Read, Result, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::wire::Wire;

#[derive(Debug)]
pub(super) struct Socket {
    stream: Wire,
}

impl Socket {
    pub(super) fn new(stream: Wire) -> Self {
        Self { stream }
    }

    fn attempt<T>(mut act: impl FnMut() -> Result<T>) -> Poll<Result<T>> {
        loop {
            match act() {
                // A socket that is still connecting says the latter.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Poll::Pending;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Self::attempt(|| {
            let count = self.stream.read(into.initialize_unfilled())?;
            into.advance(count);
            Ok(())
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Self::attempt(|| self.stream.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Self::attempt(|| self.stream.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.stream.socket().shutdown(std::net::Shutdown::Write))
    }
}
