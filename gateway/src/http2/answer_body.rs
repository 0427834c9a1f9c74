//! An answer's body on its way here.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::Frame;

/// A body on its way here.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Where it comes from.
    pub(super) stream: RecvStream,
    /// What is left of the length that was declared, which `h2` holds the upstream to.
    pub(super) left: Option<u64>,
    /// The answer is one that has none (RFC 9110, section 6.4.1).
    pub(super) bodiless: bool,
    /// Its end has been taken.
    pub(super) over: bool,
}

/// Why a body is not whole.
pub(super) enum Cut {
    /// Its stream broke.
    Error(h2::Error),
    /// There is to be none.
    Unwanted,
}

impl Incoming {
    /// Whether nothing more comes.
    pub(super) fn is_over(&self) -> bool {
        self.over || self.stream.is_end_stream()
    }

    /// The next part, or the trailers.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        while !self.over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It goes on at once. That the stream is over already is nothing to complain of here.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if data.is_empty() {
                        continue;
                    }
                    if self.bodiless {
                        return Poll::Ready(Some(Err(Cut::Unwanted)));
                    }
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(Cut::Error(error)))),
                None => {
                    let trailers = ready!(self.stream.poll_trailers(cx)).map_err(Cut::Error)?;
                    self.over = true;
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
            }
        }
        Poll::Ready(None)
    }
}
