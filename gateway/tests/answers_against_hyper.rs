//! Differential test of the codec towards upstreams: whatever it takes as an answer, hyper's client takes as the same
//! answer: status, fields, body. So whatever hyper refuses we refuse; we may refuse more.

#[allow(dead_code, unreachable_pub, missing_docs, reason = "they are a crate of their own for cargo-fuzz")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use targets::answer::{Seen, read};
use targets::mutants::{Dice, mutant, seeds};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const MUTANTS: u64 = 20_000;

/// Gives the answer once something was asked, and then its end.
struct Answering {
    bytes: Vec<u8>,
    at: usize,
    asked: bool,
}

impl AsyncRead for Answering {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            // Nobody is woken: whoever polls does so often enough.
            return Poll::Pending;
        }
        let count = buffer.remaining().min(self.bytes.len() - self.at);
        buffer.put_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Answering {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A status, fields, and the body of what was whole.
type Answer = (u16, Vec<(String, Vec<u8>)>, Option<Vec<u8>>);

/// Fields in one order; that of values under one name is kept.
fn sorted(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

/// What hyper takes.
fn hypers(bytes: &[u8], method: &Method) -> Option<Answer> {
    let mut cx = Context::from_waker(Waker::noop());
    let wire = Answering { bytes: bytes.to_vec(), at: 0, asked: false };
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(wire)).await.ok()?;
        let asking = async {
            let request = http::Request::builder().method(method).uri("/").header("host", "a").body(Empty::new());
            let (parts, body) = sender.send_request(request.expect("a request")).await.ok()?.into_parts();
            let fields = parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
            let fields = sorted(fields.collect());
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            Some((parts.status.as_u16(), fields, body))
        };
        tokio::join!(asking, connection).0
    };
    let mut exchange = pin!(exchange);
    (0..bytes.len() + 100).find_map(|_| match exchange.as_mut().poll(&mut cx) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    })?
}

fn compare(bytes: &[u8], method: &Method) -> bool {
    let Seen { head: Some((status, fields)), body, whole, .. } = read(bytes, method, usize::MAX) else { return false };
    let shown = String::from_utf8_lossy(bytes);
    let theirs = hypers(bytes, method);
    let Some((other, other_fields, other_body)) = theirs else { panic!("only we took {shown:?}") };
    assert_eq!((status, &sorted(fields)), (other, &other_fields), "{shown:?}");
    // What follows a switch is no body, and what follows a 205 is none that anybody is given.
    if whole && status != 101 && status != 205 {
        assert_eq!(Some(body), other_body, "{shown:?}");
    }
    whole
}

#[test]
fn what_the_codec_takes_hyper_takes_for_the_same() {
    let seeds: Vec<Vec<u8>> = seeds("answer").iter().map(|seed| seed[1..].to_vec()).collect();
    let mut dice = Dice::new(1);
    let mut taken = 0;
    for round in 0..MUTANTS {
        let method = if round % 4 == 0 { Method::HEAD } else { Method::GET };
        taken += u64::from(compare(&mutant(&seeds, &mut dice), &method));
    }
    assert!(taken > MUTANTS / 20, "only {taken} of {MUTANTS} were answers: the test shows little");
}

/// Answers that are in order are taken: a codec that refused everything would pass the test above.
#[test]
fn what_is_in_order_is_taken() {
    for seed in seeds("answer").iter().map(|seed| &seed[1..]) {
        let has = |word: &str| seed.windows(word.len()).any(|part| part == word.as_bytes());
        let in_doubt = has("transfer-encoding") && (has("content-length") || has("HTTP/1.0"));
        // hyper passes over empty lines before an answer; RFC 9112 knows them before requests alone (2.2).
        let is_taken = seed.starts_with(b"HTTP/") && !in_doubt;
        assert_eq!(compare(seed, &Method::GET), is_taken, "{:?}", String::from_utf8_lossy(seed));
    }
}
