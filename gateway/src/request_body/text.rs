//! A body that is text in place of other bytes (gRPC-Web): it is decoded as it passes. What is counted and limited is
//! what the client sends; what is kept to be sent again is what passes.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::{BodyFault, RequestBody, Streaming};

impl RequestBody {
    /// Decodes it from its first byte on. Nothing of it has been read.
    #[cold]
    pub fn decode_text(&mut self) {
        if let Self::Streaming(streaming) = self {
            streaming.text = Some(Box::default());
        }
    }
}

impl Streaming {
    /// Whether it may end here: text may not, of which something is begun.
    #[inline]
    pub(super) fn may_end(&self) -> bool {
        self.text.as_ref().is_none_or(|text| text.is_even())
    }

    /// Passes on what a part of the text stands for.
    #[cold]
    pub(super) fn pass_text(
        &mut self,
        frame: Frame<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(frame) = self.decoded(frame) else { return self.fail(BodyFault::Malformed) };
        // Of a body whose length was told, nobody has to ask for the end behind the last byte.
        if (frame.is_trailers() || self.source.is_end_stream()) && !self.may_end() {
            return self.fail(BodyFault::Malformed);
        }
        if frame.data_ref().is_some_and(Bytes::is_empty) {
            // Less than four characters: at once the next ones are looked for.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.hand_on(frame)
    }

    /// `None` of what is no text.
    fn decoded(&mut self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(text) = &mut self.text else { return Some(frame) };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Some(frame),
        };
        let mut out = Vec::new();
        text.decode(&data, &mut out).ok()?;
        Some(Frame::data(out.into()))
    }
}
