//! A request's body as it comes in DATA frames.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};

use crate::request_body::BodyFault;

/// A body. The client may send more of it as fast as it is read: nothing is held beside the stream's window.
#[derive(Debug)]
pub struct ClientBody {
    /// `None` only while it is dropped.
    stream: Option<RecvStream>,
    /// What is left of the length that was declared. `h2` holds the client to it.
    left: Option<u64>,
    /// Set when the body is waited for, where the client waits for a 100.
    awaited: Option<Arc<AtomicBool>>,
    /// Where it is left when nobody reads it on.
    rest: Option<Arc<Rest>>,
}

impl ClientBody {
    /// The body of this declared length.
    pub fn new(
        stream: RecvStream,
        declared: Option<u64>,
        awaited: Option<Arc<AtomicBool>>,
        rest: Option<Arc<Rest>>,
    ) -> Self {
        Self { stream: Some(stream), left: declared, awaited, rest }
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if let (Some(rest), Some(stream)) = (&self.rest, self.stream.take())
            && !stream.is_end_stream()
        {
            *rest.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
        }
    }
}

/// What is left of a body that was not read to its end. As long as somebody has it, its client is not told to stop.
#[derive(Debug, Default)]
pub struct Rest(Mutex<Option<RecvStream>>);

impl Rest {
    /// Takes it, once its reader has let go of it.
    pub fn take(&self) -> Option<RecvStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A reset by the client, or the end of its connection, is its leaving; what `h2` resets is malformed: DATA that does
/// not fit the declared length, beyond the window, after the end.
fn fault(error: &h2::Error) -> BodyFault {
    if error.is_library() && !error.is_io() { BodyFault::Malformed } else { BodyFault::ClientLeft }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        let Poll::Ready(data) = stream.poll_data(cx) else {
            if let Some(awaited) = this.awaited.take() {
                awaited.store(true, Ordering::Relaxed);
            }
            return Poll::Pending;
        };
        match data {
            Some(Ok(data)) => {
                // It goes on at once. That the stream is over already is nothing to complain of here.
                let _ = stream.flow_control().release_capacity(data.len());
                this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(fault(&error)))),
            None => match ready!(stream.poll_trailers(cx)) {
                Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
                Err(error) => Poll::Ready(Some(Err(fault(&error)))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
