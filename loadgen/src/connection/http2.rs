//! One HTTP/2 connection, by prior knowledge or by ALPN: many requests at once, each a stream.
//!
//! The protocol is the crate `h2`'s. It asks for a runtime only through wakers, so the driver's loop can be one: when
//! the socket has news, the connection is polled, and then the streams that it woke.
//!
//! A server that says goodbye (GOAWAY without an error; RFC 9113, section 6.8) still answers what it has taken up; what
//! it has not is for another connection.
//!
//! Invariants: each request that was begun comes out once, in [`Http2::take_ended`] or in [`Http2::take_unsent`]. The
//! driver never waits for it.

mod message;
pub(crate) mod preface;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};

use super::InFlight;
use super::wire::Wire;
use crate::clock::Clock;
use crate::request::ExpectedHeader;
use crate::response::{Call, Head, Refusal};
use crate::sample::Failure;
use message::{Message, call_of, head_of};
use socket::Socket;

/// Receive windows, of a stream and of a connection: large enough that a body on loopback or a fast network never waits
/// for one.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// The headers that an answer is held against.
type Expected = Option<Arc<[ExpectedHeader]>>;
type H2Connection = h2::client::Connection<Socket, Bytes>;
type Handshake = dyn Future<Output = Result<(SendRequest<Bytes>, H2Connection), h2::Error>>;

#[expect(clippy::large_enum_variant, reason = "there is one in each connection, which is on the heap")]
enum State {
    Opening(Pin<Box<Handshake>>),
    Open { send: SendRequest<Bytes>, connection: H2Connection },
}

/// A connection and what it carries.
pub(crate) struct Http2 {
    state: State,
    /// Requests that wait for the handshake, or for the server to allow another stream.
    queue: VecDeque<(InFlight, Message, Expected)>,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    ready: Arc<Ready>,
    wakers: Vec<Waker>,
    ended: Vec<EndedStream>,
    /// Whether the server has said goodbye.
    leaving: bool,
    /// Whether it has answered anything.
    answered: bool,
    /// What it has not taken up.
    unsent: Vec<InFlight>,
}

/// A request that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedStream {
    pub(crate) in_flight: InFlight,
    pub(crate) head: Head,
    pub(crate) body_bytes: u64,
    pub(crate) end_ns: u64,
    pub(crate) failure: Option<Failure>,
}

struct Stream {
    in_flight: InFlight,
    expected: Expected,
    head: Head,
    body_bytes: u64,
    /// What is looked at of the body of a refusal.
    problem: Vec<u8>,
    part: Part,
}

enum Part {
    Head(ResponseFuture),
    Body(RecvStream),
}

/// The streams that have news.
#[derive(Debug, Default)]
struct Ready(Mutex<Vec<usize>>);

impl Ready {
    fn push(&self, index: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(index);
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct StreamWaker {
    index: usize,
    ready: Arc<Ready>,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.ready.push(self.index);
    }
}

/// Whether HTTP/2 can say what a request of HTTP/1.1 says.
pub(crate) fn can_say(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_some()
}

impl Http2 {
    /// Takes a socket that may still be connecting.
    pub(crate) fn new(stream: Wire) -> Self {
        let handshake = Builder::new()
            .enable_push(false)
            // Until the server has said how many it allows, none: what it refuses would count as its failure.
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(Socket::new(stream));
        Self {
            state: State::Opening(Box::pin(handshake)),
            queue: VecDeque::new(),
            streams: Vec::new(),
            free: Vec::new(),
            ready: Arc::default(),
            wakers: Vec::new(),
            ended: Vec::new(),
            leaving: false,
            answered: false,
            unsent: Vec::new(),
        }
    }

    /// Whether the server wants no more requests here.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// How many requests are under way.
    pub(crate) fn open(&self) -> usize {
        self.streams.len() - self.free.len()
    }

    /// The requests that the server has not taken up, and will not: those that have waited longest first, so that each
    /// has its turn however few a connection carries. A move is counted where the server has taken up none at all.
    pub(crate) fn take_unsent(&mut self) -> Vec<InFlight> {
        let futile = u8::from(!self.answered && self.open() == 0);
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.sort_by_key(|in_flight| in_flight.started_ns);
        for in_flight in &mut unsent {
            (in_flight.sent_ns, in_flight.moves) = (None, in_flight.moves.saturating_add(futile));
        }
        unsent
    }

    /// Takes a request on, written as HTTP/1.1 would; it goes out with the next [`Http2::pump`]. Its answer is held
    /// against the headers that are expected.
    pub(crate) fn begin(&mut self, bytes: &[u8], in_flight: InFlight, expected: Expected, now_ns: u64) {
        match Message::parse(bytes) {
            Some(message) => self.queue.push_back((in_flight, message, expected)),
            // Who made the request has asked `can_say` before.
            None => self.end_unsent(in_flight, now_ns, Failure::Malformed),
        }
    }

    /// Sends and reads all that can be, without waiting.
    ///
    /// # Errors
    /// When the connection is of no use any more; its requests have ended.
    pub(crate) fn pump(&mut self, clock: &Clock) -> Result<(), Failure> {
        let pumped = self.try_pump(clock);
        if let Err(failure) = pumped {
            self.end_all(failure, clock.now_ns());
        }
        pumped
    }

    fn try_pump(&mut self, clock: &Clock) -> Result<(), Failure> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let State::Opening(handshake) = &mut self.state {
                match handshake.as_mut().poll(&mut context) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Err(_)) => return Err(Failure::Connect),
                    Poll::Ready(Ok((send, connection))) => self.state = State::Open { send, connection },
                }
            }
            let sent = self.send_queued(clock, &mut context)?;
            let State::Open { connection, send } = &mut self.state else { return Ok(()) };
            let allowed = send.current_max_send_streams();
            let over = match Pin::new(connection).poll(&mut context) {
                Poll::Pending => None,
                Poll::Ready(Ok(())) => Some(Failure::Closed),
                Poll::Ready(Err(error)) => Some(failure_of(&error)),
            };
            // The server's settings wake nobody, and nothing else need follow them.
            let allows_more = send.current_max_send_streams() > allowed;
            if matches!(send.poll_ready(&mut context), Poll::Ready(Err(error)) if is_goodbye(&error)) {
                self.leave();
            }
            let may_send = allows_more && !self.queue.is_empty();
            let woken = self.ready.take();
            if woken.is_empty() && !sent && !may_send && over.is_none() {
                return Ok(());
            }
            for index in woken {
                self.poll_stream(index, clock);
            }
            // After the streams: an answer that came whole before the end is one.
            if let Some(failure) = over {
                return Err(failure);
            }
        }
    }

    /// The server has said goodbye: nothing more is sent here.
    fn leave(&mut self) {
        self.leaving = true;
        self.unsent.extend(self.queue.drain(..).map(|(in_flight, ..)| in_flight));
    }

    /// Sends what waits, as far as the server allows; whether anything went out.
    fn send_queued(&mut self, clock: &Clock, context: &mut Context<'_>) -> Result<bool, Failure> {
        let State::Open { send, .. } = &mut self.state else { return Ok(false) };
        let mut sent = false;
        while !self.queue.is_empty() && self.streams.len() - self.free.len() < send.current_max_send_streams() {
            match send.poll_ready(context) {
                Poll::Pending => break,
                // Whoever polls the connection next hears it too, and leaves.
                Poll::Ready(Err(error)) if is_goodbye(&error) => break,
                Poll::Ready(Err(error)) => return Err(failure_of(&error)),
                Poll::Ready(Ok(())) => {}
            }
            let Some((mut in_flight, message, expected)) = self.queue.pop_front() else { break };
            let has_body = !message.body.is_empty();
            in_flight.sent_ns = Some(clock.now_ns());
            let (response, mut body) = match send.send_request(message.request, !has_body) {
                Ok(sent) => sent,
                Err(error) if is_goodbye(&error) => {
                    self.unsent.push(in_flight);
                    continue;
                }
                Err(error) => {
                    let (head, body_bytes, end_ns) = (Head::default(), 0, clock.now_ns());
                    let failure = Some(failure_of(&error));
                    self.ended.push(EndedStream { in_flight, head, body_bytes, end_ns, failure });
                    continue;
                }
            };
            // What cannot be sent whole now is kept by h2; a reset shows in the answer.
            let _ = if has_body { body.send_data(message.body, true) } else { Ok(()) };
            let stream = Stream {
                in_flight,
                expected,
                head: Head::default(),
                body_bytes: 0,
                problem: Vec::new(),
                part: Part::Head(response),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                let index = self.streams.len();
                self.streams.push(None);
                self.wakers.push(Waker::from(Arc::new(StreamWaker { index, ready: Arc::clone(&self.ready) })));
                index
            });
            self.streams[index] = Some(stream);
            // Its first poll leaves the waker there.
            self.ready.push(index);
            sent = true;
        }
        Ok(sent)
    }

    /// Reads what a stream has; it ends with its last byte, or with its failure.
    fn poll_stream(&mut self, index: usize, clock: &Clock) {
        let mut context = Context::from_waker(&self.wakers[index]);
        let Some(stream) = &mut self.streams[index] else { return };
        let ended = match stream.poll(&mut context, clock) {
            Poll::Pending => return,
            Poll::Ready(ended) => ended,
        };
        let (in_flight, head, body_bytes) = (stream.in_flight, stream.head, stream.body_bytes);
        self.answered |= in_flight.head_ns.is_some();
        match ended {
            // Only of streams above the last that the server has taken up.
            Err(error) if is_goodbye(&error) && in_flight.head_ns.is_none() => self.unsent.push(in_flight),
            ended => {
                let failure = ended.err().map(|error| failure_of(&error));
                self.ended.push(EndedStream { in_flight, head, body_bytes, end_ns: clock.now_ns(), failure });
            }
        }
        self.streams[index] = None;
        self.free.push(index);
    }

    /// When the request was begun that has been under way for the longest time.
    pub(crate) fn oldest_ns(&self) -> Option<u64> {
        let open = self.streams.iter().flatten().map(|stream| stream.in_flight.started_ns);
        open.chain(self.queue.iter().map(|(in_flight, ..)| in_flight.started_ns)).min()
    }

    /// Ends the requests that were begun at `since_ns` or before; their streams are reset.
    pub(crate) fn end_older(&mut self, since_ns: u64, now_ns: u64) {
        for index in 0..self.streams.len() {
            let Some(stream) = self.streams[index].take_if(|stream| stream.in_flight.started_ns <= since_ns) else {
                continue;
            };
            self.free.push(index);
            self.ended.push(EndedStream {
                in_flight: stream.in_flight,
                head: stream.head,
                body_bytes: stream.body_bytes,
                end_ns: now_ns,
                failure: Some(Failure::Timeout),
            });
        }
        // Those that come from other connections are older than their place.
        for (in_flight, message, expected) in std::mem::take(&mut self.queue) {
            if in_flight.started_ns <= since_ns {
                self.end_unsent(in_flight, now_ns, Failure::Timeout);
            } else {
                self.queue.push_back((in_flight, message, expected));
            }
        }
    }

    /// One request that is over.
    pub(crate) fn take_ended(&mut self) -> Option<EndedStream> {
        self.ended.pop()
    }

    fn end_all(&mut self, failure: Failure, now_ns: u64) {
        for stream in self.streams.drain(..).flatten() {
            let Stream { in_flight, head, body_bytes, .. } = stream;
            self.ended.push(EndedStream { in_flight, head, body_bytes, end_ns: now_ns, failure: Some(failure) });
        }
        self.free.clear();
        self.wakers.clear();
        while let Some((in_flight, ..)) = self.queue.pop_front() {
            self.end_unsent(in_flight, now_ns, failure);
        }
    }

    fn end_unsent(&mut self, in_flight: InFlight, now_ns: u64, failure: Failure) {
        let (head, failure) = (Head::default(), Some(failure));
        self.ended.push(EndedStream { in_flight, head, body_bytes: 0, end_ns: now_ns, failure });
    }
}

impl Stream {
    fn poll(&mut self, context: &mut Context<'_>, clock: &Clock) -> Poll<Result<(), h2::Error>> {
        if let Part::Head(response) = &mut self.part {
            let response = match Pin::new(response).poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(response)) => response,
            };
            self.in_flight.head_ns = Some(clock.now_ns());
            self.head = head_of(&response, self.expected.as_deref());
            self.part = Part::Body(response.into_body());
        }
        let Part::Body(body) = &mut self.part else { return Poll::Pending };
        loop {
            match body.poll_data(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(Some(Ok(data))) => {
                    self.body_bytes += data.len() as u64;
                    if self.head.refusal.is_some() {
                        Refusal::keep(&mut self.problem, &data);
                    }
                    // It fails only for more than was received.
                    let _ = body.flow_control().release_capacity(data.len());
                }
                Poll::Ready(None) => break,
            }
        }
        self.head.refusal = self.head.refusal.and_then(|refusal| refusal.with(&self.problem));
        match body.poll_trailers(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(trailers)) => {
                if let (Call::Untold, Some(trailers)) = (self.head.call, trailers) {
                    self.head.call = call_of(&trailers);
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// Whether the server ended the connection in good order.
fn is_goodbye(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

fn failure_of(error: &h2::Error) -> Failure {
    if error.is_reset() && error.is_remote() {
        Failure::Reset
    } else if error.is_io() || error.is_go_away() {
        Failure::Closed
    } else {
        Failure::Malformed
    }
}
