//! Whatever an upstream answers is an answer with its body, or refused; in whatever pieces it comes it is the same, and
//! what follows it is never taken for a part of it.

use std::task::{Context, Poll, Waker};

use gateway::http1::{Client, Error, MAX_FIELDS, RequestHead};
use gateway::request_body::RequestBody;
use gateway::request_fields::RequestFields;
use gateway::request_target::PathQuery;
use http::Method;

use super::wire::Wire;

/// Bytes that are read at once whatever else is in the buffer.
const AT_ONCE: usize = 2048;

/// A status and fields, names in small letters.
pub type Head = (u16, Vec<(String, Vec<u8>)>);

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The head, its fields in their order.
    pub head: Option<Head>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// It came to its end.
    pub whole: bool,
    /// The connection can carry another exchange.
    pub rests: bool,
}

/// Reads an answer to a request of this method, in pieces of so many bytes.
#[must_use]
pub fn read(bytes: &[u8], method: &Method, piece: usize) -> Seen {
    let mut cx = Context::from_waker(Waker::noop());
    let mut client = Client::new(Wire::new(bytes, piece), |_| false);
    let target = PathQuery::from_static("/");
    let head =
        RequestHead { method: method.clone(), target, headers: RequestFields::new(), lines: Vec::new(), names: None };
    client.begin(&head, RequestBody::Empty);
    let mut seen = Seen { head: None, body: Vec::new(), whole: false, rests: false };
    match client.poll_head(&mut cx) {
        Poll::Ready(Ok(head)) => {
            assert!(head.fields.iter().count() <= MAX_FIELDS);
            let text = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
            let fields = head.fields.iter().map(|(name, value)| (text(name), value.to_vec()));
            seen.head = Some((head.status.as_u16(), fields.collect()));
        }
        Poll::Ready(Err(Error::Invalid(_) | Error::NotHttp(_) | Error::Broken(_))) => return seen,
        Poll::Ready(Err(Error::RequestBody(_) | Error::TooManyFields { .. } | Error::NotBase64(_))) => {
            panic!("there is no request body that could fail, and nothing is asked of its fields")
        }
        Poll::Pending => panic!("everything is there, and nothing is waited for"),
    }
    loop {
        match client.poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => seen.body.extend(frame.data_ref().into_iter().flatten()),
            Poll::Ready(Some(Err(_))) => return seen,
            Poll::Ready(None) => break,
            Poll::Pending => panic!("everything is there, and nothing is waited for"),
        }
    }
    assert!(client.is_over() && seen.body.len() <= bytes.len());
    seen.whole = true;
    seen.rests = client.rest();
    seen
}

/// The first byte says of which method the request was, and in what pieces the rest comes.
pub fn check(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let method = [Method::GET, Method::HEAD, Method::POST, Method::CONNECT][usize::from(first & 3)].clone();
    let whole = read(bytes, &method, usize::MAX);
    let pieces = read(bytes, &method, usize::from(first >> 2) + 1);
    assert_eq!((&whole.head, whole.whole, &whole.body), (&pieces.head, pieces.whole, &pieces.body));
    if whole.rests && bytes.len() < AT_ONCE {
        // Bytes that nobody asked for end the use of a connection, so none may be behind.
        let more = [bytes, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"].concat();
        assert!(!read(&more, &method, usize::MAX).rests, "an answer that nobody asked for would be another's");
    }
}
