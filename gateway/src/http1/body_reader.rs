//! Reads a body off a connection's buffer, in whatever frame it came.

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::chunked::{Decoded, Decoder};

/// What of a body is still to come.
#[derive(Debug)]
pub(super) enum BodyReader {
    /// The last byte has been taken.
    Over,
    /// So many bytes are left, never none, of so many.
    Length { left: u64, of: u64 },
    /// Chunks.
    Chunked(Decoder),
    /// Whatever comes until the connection closes.
    UntilClose,
}

impl BodyReader {
    /// A body of a known length.
    pub(super) fn of_length(length: u64) -> Self {
        if length == 0 { Self::Over } else { Self::Length { left: length, of: length } }
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
            Self::Length { left, .. } => {
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
    /// The body is not whole: what is missing.
    pub(super) fn end(&mut self) -> Result<(), String> {
        match self {
            Self::UntilClose => *self = Self::Over,
            Self::Over => {}
            Self::Length { left, of } => return Err(format!("it ended after {} of {of} bytes", *of - *left)),
            Self::Chunked(decoder) => return Err(decoder.missing()),
        }
        Ok(())
    }

    /// How far it has come, for who tells that it comes no further.
    #[cold]
    pub(super) fn so_far(&self) -> String {
        match self {
            Self::Length { left, of } => format!(", after {} of {of} bytes", *of - *left),
            Self::Over | Self::Chunked(_) | Self::UntilClose => String::new(),
        }
    }

    /// Whether the last byte has been taken.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Bytes that are left, where that is known.
    pub(super) fn length_left(&self) -> Option<u64> {
        match self {
            Self::Length { left, .. } => Some(*left),
            Self::Over => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a body of which so much came.
    fn ended(mut body: BodyReader, came: &str) -> Result<(), String> {
        let mut buffer = BytesMut::from(came);
        while body.take(&mut buffer).unwrap().is_some() {}
        body.end()
    }

    #[test]
    fn a_body_that_is_cut_is_told_with_where_it_was() {
        let says = |text: &str| Err(text.to_owned());
        assert_eq!(ended(BodyReader::of_length(200), "ab"), says("it ended after 2 of 200 bytes"));
        assert_eq!(ended(BodyReader::of_length(200), ""), says("it ended after 0 of 200 bytes"));
        assert_eq!(ended(BodyReader::of_length(2), "ab"), Ok(()));
        assert_eq!(ended(BodyReader::UntilClose, "ab"), Ok(()));
        let chunked = |came| ended(BodyReader::chunked(), came);
        assert_eq!(chunked("5\r\nab"), says("it ended in a chunk, 3 bytes of which did not come"));
        for between in ["", "2\r\nab", "2\r\nab\r\n", "2\r\nab\r\n5"] {
            assert_eq!(chunked(between), says("it ended without a last chunk"), "{between:?}");
        }
        assert_eq!(chunked("2\r\nab\r\n0\r\nx-"), says("it ended in its trailers"));
        assert_eq!(chunked("2\r\nab\r\n0\r\n\r\n"), Ok(()));
    }
}
