//! The upstream side's codec alone: a request's head is written, an answer's head and body are read.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use gateway::http1::{Client, RequestHead};
use gateway::network::Network as _;
use gateway::request_body::RequestBody;
use gateway::request_fields::RequestFields;
use gateway::request_target::PathQuery;
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::memory::{Memory, OK, Stream, Wire};
use crate::messages;

/// A kept connection, and what is asked on it.
#[derive(Debug)]
pub struct Codec {
    wire: Arc<Wire>,
    client: Client<Stream>,
    head: RequestHead,
}

impl Codec {
    /// A connection that is always answered with these bytes.
    pub fn new(answer: &'static [u8], headers: RequestFields) -> Self {
        let wire = Arc::new(Wire::default());
        let client = Client::new(Memory::new(Arc::clone(&wire), answer).upstream(), Memory::is_quiet);
        let target = PathQuery::from_static("/api/service-17/items/123456?fields=name");
        Self {
            wire,
            client,
            head: RequestHead { method: Method::GET, target, headers, lines: Vec::new(), names: None },
        }
    }

    /// One exchange; the bytes of the body.
    ///
    /// # Panics
    /// The answer is not valid, or the connection cannot be used again.
    pub fn exchange(&mut self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        self.client.begin(&self.head, RequestBody::Empty);
        assert!(self.client.poll_head(&mut cx).is_pending(), "nothing is answered in the turn of the request");
        self.wire.next_turn();
        let Poll::Ready(Ok(head)) = self.client.poll_head(&mut cx) else { panic!("no head") };
        std::hint::black_box(head);
        let mut bytes = 0;
        loop {
            match self.client.poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, |data| data.len()),
                Poll::Ready(None) => break,
                other => panic!("no body: {other:?}"),
            }
        }
        assert!(self.client.is_ready(), "the connection is kept");
        bytes
    }
}

/// The network alone: what an exchange costs without a gateway between the two ends. It is a part of every count of
/// the pipeline, and should be a small one.
#[derive(Debug)]
pub struct Bare {
    wire: Arc<Wire>,
    client: Stream,
    upstream: Stream,
    buffer: Box<[u8]>,
    answer: &'static [u8],
}

impl Default for Bare {
    fn default() -> Self {
        let wire = Arc::new(Wire::default());
        let answer = messages::answer();
        let network = Memory::new(Arc::clone(&wire), answer);
        let (client, upstream) = (network.client(messages::REQUEST, OK), network.upstream());
        Self { wire, client, upstream, buffer: vec![0; 8192].into(), answer }
    }
}

impl Bare {
    /// The reads and writes of one exchange, those that find nothing included; the bytes that were moved.
    ///
    /// # Panics
    /// A read or write does not do what it would in an exchange.
    pub fn exchange(&mut self) -> usize {
        let Self { wire, client, upstream, buffer, answer } = self;
        wire.ask();
        wire.next_turn();
        let asked = read(client, buffer).expect("a request");
        assert!(read(client, buffer).is_none() && write(upstream, messages::REQUEST) == asked);
        assert!(read(upstream, buffer).is_none(), "nothing is answered in the turn of the request");
        wire.next_turn();
        let answered = read(upstream, buffer).expect("an answer");
        assert!(read(upstream, buffer).is_none() && write(client, answer) == answered);
        assert!(read(client, buffer).is_none(), "no second request");
        asked + answered
    }
}

fn read(stream: &mut Stream, buffer: &mut [u8]) -> Option<usize> {
    let mut buffer = ReadBuf::new(buffer);
    let polled = std::pin::Pin::new(stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
    polled.is_ready().then(|| buffer.filled().len())
}

fn write(stream: &mut Stream, bytes: &[u8]) -> usize {
    let slices = [std::io::IoSlice::new(bytes)];
    match std::pin::Pin::new(stream).poll_write_vectored(&mut Context::from_waker(Waker::noop()), &slices) {
        Poll::Ready(Ok(count)) => count,
        other => panic!("not written: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_read_whole_again_and_again() {
        let chunked = messages::CHUNKS * messages::CHUNK_BYTES;
        for (answer, bytes) in [
            (messages::answer(), messages::BODY_BYTES),
            (messages::wide_answer(), 0),
            (messages::chunked_answer(), chunked),
        ] {
            let mut codec = Codec::new(answer, messages::clean_headers());
            assert_eq!([codec.exchange(), codec.exchange(), codec.exchange()], [bytes; 3]);
        }
    }

    #[test]
    fn the_bare_network_moves_a_request_and_an_answer() {
        let mut bare = Bare::default();
        let expected = messages::REQUEST.len() + messages::answer().len();
        assert_eq!([bare.exchange(), bare.exchange()], [expected; 2]);
    }
}
