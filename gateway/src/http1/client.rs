//! One client connection: sends a request, reads its answer, streams both bodies at once, all polled by one task.
//!
//! States are plain data; whoever polls is woken by the stream alone. Nothing is lost when polling stops, and dropping
//! the client closes the connection, which is how an exchange is cancelled.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Method, Response};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use super::chunked::{self, Decoded, Decoder};
use super::request_head::{Framing, RequestHead};
use super::response_head::{self, Body, ResponseHead};
use crate::request_body::{BodyFault, RequestBody};

/// What is read at once, at first; a body that keeps the buffer full gets more.
const READ_BYTES: usize = 8 * 1024;
/// The most that is read at once.
const READ_BYTES_MAX: usize = 64 * 1024;
/// A part of a body up to this size is copied behind what waits to be written, so that it leaves in one system call.
const COPY_BYTES: usize = 8 * 1024;
/// Interim answers that are read and dropped before the real one.
const MAX_INTERIM: u8 = 16;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub enum Error {
    /// The client's body failed.
    RequestBody(BodyFault),
    /// The connection broke.
    Broken(io::Error),
    /// The answer breaks a rule of HTTP.
    Invalid(&'static str),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RequestBody(fault) => fault.fmt(f),
            Self::Broken(error) => write!(f, "the upstream's connection broke: {error}"),
            Self::Invalid(why) => write!(f, "the upstream's answer is invalid: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// The answer's side of an exchange.
#[derive(Debug)]
enum Answer {
    /// No exchange is under way.
    Idle,
    /// The head is awaited.
    Head,
    /// So many bytes are left.
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    /// The last byte has been taken.
    Over,
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    read: BytesMut,
    read_size: usize,
    /// Waits to be written, from `written` on.
    write: Vec<u8>,
    written: usize,
    /// A large part of the body that waits behind `write`.
    part: Bytes,
    /// What closes the part: the line end behind a chunk's data.
    part_end: &'static [u8],
    body: RequestBody,
    framing: Framing,
    /// The request is on the wire as a whole.
    sent: bool,
    /// Writing failed: an answer may still come, then no more.
    write_error: Option<io::Error>,
    /// Bytes of this request that left.
    left: u64,
    method: Method,
    interim: u8,
    answer: Answer,
    keep_alive: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A connection that has carried nothing yet.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            read_size: READ_BYTES,
            write: Vec::new(),
            written: 0,
            part: Bytes::new(),
            part_end: b"",
            body: RequestBody::Empty,
            framing: Framing::None,
            sent: true,
            write_error: None,
            left: 0,
            method: Method::GET,
            interim: 0,
            answer: Answer::Idle,
            keep_alive: true,
        }
    }

    /// Begins an exchange; the connection must be ready for one.
    pub fn begin(&mut self, head: &RequestHead, body: RequestBody) {
        self.framing = match &body {
            RequestBody::Empty => Framing::None,
            streaming => match streaming.size_hint().exact() {
                Some(length) => Framing::Length(length),
                None => Framing::Chunked,
            },
        };
        self.write.clear();
        head.write(self.framing, &mut self.write);
        self.written = 0;
        self.body = body;
        self.sent = false;
        self.left = 0;
        self.interim = 0;
        self.method = head.method.clone();
        self.answer = Answer::Head;
    }

    /// Whether nothing of the request has left: then it can go out again elsewhere.
    pub fn nothing_left(&self) -> bool {
        self.left == 0
    }

    /// Whether no byte of the answer has come.
    pub fn nothing_came(&self) -> bool {
        self.read.is_empty() && self.interim == 0 && matches!(self.answer, Answer::Head)
    }

    /// The request's body back, if nothing of it was read.
    pub fn take_body(&mut self) -> Option<RequestBody> {
        let untouched = !self.body.has_begun();
        untouched.then(|| std::mem::replace(&mut self.body, RequestBody::Empty))
    }

    /// Sends what can be sent and reads until the answer's head is whole. Interim answers are dropped, but 101.
    ///
    /// # Errors
    /// As `Error` says; the connection is of no more use then.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Error>> {
        self.poll_send(cx)?;
        loop {
            if let Some(head) = self.take_head()? {
                if !head.status.is_informational() || head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(self.accept(head)));
                }
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Poll::Ready(Err(Error::Invalid("too many interim answers")));
                }
                continue;
            }
            if ready!(self.poll_read(cx))? == 0 {
                let error = self.write_error.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                return Poll::Ready(Err(Error::Broken(error)));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<ResponseHead>, Error> {
        if self.read.is_empty() {
            return Ok(None);
        }
        response_head::take(&mut self.read, &self.method).map_err(Error::Invalid)
    }

    fn accept(&mut self, head: ResponseHead) -> Response<()> {
        self.keep_alive = head.keep_alive && head.status != http::StatusCode::SWITCHING_PROTOCOLS;
        self.answer = match head.body {
            Body::None => Answer::Over,
            Body::Length(length) => Answer::Length(length),
            Body::Chunked => Answer::Chunked(Decoder::new()),
            Body::UntilClose => Answer::UntilClose,
        };
        let mut response = Response::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        response
    }

    /// The next part of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// The answer is cut or invalid; what was taken so far is not the whole.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // The request may still be on its way. That it cannot be written matters only if the answer does not come
        // whole; that the client broke it ends the exchange.
        if let Err(error) = self.poll_send(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Some(Err(Error::Invalid(why)))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if matches!(self.answer, Answer::UntilClose) => self.answer = Answer::Over,
                Ok(0) => return Poll::Ready(Some(Err(Error::Broken(io::ErrorKind::UnexpectedEof.into())))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// What of the body is in the buffer.
    fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, &'static str> {
        match &mut self.answer {
            Answer::Idle | Answer::Head | Answer::Over => Ok(None),
            Answer::Length(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(self.read.len());
                if now == 0 {
                    return Ok(None);
                }
                *left -= now as u64;
                if *left == 0 {
                    self.answer = Answer::Over;
                }
                Ok(Some(Frame::data(self.read.split_to(now).freeze())))
            }
            Answer::Chunked(decoder) => match decoder.decode(&mut self.read)? {
                Decoded::Data(data) => Ok(Some(Frame::data(data))),
                Decoded::Trailers(trailers) => {
                    self.answer = Answer::Over;
                    Ok(Some(Frame::trailers(trailers)))
                }
                Decoded::End => {
                    self.answer = Answer::Over;
                    Ok(None)
                }
                Decoded::More => Ok(None),
            },
            Answer::UntilClose if self.read.is_empty() => Ok(None),
            Answer::UntilClose => Ok(Some(Frame::data(self.read.split().freeze()))),
        }
    }

    /// Whether the answer's last byte has been taken.
    pub fn is_over(&self) -> bool {
        matches!(self.answer, Answer::Over | Answer::Idle)
    }

    /// Bytes of the answer's body that are left, where that is known.
    pub fn length_left(&self) -> Option<u64> {
        match self.answer {
            Answer::Length(left) => Some(left),
            Answer::Over | Answer::Idle => Some(0),
            _ => None,
        }
    }

    /// Whether another exchange can begin: this one is over on both sides, nothing unasked has come, and the peer has
    /// not closed. Costs no system call while nothing has happened on the stream.
    pub fn is_ready(&mut self) -> bool {
        if !(self.sent && self.keep_alive && self.is_over() && self.read.is_empty() && self.write_error.is_none()) {
            return false;
        }
        self.answer = Answer::Idle;
        let mut nobody = Context::from_waker(Waker::noop());
        self.poll_read(&mut nobody).is_pending()
    }

    /// The stream, and what came behind the answer's head; for a connection that switched protocols.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read.freeze())
    }

    /// The same connection on another form of its stream.
    ///
    /// # Errors
    /// As `change`; the connection is lost then.
    pub fn map_stream(self, change: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        Ok(Self { stream: change(self.stream)?, ..self })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        if self.read.capacity() - self.read.len() < self.read_size / 2 {
            self.read.reserve(self.read_size);
        }
        let space = self.read.capacity() - self.read.len();
        let count = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.read)).map_err(Error::Broken)?;
        if count == space {
            self.read_size = (self.read_size * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(count))
    }

    /// Moves the request on. A write that fails is kept for later: an upstream that answers early and closes has still
    /// answered.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.sent && self.write_error.is_none() {
            match self.poll_write(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => {
                    self.write_error = Some(error);
                    return Ok(());
                }
                Poll::Ready(Ok(())) => {}
            }
            if self.framing == Framing::None {
                self.sent = true;
                self.body = RequestBody::Empty;
                return Ok(());
            }
            let queued = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(fault))) => Err(Error::RequestBody(fault)),
                Poll::Ready(Some(Ok(frame))) => self.queue(frame),
                Poll::Ready(None) => self.queue_end(None),
            };
            if let Err(error) = queued {
                // Not a byte more, above all not the end: a body that broke off must never look whole upstream.
                self.write_error = Some(io::Error::other("the request's body failed"));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes out what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.write.len() || !self.part.is_empty() || !self.part_end.is_empty() {
            let head = &self.write[self.written..];
            let bufs = [io::IoSlice::new(head), io::IoSlice::new(&self.part), io::IoSlice::new(self.part_end)];
            let stream = Pin::new(&mut self.stream);
            let mut count = if self.part.is_empty() && self.part_end.is_empty() {
                ready!(stream.poll_write(cx, head))?
            } else {
                ready!(stream.poll_write_vectored(cx, &bufs))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.left += count as u64;
            let of_head = count.min(head.len());
            self.written += of_head;
            count -= of_head;
            let of_part = count.min(self.part.len());
            self.part.advance(of_part);
            self.part_end = &self.part_end[count - of_part..];
        }
        self.write.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Puts a frame of the request's body behind what waits.
    fn queue(&mut self, frame: Frame<Bytes>) -> Result<(), Error> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.queue_end(frame.into_trailers().ok().as_ref()),
        };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::None => {}
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Error::RequestBody(BodyFault::Malformed))?;
                self.put(data);
            }
            Framing::Chunked => {
                chunked::write_chunk_head(data.len(), &mut self.write);
                self.put(data);
                if self.part.is_empty() {
                    self.write.extend_from_slice(b"\r\n");
                } else {
                    self.part_end = b"\r\n";
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, data: Bytes) {
        if data.len() <= COPY_BYTES {
            self.write.extend_from_slice(&data);
        } else {
            self.part = data;
        }
    }

    /// The request's body has come to its end.
    fn queue_end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Error> {
        match self.framing {
            // Shorter than it said: to pass it on would leave the upstream waiting.
            Framing::Length(left) if left > 0 => return Err(Error::RequestBody(BodyFault::ClientLeft)),
            Framing::Chunked => chunked::write_end(trailers, &mut self.write),
            Framing::Length(_) | Framing::None => {}
        }
        self.framing = Framing::None;
        Ok(())
    }
}
