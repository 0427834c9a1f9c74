//! Where a connection's codec sits while a request is served.
//!
//! Most requests have no body: the driver of the connection keeps the codec for itself. A request with a body shares it
//! with whoever streams that body to an upstream, in the same task, so that neither waits for the other's lock.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::http1::Server;
use crate::network::ByteStream;
use crate::request_body::{BodyFault, Source};

type Shared<S> = Arc<Mutex<Option<Box<Server<S>>>>>;

/// The codec, or the way to it.
pub(super) enum Seat<S> {
    /// Nobody else needs it.
    Own(Box<Server<S>>),
    /// A request's body needs it as well.
    Shared(Shared<S>),
}

impl<S: ByteStream> Seat<S> {
    /// The body of the request that has just been read; from here on it is read through the codec.
    pub(super) fn body(self) -> (Self, Source) {
        match self {
            Self::Own(server) if server.has_body() => {
                let shared = Arc::new(Mutex::new(Some(server)));
                (Self::Shared(Arc::clone(&shared)), Source::Boxed(Box::pin(ClientBody(shared))))
            }
            seat => (seat, Source::Empty),
        }
    }

    /// Uses the codec; never while the request's body is polled.
    #[inline]
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Server<S>) -> T) -> Option<T> {
        match self {
            Self::Own(server) => Some(work(server)),
            Self::Shared(shared) => lock(shared).as_mut().map(|server| work(server)),
        }
    }

    /// Whether somebody may still read the request's body.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(shared) if Arc::strong_count(shared) > 1)
    }

    /// Takes the codec back when the request is over; a body that is still held somewhere reads no more.
    pub(super) fn reclaim(self) -> Option<Box<Server<S>>> {
        match self {
            Self::Own(server) => Some(server),
            Self::Shared(shared) => lock(&shared).take(),
        }
    }
}

fn lock<S>(shared: &Shared<S>) -> std::sync::MutexGuard<'_, Option<Box<Server<S>>>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request's body as it comes.
struct ClientBody<S>(Shared<S>);

impl<S: ByteStream> Body for ClientBody<S> {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match lock(&self.0).as_mut() {
            Some(server) => server.poll_body(cx),
            None => Poll::Ready(Some(Err(BodyFault::ClientLeft))),
        }
    }

    fn is_end_stream(&self) -> bool {
        // One that is kept beyond its request was not read to its end, as far as anybody knows: it never looks whole.
        lock(&self.0).as_ref().is_some_and(|server| !server.has_body())
    }

    fn size_hint(&self) -> SizeHint {
        let left = lock(&self.0).as_ref().and_then(|server| server.body_left());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    use crate::http1::{HeadLimits, Next};

    #[test]
    fn a_body_that_is_kept_beyond_its_request_is_cut_and_not_whole() {
        let mut cx = Context::from_waker(Waker::noop());
        let (_client, stream) = tokio::io::duplex(64);
        let limits = HeadLimits { fields: 100, target: 8192, bytes: 32 * 1024, keep_names: false };
        let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel";
        let mut server = Box::new(Server::new(stream, head, limits, |_| false));
        assert!(matches!(server.poll_next(&mut cx), Poll::Ready(Next::Request)));
        let (seat, source) = Seat::Own(server).body();
        let Source::Boxed(mut body) = source else { panic!("it has a body") };
        assert!(!body.is_end_stream());
        assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
        assert!(seat.reclaim().is_some());
        assert!(!body.is_end_stream());
        assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(Some(Err(BodyFault::ClientLeft)))));
    }
}
