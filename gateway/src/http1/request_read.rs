//! Request heads off the wire (RFC 9112, sections 2, 3, 5 and 6).
//!
//! What can be judged of the head as a whole (host, target, framing) is left to `context`, which judges requests of
//! whatever origin; here a head is refused that cannot be told from bytes to fields. What the fields say of the body is
//! in `request_framing.rs`, and in what words a head is refused in `request_refusal.rs`.

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, Method, Uri};

use super::lines::{Lines, all_end_with_cr};
use super::plain;
use super::request_framing::{Gathered, RequestRead};
use super::request_refusal::{
    BARE_LINE_FEED, ROUND_IT, Refusal, refusal_of, request_line, target_too_long, too_large, wrong_with,
};
use super::wire_names::WireNames;
use crate::request_parts::RequestParts;
use crate::request_target::{PathQuery, RequestTarget};

/// Fields for which there is room without asking the allocator.
const USUAL_FIELDS: usize = 128;

/// What a head may have.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Fields.
    pub fields: usize,
    /// Bytes of the target.
    pub target: usize,
    /// Bytes of all of it.
    pub bytes: usize,
    /// Names are remembered as they were written.
    pub keep_names: bool,
}

impl HeadLimits {
    /// So much is read of a head before it is refused for its size alone. It is more than a head may have: nearly all
    /// that are too large are judged as requests, so that their records tell more of them.
    fn head(&self) -> usize {
        self.target.saturating_add(self.bytes).saturating_add(ROUND_IT)
    }
}

/// Takes a head off the buffer, and puts it into these parts; `None` while it is not whole.
///
/// # Errors
/// Why it is none.
#[inline]
pub(super) fn take(
    buffer: &mut BytesMut,
    lines: &mut Lines,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    if buffer.is_empty() {
        return Ok(None);
    }
    if lines.is_untouched() {
        // RFC 9112, section 2.2: a line end left over from the request before is not held against a client.
        while buffer.starts_with(b"\r\n") {
            buffer.advance(2);
        }
        if **buffer == *b"\r" {
            // Its other half is on its way.
            return Ok(None);
        }
    }
    // Most heads come at once and alone; others are looked for line by line.
    if lines.is_untouched() && buffer.ends_with(b"\r\n\r\n") && buffer.len() <= limits.head() {
        return take_at_once(buffer, limits, parts);
    }
    take_whole(buffer, lines, limits, parts)
}

/// What is there is likely to be one head; what is behind its end is put back.
#[inline]
fn take_at_once(
    buffer: &mut BytesMut,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    // The buffer goes along: whoever needs the head no more gives it back.
    match parse(std::mem::take(buffer), limits, parts) {
        Ok((request, behind)) => {
            *buffer = behind;
            Ok(Some(request))
        }
        Err((refusal, bytes)) => Err(put_back(buffer, bytes, refusal)),
    }
}

/// What is no head may be the beginning of something else.
#[cold]
fn put_back(buffer: &mut BytesMut, head: Bytes, refusal: Box<Refusal>) -> Box<Refusal> {
    let behind = std::mem::replace(buffer, head.into());
    buffer.extend_from_slice(&behind);
    refusal
}

fn take_whole(
    buffer: &mut BytesMut,
    lines: &mut Lines,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<Option<RequestRead>, Box<Refusal>> {
    let first = lines.count() == 0;
    let found = lines.find_end(buffer).map_err(|_| Refusal::bad(BARE_LINE_FEED))?;
    let too_many = lines.count() > limits.fields + 1;
    if found.unwrap_or(buffer.len()) > limits.head() || too_many {
        return Err(too_large(buffer, limits, too_many));
    }
    let Some(length) = found else {
        // Once for each read of the first line: a head that drips in must not be parsed again for each of its bytes.
        return if first { check_beginning(buffer) } else { Ok(None) };
    };
    *lines = Lines::default();
    match parse(buffer.split_to(length), limits, parts) {
        Ok((request, _)) => Ok(Some(request)),
        Err((refusal, head)) => Err(put_back(buffer, head, refusal)),
    }
}

/// A head that is not whole yet may be seen to be none: whoever speaks another protocol is told at once.
#[cold]
fn check_beginning(buffer: &[u8]) -> Result<Option<RequestRead>, Box<Refusal>> {
    match httparse::Request::new(&mut []).parse(buffer) {
        // The fields are for later.
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(None),
        Err(error) => Err(refusal_of(error)),
    }
}

/// Parses the head that these bytes begin with, and hold whole; what is behind it as well.
#[inline]
fn parse(
    mut head: BytesMut,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<(RequestRead, BytesMut), (Box<Refusal>, Bytes)> {
    let mut gathered = Gathered::new();
    let plain = read_plain(&mut head, limits, &mut gathered);
    match plain.and_then(|(line, length)| Some((first_line_of(&head, &line)?, line.http_11, length))) {
        Some((line, http_11, length)) => {
            let behind = if length < head.len() { head.split_off(length) } else { BytesMut::new() };
            Ok((gathered.conclude(line, http_11, head.freeze(), parts), behind))
        }
        None => {
            gathered.give_up();
            let head = head.freeze();
            match parse_any(&head, limits, parts) {
                Ok((request, length)) => Ok((request, head[length..].into())),
                Err(refusal) => Err((refusal, head)),
            }
        }
    }
}

/// Reads a head as most are written; `None` where it is not, or wrong. Its first line, and the head's length. Names are
/// in small letters then, those that were read.
#[inline]
fn read_plain(head: &mut [u8], limits: &HeadLimits, gathered: &mut Gathered) -> Option<(plain::RequestLine, usize)> {
    if limits.keep_names {
        return None;
    }
    let line = plain::request_line(head)?;
    let mut at = line.end;
    while !plain::is_end(head, at) {
        let field = plain::field(head, at)?;
        if gathered.fields.len() == limits.fields {
            return None;
        }
        let known = field.small_name(head)?;
        gathered.note(head, (&field, known), line.http_11);
        at = field.next;
    }
    Some((line, at + 2))
}

/// Method and target of a first line that was found to be one.
#[inline]
fn first_line_of(head: &[u8], line: &plain::RequestLine) -> Option<(Method, RequestTarget)> {
    let method = Method::from_bytes(&head[..line.method_end]).ok()?;
    let target = line.method_end + 1..line.target_end;
    let target = match PathQuery::plain(&head[target.clone()]) {
        Some(plain) => plain.into(),
        None => Uri::try_from(&head[target]).ok()?.into(),
    };
    Some((method, target))
}

/// Parses any head, and says what is wrong with one.
#[cold]
fn parse_any(
    head: &Bytes,
    limits: &HeadLimits,
    parts: &mut RequestParts,
) -> Result<(RequestRead, usize), Box<Refusal>> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut many = Vec::new();
    let space = if limits.fields <= USUAL_FIELDS {
        &mut usual[..limits.fields]
    } else {
        many.resize_with(limits.fields, MaybeUninit::uninit);
        &mut many[..]
    };
    let mut parsed = httparse::Request::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, space) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(Refusal::bad("The request head is malformed.")),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large(head, limits, true)),
        Err(error) => {
            let mut refusal = refusal_of(error);
            refusal.line = request_line(head);
            return Err(refusal);
        }
    };
    if !all_end_with_cr(&head[..length]) {
        return Err(Refusal::bad(BARE_LINE_FEED));
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let http_11 = parsed.version == Some(1);
    let line = first_line(head, method, target, limits)?;
    let gathered = collect(http_11, parsed.headers)?;
    if limits.keep_names {
        parts.extensions.insert(wire_names(head, parsed.headers));
    }
    Ok((gathered.conclude(line, http_11, Bytes::new(), parts), length))
}

fn first_line(
    head: &Bytes,
    method: &str,
    target: &str,
    limits: &HeadLimits,
) -> Result<(Method, RequestTarget), Box<Refusal>> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::bad("The method is malformed."))?;
    // `Uri` would drop it in silence; RFC 9112, section 3.2, has none in a target.
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        let mut refusal = Refusal::bad("The request target has a fragment.");
        refusal.line = Uri::try_from(target).ok().map(|uri| (method, uri));
        return Err(refusal);
    }
    let range = place(head, target.as_bytes());
    let uri = Uri::from_maybe_shared(head.slice(range)).map_err(|_| {
        // No `Uri` is longer than 65,534 bytes, whatever is in it.
        if target.len() > limits.target { target_too_long() } else { Refusal::bad(wrong_with(target)) }
    })?;
    Ok((method, uri.into()))
}

/// Where a part of the head stands in it.
fn place(head: &Bytes, part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    if part.is_empty() || start > head.len() { 0..0 } else { start..start + part.len() }
}

fn collect(http_11: bool, fields: &[httparse::Header<'_>]) -> Result<Gathered, Box<Refusal>> {
    let mut gathered = Gathered::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Refusal::bad("A header field's name is malformed."))?;
        gathered
            .add(&name, field.value, http_11)
            .ok_or_else(|| Refusal::bad("A header field's value is malformed."))?;
    }
    Ok(gathered)
}

#[cold]
fn wire_names(head: &Bytes, fields: &[httparse::Header<'_>]) -> WireNames {
    WireNames::of(fields.iter().filter_map(|field| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        Some((name, head.slice(place(head, field.name.as_bytes()))))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { fields: 100, target: 8192, bytes: 32 * 1024, keep_names: false };

    /// A request, and what its head says of what follows.
    #[derive(Debug)]
    struct Whole {
        parts: RequestParts,
        read: RequestRead,
    }

    impl std::ops::Deref for Whole {
        type Target = RequestRead;
        fn deref(&self) -> &RequestRead {
            &self.read
        }
    }

    fn take(buffer: &mut BytesMut, lines: &mut Lines, limits: &HeadLimits) -> Result<Option<Whole>, Box<Refusal>> {
        let mut parts = RequestParts::default();
        Ok(super::take(buffer, lines, limits, &mut parts)?.map(|read| Whole { parts, read }))
    }

    fn read(text: &str) -> Result<Option<Whole>, Box<Refusal>> {
        take(&mut BytesMut::from(text), &mut Lines::default(), &LIMITS)
    }

    fn whole(text: &str) -> Whole {
        read(text).unwrap().expect("whole")
    }

    fn refused(text: &str) -> Box<Refusal> {
        match read(text) {
            Err(refusal) => refusal,
            Ok(head) => panic!("{text:?} was read as {head:?}"),
        }
    }

    #[test]
    fn a_head_is_taken_once_it_is_whole_and_leaves_what_follows() {
        let text =
            "POST /a?b HTTP/1.1\r\nHost: a\r\nX-A: one\r\nx-a: \tt w o \r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello";
        for step in 1..20 {
            let (mut buffer, mut lines) = (BytesMut::new(), Lines::default());
            let mut head = None;
            for piece in text.as_bytes().chunks(step) {
                buffer.extend_from_slice(piece);
                head = head.or(take(&mut buffer, &mut lines, &LIMITS).unwrap());
            }
            let head = head.unwrap();
            assert_eq!((&head.parts.method, head.parts.uri.to_string()), (&Method::POST, "/a?b".to_owned()));
            assert_eq!(head.parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["one", "t w o"]);
            assert_eq!(head.parts.headers.get("empty").unwrap(), "");
            assert_eq!((head.body.length_left(), head.keep_alive), (Some(5), true));
            assert_eq!(&buffer[..], b"hello");
        }
    }

    #[test]
    fn an_empty_line_before_a_request_may_come_in_pieces() {
        let (mut buffer, mut lines) = (BytesMut::new(), Lines::default());
        for byte in *b"\r\n\r\nGET / HTTP/1.1\r\n\r" {
            buffer.extend_from_slice(&[byte]);
            assert!(take(&mut buffer, &mut lines, &LIMITS).unwrap().is_none());
        }
        buffer.extend_from_slice(b"\n");
        assert!(take(&mut buffer, &mut lines, &LIMITS).unwrap().is_some());
        for bad in ["\rGET / HTTP/1.1\r\n\r\n", "\r\r", "\n"] {
            assert_eq!(refused(bad).error.code, Code::BadRequest, "{bad:?}");
        }
    }

    #[test]
    fn a5_a7_a12_what_is_not_exactly_a_head_is_refused() {
        for bad in [
            "GET / HTTP/1.1\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\0b\r\n\r\n",
            "GET / HTTP/1.1\r\nh\x01ost: ab\r\n\r\n",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
            "GET / HTTP/2.0\r\n",
            "GET /\r\n",
            "\x16\x03\x01",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            assert_eq!(refused(bad).error.code, Code::BadRequest, "{bad:?}");
        }
    }

    #[test]
    fn a7_a_byte_that_a_target_must_not_hold_is_named() {
        let refusal = refused("GET /a?q=\"x\" HTTP/1.1\r\nhost: a\r\n\r\n");
        let told = "The query holds `\"`, which is written %22.";
        assert_eq!((refusal.error.code, &*refusal.error.detail), (Code::BadRequest, told));
        assert_eq!(refused("GET http:/ HTTP/1.1\r\n\r\n").error.detail, "The request target is malformed.");
        assert_eq!(whole("GET /{a|b}^[\"?c=`{d|e}^[\\] HTTP/1.1\r\nhost: a\r\n\r\n").parts.uri.path(), "/{a|b}^[\"");
    }

    #[test]
    fn a1_to_a3_where_the_length_is_in_doubt_nothing_follows_on_the_connection() {
        for (fields, version) in [
            ("content-length: 4\r\ntransfer-encoding: chunked\r\n", 1),
            ("transfer-encoding: chunked\r\ncontent-length: 4\r\n", 1),
            ("content-length: 4\r\ncontent-length: 4\r\n", 1),
            ("content-length: 4, 4\r\n", 1),
            ("content-length: +4\r\n", 1),
            ("content-length: 99999999999999999999\r\n", 1),
            ("transfer-encoding: gzip, chunked\r\n", 1),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", 1),
            ("transfer-encoding: chunked\r\n", 0),
        ] {
            let head = whole(&format!("POST / HTTP/1.{version}\r\nconnection: keep-alive\r\n{fields}\r\n"));
            assert!(head.body.is_over() && !head.keep_alive, "{fields:?}");
        }
        assert!(!whole("POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n").body.is_over());
    }

    #[test]
    fn limits_are_named_and_the_first_line_is_kept_for_the_record() {
        let many = format!("GET /p HTTP/1.1\r\n{}", "x: y\r\n".repeat(LIMITS.fields + 1));
        let refusal = refused(&many);
        assert_eq!(refusal.error.code, Code::HeadersTooLarge);
        assert_eq!(refusal.line.unwrap().1, "/p");
        let long = format!("GET /{}", "a".repeat(LIMITS.head()));
        assert_eq!(refused(&long).error.code, Code::UriTooLong);
        // Whole, and longer than a `Uri` can be.
        let limits = HeadLimits { bytes: 256 * 1024, ..LIMITS };
        let whole = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
        let refusal = take(&mut BytesMut::from(&*whole), &mut Lines::default(), &limits).unwrap_err();
        assert_eq!(refusal.error.code, Code::UriTooLong);
        let large = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(LIMITS.head()));
        assert_eq!(refused(&large).error.code, Code::HeadersTooLarge);
    }

    #[test]
    fn a_connection_is_kept_as_rfc_9112_says() {
        let keep = |text: &str| whole(text).keep_alive;
        assert!(keep("GET / HTTP/1.1\r\n\r\n") && !keep("GET / HTTP/1.0\r\n\r\n"));
        assert!(!keep("GET / HTTP/1.1\r\nconnection: x, Close\r\n\r\n"));
        assert!(keep("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n"));
        assert!(keep("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), "line ends before a request are skipped");
    }

    /// What a head is read as by the plain way, and by the one that takes any.
    fn read_twice(text: &[u8], limits: &HeadLimits) -> (Option<String>, Option<String>) {
        let mut head = BytesMut::from(text);
        let mut gathered = Gathered::new();
        let plain = read_plain(&mut head, limits, &mut gathered);
        let head = head.freeze();
        let (mut parts, mut others) = (RequestParts::default(), RequestParts::default());
        let plain = plain.and_then(|(line, length)| {
            let first = first_line_of(&head, &line)?;
            Some((gathered.conclude(first, line.http_11, head.clone(), &mut parts), length))
        });
        let any = parse_any(&Bytes::copy_from_slice(text), limits, &mut others).ok();
        (plain.map(|read| format!("{read:?} {parts:?}")), any.map(|read| format!("{read:?} {others:?}")))
    }

    #[test]
    fn a_head_as_clients_write_it_is_read_in_the_plain_way() {
        let limits = HeadLimits { fields: 4, ..LIMITS };
        for (text, is_plain) in [
            ("GET /a/b?c=d%20 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1 (y; z)\r\nAccept: */*\r\n\r\n", true),
            ("POST http://a/b HTTP/1.0\r\nx-a:\t b\tc \r\nempty:\r\n\r\nbehind", true),
            ("OPTIONS * HTTP/1.1\r\nx-of-many-letters-and-more: \u{e9}\r\n\r\n", true),
            ("GET / HTTP/1.1\r\n\r\n", true),
            ("GET / HTTP/1.1\r\na: 1\r\na: 2\r\na: 3\r\na: 4\r\n\r\n", true),
            ("GET / HTTP/1.1\r\na: 1\r\na: 2\r\na: 3\r\na: 4\r\na: 5\r\n\r\n", false),
            ("GET /\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n", false),
        ] {
            let (plain, any) = read_twice(text.as_bytes(), &limits);
            assert_eq!(plain.is_some(), is_plain, "{text:?}");
            assert!(!is_plain || plain == any, "{text:?}");
        }
        assert!(read_twice(b"GET / HTTP/1.1\r\n\r\n", &HeadLimits { keep_names: true, ..limits }).0.is_none());
    }

    proptest! {
        #[test]
        fn what_is_read_in_the_plain_way_is_read_alike_in_the_other(
            pieces in proptest::collection::vec(plain::piece(), 0..24), bent in any::<(u16, u8)>(),
        ) {
            for first in ["GET /a?b HTTP/1.1\r\n", "PUT http://a:8/b HTTP/1.0\r\n", "GET /a#b HTTP/1.1\r\n", "G / "] {
                let mut text = [first.as_bytes(), &pieces.concat()].concat();
                for bend in [false, true] {
                    if bend && !text.is_empty() {
                        let at = usize::from(bent.0) % text.len();
                        text[at] = bent.1;
                    }
                    let (plain, any) = read_twice(&text, &LIMITS);
                    if plain.is_some() {
                        prop_assert_eq!(plain, any);
                    }
                }
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..50) {
            let start: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n";
            for text in [bytes.clone(), [start, &bytes].concat()] {
                let (mut buffer, mut lines) = (BytesMut::new(), Lines::default());
                for piece in text.chunks(step) {
                    buffer.extend_from_slice(piece);
                    if take(&mut buffer, &mut lines, &LIMITS).is_err() {
                        break;
                    }
                }
            }
        }
    }
}
