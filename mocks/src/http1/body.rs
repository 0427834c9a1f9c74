//! Request bodies: a push decoder for lengths and chunks.
//!
//! Input may be cut anywhere. Nothing is buffered but trailers, which are bounded. Chunk framing is read strictly
//! (RFC 9112, section 7.1): CRLF only, sizes of hexadecimal digits only.

use super::head::Framing;

/// The most bytes of trailers that are kept; more is malformed.
const MAX_TRAILERS: usize = 16 * 1024;
/// The longest chunk extension that is skipped; more is malformed.
const MAX_EXTENSION: usize = 4096;

/// The body cannot be read; a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads one body.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    /// Trailer lines as received, each with its CRLF.
    trailers: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of a body with a length remain.
    Sized(u64),
    /// In a chunk's size; the value, and whether a digit was there.
    Size(u64, bool),
    /// In a chunk's extension: value, and the extension's bytes so far.
    Extension(u64, usize),
    /// The LF of the size's line is due.
    SizeLf(u64),
    /// So many bytes of a chunk remain.
    Data(u64),
    /// The chunk's CR is due.
    DataCr,
    /// The chunk's LF is due.
    DataLf,
    /// In the trailers; the bytes of the present line.
    Trailer(usize),
    Done,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Sized(length),
            Framing::Chunked => State::Size(0, false),
        };
        Self { state, trailers: Vec::new() }
    }

    /// The body is whole.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The trailer section as received, with the empty line that ends it; empty when there was none.
    pub(crate) fn trailers(&self) -> &[u8] {
        if self.trailers.len() > 2 { &self.trailers } else { &[] }
    }

    /// Reads from `input`, hands the body's bytes to `sink`, and says how many bytes it took.
    pub(crate) fn push(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Sized(left) | State::Data(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                    sink(&input[at..at + take]);
                    at += take;
                    let left = left - take as u64;
                    self.state = match self.state {
                        State::Sized(_) if left > 0 => State::Sized(left),
                        State::Sized(_) => State::Done,
                        _ if left > 0 => State::Data(left),
                        _ => State::DataCr,
                    };
                }
                _ => {
                    self.state = self.step(input[at])?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    /// One byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                let size = size.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                State::Size(size.ok_or(Malformed)?, true)
            }
            (State::Size(size, true) | State::Extension(size, _), b'\r') => State::SizeLf(size),
            (State::Size(size, true), b';' | b' ' | b'\t') => State::Extension(size, 1),
            (State::Extension(size, length), b' '..=b'~' | b'\t' | 0x80..) if length < MAX_EXTENSION => {
                State::Extension(size, length + 1)
            }
            (State::SizeLf(0), b'\n') => State::Trailer(0),
            (State::SizeLf(size), b'\n') => State::Data(size),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size(0, false),
            (State::Trailer(line), byte) => self.trailer(line, byte)?,
            _ => return Err(Malformed),
        })
    }

    fn trailer(&mut self, line: usize, byte: u8) -> Result<State, Malformed> {
        let after_cr = line > 0 && self.trailers.last() == Some(&b'\r');
        if after_cr != (byte == b'\n') || self.trailers.len() >= MAX_TRAILERS {
            return Err(Malformed);
        }
        self.trailers.push(byte);
        Ok(match (after_cr, line) {
            (true, 1) => State::Done,
            (true, _) => State::Trailer(0),
            (false, line) => State::Trailer(line + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, usize, bool), Malformed> {
        let (mut decoder, mut body, mut taken) = (Decoder::new(framing), Vec::new(), 0);
        for piece in pieces {
            taken += decoder.push(piece, &mut |bytes| body.extend_from_slice(bytes))?;
        }
        Ok((body, decoder.trailers().to_vec(), taken, decoder.is_done()))
    }

    const CHUNKED: &[u8] = b"5;a=b\r\nhello\r\n06\r\n world\r\n0\r\nx-sum: 1\r\n\r\n";

    #[test]
    fn chunks_and_trailers() {
        let with_more = [CHUNKED, b"GET /"].concat();
        let (body, trailers, taken, done) = decode(Framing::Chunked, &[&with_more]).unwrap();
        assert_eq!((body.as_slice(), trailers.as_slice()), (&b"hello world"[..], &b"x-sum: 1\r\n\r\n"[..]));
        assert!(done && taken == CHUNKED.len());
        let (_, trailers, _, done) = decode(Framing::Chunked, &[b"0\r\n\r\n"]).unwrap();
        assert!(done && trailers.is_empty());
    }

    #[test]
    fn lengths() {
        assert_eq!(decode(Framing::Length(3), &[b"ab", b"cd"]).unwrap(), (b"abc".to_vec(), vec![], 3, true));
        assert!(decode(Framing::Empty, &[b"x"]).unwrap().3);
    }

    #[test]
    fn malformed_chunks() {
        for bad in [
            &b"x\r\n"[..],
            b"\r\n",
            b";a\r\n",
            b"5\nhello",
            b"5\r\nhelloo",
            b"1\r\na\n",
            b"fffffffffffffffff\r\n",
            b"0\r\nx: 1\n",
            b"-1\r\n",
        ] {
            assert_eq!(decode(Framing::Chunked, &[bad]), Err(Malformed), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn a_cut_changes_nothing(first in 0..CHUNKED.len(), second in 0..CHUNKED.len()) {
            let (first, second) = (first.min(second), first.max(second));
            let cut = decode(Framing::Chunked, &[&CHUNKED[..first], &CHUNKED[first..second], &CHUNKED[second..]]);
            prop_assert_eq!(cut, decode(Framing::Chunked, &[CHUNKED]));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in "[0-9a-f;\r\n x]{0,60}") {
            let _ = decode(Framing::Chunked, &[bytes.as_bytes()]);
        }
    }
}
