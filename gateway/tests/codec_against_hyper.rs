//! Differential test of the codec that serves clients: hyper, which has read the internet's requests for years, is its
//! oracle. Whatever our codec takes as a request, hyper takes as the same request: the same method, target, fields and
//! body, in the same place of the stream. So whatever hyper refuses we refuse; we may refuse more.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use gateway::context::survey::Survey;
use gateway::context::target::check_framing;
use gateway::http1::{HeadLimits, Next, Server};
use http::{HeaderMap, Method, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a parser made of one request. `None` for a body that broke off or breaks a rule.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Seen {
    fn new(method: Method, uri: Uri, version: Version, headers: &HeaderMap) -> Self {
        let mut fields: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
        // Stable: the order of values under one name is kept.
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self { method, uri, version, fields, body: None }
    }
}

/// A stream that gives these bytes in pieces, and then nothing more; what is written to it is dropped.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.at == self.bytes.len() {
            // Nobody is woken: whoever polls does so often enough.
            return Poll::Pending;
        }
        let count = self.piece.min(self.bytes.len() - self.at).min(buf.remaining());
        buf.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn wire(bytes: &[u8], piece: usize) -> Wire {
    Wire { bytes: bytes.to_vec(), at: 0, piece }
}

/// What our codec takes, up to the first thing that it or the first stage refuses.
fn ours(bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut cx = Context::from_waker(Waker::noop());
    let limits = HeadLimits { fields: 100, target: 8192, bytes: 32 * 1024, keep_names: false };
    let mut server = Server::new(wire(bytes, piece), b"", limits, |_| false);
    let mut taken = Vec::new();
    loop {
        let Poll::Ready(Next::Request) = server.poll_next(&mut cx) else { return taken };
        let parts = std::mem::take(server.request());
        if check_framing(&Survey::of(&parts.headers), parts.version).is_err() {
            assert!(!server.stays_open(), "nothing may follow a request whose framing is in doubt");
            return taken;
        }
        let mut seen =
            Seen::new(parts.method, parts.uri.to_string().parse().unwrap(), parts.version, &parts.headers.to_map());
        let mut body = Vec::new();
        let whole = loop {
            match server.poll_body(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Poll::Ready(Some(Err(_))) | Poll::Pending => break false,
                Poll::Ready(None) => break true,
            }
        };
        seen.body = whole.then_some(body);
        taken.push(seen);
        if !whole || !server.stays_open() {
            return taken;
        }
    }
}

/// What hyper takes.
fn hypers(bytes: &[u8], piece: usize) -> Vec<Seen> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let taken = Arc::clone(&taken);
        async move {
            let (parts, body) = request.into_parts();
            taken.lock().unwrap().push(Seen::new(
                parts.method,
                parts.uri.to_string().parse().unwrap(),
                parts.version,
                &parts.headers,
            ));
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            taken.lock().unwrap().last_mut().unwrap().body = body;
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(wire(bytes, piece)), service));
    let mut cx = Context::from_waker(Waker::noop());
    // How it ends is not asked: what it took is. It gives way to others now and then.
    let _ = (0..bytes.len() + 50).find(|_| connection.as_mut().poll(&mut cx).is_ready());
    let taken = taken.lock().unwrap();
    taken.clone()
}

fn compare(bytes: &[u8], piece: usize) -> Result<(), TestCaseError> {
    let (ours, theirs) = (ours(bytes, piece), hypers(bytes, piece));
    for (at, mine) in ours.iter().enumerate() {
        let shown = String::from_utf8_lossy(bytes);
        let Some(other) = theirs.get(at) else {
            return Err(TestCaseError::fail(format!("request {at} of {shown:?}: only we took {mine:?}")));
        };
        let same_head = (&mine.method, &mine.uri, mine.version, &mine.fields)
            == (&other.method, &other.uri, other.version, &other.fields);
        prop_assert!(same_head, "request {at} of {shown:?}: {mine:?} and {other:?}");
        if mine.body.is_some() {
            prop_assert_eq!(&mine.body, &other.body, "the body of request {} of {:?}", at, shown);
        }
    }
    Ok(())
}

/// A message that is in order.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("HEAD"), Just("DELETE"), Just("OPTIONS"), Just("BREW")];
    let target = prop_oneof![
        Just("/".to_owned()),
        "/[a-z]{0,9}(/[a-zA-Z0-9._~%-]{0,5}){0,3}(\\?[a-z=&]{0,9})?",
        Just("http://a.test/x".to_owned()),
        Just("*".to_owned()),
    ];
    let version = prop_oneof![9 => Just("1.1"), 1 => Just("1.0")];
    let field = prop_oneof![
        "x-[a-z]{1,4}: [a-z ]{0,9}",
        Just("Connection: keep-alive".to_owned()),
        Just("connection: close".to_owned()),
        Just("Expect: 100-continue".to_owned()),
        Just("Host: a".to_owned()),
        Just("accept:\t*/*  ".to_owned()),
    ];
    let body = prop_oneof![
        4 => Just(("".to_owned(), "".to_owned())),
        2 => "[a-z\r\n]{0,30}".prop_map(|body| (format!("content-length: {}", body.len()), body)),
        2 => proptest::collection::vec("[a-z\r\n]{1,20}", 0..4).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|data| format!("{:x}\r\n{data}\r\n", data.len())).collect();
            ("Transfer-Encoding: chunked".to_owned(), format!("{chunks}0\r\n\r\n"))
        }),
    ];
    (method, target, version, proptest::collection::vec(field, 0..5), body).prop_map(
        |(method, target, version, fields, (framing, body))| {
            let mut head = format!("{method} {target} HTTP/{version}\r\n");
            for field in fields.iter().chain((!framing.is_empty()).then_some(&framing)) {
                head.push_str(field);
                head.push_str("\r\n");
            }
            format!("{head}\r\n{body}").into_bytes()
        },
    )
}

/// One thing done to the bytes, at a place of them.
#[derive(Debug, Clone)]
enum Change {
    Insert(&'static [u8]),
    Replace(u8),
    Remove(usize),
    Repeat(usize),
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    const PARTS: &[&[u8]] = &[
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"\0",
        b"\x0b",
        b"\x80",
        b"\xff",
        b"#",
        b"?",
        b"%",
        b"0",
        b"0x",
        b"+",
        b"content-length: 4\r\n",
        b"Content-Length: 4, 4\r\n",
        b"transfer-encoding: chunked\r\n",
        b"transfer-encoding: gzip\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"GET /smuggled HTTP/1.1\r\n\r\n",
        b"HTTP/1.1",
        b"5\r\nhello\r\n",
        b";x=y",
        b"\r\n folded",
    ];
    let change = prop_oneof![
        4 => prop::sample::select(PARTS).prop_map(Change::Insert),
        2 => any::<u8>().prop_map(Change::Replace),
        1 => (1_usize..6).prop_map(Change::Remove),
        1 => (1_usize..40).prop_map(Change::Repeat),
    ];
    proptest::collection::vec((any::<prop::sample::Index>(), change), 0..4)
}

fn apply(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, Change)]) {
    for (place, change) in changes {
        let at = place.index(bytes.len().max(1)).min(bytes.len());
        match change {
            Change::Insert(part) => drop(bytes.splice(at..at, part.iter().copied())),
            Change::Replace(byte) if at < bytes.len() => bytes[at] = *byte,
            Change::Replace(byte) => bytes.push(*byte),
            Change::Remove(count) => drop(bytes.drain(at..(at + count).min(bytes.len()))),
            Change::Repeat(count) => {
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_codec_takes_hyper_takes_for_the_same(
        requests in proptest::collection::vec(request(), 1..4),
        changes in changes(),
        piece in prop_oneof![Just(1_usize), 2_usize..40, Just(100_000)],
    ) {
        let mut bytes = requests.concat();
        apply(&mut bytes, &changes);
        compare(&bytes, piece)?;
    }
}

/// Requests that are in order are taken, all of them: a codec that refused everything would pass the test above.
#[test]
fn what_is_in_order_is_taken() {
    let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\
        POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nx-t: 1\r\n\r\n\
        HEAD /h HTTP/1.0\r\n\r\n";
    for piece in [1, 2, 3, 50, 1000] {
        let (ours, theirs) = (ours(text, piece), hypers(text, piece));
        assert_eq!(ours.len(), 4, "{piece} bytes at once");
        assert_eq!(ours, theirs, "{piece} bytes at once");
    }
}
