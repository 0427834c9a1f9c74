//! What an endpoint's bytes come and go by: a bare stream, or TLS on one.
//!
//! An enum and not a type parameter: a pool holds both over a reload that turns TLS on, and what stands on it (codec,
//! bodies, tunnels) is compiled once. In the clear it costs one branch for each read and write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::network::{ByteStream, Network};

/// A connection's stream.
#[derive(Debug)]
pub enum Transport<S> {
    /// In the clear.
    Plain(S),
    /// Encrypted, with an endpoint that has proven who it is.
    Tls(Box<TlsStream<Held<S>>>),
}

/// A stream that can be taken out and put back, since what encrypts does not give its own away.
#[derive(Debug)]
pub struct Held<S>(Option<S>);

impl<S> Held<S> {
    /// Holds a stream.
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn get(&mut self) -> io::Result<&mut S> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S> Transport<S> {
    /// The same on another form of its stream.
    ///
    /// # Errors
    /// As `change`; the connection is lost then.
    pub(super) fn adopt(self, change: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => change(stream).map(Self::Plain),
            Self::Tls(mut tls) => {
                let held = tls.get_mut().0;
                let stream = held.0.take().ok_or(io::ErrorKind::NotConnected)?;
                held.0 = Some(change(stream)?);
                Ok(Self::Tls(tls))
            }
        }
    }
}

/// `Network::is_quiet`, where what has been decrypted is no silence either.
pub(super) fn is_quiet<N: Network>(stream: &Transport<N::Stream>) -> bool {
    match stream {
        Transport::Plain(stream) => N::is_quiet(stream),
        Transport::Tls(tls) => {
            let (held, session) = tls.get_ref();
            session.wants_read() && held.0.as_ref().is_some_and(N::is_quiet)
        }
    }
}

impl<S: ByteStream> AsyncRead for Transport<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl<S: ByteStream> AsyncWrite for Transport<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl<S: ByteStream> AsyncRead for Held<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_read(cx, buf)
    }
}

impl<S: ByteStream> AsyncWrite for Held<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get()?).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get()?).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_shutdown(cx)
    }
}
