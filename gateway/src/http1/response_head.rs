//! Response heads off the wire (RFC 9112, sections 4 to 6).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Fields that an answer may have.
pub const MAX_FIELDS: usize = 128;
/// Bytes that an answer's head may have.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What comes after a response's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// Whatever comes until the connection closes.
    UntilClose,
}

/// A response's head.
#[derive(Debug)]
pub(super) struct ResponseHead {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    /// The connection may carry another exchange after this one.
    pub(super) keep_alive: bool,
}

/// Takes a head off the buffer; `None` while it is not whole.
///
/// # Errors
/// The rule that it breaks.
pub(super) fn take(buffer: &mut BytesMut, request: &Method) -> Result<Option<ResponseHead>, &'static str> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let parse = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields);
    let length = match parse {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() > MAX_HEAD_BYTES => return Err("the head is too large"),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("the head has too many fields"),
        Err(_) => return Err("the head is not valid HTTP/1.1"),
    };
    if length > MAX_HEAD_BYTES {
        return Err("the head is too large");
    }
    if has_bare_line_feed(&buffer[..length]) {
        return Err("a line of the head ends without CR");
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("the status is not valid")?;
    let http_11 = parsed.version == Some(1);
    let places = places(parsed.headers, buffer.as_ptr() as usize)?;
    let bytes = buffer.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(places.len() + 2);
    let mut seen = Seen::default();
    for Place { name, value } in places {
        seen.see(&name, &bytes[value.clone()])?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(value)).map_err(|_| "a field's value is not valid")?;
        headers.append(name, value);
    }
    let body = seen.body(status, request)?;
    let keep_alive = body != Body::UntilClose && !seen.close && (http_11 || seen.keep_alive);
    Ok(Some(ResponseHead { status, headers, body, keep_alive }))
}

/// Where each field stands, so that the values can share the buffer once it is frozen.
fn places(fields: &[httparse::Header<'_>], base: usize) -> Result<smallvec::SmallVec<[Place; 16]>, &'static str> {
    let place = |field: &httparse::Header<'_>| {
        let start = field.value.as_ptr() as usize - base;
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a field's name is not valid")?;
        Ok(Place { name, value: start..start + field.value.len() })
    };
    fields.iter().map(place).collect()
}

/// A field's name, and where its value stands in the head.
struct Place {
    name: HeaderName,
    value: std::ops::Range<usize>,
}

fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// What the fields say of the body and the connection.
#[derive(Default)]
struct Seen {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Seen {
    fn see(&mut self, name: &HeaderName, value: &[u8]) -> Result<(), &'static str> {
        const CONTENT_LENGTH: HeaderName = header::CONTENT_LENGTH;
        const TRANSFER_ENCODING: HeaderName = header::TRANSFER_ENCODING;
        const CONNECTION: HeaderName = header::CONNECTION;
        match *name {
            CONTENT_LENGTH if self.length.is_some() => return Err("content-length is repeated"),
            CONTENT_LENGTH => self.length = Some(decimal(value).ok_or("content-length is not a number")?),
            TRANSFER_ENCODING if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err("transfer-encoding is not exactly chunked");
            }
            TRANSFER_ENCODING => self.chunked = true,
            // RFC 9112, section 9.3
            CONNECTION => {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112, section 6.3; where two ways of reading exist, neither is taken.
    fn body(&self, status: StatusCode, request: &Method) -> Result<Body, &'static str> {
        if self.chunked && self.length.is_some() {
            return Err("content-length and transfer-encoding are both there");
        }
        let bodiless =
            status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        Ok(match self.length {
            _ if bodiless || *request == Method::HEAD => Body::None,
            Some(0) => Body::None,
            Some(length) => Body::Length(length),
            None if self.chunked => Body::Chunked,
            None => Body::UntilClose,
        })
    }
}

/// A number of digits alone.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<ResponseHead>, &'static str> {
        take(&mut BytesMut::from(text), &Method::GET)
    }

    fn body(fields: &str, request: &Method, status: u16) -> Result<Body, &'static str> {
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        take(&mut BytesMut::from(&*text), request).map(|head| head.expect("whole").body)
    }

    #[test]
    fn a_head_is_taken_once_it_is_whole_and_leaves_the_body() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: one\r\nx-a: two\r\n\r\nhello";
        for cut in 0..text.len() - "hello".len() {
            assert!(parse(&text[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let mut buffer = BytesMut::from(text);
        let head = take(&mut buffer, &Method::GET).unwrap().unwrap();
        assert_eq!((head.status.as_u16(), head.body, head.keep_alive), (200, Body::Length(5), true));
        assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(&buffer[..], b"hello");
    }

    #[test]
    fn a14_a_head_that_can_be_read_in_two_ways_is_refused() {
        for bad in [
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "garbage\r\n\r\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a14_a_head_beyond_its_limits_is_refused() {
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS + 1));
        assert!(parse(&many).is_err());
        let allowed = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(MAX_FIELDS));
        assert!(parse(&allowed).unwrap().is_some());
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD_BYTES));
        assert!(parse(&endless).is_err());
    }

    #[test]
    fn what_follows_the_head_is_as_rfc_9112_says() {
        assert_eq!(body("content-length: 7\r\n", &Method::GET, 200), Ok(Body::Length(7)));
        assert_eq!(body("content-length: 7\r\n", &Method::HEAD, 200), Ok(Body::None));
        assert_eq!(body("content-length: 7\r\n", &Method::GET, 304), Ok(Body::None));
        assert_eq!(body("transfer-encoding: Chunked\r\n", &Method::GET, 200), Ok(Body::Chunked));
        assert_eq!(body("transfer-encoding: chunked\r\n", &Method::GET, 204), Ok(Body::None));
        assert_eq!(body("", &Method::GET, 200), Ok(Body::UntilClose));
    }

    #[test]
    fn a_connection_is_kept_unless_the_answer_says_otherwise() {
        let keep = |text: &str| parse(text).unwrap().unwrap().keep_alive;
        assert!(keep("HTTP/1.1 204 OK\r\n\r\n"));
        assert!(!keep("HTTP/1.1 204 OK\r\nConnection: Close\r\n\r\n"));
        assert!(!keep("HTTP/1.1 204 OK\r\nConnection: x, close\r\n\r\n"));
        assert!(!keep("HTTP/1.0 204 OK\r\n\r\n"));
        assert!(keep("HTTP/1.0 204 OK\r\nConnection: keep-alive\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\n\r\n"), "a body until close ends the connection");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            buffer.extend_from_slice(&bytes);
            let _ = take(&mut buffer, &Method::GET);
            let _ = take(&mut BytesMut::from(&bytes[..]), &Method::GET);
        }
    }
}
