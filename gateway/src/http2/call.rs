//! One request to an upstream, and its answer, on a stream of a connection that others share: what `http1::Client` is
//! on a connection of its own, with the same rules for what may pass.
//!
//! Nothing is lost when polling stops. Dropping a call that is not over resets its stream, which is how an exchange is
//! cancelled; the connection goes on. The upstream's window opens only as the answer's bytes are taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{Method, Request, StatusCode};
use http_body::{Body as _, Frame};

use super::answer_body::{Cut, Incoming};
use super::duplex::Duplex;
use super::gathered::{End, Gathered};
use super::incoming;
use super::outgoing::{self, Declared};
use crate::http1::{Error, Interim, RequestHead, ResponseHead};
use crate::request_body::{BodyFault, RequestBody};

/// What the other side did wrong, where `h2` knows more than it tells.
const BROKEN_RULE: &str = "a rule of HTTP/2 is broken";

/// The answer's side.
#[derive(Debug)]
enum Answer {
    /// Nothing was asked, or it could not be: why.
    None(Option<h2::Error>),
    /// The head is awaited.
    Head(ResponseFuture),
    /// The head has been taken.
    Body(Incoming),
}

/// A call.
#[derive(Debug)]
pub struct Call {
    connection: SendRequest<Bytes>,
    /// `https`, where the connection is encrypted.
    encrypted: bool,
    method: Method,
    answer: Answer,
    interim: Interim,
    /// The sending half, until all has been handed over.
    sending: Option<SendStream<Bytes>>,
    body: RequestBody,
    /// The sending half of what is to become a tunnel.
    tunnel: Option<SendStream<Bytes>>,
    /// What is left of the length that the request declares.
    left: Option<u64>,
    /// Waits for the upstream's window; no more is read meanwhile, but what is small.
    part: Gathered,
    /// Of the request's body something was read: it cannot be sent again, also when all of it was sent.
    spent: bool,
    /// The upstream has said that it has not begun with the request, or never got it (RFC 9113, section 8.7).
    unbegun: bool,
    /// The connection broke, not the stream alone.
    cut: bool,
    /// The upstream reset the stream, having begun with it.
    was_reset: bool,
    /// The connection closes in good order, and the upstream has not begun with it.
    turned_away: bool,
    /// The upstream has not begun with it, and said so on its stream.
    refused: bool,
    /// The upstream ended the connection for an error, and has not begun with it: it may be what the error was.
    suspect: bool,
    /// It ended as its whole connection did.
    fell: bool,
    /// What the upstream takes of fields, bytes.
    most_fields: u32,
    /// It cannot be sent.
    unfit: Option<Error>,
    /// It is a call of gRPC, which knows no trailers of requests.
    is_grpc: bool,
    /// The upstream has reset its stream for being asked too much of.
    calmed: bool,
}

/// As much of a body is asked room for as one frame of it takes (RFC 9113, section 4.2).
const FRAME_BYTES: usize = 16_384;

impl Call {
    /// A call on this connection, which has room for it, and takes fields of so many bytes.
    pub fn new(connection: SendRequest<Bytes>, encrypted: bool, most_fields: u32) -> Self {
        Self {
            connection,
            encrypted,
            method: Method::GET,
            answer: Answer::None(None),
            interim: Interim::new(),
            sending: None,
            tunnel: None,
            body: RequestBody::Empty,
            left: None,
            part: Gathered::default(),
            spent: false,
            unbegun: true,
            cut: false,
            was_reset: false,
            turned_away: false,
            refused: false,
            suspect: false,
            fell: false,
            most_fields,
            unfit: None,
            is_grpc: false,
            calmed: false,
        }
    }

    /// Sends the head, and the body as it comes while the answer is awaited.
    pub fn begin(&mut self, head: &RequestHead, body: RequestBody) {
        let declared = match &body {
            RequestBody::Empty => Declared::Nothing,
            streaming => streaming.size_hint().exact().map_or(Declared::Unknown, Declared::Length),
        };
        self.left = if let Declared::Length(length) = declared { Some(length) } else { None };
        self.method = head.method.clone();
        self.body = body;
        let ends = matches!(self.body, RequestBody::Empty);
        let request = outgoing::request(head, declared, self.encrypted);
        if let Ok(request) = &request {
            self.is_grpc = outgoing::is_grpc(request.headers());
            self.unfit = self.unfit(request);
            if self.unfit.is_some() {
                return;
            }
        }
        let sent = request.and_then(|request| {
            let switches = *request.method() == Method::CONNECT;
            let (answer, stream) = self.connection.send_request(request, ends && !switches)?;
            Ok((answer, stream, switches))
        });
        match sent {
            Ok((answer, stream, switches)) => {
                self.unbegun = false;
                self.answer = Answer::Head(answer);
                match (switches, ends) {
                    (true, _) => self.tunnel = Some(stream),
                    (false, false) => self.sending = Some(stream),
                    (false, true) => {}
                }
            }
            Err(error) => self.answer = Answer::None(Some(error)),
        }
    }

    /// Why a peer may end the connection for it, and with that the calls of others.
    fn unfit(&self, request: &Request<()>) -> Option<Error> {
        if let Some(name) = outgoing::misfit(request.headers()) {
            return Some(Error::NotBase64(name.clone()));
        }
        let most = self.most_fields;
        let bytes = if most == u32::MAX { 0 } else { outgoing::list_bytes(request) };
        (bytes > most as usize).then_some(Error::TooManyFields { bytes, most })
    }

    /// Whether the upstream cannot have begun with it.
    pub fn nothing_left(&self) -> bool {
        self.unbegun
    }

    /// Whether its connection broke under it. A stream that was reset is the upstream's own word on this call.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether the upstream has begun with it, and reset its stream: its word on this call, and on no other.
    pub fn was_reset(&self) -> bool {
        self.was_reset
    }

    /// Whether the upstream reset its stream for being asked too much of (ENHANCE_YOUR_CALM): it is well.
    pub fn was_calmed(&self) -> bool {
        self.calmed
    }

    /// Whether the upstream closes the connection in good order (GOAWAY without an error), and has not begun with this
    /// call. Not of a connection's first: one that takes nothing at all is no upstream in good order.
    pub fn was_turned_away(&self) -> bool {
        self.turned_away && self.taken_before() != Some(0)
    }

    /// Whether the upstream closes the connection in good order, of which this call was the first, and has not begun
    /// with it.
    pub fn took_nothing(&self) -> bool {
        self.turned_away && self.taken_before() == Some(0)
    }

    /// Whether the upstream has said of this call alone that it has not begun with it (REFUSED_STREAM).
    pub fn was_refused(&self) -> bool {
        self.refused
    }

    /// Whether the upstream ended its connection for an error without having begun with this call, which may have been
    /// the error: sent again it would end the next one, with the calls of others on it.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether it ended because its whole connection did.
    pub fn fell_with_connection(&self) -> bool {
        self.fell
    }

    /// How many calls its connection had taken before, while its answer's head is awaited.
    pub fn taken_before(&self) -> Option<usize> {
        let Answer::Head(answer) = &self.answer else { return None };
        // A client's streams have odd numbers, one after the other (RFC 9113, section 5.1.1).
        Some(answer.stream_id().as_u32() as usize / 2)
    }

    /// Whether nothing of the answer has come.
    pub fn nothing_came(&self) -> bool {
        !self.interim.has_come() && !matches!(self.answer, Answer::Body(_))
    }

    /// Whether the request's body can be had back.
    pub fn can_take_body(&self) -> bool {
        !self.spent && self.body.can_go_again()
    }

    /// The request's body back from its beginning, if nothing of it was read or all that was read is kept. After that
    /// the call is of no more use.
    pub fn take_body(&mut self) -> Option<RequestBody> {
        (!self.spent && self.body.rewind()).then(|| std::mem::replace(&mut self.body, RequestBody::Empty))
    }

    /// Keeps no more of the request's body as it passes.
    pub fn keep_no_more(&mut self) {
        if self.sending.is_some() {
            self.body.keep_no_more();
        } else {
            // All of it was sent.
            self.spent = true;
            self.body = RequestBody::Empty;
        }
    }

    /// The interim answers to the call.
    pub(crate) fn interim(&mut self) -> &mut Interim {
        &mut self.interim
    }

    /// Sends what can be sent and reads until the answer's head is there. Interim answers are dropped but, where they
    /// are wanted, early hints.
    ///
    /// # Errors
    /// As `Error` says; the call is over then.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, Error>> {
        self.poll_send(cx)?;
        let Answer::Head(answer) = &mut self.answer else { return Poll::Ready(Err(self.unasked())) };
        let response = loop {
            match answer.poll_informational(cx) {
                Poll::Ready(Some(Ok(interim))) if interim.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Poll::Ready(Err(Error::Invalid("there is no 101 in HTTP/2")));
                }
                Poll::Ready(Some(Ok(interim))) => {
                    self.interim.came(interim.status(), || interim.into_parts().0.headers)?;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.judged(error))),
                Poll::Ready(None) | Poll::Pending => match ready!(Pin::new(&mut *answer).poll(cx)) {
                    Ok(response) => break response,
                    Err(error) => return Poll::Ready(Err(self.judged(error))),
                },
            }
        };
        let (parts, stream) = response.into_parts();
        let (head, told) = incoming::head(parts.status, &parts.headers, &self.method).map_err(Error::Invalid)?;
        let over = stream.is_end_stream();
        self.answer = Answer::Body(Incoming { stream, left: told.length, bodiless: told.bodiless, over });
        Poll::Ready(Ok(head))
    }

    /// The next part of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// The answer is cut or invalid; what was taken so far is not the whole.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // The request may still be on its way; that the client broke it ends the exchange.
        if let Err(error) = self.poll_send(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        let Answer::Body(body) = &mut self.answer else { return Poll::Ready(None) };
        Poll::Ready(match ready!(body.poll(cx)) {
            None => None,
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(Cut::Error(error))) => Some(Err(self.judged(error))),
            Some(Err(Cut::Unwanted)) => Some(Err(Error::Invalid("the answer has a body where it can have none"))),
        })
    }

    /// Whether some of the request is still to be handed over.
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Whether the answer's last byte has been taken.
    pub fn is_over(&self) -> bool {
        match &self.answer {
            Answer::None(_) => true,
            Answer::Head(_) => false,
            Answer::Body(body) => body.is_over(),
        }
    }

    /// Bytes of the answer's body that are left, where that is known.
    pub fn length_left(&self) -> Option<u64> {
        match &self.answer {
            Answer::None(_) => Some(0),
            Answer::Head(_) => None,
            Answer::Body(body) if body.bodiless || body.is_over() => Some(0),
            Answer::Body(body) => body.left,
        }
    }

    /// The stream as bytes both ways, once the answer's head has come.
    pub fn into_duplex(mut self) -> Option<Duplex> {
        let sending = self.tunnel.take()?;
        match std::mem::replace(&mut self.answer, Answer::None(None)) {
            Answer::Body(body) => Some(Duplex::new(body.stream, sending)),
            Answer::None(_) | Answer::Head(_) => None,
        }
    }

    /// Moves the request on. That it cannot be sent is seen in its answer: an upstream may answer early and want no
    /// more.
    ///
    /// # Errors
    /// The client broke the request off: the call is over then.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        // While the upstream takes nothing of what waits, no more is read.
        let (mut is_blocked, mut comes_later) = (!self.part.is_empty(), false);
        while self.sending.is_some() {
            while !is_blocked && !comes_later && self.part.wants_more() {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => comes_later = true,
                    // Not a byte more, above all not the end: a body that broke off must never look whole upstream. The
                    // stream is reset when the call is dropped.
                    Poll::Ready(frame) => self.take(frame).map_err(Error::RequestBody)?,
                }
            }
            if self.poll_part(cx).is_pending() {
                if comes_later && !self.part.is_empty() {
                    self.body.waits_for_upstream();
                }
                break;
            }
            is_blocked = false;
        }
        Ok(())
    }

    /// Takes a frame of the request's body, or its end.
    fn take(&mut self, frame: Option<Result<Frame<Bytes>, BodyFault>>) -> Result<(), BodyFault> {
        match frame.transpose()?.map(Frame::into_data) {
            Some(Ok(data)) => {
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(data.len() as u64).ok_or(BodyFault::Malformed)?;
                }
                self.part.push(data);
                if ends(&self.body, self.left) {
                    self.part.end(None);
                }
            }
            // Shorter than it said: whoever reads it must not take it for whole.
            Some(Err(_)) | None if self.left.is_some_and(|left| left > 0) => return Err(BodyFault::ClientLeft),
            Some(Err(frame)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                if outgoing::fields_bytes(&trailers) > self.most_fields as usize {
                    return Err(BodyFault::TooLarge);
                }
                if outgoing::misfit(&trailers).is_some() {
                    return Err(BodyFault::Malformed);
                }
                self.part.end(Some(trailers));
            }
            None => self.part.end(None),
        }
        Ok(())
    }

    /// Hands on what has been read, or the end; pending where there is nothing, or the upstream takes no more.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Trailers that meet the end of an answer are to some services frames on a stream that is none, for which they
        // end the connection; services of gRPC take them for a second head.
        let takes_trailers = !self.is_grpc && matches!(self.answer, Answer::Head(_));
        let Some(stream) = &mut self.sending else { return Poll::Ready(()) };
        if self.part.is_empty() {
            match self.part.take_end() {
                None => return Poll::Pending,
                Some(End::Trailers(trailers)) if takes_trailers => {
                    drop(stream.send_trailers(outgoing::trailers(*trailers)));
                }
                Some(End::Whole | End::Trailers(_)) => drop(stream.send_data(Bytes::new(), true)),
            }
            self.stop();
            return Poll::Ready(());
        }
        // What is in hand, and not more: what is set aside for a call whose client stops reading is used by nobody. Nor
        // less: where calls wait for the window, `h2` would send of each as little as was asked for, and a service
        // takes many frames of a byte for an attack. `h2` takes the whole part, and sends it as the windows open,
        // whether anybody polls or not.
        stream.reserve_capacity(self.part.len().min(FRAME_BYTES));
        if stream.capacity() == 0 && !matches!(ready!(stream.poll_capacity(cx)), Some(Ok(_))) {
            self.stop();
            return Poll::Ready(());
        }
        let part = ready!(self.part.poll_take(usize::MAX, cx));
        self.body.moved();
        let last = self.part.is_over();
        if stream.send_data(part, last).is_err() || last {
            self.stop();
        }
        Poll::Ready(())
    }

    /// Nothing more is sent.
    fn stop(&mut self) {
        self.sending = None;
        self.part = Gathered::default();
        if !self.body.can_go_again() {
            self.spent = true;
            self.body = RequestBody::Empty;
        }
    }

    /// Why there is no answer to what could not be asked.
    #[cold]
    fn unasked(&mut self) -> Error {
        if let Some(error) = self.unfit.take() {
            return error;
        }
        match &mut self.answer {
            Answer::None(error) => match error.take() {
                Some(error) => self.judged(error),
                None => Error::Broken(io::ErrorKind::NotConnected.into()),
            },
            Answer::Head(_) | Answer::Body(_) => Error::Broken(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What an error of the stream, or of its connection, says of this call.
    #[cold]
    fn judged(&mut self, error: h2::Error) -> Error {
        // A stream is told of a GOAWAY only where that says that it was not looked at.
        let goes_away = error.is_remote() && error.is_go_away();
        self.refused |= error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        self.calmed |= error.is_remote() && error.is_reset() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
        self.unbegun |= goes_away || self.refused;
        let in_order = error.reason() == Some(Reason::NO_ERROR);
        self.turned_away |= goes_away && in_order;
        self.suspect |= goes_away && !in_order && !matches!(self.answer, Answer::None(_));
        self.cut |= error.is_io();
        self.fell |= error.is_io() || error.is_go_away();
        self.was_reset |= error.is_remote() && error.is_reset() && !self.unbegun;
        // A GOAWAY by `h2` ends every call of the connection, whichever it was that broke a rule: no call's own fault.
        if error.is_library() && error.is_reset() {
            return Error::Invalid(BROKEN_RULE);
        }
        Error::Broken(if error.is_io() { error.into_io().unwrap_or_else(broken) } else { io::Error::other(error) })
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// Whether a request's body has come to its end with what was read.
fn ends(body: &RequestBody, left: Option<u64>) -> bool {
    left.is_none_or(|left| left == 0) && body.is_end_stream()
}
