//! One request of a connection that speaks HTTP/2, in a task of its own: through the pipeline, and its answer back, as
//! fast as the client opens the stream's window.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};

use super::leftover;
use super::streams::Place;
use crate::client::ClientConnection;
use crate::context::survey::is_grpc;
use crate::context::to_http1_form;
use crate::exchange::Arrival;
use crate::hints::Hints;
use crate::http2::{self, ClientBody, Duplex, End, Gathered, Rest};
use crate::last_call::Listening;
use crate::network::Network;
use crate::pipeline;
use crate::reply::Reply;
use crate::request_body::Source;
use crate::shard::Shard;
use crate::timer::{Deadlines, Wait, Watch};

/// What a client sends of a body without asking for room, bytes: a window is hardly ever smaller.
const SENT_AT_ONCE: u64 = 16 * 1024;

/// An answer of so many bytes goes out at once, as a rule.
const SHORT_ANSWER: u64 = 64 * 1024;

/// From so many bytes within `body_idle_timeout` on, a client takes what the connection has for it. Less may be answers
/// to its pings.
const PACE_BYTES: u64 = 4 * 1024;

/// Serves a request to its end. The connection goes on whatever becomes of it.
pub(super) async fn serve<N: Network>(
    arrival: Arrival<N>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    place: Place,
) {
    if arrival.connection.websocket_key.is_some() {
        return Box::pin(serve_websocket(arrival, request, respond, place)).await;
    }
    let (shard, connection) = (Arc::clone(&arrival.shard), Arc::clone(&arrival.connection));
    let deadlines = &connection.deadlines;
    let (mut parts, body) = request.into_parts();
    to_http1_form(&mut parts);
    let head_only = parts.method == Method::HEAD;
    let (source, awaited, rest) = source(&parts, body);
    let mut watch = Watch::new(Arc::clone(deadlines));
    let reply = {
        let serving = pin!(pipeline::serve(arrival, parts, source, Some(&shard.shared.last_call)));
        reply((&shard, &connection), serving, &mut respond, &mut watch, (awaited, &place)).await
    };
    // Without one, the client has left: what is dropped here ends the upstream's work.
    if let Some(reply) = reply {
        // An answer that may take long does not keep what its client has sent meanwhile.
        let rest = rest.filter(|_| is_short(&reply));
        answer(&shard, reply, head_only, respond, (&mut watch, deadlines, &place)).await;
        if let Some(body) = rest.and_then(|rest| rest.take()) {
            hear_out(body, &shard, &place).await;
        }
    }
    drop(place);
}

/// Whether an answer is soon out: a refusal is, whoever says it.
pub(super) fn is_short<N: Network>(reply: &Reply<N>) -> bool {
    reply.status.as_u16() >= 400 || reply.body.size_hint().upper().is_some_and(|length| length <= SHORT_ANSWER)
}

/// A body was not read to its end.
async fn hear_out<N: Network>(body: RecvStream, shard: &Shard<N>, place: &Place) {
    if let Some(_listened) = place.listen() {
        Box::pin(leftover::hear_out(body, &shard.shared.draining)).await;
    }
}

/// Whether a request is an extended CONNECT for a WebSocket. For another protocol it stays a CONNECT, which nobody
/// serves.
pub(super) fn asks_for_websocket(request: &Request<RecvStream>) -> bool {
    request.extensions().get::<h2::ext::Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Serves an extended CONNECT: as HTTP/1's request to switch, whose 101 is a 200 here (RFC 8441, section 5).
async fn serve_websocket<N: Network>(
    arrival: Arrival<N>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    place: Place,
) {
    let (shard, connection) = (Arc::clone(&arrival.shard), Arc::clone(&arrival.connection));
    let (mut parts, body) = request.into_parts();
    to_http1_form(&mut parts);
    parts.method = Method::GET;
    let mut watch = Watch::new(Arc::clone(&connection.deadlines));
    let reply = {
        let serving = pin!(pipeline::serve(arrival, parts, Source::Empty, Some(&shard.shared.last_call)));
        reply((&shard, &connection), serving, &mut respond, &mut watch, (None, &place)).await
    };
    if let Some(mut reply) = reply {
        match reply.take_tunnel() {
            Some(tunnel) => {
                if let Ok(writes) = respond.send_response(http2::tunnel_head(reply.head), false) {
                    pipeline::tunnel(Duplex::new(body, writes), Bytes::new(), *tunnel).await;
                }
            }
            None => answer(&shard, reply, false, respond, (&mut watch, &connection.deadlines, &place)).await,
        }
    }
    drop(place);
}

/// The body, whether somebody waits for it, where the client waits for a 100, and what is left of it, where it is not
/// sent before the client looks for an answer. Callers of gRPC do so while they send.
fn source(parts: &http::request::Parts, body: RecvStream) -> (Source, Option<Arc<AtomicBool>>, Option<Arc<Rest>>) {
    if body.is_end_stream() {
        return (Source::Empty, None, None);
    }
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let declared = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let awaited = parts.headers.contains_key(header::EXPECT).then(Arc::default);
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let is_short = declared.is_some_and(|length| length <= SENT_AT_ONCE);
    let is_heard = !is_short && !kind.is_some_and(|kind| is_grpc(kind.as_bytes()));
    let rest = is_heard.then(Arc::default);
    (Source::Boxed(Box::pin(ClientBody::new(body, declared, awaited.clone(), rest.clone()))), awaited, rest)
}

/// Waits for the pipeline's answer; `None` when the client has left.
async fn reply<N: Network>(
    (shard, connection): (&Shard<N>, &ClientConnection),
    mut serving: Pin<&mut impl Future<Output = Reply<N>>>,
    respond: &mut SendResponse<Bytes>,
    watch: &mut Watch,
    (mut awaited, place): (Option<Arc<AtomicBool>>, &Place),
) -> Option<Reply<N>> {
    let (mut waits, mut last_call) = (place.unanswered().one(), None::<Listening>);
    poll_fn(|cx| {
        loop {
            let polled = pipeline::poll(&shard.shared, serving.as_mut(), cx);
            if connection.is_hinted() {
                hint(connection, respond, place);
            }
            if let Poll::Ready(reply) = polled {
                return Poll::Ready(Some(reply));
            }
            if awaited.as_ref().is_some_and(|awaited| awaited.load(Ordering::Relaxed)) {
                awaited = None;
                let mut go_on = Response::new(());
                *go_on.status_mut() = StatusCode::CONTINUE;
                place.goes_on(respond.stream_id().as_u32());
                // A stream that is over says so below.
                let _ = respond.send_informational(go_on);
            }
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            waits.wait(cx);
            if shard.shared.draining.load(Ordering::Relaxed) {
                let call = &shard.shared.last_call;
                if last_call.get_or_insert_with(|| call.listen()).poll_called(cx).is_ready() {
                    continue;
                }
            }
            // A deadline that has run out is its owner's matter: it is polled again.
            if watch.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Sends the early hints that wait for the client (RFC 8297).
#[cold]
fn hint(connection: &ClientConnection, respond: &mut SendResponse<Bytes>, place: &Place) {
    for fields in connection.hints.as_ref().map(Hints::take).unwrap_or_default() {
        let mut hint = Response::new(());
        *hint.status_mut() = StatusCode::EARLY_HINTS;
        *hint.headers_mut() = fields;
        let stream = respond.stream_id().as_u32();
        place.goes_on(stream);
        // A stream that is over says so to who waits for the answer.
        if respond.send_informational(hint).is_err() {
            place.goes_not(stream);
        }
    }
}

/// Sends an answer.
async fn answer<N: Network>(
    shard: &Shard<N>,
    reply: Reply<N>,
    head_only: bool,
    mut respond: SendResponse<Bytes>,
    (watch, deadlines, place): (&mut Watch, &Deadlines, &Place),
) {
    let Reply { status, head, mut body } = reply;
    let date = shard.date.refresh(&mut shard.date.known()).to_owned();
    let response = http2::head(status, head, head_only, &body, &date);
    let is_over = body.is_end_stream();
    let Ok(stream) = respond.send_response(response, is_over) else { return };
    if is_over {
        return;
    }
    body.await_delivery();
    let body = pin!(body);
    let mut sending = Sending::new(stream, body);
    let mut pace = Pace::at(place.written());
    poll_fn(|cx| {
        loop {
            if sending.poll(cx).is_ready() || sending.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            // The request moves on whether its client takes the answer or not.
            if sending.waits && !sending.part.wants_more() && sending.body.poll_request(cx).is_ready() {
                sending.stream.send_reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(());
            }
            sending.body.answer_roll_call(shard.shared.roll_call.is_on());
            let moved = std::mem::take(&mut sending.moved);
            if moved {
                pace = Pace::at(place.written());
            }
            if sending.waits {
                // What was read ahead waits for the client: that is not the silence of an upstream.
                deadlines.clear(Wait::ResponseBody);
                if moved || !deadlines.is_set(Wait::Write) {
                    let timeout = shard.snapshot().config.server.body_idle_timeout;
                    deadlines.set(Wait::Write, shard.shared.clock.now(), Some(timeout));
                }
            } else {
                deadlines.clear(Wait::Write);
            }
            if watch.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
            if deadlines.has_expired(Wait::Write) {
                if !sending.body.has_request_moved() && !pace.waits_for_others(place.written(), place.round()) {
                    // The client does not take it. The mark stays: by it the exchange tells why it was dropped.
                    sending.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                deadlines.clear(Wait::Write);
            }
        }
    })
    .await;
    if sending.is_delivered() {
        sending.body.delivered();
    } else {
        sending.body.lost(sending.part.held());
    }
    if place.is_untaken() {
        deadlines.run_out(Wait::Write);
    }
}

/// How the connection goes while an answer waits: a client that takes all streams' bytes slowly, in turn, is not idle,
/// however long it is until the next turn of this one.
#[derive(Debug)]
struct Pace {
    /// Bytes that had left the connection when some of the answer last went.
    began: u64,
    /// Bytes that had left when that was last looked at.
    seen: u64,
}

impl Pace {
    fn at(written: u64) -> Self {
        Self { began: written, seen: written }
    }

    /// Whether bytes of others have left since this was last asked, and not a whole round of all streams since the
    /// answer went on: by then it would have had its turn, and it is its own window that is shut.
    fn waits_for_others(&mut self, written: u64, round: u64) -> bool {
        let left = written.saturating_sub(std::mem::replace(&mut self.seen, written));
        left >= PACE_BYTES && written.saturating_sub(self.began) < round
    }
}

/// An answer's body on its way.
struct Sending<'b, B> {
    stream: SendStream<Bytes>,
    body: Pin<&'b mut B>,
    /// What waits for the client's window; no more is read meanwhile, but what is small.
    part: Gathered,
    /// The client's window is shut.
    waits: bool,
    /// Bytes have gone since this was last looked at.
    moved: bool,
    /// The stream took no more.
    is_cut: bool,
}

impl<'b, B: Body<Data = Bytes>> Sending<'b, B> {
    fn new(stream: SendStream<Bytes>, body: Pin<&'b mut B>) -> Self {
        let part = Gathered::default();
        Self { stream, body, part, waits: false, moved: false, is_cut: false }
    }

    /// Whether all that was read of the body has gone.
    fn is_delivered(&self) -> bool {
        self.part.is_empty() && !self.is_cut
    }

    /// Ready when the answer is over, whole or not.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut comes_later = false;
        loop {
            while !comes_later && self.part.wants_more() {
                match self.body.as_mut().poll_frame(cx) {
                    Poll::Pending => comes_later = true,
                    Poll::Ready(Some(Ok(frame))) => self.take(frame),
                    Poll::Ready(None) => self.part.end(None),
                    // A cut answer never looks like a whole one.
                    Poll::Ready(Some(Err(_))) => {
                        self.stream.send_reset(Reason::INTERNAL_ERROR);
                        return Poll::Ready(());
                    }
                }
            }
            if self.part.is_empty() {
                let Some(end) = self.part.take_end() else { return Poll::Pending };
                let sent = match end {
                    End::Whole => self.stream.send_data(Bytes::new(), true),
                    End::Trailers(trailers) => self.stream.send_trailers(*trailers),
                };
                self.is_cut = sent.is_err();
                return Poll::Ready(());
            }
            if ready!(self.poll_send(cx)).is_err() || self.part.is_over() {
                return Poll::Ready(());
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.part.push(data);
                if self.body.is_end_stream() {
                    self.part.end(None);
                }
            }
            Err(frame) => self.part.end(Some(frame.into_trailers().unwrap_or_default())),
        }
    }

    /// Sends as much of the part as the client takes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        // Until it goes: the client's window is shut, or `h2` holds many small frames that it does not read.
        self.waits = true;
        let sent = ready!(self.poll_room(cx)).and_then(|sent| {
            (self.waits, self.moved) = (false, true);
            self.stream.send_data(sent, self.part.is_over()).map_err(|_| ())
        });
        self.is_cut = sent.is_err();
        Poll::Ready(sent)
    }

    /// As much of the part as the client takes now.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, ()>> {
        self.stream.reserve_capacity(self.part.len());
        let mut room = self.stream.capacity();
        if room == 0 {
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(capacity))) => room = capacity,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.part.poll_take(room, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_waits_for_others_as_long_as_they_move_and_not_beyond_its_own_turn() {
        const ROUND: u64 = 100 * 64 * 1024;
        let mut pace = Pace::at(1000);
        for written in [1000 + PACE_BYTES, 600_000, 5_000_000] {
            assert!(pace.waits_for_others(written, ROUND), "{written}");
        }
        assert!(!pace.waits_for_others(5_000_000 + PACE_BYTES - 1, ROUND), "answers to pings are no pace");
        assert!(!pace.waits_for_others(1000 + ROUND, ROUND), "its own window is shut");
        assert!(!Pace::at(0).waits_for_others(50_000, 0), "there are no others");
    }
}
