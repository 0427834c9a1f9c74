//! Reads a body off a connection's buffer, in whatever frame it came.

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::chunked::{Decoded, Decoder};

/// What of a body is still to come.
#[derive(Debug)]
pub(super) enum BodyReader {
    /// The last byte has been taken.
    Over,
    /// So many bytes are left; never none.
    Length(u64),
    /// Chunks.
    Chunked(Decoder),
    /// Whatever comes until the connection closes.
    UntilClose,
}

impl BodyReader {
    /// A body of a known length.
    pub(super) fn of_length(length: u64) -> Self {
        if length == 0 { Self::Over } else { Self::Length(length) }
    }

    /// A chunked body.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Decoder::new())
    }

    /// What of the body is in the buffer; `None` at its end, or when more bytes are needed.
    ///
    /// # Errors
    /// The rule that the body breaks.
    #[inline]
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame<Bytes>>, &'static str> {
        match self {
            Self::Over => Ok(None),
            _ if buffer.is_empty() => Ok(None),
            Self::Length(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= now as u64;
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok(Some(Frame::data(buffer.split_to(now).freeze())))
            }
            Self::Chunked(decoder) => match decoder.decode(buffer)? {
                Decoded::Data(data) => Ok(Some(Frame::data(data))),
                Decoded::Trailers(trailers) => {
                    *self = Self::Over;
                    Ok(Some(Frame::trailers(trailers)))
                }
                Decoded::End => {
                    *self = Self::Over;
                    Ok(None)
                }
                Decoded::More => Ok(None),
            },
            Self::UntilClose => Ok(Some(Frame::data(buffer.split().freeze()))),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The body is not whole.
    pub(super) fn end(&mut self) -> Result<(), ()> {
        match self {
            Self::UntilClose => *self = Self::Over,
            Self::Over => {}
            Self::Length(_) | Self::Chunked(_) => return Err(()),
        }
        Ok(())
    }

    /// Whether the last byte has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Bytes that are left, where that is known.
    pub(super) fn length_left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Over => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}
