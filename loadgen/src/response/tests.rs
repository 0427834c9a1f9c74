//! What the reader accepts, refuses, and where it ends an answer.

use super::*;

/// Feeds an answer in the given pieces; the head, the body and the bytes used, when it completed.
fn read(pieces: &[&[u8]], is_head_request: bool) -> Result<Option<(Head, Vec<u8>, usize)>, Malformed> {
    let mut reader = ResponseReader::keeping();
    reader.reset(is_head_request);
    let mut before = 0;
    for piece in pieces {
        if let Progress::Done(used) = reader.feed(piece)? {
            return Ok(Some((reader.head(), reader.body().to_vec(), before + used)));
        }
        before += piece.len();
    }
    Ok(None)
}

fn read_whole(answer: &str) -> Result<Option<(Head, Vec<u8>, usize)>, Malformed> {
    read(&[answer.as_bytes()], false)
}

#[test]
fn a_body_ends_where_its_length_says() {
    let answer =
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-mock-endpoint: 9001\r\nx-mock-residence-ns: 1234\r\n\r\nhelloREST";
    let (head, body, used) = read_whole(answer).unwrap().unwrap();
    assert_eq!((head.status, head.keep_alive), (200, true));
    assert_eq!((head.endpoint, head.residence_ns), (Some(9001), Some(1234)));
    assert_eq!(body, b"hello");
    assert_eq!(used, answer.len() - 4);
}

#[test]
fn chunks_extensions_and_trailers_are_read() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n\
                  5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\nNEXT";
    let (_, body, used) = read_whole(answer).unwrap().unwrap();
    assert_eq!(body, b"hello0123456789");
    assert_eq!(used, answer.len() - 4);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let length = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert!(read(&[length.as_bytes()], true).unwrap().is_some());
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} X\r\n\r\n");
        assert_eq!(read_whole(&answer).unwrap().unwrap().0.status, status);
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (head, body, used) = read_whole(answer).unwrap().unwrap();
    assert_eq!((head.status, body.len(), used), (200, 0, answer.len()));
}

#[test]
fn without_framing_the_close_is_the_end() {
    let mut reader = ResponseReader::new();
    reader.reset(false);
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Ok(Progress::More));
    assert!(!reader.head().keep_alive);
    assert!(reader.closed());
    assert_eq!(reader.body_bytes(), 3);
    reader.reset(false);
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"), Ok(Progress::More));
    assert!(!reader.closed(), "a body that is cut short is not whole");
}

#[test]
fn connections_that_end_are_told() {
    let closing = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive, Close\r\n\r\n";
    assert!(!read_whole(closing).unwrap().unwrap().0.keep_alive);
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n";
    assert!(!read_whole(old).unwrap().unwrap().0.keep_alive);
}

#[test]
fn ambiguous_or_broken_answers_are_refused() {
    for answer in [
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n",
    ] {
        assert_eq!(read_whole(answer), Err(Malformed), "{answer:?}");
    }
}

#[test]
fn a_head_without_end_is_refused() {
    let mut reader = ResponseReader::new();
    reader.reset(false);
    let line = b"x: 0123456789012345678901234567890123456789\r\n";
    assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n"), Ok(Progress::More));
    let refused = (0..3_000).any(|_| reader.feed(line).is_err());
    assert!(refused, "the head is bounded");
}

proptest::proptest! {
    /// Where the pieces are cut changes nothing: the naive model reads the whole answer at once.
    #[test]
    fn cuts_change_nothing(
        chunks in proptest::collection::vec(proptest::collection::vec(0_u8..=255, 1..40), 0..6),
        cuts in proptest::collection::vec(0_usize..600, 0..12),
        chunked: bool,
    ) {
        let body: Vec<u8> = chunks.concat();
        let mut answer = b"HTTP/1.1 200 OK\r\nserver: x\r\n".to_vec();
        if chunked {
            answer.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in &chunks {
                answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                answer.extend_from_slice(chunk);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\n\r\n");
        } else {
            answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            answer.extend_from_slice(&body);
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(answer.len())).collect();
        cuts.push(answer.len());
        cuts.sort_unstable();
        let mut from = 0;
        let mut pieces = Vec::new();
        for cut in cuts {
            pieces.push(&answer[from..cut]);
            from = cut;
        }
        let (_, read_body, used) = read(&pieces, false).unwrap().expect("the answer is whole");
        proptest::prop_assert_eq!(read_body, body);
        proptest::prop_assert_eq!(used, answer.len());
    }
}
