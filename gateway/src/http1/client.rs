//! One client connection: sends a request, reads its answer, streams both bodies at once, all polled by one task.
//!
//! States are plain data; whoever polls is woken by the stream alone. Nothing is lost when polling stops, and dropping
//! the client closes the connection, which is how an exchange is cancelled.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite};

use super::body_reader::BodyReader;
use super::bound_auth;
use super::intake::{Intake, IsQuiet};
use super::interim::Interim;
use super::lines::Lines;
use super::request_head::RequestHead;
use super::response_head::{self, Body, ResponseHead, Taken};
use super::write_queue::{Framing, Misfit, WriteQueue};
use crate::request_body::{BodyFault, RequestBody};

/// So many bytes are shown of what is no HTTP.
const SHOWN_BYTES: usize = 16;

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub enum Error {
    /// The client's body failed.
    RequestBody(BodyFault),
    /// Nothing was sent: the fields of the request come to so many bytes, and the upstream takes so many (over HTTP/2,
    /// RFC 9113, section 10.5.1).
    TooManyFields {
        /// What they come to.
        bytes: usize,
        /// What it takes.
        most: u32,
    },
    /// Nothing was sent: services end a connection for what this field holds (over HTTP/2).
    NotBase64(http::HeaderName),
    /// The connection broke.
    Broken(io::Error),
    /// The answer breaks a rule of HTTP.
    Invalid(&'static str),
    /// The answer is something else: its first bytes, escaped.
    NotHttp(Box<str>),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RequestBody(fault) => fault.fmt(f),
            Self::TooManyFields { .. } | Self::NotBase64(_) => f.write_str(&self.reason()),
            Self::Broken(error) => write!(f, "the upstream's connection broke: {error}"),
            Self::Invalid(_) | Self::NotHttp(_) => write!(f, "the upstream's answer is invalid: {}", self.reason()),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether it is a rule of HTTP that the answer breaks: an upstream's fault in what it says, and not in how long
    /// its connection lives.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::NotHttp(_))
    }

    /// Why, without whose answer it is about.
    #[cold]
    pub fn reason(&self) -> String {
        match self {
            Self::RequestBody(fault) => fault.to_string(),
            Self::TooManyFields { bytes, most } => format!(
                "the request's fields come to {bytes} bytes, and the upstream takes {most} \
                 (SETTINGS_MAX_HEADER_LIST_SIZE)"
            ),
            Self::NotBase64(name) => {
                format!("`{name}` holds no base64, as fields do whose name ends in -bin (gRPC over HTTP2)")
            }
            Self::Broken(error) => error.to_string(),
            Self::Invalid(why) => (*why).to_owned(),
            Self::NotHttp(beginning) => format!("the head begins with \"{beginning}\", and not with HTTP/"),
        }
    }
}

/// The answer's side of an exchange.
#[derive(Debug)]
enum Answer {
    /// No exchange is under way.
    Idle,
    /// The head is awaited.
    Head,
    /// The head has been taken.
    Body(BodyReader),
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Client<S> {
    stream: S,
    read: Intake<S>,
    lines: Lines,
    write: WriteQueue,
    body: RequestBody,
    framing: Framing,
    /// Of the request's body something was read: it cannot be sent again, also when all of it was sent.
    spent: bool,
    /// The request is on the wire as a whole.
    sent: bool,
    /// Writing failed: an answer may still come, then no more.
    write_error: Option<io::Error>,
    /// Bytes of this request that left.
    left: u64,
    method: Method,
    interim: Interim,
    answer: Answer,
    keep_alive: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A connection that has carried nothing yet.
    pub fn new(stream: S, is_quiet: IsQuiet<S>) -> Self {
        Self {
            stream,
            read: Intake::new(is_quiet),
            lines: Lines::default(),
            write: WriteQueue::default(),
            body: RequestBody::Empty,
            framing: Framing::None,
            spent: false,
            sent: true,
            write_error: None,
            left: 0,
            method: Method::GET,
            interim: Interim::new(),
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
        // Who proves here who they are is not asked for by anybody else.
        self.keep_alive = !head.write(self.framing, self.write.out());
        self.body = body;
        self.spent = false;
        self.sent = false;
        self.left = 0;
        self.interim.begin();
        self.method = head.method.clone();
        self.answer = Answer::Head;
    }

    /// Whether nothing of the request has left: then it can go out again elsewhere.
    pub fn nothing_left(&self) -> bool {
        self.left == 0
    }

    /// Whether no byte of the answer has come.
    pub fn nothing_came(&self) -> bool {
        self.read.bytes.is_empty() && !self.interim.has_come() && matches!(self.answer, Answer::Head)
    }

    /// Whether the request's body can be had back.
    pub fn can_take_body(&self) -> bool {
        !self.spent && self.body.can_go_again()
    }

    /// The request's body back from its beginning, if nothing of it was read or all that was read is kept. After that
    /// the connection is of no more use.
    pub fn take_body(&mut self) -> Option<RequestBody> {
        (!self.spent && self.body.rewind()).then(|| std::mem::replace(&mut self.body, RequestBody::Empty))
    }

    /// Keeps no more of the request's body: nobody will want it back.
    pub fn keep_no_more(&mut self) {
        if self.sent {
            self.spent = true;
            self.body = RequestBody::Empty;
        } else {
            self.body.keep_no_more();
        }
    }

    /// The interim answers of the exchange.
    pub(crate) fn interim(&mut self) -> &mut Interim {
        &mut self.interim
    }

    /// Sends what can be sent and reads until the answer's head is whole. Interim answers are dropped, but 101 and,
    /// where they are wanted, early hints.
    ///
    /// # Errors
    /// As `Error` says; the connection is of no more use then.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        self.poll_send(cx)?;
        loop {
            if let Some(taken) = self.take_head()? {
                let status = taken.head.status;
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(self.accept(taken)));
                }
                self.interim.came(status, || taken.head.fields.to_map())?;
                continue;
            }
            if ready!(self.poll_read(cx))? == 0 {
                let error = self.write_error.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                return Poll::Ready(Err(Error::Broken(error)));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<Taken>, Error> {
        if self.read.bytes.is_empty() {
            return Ok(None);
        }
        match response_head::take(&mut self.read.bytes, &mut self.lines, &self.method) {
            Ok(taken) => Ok(taken),
            Err(why) => Err(self.invalid(why)),
        }
    }

    /// A head that breaks a rule; of what does not even look like one, how it begins says more.
    #[cold]
    fn invalid(&self, why: &'static str) -> Error {
        if why != response_head::NOT_HTTP {
            return Error::Invalid(why);
        }
        let shown = &self.read.bytes[..self.read.bytes.len().min(SHOWN_BYTES)];
        Error::NotHttp(shown.escape_ascii().to_string().into())
    }

    fn accept(&mut self, taken: Taken) -> ResponseHead {
        let status = taken.head.status;
        let asks_who = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        self.keep_alive &= taken.keep_alive
            && status != StatusCode::SWITCHING_PROTOCOLS
            && !(asks_who && asks_connection(&taken.head));
        self.answer = Answer::Body(match taken.body {
            Body::None => BodyReader::Over,
            Body::Length(length) => BodyReader::of_length(length),
            Body::Chunked => BodyReader::chunked(),
            Body::UntilClose => BodyReader::UntilClose,
        });
        taken.head
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
            let Answer::Body(body) = &mut self.answer else { return Poll::Ready(None) };
            match body.take(&mut self.read.bytes) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if body.is_over() => return Poll::Ready(None),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Some(Err(Error::Invalid(why)))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => {
                    if let Answer::Body(body) = &mut self.answer
                        && let Err(missing) = body.end()
                    {
                        let cut = io::Error::new(io::ErrorKind::UnexpectedEof, missing);
                        return Poll::Ready(Some(Err(Error::Broken(cut))));
                    }
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(self.broke(error)))),
            }
        }
    }

    /// The connection broke within an answer's body: with how far that had come.
    #[cold]
    fn broke(&self, error: Error) -> Error {
        match (error, &self.answer) {
            (Error::Broken(error), Answer::Body(body)) => {
                Error::Broken(io::Error::new(error.kind(), format!("{error}{}", body.so_far())))
            }
            (error, _) => error,
        }
    }

    /// Whether some of the request is still to leave.
    pub fn is_sending(&self) -> bool {
        !self.sent && self.write_error.is_none()
    }

    /// Whether the answer's last byte has been taken.
    pub fn is_over(&self) -> bool {
        match &self.answer {
            Answer::Idle => true,
            Answer::Head => false,
            Answer::Body(body) => body.is_over(),
        }
    }

    /// Bytes of the answer's body that are left, where that is known.
    pub fn length_left(&self) -> Option<u64> {
        match &self.answer {
            Answer::Idle => Some(0),
            Answer::Head => None,
            Answer::Body(body) => body.length_left(),
        }
    }

    /// Whether this exchange is over on both sides and left nothing behind: then the connection can wait for another.
    pub fn rest(&mut self) -> bool {
        let clean = self.sent && self.keep_alive && self.read.bytes.is_empty() && self.write_error.is_none();
        let rests = clean && self.is_over();
        if rests {
            self.body = RequestBody::Empty;
            self.answer = Answer::Idle;
            self.read.rest();
        }
        rests
    }

    /// Whether another exchange can begin: nothing unasked has come, and the peer has not closed. Costs no system call
    /// while nothing has happened on the stream.
    pub fn is_ready(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        self.rest() && (self.read.is_quiet(&self.stream) || self.poll_read(&mut nobody).is_pending())
    }

    /// The stream, and what came behind the answer's head; for a connection that switched protocols.
    pub fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.read.bytes.freeze())
    }

    /// The same connection on another form of its stream.
    ///
    /// # Errors
    /// As `change`; the connection is lost then.
    pub fn map_stream(self, change: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        Ok(Self { stream: change(self.stream)?, ..self })
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        self.read.poll_read(&mut self.stream, cx).map_err(Error::Broken)
    }

    /// Moves the request on. A write that fails is kept for later: an upstream that answers early and closes has still
    /// answered.
    ///
    /// # Errors
    /// The client broke the request off: the connection is of no more use then.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        while !self.sent && self.write_error.is_none() {
            let left = self.left;
            let written = self.write.poll_write(&mut self.stream, cx, &mut self.left);
            if self.left != left {
                self.body.moved();
            }
            match written {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(error)) => {
                    self.write_error = Some(error);
                    return Ok(());
                }
                Poll::Ready(Ok(())) => {}
            }
            if self.framing == Framing::None {
                self.sent = true;
                if !self.body.can_go_again() {
                    self.spent = true;
                    self.body = RequestBody::Empty;
                }
                return Ok(());
            }
            let queued = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Err(fault))) => Err(fault),
                Poll::Ready(Some(Ok(frame))) => self.write.push(frame, &mut self.framing).map_err(fault_of_misfit),
                Poll::Ready(None) => self.write.push_end(None, &mut self.framing).map_err(fault_of_misfit),
            };
            if let Err(fault) = queued {
                // Not a byte more, above all not the end: a body that broke off must never look whole upstream.
                self.write_error = Some(io::Error::other("the request's body failed"));
                return Err(Error::RequestBody(fault));
            }
        }
        Ok(())
    }
}

/// Whether an answer asks who is at the connection: some services remember by it whom they have asked.
#[cold]
fn asks_connection(head: &ResponseHead) -> bool {
    head.fields.iter().any(|(name, value)| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        (is("www-authenticate") || is("proxy-authenticate")) && bound_auth::asks_connection(value)
    })
}

/// A body that differs from its announced length: longer is not HTTP; shorter would leave the upstream waiting.
fn fault_of_misfit(misfit: Misfit) -> BodyFault {
    match misfit {
        Misfit::TooLong => BodyFault::Malformed,
        Misfit::TooShort => BodyFault::ClientLeft,
    }
}
