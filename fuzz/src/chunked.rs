//! A chunked body means what RFC 9112, section 7.1, says, in whatever pieces it comes, or it is refused: from clients
//! and from upstreams alike.

use std::task::{Context, Poll, Waker};

use gateway::http1::{HeadLimits, Next, Server};
use http::Method;

use super::answer;
use super::wire::Wire;

const LIMITS: HeadLimits = HeadLimits { fields: 20, target: 256, bytes: 2048, keep_names: true };

/// The body as a naive reader of the grammar has it, and how many bytes it takes; `None` of what is not exactly that.
/// Trailers are not looked into.
fn naive(mut bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let all = bytes.len();
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let line = &bytes[..end];
        let size = line.split(|byte| *byte == b';').next()?;
        // White space may stand before an extension, and nowhere else (BWS).
        let size = if line.len() > size.len() { size.trim_ascii_end() } else { size };
        let digits = !size.is_empty() && size.len() <= 16 && size.iter().all(u8::is_ascii_hexdigit);
        let size = digits.then(|| u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()).flatten()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok().filter(|size| *size <= bytes.len())?;
        body.extend_from_slice(&bytes[..size]);
        bytes = bytes[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        bytes = &bytes[end + 2..];
        if end == 0 {
            return Some((body, all - bytes.len()));
        }
    }
}

/// What our server makes of it; `None` when it refuses, or wants more.
fn of_client(bytes: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut cx = Context::from_waker(Waker::noop());
    let request = [b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", bytes].concat();
    let mut server = Server::new(Wire::new(&request, piece), b"", LIMITS, |_| false);
    let Poll::Ready(Next::Request) = server.poll_next(&mut cx) else { panic!("the head is in order") };
    let mut body = Vec::new();
    loop {
        match server.poll_body(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => body.extend(frame.data_ref().into_iter().flatten()),
            Poll::Ready(Some(Err(_))) => return None,
            Poll::Ready(None) => return Some(body),
            Poll::Pending => panic!("everything is there, and nothing is waited for"),
        }
    }
}

/// The first byte says in what pieces the rest comes.
pub fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let piece = usize::from(*first) + 1;
    let ours = of_client(bytes, usize::MAX);
    assert_eq!(ours, of_client(bytes, piece), "in pieces of {piece}");
    if let Some(ours) = &ours {
        let (body, _) = naive(bytes).expect("what we take is in order");
        assert_eq!(*ours, body);
    }
    // An upstream's is read by the same rules.
    let answer = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", bytes].concat();
    let theirs = answer::read(&answer, &Method::GET, piece);
    assert_eq!(ours, theirs.whole.then_some(theirs.body));
}
