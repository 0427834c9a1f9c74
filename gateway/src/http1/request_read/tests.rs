//! Heads as they come, whole and in pieces, right and wrong.

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
    let text = "POST /a?b HTTP/1.1\r\nHost: a\r\nX-A: one\r\nx-a: \tt w o \r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello";
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
