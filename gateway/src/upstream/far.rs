//! The upstream's end of a tunnel: a connection that switched protocols, or a stream of one that others share.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::carrier::Place;
use super::connection::OpenConnection;
use super::transport::Transport;
use crate::http2::Duplex;
use crate::network::ByteStream;

/// The end.
pub enum Far<S: ByteStream> {
    /// A connection of its own, and its place among the endpoint's.
    Own(Transport<S>, OpenConnection),
    /// A stream, and its place on its connection.
    Shared(Box<(Duplex, Place)>),
}

impl<S: ByteStream> AsyncRead for Far<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream, _) => Pin::new(stream).poll_read(cx, buffer),
            Self::Shared(shared) => Pin::new(&mut shared.0).poll_read(cx, buffer),
        }
    }
}

impl<S: ByteStream> AsyncWrite for Far<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Own(stream, _) => Pin::new(stream).poll_write(cx, bytes),
            Self::Shared(shared) => Pin::new(&mut shared.0).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Shared(shared) => Pin::new(&mut shared.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Own(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Self::Shared(shared) => Pin::new(&mut shared.0).poll_shutdown(cx),
        }
    }
}
