//! Chunked bodies (RFC 9112, section 7.1): a strict decoder that works on whatever part has arrived.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// A chunk's first line: 16 digits are all that a size can have; extensions are dropped, and bounded.
const MAX_SIZE_LINE: usize = 256;
/// All trailers of a body.
const MAX_TRAILER_BYTES: usize = 16 * 1024;
/// Trailers of a body.
const MAX_TRAILERS: usize = 64;

/// Where the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    Data(u64),
    /// The CRLF that ends a chunk's data.
    DataEnd,
    Trailers,
    End,
}

/// Decodes one body.
#[derive(Debug)]
pub(super) struct Decoder {
    at: At,
}

/// What came out.
#[derive(Debug)]
pub(super) enum Decoded {
    /// Data; never empty.
    Data(Bytes),
    /// Trailers; the body is over.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More bytes are needed.
    More,
}

impl Decoder {
    /// At the beginning of a body.
    pub(super) fn new() -> Self {
        Self { at: At::Size }
    }

    /// Takes what it can off the buffer.
    ///
    /// # Errors
    /// The rule that the body breaks.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, &'static str> {
        loop {
            match self.at {
                At::Size => match take_size(buffer)? {
                    None => return Ok(Decoded::More),
                    Some(0) => self.at = At::Trailers,
                    Some(size) => self.at = At::Data(size),
                },
                At::Data(left) => {
                    if buffer.is_empty() {
                        return Ok(Decoded::More);
                    }
                    let now = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    let left = left - now as u64;
                    self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                    return Ok(Decoded::Data(buffer.split_to(now).freeze()));
                }
                At::DataEnd => match buffer.as_ref() {
                    [b'\r', b'\n', ..] => {
                        buffer.advance(2);
                        self.at = At::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded::More),
                    _ => return Err("a chunk is longer than its size"),
                },
                At::Trailers => return self.take_trailers(buffer),
                At::End => return Ok(Decoded::End),
            }
        }
    }

    /// What is missing where nothing more comes.
    #[cold]
    pub(super) fn missing(&self) -> String {
        match self.at {
            At::Data(left) => format!("it ended in a chunk, {left} bytes of which did not come"),
            At::Trailers => "it ended in its trailers".to_owned(),
            At::Size | At::DataEnd | At::End => "it ended without a last chunk".to_owned(),
        }
    }

    fn take_trailers(&mut self, buffer: &mut BytesMut) -> Result<Decoded, &'static str> {
        if buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.at = At::End;
            return Ok(Decoded::End);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        let (length, trailers) = match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) if buffer.len() > MAX_TRAILER_BYTES => {
                return Err("the trailers are too large");
            }
            Ok(httparse::Status::Partial) => return Ok(Decoded::More),
            Err(_) => return Err("the trailers are not valid"),
        };
        if length > MAX_TRAILER_BYTES
            || memchr::memchr_iter(b'\n', &buffer[..length]).any(|at| at == 0 || buffer[at - 1] != b'\r')
        {
            return Err("the trailers are not valid");
        }
        let mut map = HeaderMap::with_capacity(trailers.len());
        for trailer in trailers {
            let name = HeaderName::from_bytes(trailer.name.as_bytes()).map_err(|_| "the trailers are not valid")?;
            let value = HeaderValue::from_bytes(trailer.value).map_err(|_| "the trailers are not valid")?;
            map.append(name, value);
        }
        buffer.advance(length);
        self.at = At::End;
        Ok(Decoded::Trailers(map))
    }
}

/// A chunk's size line: hex digits, perhaps an extension, CRLF. `None` while it is not whole.
fn take_size(buffer: &mut BytesMut) -> Result<Option<u64>, &'static str> {
    let begun = &buffer[..buffer.len().min(MAX_SIZE_LINE)];
    let Some(end) = memchr::memchr(b'\n', begun) else {
        return match memchr::memchr(b'\r', begun) {
            // No LF can follow it any more: nobody waits for one.
            Some(at) if at + 1 < begun.len() => Err("a chunk's size line holds a bare CR"),
            _ if begun.len() == MAX_SIZE_LINE => Err("a chunk's size line is too long"),
            _ => Ok(None),
        };
    };
    let line = buffer[..end].strip_suffix(b"\r").ok_or("a chunk's size line ends without CR")?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let extension = &line[digits..];
    if digits == 0 || digits > 16 {
        return Err("a chunk's size is no hexadecimal number");
    }
    // RFC 9112, section 7.1.1: `BWS ";"`; the white space is a known way to smuggle, and nobody sends it.
    if !extension.is_empty() && (extension[0] != b';' || extension.iter().any(|b| b.is_ascii_control() && *b != b'\t'))
    {
        return Err("a chunk's size is no hexadecimal number");
    }
    let size = line[..digits].iter().fold(0_u64, |size, digit| size << 4 | u64::from(hex(*digit)));
    buffer.advance(end + 1);
    Ok(Some(size))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Appends data as one chunk.
pub(super) fn write_chunk_head(length: usize, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to memory cannot fail.
    let _ = write!(out, "{length:x}\r\n");
}

/// Appends the last chunk and the trailers.
pub(super) fn write_end(trailers: Option<&HeaderMap>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data, the trailers, and what is left behind the body.
    type Whole = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

    /// Feeds bytes in the given pieces.
    fn decode(pieces: &[&[u8]]) -> Result<Whole, &'static str> {
        let (mut decoder, mut buffer, mut data, mut trailers) = (Decoder::new(), BytesMut::new(), Vec::new(), None);
        let mut pieces = pieces.iter();
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(bytes) => data.extend_from_slice(&bytes),
                Decoded::Trailers(map) => trailers = Some(map),
                Decoded::End => return Ok((data, trailers, buffer.to_vec())),
                Decoded::More => buffer.extend_from_slice(pieces.next().ok_or("cut")?),
            }
        }
    }

    #[test]
    fn a_body_ends_where_it_says_and_leaves_the_rest() {
        let (data, trailers, rest) = decode(&[b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nHTTP"]).unwrap();
        assert_eq!((data.as_slice(), rest.as_slice()), (&b"hello world"[..], &b"HTTP"[..]));
        assert!(trailers.is_none());
        let (_, trailers, _) = decode(&[b"0\r\ngrpc-status: 0\r\n\r\n"]).unwrap();
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
    }

    #[test]
    fn a4_what_is_not_exactly_a_chunk_is_refused() {
        for bad in [
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5_0\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "11111111111111111\r\n",
            "\r\n",
            "5;\x01\r\nhello\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\nbad name: y\r\n\r\n",
        ] {
            assert!(decode(&[bad.as_bytes()]).is_err(), "{bad:?}");
        }
        for bare in ["5\rhello\r0\r\r", "5;x\ry", "0\r\r", "\r\r"] {
            let refused = decode(&[bare.as_bytes()]);
            assert!(refused.is_err_and(|why| why.contains("bare CR")), "{bare:?} waits for no LF");
        }
        assert_eq!(decode(&[b"0\r", b"\n\r", b"\n"]).map(|whole| whole.0), Ok(Vec::new()), "a LF may be on its way");
        let endless = format!("5;{}", "x".repeat(MAX_SIZE_LINE));
        assert!(decode(&[endless.as_bytes()]).is_err_and(|why| why.contains("too long")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
            cut in 1_usize..9,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                write_chunk_head(chunk.len(), &mut wire);
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            write_end(Some(&trailers), &mut wire);
            let pieces: Vec<&[u8]> = wire.chunks(cut).collect();
            let (data, read, rest) = decode(&pieces).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert_eq!(read, Some(trailers));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_loop(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&[&bytes]);
        }
    }
}
