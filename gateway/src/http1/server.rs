//! One client's connection: reads a request, streams its body, writes the answer, all polled by one task.
//!
//! States are plain data; whoever polls is woken by the stream alone. What a client sends ahead of its turn stays in
//! the buffer, which is bounded: nobody reads on for a client that does not wait for its answers.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::has_budget_remaining;

use super::body_reader::BodyReader;
use super::intake::{Intake, IsQuiet};
use super::lines::Lines;
use super::request_read::{self, HeadLimits};
use super::request_refusal::Refusal;
use super::response_write::{self, AnswerHead, Circumstances, write_head};
use super::write_queue::{Framing, WriteQueue};
use crate::request_body::BodyFault;
use crate::request_parts::RequestParts;

/// What a client may send ahead of its turn before nobody reads on.
const AHEAD_BYTES: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Server<S> {
    stream: S,
    read: Intake<S>,
    /// Who was last registered with the stream.
    waiting: Option<Waker>,
    /// That is registered still: no read has found anything since.
    waits: bool,
    lines: Lines,
    limits: HeadLimits,
    /// The head of the request that was read last, until somebody takes what is in it.
    request: RequestParts,
    /// The body of the request that is being served.
    incoming: BodyReader,
    expects_continue: bool,
    /// The client means to send more requests, and the gateway to read them.
    keep_alive: bool,
    /// A client that has ended its side after a whole request gets its answer.
    answers_half_closed: bool,
    /// The request's version and method, which decide how the answer is framed.
    http_11: bool,
    head_only: bool,
    write: WriteQueue,
    /// How the body of the answer is framed; `None` once its last byte is queued.
    outgoing: Framing,
    /// The end of the answer's body is the end of the connection.
    until_close: bool,
    answering: bool,
    /// Bytes that have left, now and when that was last asked.
    flushed: u64,
    flushed_before: u64,
}

/// What waiting for a head came to.
#[derive(Debug)]
pub enum Next {
    /// A request, which is there to be taken: `Server::request`.
    Request,
    /// What is no request; the connection is of no more use after the answer.
    Refused(Box<Refusal>),
    /// The client has closed, or the connection is lost.
    Closed,
}

/// Why an answer did not reach the client whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Serves a stream, of which these bytes have been read.
    pub fn new(stream: S, read_ahead: &[u8], limits: HeadLimits, is_quiet: IsQuiet<S>) -> Self {
        let mut read = Intake::new(is_quiet);
        read.begin_with(read_ahead);
        Self {
            stream,
            read,
            waiting: None,
            waits: false,
            lines: Lines::default(),
            limits,
            request: RequestParts::default(),
            incoming: BodyReader::Over,
            expects_continue: false,
            keep_alive: true,
            answers_half_closed: false,
            http_11: true,
            head_only: false,
            write: WriteQueue::default(),
            outgoing: Framing::None,
            until_close: false,
            answering: false,
            flushed: 0,
            flushed_before: 0,
        }
    }

    /// Whether a client that ends its side after a whole request is taken for one that waits for the answer; else it
    /// has left. The two look the same until something is written.
    pub fn answer_half_closed(&mut self, answers: bool) {
        self.answers_half_closed = answers;
    }

    /// Waits for the next request's head. While this is pending, `has_begun` tells whether a part of it is there.
    #[inline]
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match request_read::take(&mut self.read.bytes, &mut self.lines, &self.limits, &mut self.request) {
                Ok(Some(read)) => {
                    self.incoming = read.body;
                    self.expects_continue = read.expects_continue;
                    self.keep_alive = read.keep_alive;
                    self.http_11 = self.request.version == Version::HTTP_11;
                    self.head_only = self.request.method == Method::HEAD;
                    self.answering = false;
                    return Poll::Ready(Next::Request);
                }
                Ok(None) => {}
                Err(refusal) => {
                    self.keep_alive = false;
                    return Poll::Ready(Next::Refused(refusal));
                }
            }
            self.read.rest();
            match ready!(self.poll_read(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(Next::Closed),
                Ok(_) => {}
            }
        }
    }

    /// The head of the request that came last. It stays here, and is not handed on by value: it is large.
    pub fn request(&mut self) -> &mut RequestParts {
        &mut self.request
    }

    /// What has been read and belongs to no request; after a refusal, what was refused.
    pub fn unread(&self) -> &[u8] {
        &self.read.bytes
    }

    /// Whether bytes are there that wait to become a head.
    pub fn has_begun(&self) -> bool {
        !self.read.bytes.is_empty()
    }

    /// Whether the request has a body that has not been read to its end.
    pub fn has_body(&self) -> bool {
        !self.incoming.is_over()
    }

    /// The body's length, where it is known.
    pub fn body_left(&self) -> Option<u64> {
        self.incoming.length_left()
    }

    /// The next part of the request's body; `None` at its end. The client is told to go on where it waits for that.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        loop {
            match self.incoming.take(&mut self.read.bytes) {
                Ok(Some(frame)) => {
                    self.expects_continue = false;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) if self.incoming.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(_) => {
                    self.keep_alive = false;
                    return Poll::Ready(Some(Err(BodyFault::Malformed)));
                }
            }
            if ready!(self.poll_continue(cx)).is_err() || !matches!(ready!(self.poll_read(cx)), Ok(1..)) {
                self.keep_alive = false;
                return Poll::Ready(Some(Err(BodyFault::ClientLeft)));
            }
        }
    }

    /// RFC 9110, section 10.1.1: the body is asked for when it is first wanted, unless the answer has begun.
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.expects_continue) && !self.answering {
            self.write.out().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if self.answering {
            Poll::Ready(Ok(()))
        } else {
            self.write.poll_write(&mut self.stream, cx, &mut self.flushed)
        }
    }

    /// Ready when the client has left. Reads ahead as far as the buffer allows. Who has only ended its side has not
    /// left where such clients are answered, and gets what it has asked for by then.
    #[inline]
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_body() {
            // Whoever reads the body finds out.
            return Poll::Pending;
        }
        while self.read.bytes.len() < AHEAD_BYTES {
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.answers_half_closed => {
                    // Behind what has come ahead nothing will.
                    self.keep_alive &= self.has_begun();
                    return Poll::Pending;
                }
                Ok(0) | Err(_) => {
                    self.keep_alive = false;
                    return Poll::Ready(());
                }
                Ok(_) => {}
            }
        }
        Poll::Pending
    }

    /// Queues an early hint (RFC 8297) ahead of the answer, where the client's version knows interim answers.
    #[cold]
    pub fn hint(&mut self, fields: &HeaderMap) {
        if self.http_11 && !self.answering {
            response_write::write_hint(self.write.out(), fields);
        }
    }

    /// Queues an answer's head, and says how its body will be framed by what the body knows of itself.
    pub fn begin_answer<B: Body>(&mut self, status: StatusCode, head: &AnswerHead, body: &B, date: &[u8]) {
        let exact = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let written = write_head(
            self.write.out(),
            status,
            head,
            &Circumstances {
                http_11: self.http_11,
                head_only: self.head_only,
                keep_alive: self.keep_alive,
                length: exact,
                date,
            },
        );
        self.keep_alive = written.keep_alive;
        self.outgoing = written.framing;
        self.until_close = written.framing == Framing::UntilClose;
        self.answering = true;
    }

    /// After this answer the connection closes.
    pub fn close_after_answer(&mut self) {
        self.keep_alive = false;
    }

    /// Queues an answer that is whole in bytes, and closes after it.
    pub fn answer_raw(&mut self, bytes: &[u8]) {
        self.write.clear();
        self.write.out().extend_from_slice(bytes);
        self.outgoing = Framing::None;
        self.keep_alive = false;
        self.answering = true;
    }

    /// Whether the answer's body has more to come, and there is room for it.
    #[inline]
    pub fn wants_frame(&self) -> bool {
        self.outgoing != Framing::None && self.write.has_room()
    }

    /// Whether a client can tell an answer that ends before its last byte from a whole one, by its framing.
    pub fn shows_a_cut(&self) -> bool {
        !self.until_close
    }

    /// Queues a part of the answer's body; `None` is its end, as `ended` says that this was the last part.
    ///
    /// # Errors
    /// It does not fit the length that was announced.
    #[inline]
    pub fn push_frame(&mut self, frame: Option<Frame<Bytes>>, ended: bool) -> Result<(), Broken> {
        let ended = match frame {
            None => true,
            Some(frame) => {
                let trailers = frame.is_trailers();
                self.write.push(frame, &mut self.outgoing).map_err(|_| Broken)?;
                ended && !trailers
            }
        };
        if ended { self.write.push_end(None, &mut self.outgoing).map_err(|_| Broken) } else { Ok(()) }
    }

    /// Sends what is queued; ready when nothing is.
    ///
    /// # Errors
    /// The client does not take it.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.write.poll_write(&mut self.stream, cx, &mut self.flushed).map_err(|_| Broken)
    }

    /// Whether the last byte of the answer is on its way.
    pub fn is_answered(&self) -> bool {
        self.outgoing == Framing::None && self.write.is_empty()
    }

    /// Whether bytes wait for the client to take them, and whether some went since this was last asked.
    pub fn write_progress(&mut self) -> (bool, bool) {
        let moved = std::mem::replace(&mut self.flushed_before, self.flushed) != self.flushed;
        (!self.write.is_empty(), moved)
    }

    /// Whether the client waits for a 100 that it has not got.
    pub fn awaits_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether nothing said that the connection is to close.
    pub fn is_kept_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether another request can follow.
    pub fn stays_open(&self) -> bool {
        self.keep_alive && !self.has_body()
    }

    /// The stream, and what has been read of it and belongs to no request.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read.bytes.freeze())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let is_known = self.waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if self.waits && is_known && self.read.is_quiet(&self.stream) {
            return Poll::Pending;
        }
        let read = self.read.poll_read(&mut self.stream, cx);
        // A task whose turn is used up is sent to the queue's end, and is registered nowhere.
        self.waits = read.is_pending() && has_budget_remaining();
        if self.waits && !is_known {
            self.waiting = Some(cx.waker().clone());
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::sync::Arc;

    use tokio::io::ReadBuf;
    use tokio::task::coop::consume_budget;

    use crate::woken::Woken;

    /// A stream on which nothing comes; counts how often somebody was registered with it.
    #[derive(Default)]
    struct Silent(u32);

    impl AsyncRead for Silent {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            self.0 += 1;
            Poll::Pending
        }
    }

    impl AsyncWrite for Silent {
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

    const LIMITS: HeadLimits = HeadLimits { fields: 100, target: 8192, bytes: 32 * 1024, keep_names: false };

    #[test]
    fn whoever_stands_registered_with_a_quiet_stream_is_not_registered_again() {
        let (one, other) = (Waker::from(Arc::<Woken>::default()), Waker::from(Arc::<Woken>::default()));
        for (is_quiet, registered) in [((|_| true) as IsQuiet<Silent>, [1, 1, 2, 2, 3]), (|_| false, [1, 2, 3, 4, 5])] {
            let mut server = Server::new(Silent::default(), b"", LIMITS, is_quiet);
            for (waker, count) in [&one, &one, &other, &other, &one].into_iter().zip(registered) {
                assert!(server.poll_next(&mut Context::from_waker(waker)).is_pending());
                assert_eq!(server.stream.0, count);
            }
        }
    }

    #[tokio::test]
    async fn whoever_was_turned_away_since_its_turn_was_used_up_is_registered_the_next_time() {
        let mut server = Server::new(Silent::default(), b"", LIMITS, |_| true);
        let mut registered = Vec::new();
        std::future::poll_fn(|cx| {
            if registered.is_empty() {
                while pin!(consume_budget()).poll(cx).is_ready() {}
                assert!(!has_budget_remaining());
            }
            assert!(server.poll_next(cx).is_pending());
            registered.push(server.stream.0);
            cx.waker().wake_by_ref();
            if registered.len() < 3 { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        assert_eq!(registered, [1, 2, 2], "turned away, registered, and standing registered");
    }
}
