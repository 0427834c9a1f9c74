//! Response heads off the wire (RFC 9112, sections 4 to 6).

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{Method, StatusCode};

use super::fields::{Fields, Known, MAX_BLOCK};
use super::lines::{Lines, all_end_with_cr};
use super::request_framing::decimal;
use super::{plain, spare};

/// Fields that an answer may have.
pub const MAX_FIELDS: usize = 128;
/// Bytes that an answer's head may have.
pub const MAX_HEAD_BYTES: usize = MAX_BLOCK;

/// What comes after a response's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
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
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The fields; boxed, since they are handed on a few times.
    pub fields: Box<Fields>,
}

/// A head, and what it says of what follows.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// The connection may carry another exchange after this one.
    pub(super) keep_alive: bool,
}

/// Takes a head off the buffer; `None` while it is not whole.
///
/// # Errors
/// The rule that it breaks.
#[inline]
pub(super) fn take(buffer: &mut BytesMut, lines: &mut Lines, request: &Method) -> Result<Option<Taken>, &'static str> {
    // `httparse` skips line ends before a head; an answer has none. Looked at first: what is skipped has no bound.
    if !buffer.starts_with(BEGINNING) {
        return beginning(buffer);
    }
    // Most heads come at once, and are parsed at once. One that drips in is parsed again when its end has come, not for
    // each of its bytes.
    let first = lines.is_untouched();
    let whole = lines_end(buffer, lines, first)?;
    if !first && whole.is_none() {
        return Ok(None);
    }
    match parse(buffer, request)? {
        Some((mut taken, length)) => {
            *lines = Lines::default();
            taken.head.fields.set_block(buffer.split_to(length).freeze());
            Ok(Some(taken))
        }
        // Nothing is waited for behind the end that was found: how much might come has no bound.
        None if whole.is_some() => Err("the head is not valid HTTP/1.1"),
        None => {
            lines_end(buffer, lines, false)?;
            Ok(None)
        }
    }
}

/// What every answer begins with.
const BEGINNING: &[u8] = b"HTTP/";

/// What is said of one that begins otherwise, and with nothing that is known.
pub(super) const NOT_HTTP: &str = "the head does not begin with HTTP/";

/// What is not even that may become it.
#[cold]
fn beginning(buffer: &[u8]) -> Result<Option<Taken>, &'static str> {
    match buffer {
        _ if BEGINNING.starts_with(buffer) => Ok(None),
        // The head of a frame of settings (RFC 9113, section 6.5): with these a server begins.
        [0, _, _, 4, 0, 0, 0, 0, 0, ..] => Err("it speaks HTTP/2: `protocol = \"http2\"` of the upstream says so"),
        // A record of TLS, an alert or a handshake (RFC 8446, section 5.1): what it says to who speaks in the clear.
        [0x15 | 0x16, 3, ..] => Err("it speaks TLS: `tls = {}` of the upstream, or https:// in its URL, says so"),
        // RFC 4253, section 4.2
        [b'S', b'S', b'H', b'-', ..] => Err("it speaks SSH: is this the right port?"),
        _ => Err(NOT_HTTP),
    }
}

/// Looks for the head's end, unless it is to be parsed anyway.
#[inline]
fn lines_end(buffer: &[u8], lines: &mut Lines, first: bool) -> Result<Option<usize>, &'static str> {
    if first {
        return Ok(None);
    }
    let found = lines.find_end(buffer).map_err(|_| "a line of the head ends without CR")?;
    if found.unwrap_or(buffer.len()) > MAX_HEAD_BYTES { Err("the head is too large") } else { Ok(found) }
}

/// Reads the head that the buffer begins with; `None` while it is not whole.
#[inline]
fn parse(buffer: &[u8], request: &Method) -> Result<Option<(Taken, usize)>, &'static str> {
    let mut fields = spare::fields();
    match read_plain(buffer, &mut fields) {
        Some(read) => conclude(read, fields, request).map(Some),
        None => {
            fields.clear();
            parse_any(buffer, fields, request)
        }
    }
}

/// What a head says but for its fields.
struct Read {
    status: u16,
    http_11: bool,
    seen: Seen,
    length: usize,
}

/// Reads a head as most are written; `None` where it is not, or not whole, or wrong.
#[inline]
fn read_plain(buffer: &[u8], fields: &mut Fields) -> Option<Read> {
    let (status, http_11, mut at) = plain::status_line(buffer)?;
    let (mut seen, mut count) = (Seen::default(), 0);
    while !plain::is_end(buffer, at) {
        let field = plain::field(buffer, at)?;
        count += 1;
        if count > MAX_FIELDS || field.next > MAX_HEAD_BYTES - 2 {
            return None;
        }
        let known = field.known(buffer)?;
        fields.note_known(known, (at, field.name_len()), (field.value, field.value_end - field.value));
        seen.see(known, &buffer[field.value..field.value_end]).ok()?;
        at = field.next;
    }
    Some(Read { status, http_11, seen, length: at + 2 })
}

/// Reads any head, and says what is wrong with one.
#[cold]
fn parse_any(buffer: &[u8], mut fields: Box<Fields>, request: &Method) -> Result<Option<(Taken, usize)>, &'static str> {
    let mut space = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut space) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            spare::keep_fields(fields);
            return Ok(None);
        }
        Err(httparse::Error::TooManyHeaders) => return Err("the head has too many fields"),
        Err(_) => return Err("the head is not valid HTTP/1.1"),
    };
    if length > MAX_HEAD_BYTES {
        return Err("the head is too large");
    }
    if !all_end_with_cr(&buffer[..length]) {
        return Err("a line of the head ends without CR");
    }
    let status = parsed.code.unwrap_or_default();
    if StatusCode::from_u16(status).is_err() {
        return Err(BAD_STATUS);
    }
    let base = buffer.as_ptr() as usize;
    let mut seen = Seen::default();
    for field in parsed.headers.iter() {
        let name_at = field.name.as_ptr() as usize - base;
        let value_at = if field.value.is_empty() { name_at } else { field.value.as_ptr() as usize - base };
        let known = fields.note(name_at, field.name.as_bytes(), value_at, field.value.len());
        seen.see(known, field.value)?;
    }
    conclude(Read { status, http_11: parsed.version == Some(1), seen, length }, fields, request).map(Some)
}

const BAD_STATUS: &str = "the status is not valid";

/// What the head as a whole comes to, and its length.
#[inline]
fn conclude(read: Read, fields: Box<Fields>, request: &Method) -> Result<(Taken, usize), &'static str> {
    let Read { status, http_11, seen, length } = read;
    let status = StatusCode::from_u16(status).map_err(|_| BAD_STATUS)?;
    // RFC 9112, section 6.1: who speaks HTTP/1.0 knows no chunks, and what it passes on may be read otherwise.
    if seen.chunked && !http_11 {
        return Err("transfer-encoding in HTTP/1.0");
    }
    let framing = seen.body(status, request)?;
    // Whatever comes behind the head of a 205 is none of it (RFC 9110, section 15.3.6), and is not read.
    let is_reset = status == StatusCode::RESET_CONTENT && framing != Body::None;
    let body = if is_reset { Body::None } else { framing };
    let lasts = framing != Body::UntilClose && !is_reset;
    let keep_alive = lasts && !seen.close && (http_11 || seen.keep_alive);
    Ok((Taken { head: ResponseHead { status, fields }, body, keep_alive }, length))
}

/// What the fields say of the body and the connection.
#[derive(Default)]
pub(super) struct Seen {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Seen {
    /// Looks at one field.
    ///
    /// # Errors
    /// The rule that it breaks.
    #[inline]
    pub(super) fn see(&mut self, known: Known, value: &[u8]) -> Result<(), &'static str> {
        match known {
            Known::ContentLength if self.length.is_some() => return Err("content-length is repeated"),
            Known::ContentLength => self.length = Some(decimal(value).ok_or("content-length is not a number")?),
            Known::TransferEncoding if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err("transfer-encoding is not exactly chunked");
            }
            Known::TransferEncoding => self.chunked = true,
            // RFC 9112, section 9.3
            Known::Connection => {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            Known::Date | Known::Other => {}
        }
        Ok(())
    }

    /// RFC 9112, section 6.3; where two ways of reading exist, neither is taken.
    pub(super) fn body(&self, status: StatusCode, request: &Method) -> Result<Body, &'static str> {
        if self.chunked && self.length.is_some() {
            return Err("content-length and transfer-encoding are both there");
        }
        let bodiless =
            status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        Ok(match self.length {
            _ if bodiless || *request == Method::HEAD => Body::None,
            Some(0) => Body::None,
            Some(_) if status == StatusCode::RESET_CONTENT => return Err("a 205 has content"),
            Some(length) => Body::Length(length),
            None if self.chunked => Body::Chunked,
            None => Body::UntilClose,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<Taken>, &'static str> {
        take(&mut BytesMut::from(text), &mut Lines::default(), &Method::GET)
    }

    fn body(fields: &str, request: &Method, status: u16) -> Result<Body, &'static str> {
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        take(&mut BytesMut::from(&*text), &mut Lines::default(), request).map(|head| head.expect("whole").body)
    }

    #[test]
    fn a_head_is_taken_once_it_is_whole_and_leaves_the_body() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: one\r\nx-a: two\r\n\r\nhello";
        for cut in 0..text.len() - "hello".len() {
            assert!(parse(&text[..cut]).unwrap().is_none(), "cut at {cut}");
        }
        let mut buffer = BytesMut::from(text);
        let head = take(&mut buffer, &mut Lines::default(), &Method::GET).unwrap().unwrap();
        assert_eq!((head.head.status.as_u16(), head.body, head.keep_alive), (200, Body::Length(5), true));
        let fields: Vec<_> = head.head.fields.iter().collect();
        assert_eq!(fields, [(&b"Content-Length"[..], &b"5"[..]), (b"X-A", b"one"), (b"x-a", b"two")]);
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
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
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
    fn a14_an_answer_begins_with_its_first_byte() {
        for bad in ["\r\n", "\r", "\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n", "HTTQ", "h", "\0"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        for begun in ["", "H", "HTTP", "HTTP/"] {
            assert!(parse(begun).unwrap().is_none(), "{begun:?}");
        }
        let (mut buffer, mut lines) = (BytesMut::new(), Lines::default());
        for byte in *b"HTTP/1.1 204 X\r\na: b\r\n\r\n" {
            buffer.extend_from_slice(&[byte]);
            let taken = take(&mut buffer, &mut lines, &Method::GET).unwrap();
            assert_eq!(taken.is_some(), buffer.is_empty());
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_upstream_that_speaks_http_2_is_called_by_its_name() {
        let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
        let said = |bytes: &[u8]| take(&mut BytesMut::from(bytes), &mut Lines::default(), &Method::GET).unwrap_err();
        assert!(said(settings).contains("protocol = \"http2\""));
        for other in [&settings[..8], b"\0\0\x06\x04\0\0\0\0\x01", b"\0\0\x08\x06\0\0\0\0\0"] {
            assert_eq!(said(other), NOT_HTTP);
        }
    }

    #[test]
    fn an_upstream_that_speaks_tls_or_ssh_is_called_by_its_name() {
        let said = |bytes: &[u8]| take(&mut BytesMut::from(bytes), &mut Lines::default(), &Method::GET).unwrap_err();
        assert!(said(b"\x15\x03\x01\x00\x02\x02\x46").starts_with("it speaks TLS"));
        assert!(said(b"\x16\x03\x03\x00").starts_with("it speaks TLS"));
        assert!(said(b"SSH-2.0-OpenSSH_9.6\r\n").starts_with("it speaks SSH"));
        assert_eq!(said(b"\x15\x04"), NOT_HTTP);
        assert_eq!(said(b"SMTP"), NOT_HTTP);
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

    /// What a head is read as by the plain way, and by the one that takes any.
    fn read_twice(text: &[u8]) -> (Option<String>, Option<String>) {
        let shown = |(mut taken, length): (Taken, usize)| {
            taken.head.fields.set_block(text.to_vec().into());
            let fields: Vec<_> =
                taken.head.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            (taken.head.status, taken.body, taken.keep_alive, length, fields)
        };
        let mut fields = Fields::default();
        let plain = read_plain(text, &mut fields).map(|read| conclude(read, Box::new(fields), &Method::GET).map(shown));
        let any = parse_any(text, Box::default(), &Method::GET).transpose().map(|read| read.map(shown));
        (plain.map(|read| format!("{read:?}")), any.map(|read| format!("{read:?}")))
    }

    #[test]
    fn a_head_as_servers_write_it_is_read_in_the_plain_way() {
        for text in [
            "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.0 404 Not Found\r\nx-a:\t b\tc \r\ncontent-type: text/html\r\nempty:\r\nTransfer-Encoding: x\r\n\r\n",
            "HTTP/1.1 204\r\n\r\n",
            "HTTP/1.1 200 \r\nconnection: close\r\n\r\n",
        ] {
            let is_refused = text.contains("Transfer-Encoding: x");
            let (plain, any) = read_twice(text.as_bytes());
            assert_eq!(plain.is_some(), !is_refused, "{text:?}");
            assert_eq!(plain.is_some().then_some(any), plain.map(Some), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_in_the_plain_way_is_read_alike_in_the_other(
            pieces in proptest::collection::vec(plain::piece(), 0..24), bent in any::<(u16, u8)>(),
        ) {
            for first in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 500 \r\n", "HTTP/1.1 99\r\n", ""] {
                let mut text = [first.as_bytes(), &pieces.concat()].concat();
                for bend in [false, true] {
                    if bend && !text.is_empty() {
                        let at = usize::from(bent.0) % text.len();
                        text[at] = bent.1;
                    }
                    let (plain, any) = read_twice(&text);
                    if plain.is_some() {
                        prop_assert_eq!(plain, any);
                    }
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
            buffer.extend_from_slice(&bytes);
            let _ = take(&mut buffer, &mut Lines::default(), &Method::GET);
            let _ = take(&mut BytesMut::from(&bytes[..]), &mut Lines::default(), &Method::GET);
        }
    }
}
