//! One connection while it is awake: request after request through the pipeline, each answered before the next is read.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;

use super::connection::LINGER_TIME;
use super::drain::Draining;
use super::seat::Seat;
use super::stream::is_short;
use crate::client::{ClientConnection, Phase, Tunnel};
use crate::error::{Code, GatewayError};
use crate::exchange::Arrival;
use crate::hints::Hints;
use crate::http1::{HeadLimits, IsQuiet, KnownDate, Next, Refusal, Server};
use crate::http2::begins_like_preface;
use crate::last_call::Listening;
use crate::network::{ByteStream, Network};
use crate::pipeline;
use crate::reply::Reply;
use crate::response_body::ResponseBody;
use crate::shard::Shard;
use crate::timer::{Wait, Watch};

/// A request body that nobody wanted is read to its end up to this size, so that the connection can be kept.
const UNWANTED_BYTES: u64 = 64 * 1024;

/// How it came to rest.
pub(super) enum End<N: Network, S> {
    /// Nothing has come for a while: what the codec holds is given back.
    Doze(S),
    /// The client is to read what was sent, then the connection closes.
    Linger(S),
    /// It speaks HTTP/2: these bytes of it have come.
    Http2(S, Bytes),
    /// The client has its 101, and these bytes of it came behind the request: what begins now.
    Switched(S, Bytes, Box<Tunnel<N>>),
    /// The client did not get its answer whole, and only a reset of the connection can tell it.
    Cut(S),
    /// The client is gone, or does not take its answer.
    Closed,
}

/// What all steps of a connection need.
struct Driver<'a, 'd, N: Network, F> {
    shard: &'a Arc<Shard<N>>,
    connection: &'a Arc<ClientConnection>,
    watch: &'a mut Watch,
    draining: &'a mut Draining<'d, F>,
    /// The date as it was last written.
    date: KnownDate,
    /// While a drain lasts: a request waits for an answer, or has just been told that there is none.
    last_call: Option<Listening>,
}

/// Serves the connection until it rests or ends. One on which nothing has been served may turn out to speak HTTP/2.
pub(super) async fn drive<N: Network, S: ByteStream>(
    shard: &Arc<Shard<N>>,
    connection: &Arc<ClientConnection>,
    (stream, is_quiet, read_ahead): (S, IsQuiet<S>, &[u8]),
    may_speak_http2: bool,
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
) -> End<N, S> {
    let date = shard.date.known();
    let mut driver = Driver { shard, connection, watch, draining, date, last_call: None };
    let mut server = Box::new(Server::new(stream, read_ahead, limits(shard), is_quiet));
    server.answer_half_closed(shard.snapshot().config.server.answers_half_closed);
    let (mut first, mut view) = (may_speak_http2, shard.view());
    loop {
        match driver.next(&mut server).await {
            Awaited::Next(Next::Request) => {}
            Awaited::Next(Next::Refused(refusal)) => {
                if first && begins_like_preface(server.unread()) {
                    let (stream, read_ahead) = server.into_parts();
                    return End::Http2(stream, read_ahead);
                }
                return driver.refuse(server, *refusal).await;
            }
            Awaited::Next(Next::Closed) => return End::Closed,
            Awaited::SlowHead => {
                let error = GatewayError::new(Code::RequestTimeout, "The request head did not arrive in time.");
                return driver.refuse(server, Refusal { error: error.closing(), line: None }).await;
            }
            Awaited::IdleForLong => return End::Linger(server.into_parts().0),
            Awaited::Doze => return End::Doze(server.into_parts().0),
        }
        first = false;
        let arrival = Arrival { shard: Arc::clone(shard), connection: Arc::clone(connection) };
        let begun = pipeline::begin(view.snapshot(), arrival, server.request());
        let (mut seat, source) = Seat::Own(server).body();
        let tunnel = {
            let serving = pin!(begun.serve(source, Some(&shard.shared.last_call)));
            let Some(mut reply) = driver.serve(&mut seat, serving).await else { return End::Closed };
            let tunnel = reply.take_tunnel();
            if !driver.answer(&mut seat, reply).await {
                return cut(seat);
            }
            tunnel
        };
        let Some(reclaimed) = seat.reclaim() else { return End::Closed };
        server = reclaimed;
        if let Some(tunnel) = tunnel {
            let (stream, read_ahead) = server.into_parts();
            return End::Switched(stream, read_ahead, tunnel);
        }
        if !server.stays_open() && !Box::pin(read_unwanted(&mut server)).await {
            return End::Linger(server.into_parts().0);
        }
    }
}

/// How the connection ends whose client did not get its answer whole.
fn cut<N: Network, S: ByteStream>(seat: Seat<S>) -> End<N, S> {
    match seat.reclaim() {
        Some(server) if !server.shows_a_cut() => End::Cut(server.into_parts().0),
        _ => End::Closed,
    }
}

fn limits<N: Network>(shard: &Shard<N>) -> HeadLimits {
    let snapshot = shard.snapshot();
    let server = &snapshot.config.server;
    HeadLimits {
        fields: server.max_headers,
        target: server.max_uri_bytes,
        bytes: server.max_header_bytes,
        keep_names: server.preserve_header_case,
    }
}

/// What waiting for a request came to.
enum Awaited {
    Next(Next),
    SlowHead,
    IdleForLong,
    Doze,
}

impl<N: Network, F: Future<Output = ()>> Driver<'_, '_, N, F> {
    /// Waits for the next request.
    async fn next<S: ByteStream>(&mut self, server: &mut Server<S>) -> Awaited {
        let mut held = None;
        poll_fn(|cx| {
            let gate = &self.shard.gate;
            if gate.is_paused() && self.connection.phase.get() == Phase::Idle {
                std::task::ready!(gate.poll_held(&mut held, self.shard.shared.clock.now(), cx));
            }
            let deadlines = &self.connection.deadlines;
            if let Poll::Ready(next) = server.poll_next(cx) {
                return Poll::Ready(Awaited::Next(next));
            }
            let clock = &self.shard.shared.clock;
            if server.has_begun() && self.connection.phase.get() == Phase::Idle {
                let timeout = self.shard.snapshot().config.server.header_read_timeout;
                self.connection.begin_head(clock.now(), timeout);
            }
            self.draining.poll_closes(cx, self.connection, clock);
            while self.watch.poll_expired(cx).is_ready() {
                if deadlines.has_expired(Wait::Head) {
                    return Poll::Ready(Awaited::SlowHead);
                }
                if deadlines.has_expired(Wait::Idle) {
                    return Poll::Ready(Awaited::IdleForLong);
                }
                if deadlines.has_expired(Wait::Doze) && !server.has_begun() {
                    return Poll::Ready(Awaited::Doze);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Waits for the pipeline's answer; `None` when the client has left, and with it the request.
    async fn serve<S: ByteStream>(
        &mut self,
        seat: &mut Seat<S>,
        mut serving: Pin<&mut impl Future<Output = Reply<N>>>,
    ) -> Option<Reply<N>> {
        let mut is_hinted = false;
        let served = poll_fn(|cx| {
            loop {
                let polled = pipeline::poll(&self.shard.shared, serving.as_mut(), cx);
                if self.connection.is_hinted() {
                    self.hint(seat);
                    is_hinted = true;
                }
                if let Poll::Ready(reply) = polled {
                    return Poll::Ready(Some(reply));
                }
                if is_hinted && is_broken(seat, cx) {
                    return Poll::Ready(None);
                }
                if seat.with(|server| server.poll_gone(cx)).is_none_or(|gone| gone.is_ready()) {
                    return Poll::Ready(None);
                }
                self.poll_draining(cx, seat);
                if self.draining.has_begun() && self.hears_last_call(cx) {
                    continue;
                }
                // A deadline that has run out is its owner's matter: it is polled again.
                if self.watch.poll_expired(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
        if is_hinted && let Some(hints) = &self.connection.hints {
            hints.forget();
        }
        served
    }

    /// Queues the early hints that wait for the client.
    #[cold]
    fn hint<S: ByteStream>(&self, seat: &mut Seat<S>) {
        let hints = self.connection.hints.as_ref().map(Hints::take).unwrap_or_default();
        seat.with(|server| hints.iter().for_each(|hint| server.hint(hint)));
    }

    /// Whether a drain has just run out of time. The driver is waited for then, for a moment, until it has told so.
    #[cold]
    fn hears_last_call(&mut self, cx: &mut Context<'_>) -> bool {
        let last_call = &self.shard.shared.last_call;
        self.last_call.get_or_insert_with(|| last_call.listen()).poll_called(cx).is_ready()
    }

    /// Writes an answer; false when the client did not get it whole.
    async fn answer<S: ByteStream>(&mut self, seat: &mut Seat<S>, reply: Reply<N>) -> bool {
        let can_be_followed =
            if seat.is_shared() { !is_early(&reply) || has_little_left(seat) } else { can_be_followed(seat).await };
        let Reply { status, head, body } = reply;
        if self.last_call.is_some() && !self.shard.shared.last_call.has_come() {
            // It has its answer, which may take long: what is left of that is cut.
            self.last_call = None;
        }
        let date = self.shard.date.refresh(&mut self.date);
        if !can_be_followed {
            seat.with(|server| server.close_after_answer());
        }
        let begun = seat.with(|server| server.begin_answer(status, &head, &body, date));
        head.recycle();
        let mut body = pin!(body);
        begun.is_some()
            && poll_fn(|cx| {
                loop {
                    if let Poll::Ready(done) = poll_answer(seat, body.as_mut(), cx) {
                        self.connection.deadlines.clear(Wait::Write);
                        return Poll::Ready(done);
                    }
                    if seat.with(|server| server.poll_gone(cx)).is_none_or(|gone| gone.is_ready()) {
                        return Poll::Ready(false);
                    }
                    self.note_write(seat);
                    self.poll_draining(cx, seat);
                    body.answer_roll_call(self.shard.shared.roll_call.is_on());
                    if self.watch.poll_expired(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if self.connection.deadlines.has_expired(Wait::Write) {
                        if !body.has_request_moved() {
                            // The mark stays: by it the exchange tells why it was dropped.
                            return Poll::Ready(false);
                        }
                        self.connection.deadlines.clear(Wait::Write);
                    }
                    self.connection.rest_anew(self.shard.shared.clock.now());
                }
            })
            .await
    }

    /// Keeps the deadline of a client that is to take bytes: it begins anew whenever some have gone.
    fn note_write<S: ByteStream>(&self, seat: &mut Seat<S>) {
        let deadlines = &self.connection.deadlines;
        let (waits, moved) = seat.with(|server| server.write_progress()).unwrap_or_default();
        if !waits {
            deadlines.clear(Wait::Write);
        } else if moved || !deadlines.is_set(Wait::Write) {
            let timeout = self.shard.snapshot().config.server.body_idle_timeout;
            deadlines.set(Wait::Write, self.shard.shared.clock.now(), Some(timeout));
        }
    }

    fn poll_draining<S: ByteStream>(&mut self, cx: &mut Context<'_>, seat: &mut Seat<S>) {
        if self.draining.poll_closes(cx, self.connection, &self.shard.shared.clock) {
            seat.with(|server| server.close_after_answer());
        }
    }

    /// What never became a request is answered and recorded like any other.
    async fn refuse<S: ByteStream>(&mut self, mut server: Box<Server<S>>, refusal: Refusal) -> End<N, S> {
        let arrival = Arrival { shard: Arc::clone(self.shard), connection: Arc::clone(self.connection) };
        self.connection.begin();
        server.answer_raw(&pipeline::refuse(arrival, refusal.line, &refusal.error));
        let write = poll_fn(|cx| server.poll_flush(cx));
        let _ = tokio::time::timeout(LINGER_TIME, write).await;
        End::Linger(server.into_parts().0)
    }
}

/// Sends what is queued ahead of the answer. Whether the client does not take it.
#[cold]
fn is_broken<S: ByteStream>(seat: &mut Seat<S>, cx: &mut Context<'_>) -> bool {
    seat.with(|server| server.poll_flush(cx)).is_none_or(|flushed| matches!(flushed, Poll::Ready(Err(_))))
}

/// Sends an answer's head, and its body as it comes. The codec is let go while the body is polled: the body may be
/// waiting for the request's, which is read through the same codec.
fn poll_answer<N: Network, S: ByteStream>(
    seat: &mut Seat<S>,
    mut body: Pin<&mut ResponseBody<N>>,
    cx: &mut Context<'_>,
) -> Poll<bool> {
    loop {
        let mut waits_for_body = false;
        while seat.with(|server| server.wants_frame()).unwrap_or(false) {
            let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
                waits_for_body = true;
                break;
            };
            let Ok(frame) = frame.transpose() else {
                // What came before the cut goes out. A client that sees its connection close without a byte takes it
                // for a stale one, and sends a request again that has been carried out.
                if seat.with(|server| server.shows_a_cut()).unwrap_or(false) {
                    let _ = seat.with(|server| server.poll_flush(cx));
                }
                return Poll::Ready(false);
            };
            let ended = body.is_end_stream();
            if seat.with(|server| server.push_frame(frame, ended)).is_none_or(|pushed| pushed.is_err()) {
                return Poll::Ready(false);
            }
        }
        match seat.with(|server| server.poll_flush(cx)) {
            // The request moves on whether its client takes the answer or not. Who waits for the body has just seen to
            // it.
            Some(Poll::Pending) if !waits_for_body && seat.is_shared() => {
                return body.poll_request(cx).map(|()| false);
            }
            Some(Poll::Pending) => return Poll::Pending,
            Some(Poll::Ready(Ok(()))) => {}
            Some(Poll::Ready(Err(_))) | None => return Poll::Ready(false),
        }
        if waits_for_body {
            return Poll::Pending;
        }
        if seat.with(|server| server.is_answered()).unwrap_or(true) {
            return Poll::Ready(true);
        }
    }
}

/// Whether another request can follow the one that is to be answered. A client that is not told of the close sends it
/// at once, and it would be lost (RFC 9112, section 9.6). Where a chunked body ends shows only when the end is there,
/// so what has come of it is read before the answer.
async fn can_be_followed<S: ByteStream>(seat: &mut Seat<S>) -> bool {
    let is_chunked = |server: &mut Server<S>| server.has_body() && server.body_left().is_none();
    match seat.with(|server| (may_be_read(server), is_chunked(server))) {
        Some((true, true)) => poll_fn(|cx| Poll::Ready(seat.with(|server| has_all(server, cx)).unwrap_or(true))).await,
        Some((may_be_read, _)) => may_be_read,
        None => true,
    }
}

/// Whether an answer is out before a long body is in that is still on its way to an upstream. A switch of protocols
/// ends no request.
fn is_early<N: Network>(reply: &Reply<N>) -> bool {
    !reply.status.is_informational() && is_short(reply)
}

/// The same behind an early answer: nobody reads the body on once that is out, and only a short rest is read then. How
/// much is to come of a chunked body is not known, and it may not be polled here: its upstream may be taking it.
fn has_little_left<S: ByteStream>(seat: &mut Seat<S>) -> bool {
    let is_little = |server: &mut Server<S>| {
        !server.has_body() || may_be_read(server) && server.body_left().is_some_and(|left| left <= UNWANTED_BYTES)
    };
    seat.with(is_little).unwrap_or(true)
}

/// Whether all of a body has come that nobody wants, and is small.
fn has_all<S: ByteStream>(server: &mut Server<S>, cx: &mut Context<'_>) -> bool {
    let mut left = UNWANTED_BYTES;
    loop {
        match server.poll_body(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                match left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
            Poll::Ready(None) => return true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => return false,
        }
    }
}

/// Whether a body that nobody wants can be read to its end, so that another request can follow it.
fn may_be_read<S: ByteStream>(server: &Server<S>) -> bool {
    !server.has_body() || (!server.awaits_continue() && server.body_left().is_none_or(|left| left <= UNWANTED_BYTES))
}

/// Reads a body that nobody wanted to its end (security.md, A10); false when the connection is to close.
async fn read_unwanted<S: ByteStream>(server: &mut Server<S>) -> bool {
    if !server.is_kept_alive() || !may_be_read(server) {
        return false;
    }
    let mut left = UNWANTED_BYTES;
    let read = poll_fn(|cx| {
        loop {
            match std::task::ready!(server.poll_body(cx)) {
                Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, |data| data.len() as u64)) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(false),
                },
                Some(Err(_)) => return Poll::Ready(false),
                None => return Poll::Ready(true),
            }
        }
    });
    tokio::time::timeout(LINGER_TIME, read).await.unwrap_or(false) && server.stays_open()
}
