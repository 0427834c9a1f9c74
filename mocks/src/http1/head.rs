//! A request's head: parsed by `httparse`, then held to RFC 9112 where that is laxer.
//!
//! The mock is the judge of what a gateway sends, so it refuses what it could read in two ways: `content-length` beside
//! `transfer-encoding`, lengths that differ, a bare LF, a missing or repeated `host`. It never panics, whatever
//! arrives.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

/// The longest head that is read, in bytes; 431 beyond. Twice what the gateway allows by default.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The most header lines that are read; 431 beyond.
pub(crate) const MAX_HEADERS: usize = 128;

/// How a gateway's own health checks name themselves.
const HEALTH_CHECK: &[u8] = b"portcullis-health";

/// Room for a head's lines.
pub(crate) type Storage<'b> = [MaybeUninit<Header<'b>>; MAX_HEADERS];

/// Empty room for a head's lines.
#[inline]
pub(crate) fn storage<'b>() -> Storage<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// What the first bytes of a connection are.
#[derive(Debug)]
pub(crate) enum Parsed<'h, 'b> {
    /// The head is not whole.
    Partial,
    /// A head.
    Head(Head<'h, 'b>),
    /// No request that can be served: the status, and why.
    Bad(u16, &'static str),
}

/// A request's head, as received.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    pub method: &'b str,
    pub target: &'b str,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
    pub headers: &'h [Header<'b>],
    /// The head's bytes, with the empty line.
    pub len: usize,
}

/// How a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Empty,
    Length(u64),
    Chunked,
}

/// What the server itself needs to know of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub framing: Framing,
    /// The client expects `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The connection may serve another request afterwards.
    pub keep_alive: bool,
    /// As in the head; 2 for HTTP/2.
    pub minor: u8,
    pub is_head: bool,
    /// The trace id of a valid `traceparent`; 0 = none.
    pub trace_id: u128,
    /// Lines with `x-mock-fault` are there.
    pub asks_fault: bool,
    /// Lines with `x-mock-show` are there.
    pub shows: bool,
    /// The line that holds `x-request-id`.
    pub request_id: Option<usize>,
    /// A gateway's own health check, by its `user-agent`.
    pub health_check: bool,
    /// The head's bytes, with the empty line.
    pub head_len: usize,
}

/// Parses the head at the start of `bytes`.
#[inline]
pub(crate) fn parse<'h, 'b>(bytes: &'b [u8], storage: &'h mut Storage<'b>) -> Parsed<'h, 'b> {
    let mut request = httparse::Request::new(&mut []);
    let parsed = ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, storage);
    let len = match parsed {
        Ok(Status::Complete(len)) if len <= MAX_HEAD => len,
        Ok(Status::Complete(_)) => return Parsed::Bad(431, "the head is too large"),
        Ok(Status::Partial) if bytes.len() >= MAX_HEAD => return Parsed::Bad(431, "the head is too large"),
        Ok(Status::Partial) => return Parsed::Partial,
        Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431, "too many header lines"),
        Err(httparse::Error::Version) => return Parsed::Bad(505, "only HTTP/1.1 and HTTP/1.0 are served"),
        Err(_) => return Parsed::Bad(400, "the head is malformed"),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Parsed::Bad(400, "the request line is incomplete");
    };
    if has_bare_lf(&bytes[..len]) {
        return Parsed::Bad(400, "a line ends without CR");
    }
    Parsed::Head(Head { method, target, minor, headers: request.headers, len })
}

fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

impl<'b> Head<'_, 'b> {
    /// The target's path and its query, the latter without the question mark.
    #[inline]
    pub(crate) fn path_and_query(&self) -> (&'b str, Option<&'b str>) {
        match memchr::memchr(b'?', self.target.as_bytes()) {
            Some(at) => (&self.target[..at], Some(&self.target[at + 1..])),
            None => (self.target, None),
        }
    }

    /// Values of the lines with this name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// What the server needs to know, in one pass over the lines; the error is a 400's reason.
    #[inline]
    pub(crate) fn facts(&self) -> Result<Facts, &'static str> {
        let mut scan = Scan::default();
        for (index, header) in self.headers.iter().enumerate() {
            // The length tells most names apart at the cost of one comparison.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => scan.hosts += 1,
                6 if header.name.eq_ignore_ascii_case("expect") => scan.expect(header.value)?,
                10 if header.name.eq_ignore_ascii_case("connection") => scan.connection(header.value),
                10 if header.name.eq_ignore_ascii_case("user-agent") => {
                    scan.health_check = header.value == HEALTH_CHECK;
                }
                11 if header.name.eq_ignore_ascii_case("traceparent") => scan.trace(header.value),
                11 if header.name.eq_ignore_ascii_case("x-mock-show") => scan.shows = true,
                12 if header.name.eq_ignore_ascii_case("x-request-id") => scan.request_id = Some(index),
                12 if header.name.eq_ignore_ascii_case("x-mock-fault") => scan.asks_fault = true,
                14 if header.name.eq_ignore_ascii_case("content-length") => scan.length(header.value)?,
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => scan.encoding(header.value)?,
                _ => {}
            }
        }
        scan.end(self)
    }
}

#[derive(Default)]
struct Scan {
    hosts: u32,
    length: Option<u64>,
    chunked: bool,
    expects: bool,
    close: bool,
    keep_alive: bool,
    trace_id: u128,
    asks_fault: bool,
    shows: bool,
    request_id: Option<usize>,
    health_check: bool,
}

impl Scan {
    fn length(&mut self, value: &[u8]) -> Result<(), &'static str> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse::<u64>().ok());
        match (number, self.length) {
            (None, _) => Err("content-length is no number"),
            (Some(_), Some(_)) => Err("content-length is there twice"),
            (Some(number), None) => {
                self.length = Some(number);
                Ok(())
            }
        }
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err("transfer-encoding is not `chunked`");
        }
        self.chunked = true;
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), &'static str> {
        self.expects = value.eq_ignore_ascii_case(b"100-continue");
        if self.expects { Ok(()) } else { Err("the expectation is not `100-continue`") }
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// W3C trace context: `00-` 32 hex `-` 16 hex `-` 2 hex; later versions may be longer.
    fn trace(&mut self, value: &[u8]) {
        let id = value.get(3..35).and_then(|id| std::str::from_utf8(id).ok());
        let shaped = value.len() >= 55 && [2, 35, 52].iter().all(|at| value[*at] == b'-');
        let hex = id.filter(|id| shaped && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        self.trace_id = hex.and_then(|id| u128::from_str_radix(id, 16).ok()).unwrap_or(0);
    }

    fn end(self, head: &Head<'_, '_>) -> Result<Facts, &'static str> {
        if self.hosts > 1 || (self.hosts == 0 && head.minor == 1) {
            return Err("exactly one host header is needed");
        }
        let framing = match (self.chunked, self.length) {
            (true, Some(_)) => return Err("both content-length and transfer-encoding are there"),
            (true, None) if head.minor == 0 => return Err("transfer-encoding is not of HTTP/1.0"),
            (true, None) => Framing::Chunked,
            (false, None | Some(0)) => Framing::Empty,
            (false, Some(length)) => Framing::Length(length),
        };
        Ok(Facts {
            framing,
            expects_continue: self.expects && head.minor == 1,
            keep_alive: if head.minor == 0 { self.keep_alive && !self.close } else { !self.close },
            minor: head.minor,
            is_head: head.method == "HEAD",
            trace_id: self.trace_id,
            asks_fault: self.asks_fault,
            shows: self.shows,
            request_id: self.request_id,
            health_check: self.health_check,
            head_len: head.len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(bytes: &[u8]) -> Result<Facts, String> {
        let mut storage = storage();
        match parse(bytes, &mut storage) {
            Parsed::Head(head) => head.facts().map_err(str::to_owned),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn framing_and_persistence() {
        let plain = facts(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(plain.framing == Framing::Empty && plain.keep_alive);
        let sized = facts(b"PUT / HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\nconnection: x, Close\r\n\r\n").unwrap();
        assert!(sized.framing == Framing::Length(5) && !sized.keep_alive);
        let old = facts(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert!(old.keep_alive && old.minor == 0);
        assert!(!facts(b"GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        let chunked = facts(b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n").unwrap();
        assert_eq!(chunked.framing, Framing::Chunked);
    }

    #[test]
    fn a_trace_id_is_kept_when_it_is_one() {
        let with = |trace: &str| facts(format!("GET / HTTP/1.1\r\nhost: a\r\ntraceparent: {trace}\r\n\r\n").as_bytes());
        let id = with("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap().trace_id;
        assert_eq!(format!("{id:032x}"), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(with("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01").unwrap().trace_id, 0);
        assert_eq!(with("00-0af7").unwrap().trace_id, 0);
    }

    #[test]
    fn a_health_check_is_told_by_its_name() {
        let by = |agent: &str| facts(format!("GET / HTTP/1.1\r\nhost: a\r\nUser-Agent: {agent}\r\n\r\n").as_bytes());
        assert!(by("portcullis-health").unwrap().health_check);
        assert!(!by("portcullis-healthy").unwrap().health_check);
    }

    #[test]
    fn a_head_beyond_the_bound_is_refused_whole_or_not() {
        let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        for bytes in [long.as_bytes(), &long.as_bytes()[..MAX_HEAD]] {
            assert!(matches!(parse(bytes, &mut storage()), Parsed::Bad(431, _)));
        }
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\n\n",
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\n\r\n",
            "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
            "GET /\r\n\r\n",
        ] {
            assert!(facts(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = facts(&bytes);
        }

        #[test]
        fn bytes_that_look_like_http_never_panic(lines in "(GET|PUT) [!-~]{1,20} HTTP/1\\.[0-2]\r\n(Host: a\r\n|content-length: [0-9+]{0,25}\r\n|traceparent: [0-9a-f-]{0,60}\r\n|[ -~\r\n]{0,20}){0,6}\r\n\r\n") {
            let _ = facts(lines.as_bytes());
        }
    }
}
