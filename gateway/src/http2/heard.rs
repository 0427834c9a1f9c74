//! An upstream's stream on its way to `h2`: it tells whether anything has come of late, and keeps the error that broke
//! it, of which `h2` passes on the words alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::ByteStream;

/// What is known of a connection beside its requests.
#[derive(Debug, Default)]
pub struct Hearing {
    reads: AtomicU64,
    broke: Mutex<Option<io::Error>>,
}

impl Hearing {
    /// How often something has come. Two equal counts: nothing came between them.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The error that broke the connection.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.broke.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) => {
                let told = io::Error::new(error.kind(), error.to_string());
                *self.broke.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Poll::Ready(Err(told))
            }
            polled => polled,
        }
    }
}

/// The stream.
#[derive(Debug)]
pub struct Heard<S> {
    stream: S,
    hearing: Arc<Hearing>,
}

impl<S: ByteStream> Heard<S> {
    /// Listens to a stream.
    pub(super) fn new(stream: S) -> (Self, Arc<Hearing>) {
        let hearing = Arc::<Hearing>::default();
        (Self { stream, hearing: Arc::clone(&hearing) }, hearing)
    }
}

impl<S: ByteStream> AsyncRead for Heard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.hearing.reads.fetch_add(1, Ordering::Relaxed);
        }
        this.hearing.keep(polled)
    }
}

impl<S: ByteStream> AsyncWrite for Heard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.hearing.keep(polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, buffers);
        this.hearing.keep(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.hearing.keep(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
