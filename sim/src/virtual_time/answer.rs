//! What a mock answers: the routes of the mocks that say something about forwarding.
//!
//! `/bytes/{n}` has n bytes with a length, `/stream/{chunks}/{ms}` so many chunks with pauses, everything else a short
//! text. Paths are looked for at their end, since a route may strip or keep what is before.

use std::fmt::Write as _;
use std::time::Duration;

use super::request::Request;

/// The largest body that a path can ask for.
const MAX_BYTES: usize = 1 << 20;
/// The most chunks that a path can ask for.
const MAX_CHUNKS: usize = 1_000;
/// Each chunk of a stream.
const CHUNK: &str = "chunk of a stream, 32 bytes long";

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    content: Content,
    is_head: bool,
    /// The endpoint that gives it.
    port: u16,
    /// Lines that show what came.
    shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Text,
    Bytes(usize),
    Stream(usize, Duration),
}

/// How many bytes of body a client gets that asks for this; chunked framing not counted.
pub(crate) fn body_bytes(target: &str) -> u64 {
    let bytes = match content(target) {
        Content::Text => TEXT.len(),
        Content::Bytes(bytes) => bytes,
        Content::Stream(chunks, _) => chunks * CHUNK.len(),
    };
    bytes as u64
}

const TEXT: &str = "{\"service\":\"simulated\"}";

fn content(target: &str) -> Content {
    let path = target.split('?').next().unwrap_or_default();
    let mut words = path.rsplit('/');
    let (last, before, first) = (words.next(), words.next(), words.next());
    let number = |word: Option<&str>| word.and_then(|word| word.parse::<usize>().ok());
    match (first, before, number(last)) {
        (_, Some("bytes"), Some(bytes)) => Content::Bytes(bytes.min(MAX_BYTES)),
        (Some("stream"), chunks, Some(ms)) if number(chunks).is_some() => {
            let chunks = number(chunks).unwrap_or_default().min(MAX_CHUNKS);
            Content::Stream(chunks, Duration::from_millis(ms.min(10_000) as u64))
        }
        _ => Content::Text,
    }
}

impl Answer {
    pub(super) fn of(request: &Request, status: u16, port: u16) -> Self {
        let (is_head, shown) = (request.method == "HEAD", request.shown.clone());
        Self { status, content: content(&request.target), is_head, port, shown }
    }

    /// The head, its empty line included.
    pub(super) fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} Simulated\r\nx-mock-endpoint: {}\r\n", self.status, self.port);
        // Writing to a string cannot fail.
        let _ = match self.content {
            _ if self.has_no_body() => Ok(()),
            Content::Text => write!(head, "content-length: {}\r\n", TEXT.len()),
            Content::Bytes(bytes) => write!(head, "content-length: {bytes}\r\n"),
            Content::Stream(..) => write!(head, "transfer-encoding: chunked\r\n"),
        };
        head.push_str(&self.shown);
        head.push_str("\r\n");
        head
    }

    /// The body as it is on the wire.
    pub(super) fn wire(&self) -> Vec<u8> {
        if self.is_head || self.has_no_body() {
            return Vec::new();
        }
        match self.content {
            Content::Text => TEXT.as_bytes().to_vec(),
            Content::Bytes(bytes) => vec![b'y'; bytes],
            Content::Stream(chunks, _) => {
                let mut wire = format!("{:x}\r\n{CHUNK}\r\n", CHUNK.len()).repeat(chunks).into_bytes();
                wire.extend_from_slice(b"0\r\n\r\n");
                wire
            }
        }
    }

    /// The pause before each piece; `None` when all is sent at once.
    pub(super) fn pause(&self) -> Option<Duration> {
        match self.content {
            Content::Stream(_, pause) if !pause.is_zero() => Some(pause),
            _ => None,
        }
    }

    /// In how many pieces the body is sent.
    pub(super) fn pieces(&self) -> usize {
        if let Content::Stream(chunks, _) = self.content { chunks.max(1) } else { 1 }
    }

    fn has_no_body(&self) -> bool {
        matches!(self.status, 204 | 304)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgen::response::{Progress, ResponseReader};

    fn read(method: &str, target: &str, status: u16) -> (u16, u64) {
        let request = Request { method: method.into(), target: target.into(), ..Request::default() };
        let answer = Answer::of(&request, status, 9001);
        let wire = [answer.head().into_bytes(), answer.wire()].concat();
        let mut reader = ResponseReader::new();
        reader.reset(method == "HEAD");
        assert_eq!(reader.feed(&wire), Ok(Progress::Done(wire.len())), "{method} {target}");
        assert!(reader.head().is_of_mock(), "it says who gave it");
        (reader.head().status, reader.body_bytes())
    }

    #[test]
    fn every_answer_is_what_its_path_promises() {
        for target in ["/", "/bytes/0", "/api/bytes/70000?x=1", "/stream/3/5", "/a/stream/0/0", "/bytes/x", "/stream/2"]
        {
            assert_eq!(read("GET", target, 200), (200, body_bytes(target)), "{target}");
            assert_eq!(read("HEAD", target, 503), (503, 0));
            assert_eq!(read("GET", target, 204), (204, 0));
        }
        assert_eq!((body_bytes("/bytes/70000"), body_bytes("/stream/3/5")), (70_000, 96));
    }
}
