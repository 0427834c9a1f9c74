//! One client of the gateway: a request on a connection, and its answer to the last byte.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use loadgen::request::header;
use loadgen::response::{Progress, ResponseReader, finer_wait_ns};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use turmoil::net::TcpStream;

use super::journal::now_ns;
use super::network::Dial;
use crate::scenario::model::RequestPart;

/// A connection that may be used again.
#[derive(Debug)]
pub(super) struct Idle {
    stream: TcpStream,
    /// When its last answer was whole.
    pub since_ns: u64,
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Got {
    pub sent_ns: Option<u64>,
    pub head_ns: Option<u64>,
    pub status: Option<u16>,
    /// `x-request-id` of the answer.
    pub request_id: Option<String>,
    /// `retry-after` in seconds, or `retry_after_ms` of a problem document.
    pub retry_after_ns: Option<u64>,
    pub body_bytes: u64,
    /// The answer is whole.
    pub whole: bool,
    /// It came on a connection that was used before, and that closed before it said a byte.
    pub stale: bool,
    /// Bytes came after the end of the answer.
    pub beyond: bool,
    /// A mock gave it, and not the gateway.
    pub by_mock: bool,
    /// It is not as its headers were expected.
    pub wrong_header: bool,
}

/// The request's bytes. `identity` asks for the lines that mocks hold requests against.
pub(super) fn write(request: &RequestPart, id: &str, examine: bool) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    // Writing to a string cannot fail.
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("host: gateway\r\n");
    }
    for (name, value) in &request.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "x-request-id: {id}\r\n");
    if examine {
        let _ = write!(head, "x-sim-body: {}\r\nx-sim-target: {}\r\n", request.body.len(), request.path);
        head.push_str("x-auth-subject: forged\r\nX-Auth-Scopes: forged\r\n");
    }
    if let Some(names) = header::to_show(&request.expect_headers) {
        let _ = write!(head, "{}: {names}\r\n", header::SHOW);
    }
    if !request.body.is_empty() {
        let _ = write!(head, "content-length: {}\r\n", request.body.len());
    }
    head.push_str("\r\n");
    head.push_str(&request.body);
    head.into_bytes()
}

/// Sends a request and reads its answer. What is known is in `got` even when this is given up half way.
pub(super) async fn exchange(
    idle: Option<Idle>,
    gateway: SocketAddr,
    part: &RequestPart,
    bytes: &[u8],
    got: &std::cell::RefCell<Got>,
) -> io::Result<Option<Idle>> {
    let reused = idle.is_some();
    let mut stream = match idle {
        Some(idle) => idle.stream,
        None => Dial::new(gateway).await?,
    };
    got.borrow_mut().sent_ns = Some(now_ns());
    let sent = stream.write_all(bytes).await;
    let mut reader = ResponseReader::new();
    reader.reset(part.method == "HEAD");
    reader.expect((!part.expect_headers.is_empty()).then(|| part.expect_headers.as_slice().into()));
    let mut head = Vec::new();
    let mut space = vec![0; 16 * 1024];
    loop {
        let read: usize = stream.read(&mut space).await.unwrap_or_default();
        if read == 0 {
            let mut got = got.borrow_mut();
            got.whole = reader.has_head() && reader.closed();
            got.stale = reused && head.is_empty();
            return if got.whole { Ok(None) } else { Err(sent.err().unwrap_or(io::ErrorKind::UnexpectedEof.into())) };
        }
        let had_head = reader.has_head();
        if !had_head || is_problem(&got.borrow()) {
            head.extend_from_slice(&space[..read]);
        }
        let progress = reader.feed(&space[..read]).map_err(|error| io::Error::other(error.to_string()))?;
        let mut got = got.borrow_mut();
        if !had_head && reader.has_head() {
            read_head(&head, reader.head().status, &mut got);
            got.by_mock = reader.head().is_of_mock();
            got.wrong_header = reader.head().wrong_header;
        }
        got.body_bytes = reader.body_bytes();
        if let Progress::Done(used) = progress {
            (got.whole, got.beyond) = (true, used < read);
            if is_problem(&got) {
                got.retry_after_ns = finer_wait_ns(&head).or(got.retry_after_ns);
            }
            let keep = reader.head().keep_alive && !got.beyond;
            return Ok(keep.then(|| Idle { stream, since_ns: now_ns() }));
        }
    }
}

fn is_problem(got: &Got) -> bool {
    got.status.is_some_and(|status| status == 429 || status == 503)
}

fn read_head(bytes: &[u8], status: u16, got: &mut Got) {
    got.head_ns = Some(now_ns());
    got.status = Some(status);
    let mut headers = [httparse::EMPTY_HEADER; 96];
    let mut head = httparse::Response::new(&mut headers);
    if !matches!(head.parse(bytes), Ok(httparse::Status::Complete(_))) {
        return;
    }
    for header in head.headers.iter() {
        let Ok(value) = std::str::from_utf8(header.value) else { continue };
        if header.name.eq_ignore_ascii_case("x-request-id") {
            got.request_id = Some(value.to_owned());
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            got.retry_after_ns = value.parse::<u64>().ok().map(|seconds| seconds.saturating_mul(1_000_000_000));
        }
    }
}

/// Connections between requests.
#[derive(Debug, Default)]
pub(super) struct Idles(std::cell::RefCell<Vec<Idle>>);

impl Idles {
    /// The one that was used last and is still open, as far as can be seen.
    pub(super) fn take(&self) -> Option<Idle> {
        loop {
            let mut idle = self.0.borrow_mut().pop()?;
            if is_open(&mut idle.stream) {
                return Some(idle);
            }
        }
    }

    pub(super) fn put(&self, idle: Idle) {
        self.0.borrow_mut().push(idle);
    }

    /// Closes all.
    pub(super) fn clear(self: &Rc<Self>) {
        self.0.borrow_mut().clear();
    }
}

/// Nothing has come that says otherwise.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut space = [0];
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    matches!(stream.poll_peek(&mut context, &mut ReadBuf::new(&mut space)), Poll::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_the_scenario_says() {
        let request = RequestPart {
            method: "POST".into(),
            path: "/a?b".into(),
            headers: vec![("x-user".into(), "7".into())],
            body: "xx".into(),
            weight: 1,
            expect: Vec::new(),
            expect_headers: Vec::new(),
        };
        let text = String::from_utf8(write(&request, "r-1", false)).unwrap();
        let lines = "host: gateway\r\nx-user: 7\r\nx-request-id: r-1\r\ncontent-length: 2\r\n";
        assert_eq!(text, format!("POST /a?b HTTP/1.1\r\n{lines}\r\nxx"));
        let examined = String::from_utf8(write(&request, "r-1", true)).unwrap();
        assert!(examined.contains("x-sim-body: 2\r\n") && examined.contains("x-auth-subject"));
    }

    #[test]
    fn the_problem_document_says_it_finer() {
        assert_eq!(finer_wait_ns(b"x {\"retry_after_ms\":70,\"a\":1}"), Some(70_000_000));
        assert_eq!(finer_wait_ns(b"{\"retry_after_ms\":\"soon\"}"), None);
        assert_eq!(finer_wait_ns(b"{}"), None);
    }
}
