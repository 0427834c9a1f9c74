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

use super::streams::Place;
use crate::context::to_http1_form;
use crate::exchange::Arrival;
use crate::http2::{self, ClientBody, Duplex, End, Gathered};
use crate::network::Network;
use crate::pipeline;
use crate::reply::Reply;
use crate::request_body::Source;
use crate::shard::Shard;
use crate::timer::{Deadlines, Wait, Watch};

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
    let (shard, deadlines) = (Arc::clone(&arrival.shard), Arc::clone(&arrival.connection.deadlines));
    let (mut parts, body) = request.into_parts();
    to_http1_form(&mut parts);
    let head_only = parts.method == Method::HEAD;
    let (source, awaited) = source(&parts, body);
    let mut watch = Watch::new(Arc::clone(&deadlines));
    let reply = {
        let serving = pin!(pipeline::serve(arrival, parts, source));
        reply(&shard, serving, &mut respond, &mut watch, awaited).await
    };
    // Without one, the client has left: what is dropped here ends the upstream's work.
    if let Some(reply) = reply {
        answer(&shard, reply, head_only, respond, (&mut watch, &deadlines, &place)).await;
    }
    drop(place);
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
        let serving = pin!(pipeline::serve(arrival, parts, Source::Empty));
        reply(&shard, serving, &mut respond, &mut watch, None).await
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

/// The body, and whether somebody waits for it, where the client waits for a 100.
fn source(parts: &http::request::Parts, body: RecvStream) -> (Source, Option<Arc<AtomicBool>>) {
    if body.is_end_stream() {
        return (Source::Empty, None);
    }
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let declared = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let awaited = parts.headers.contains_key(header::EXPECT).then(Arc::default);
    (Source::Boxed(Box::pin(ClientBody::new(body, declared, awaited.clone()))), awaited)
}

/// Waits for the pipeline's answer; `None` when the client has left.
async fn reply<N: Network>(
    shard: &Shard<N>,
    mut serving: Pin<&mut impl Future<Output = Reply<N>>>,
    respond: &mut SendResponse<Bytes>,
    watch: &mut Watch,
    mut awaited: Option<Arc<AtomicBool>>,
) -> Option<Reply<N>> {
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(reply) = pipeline::poll(&shard.shared, serving.as_mut(), cx) {
                return Poll::Ready(Some(reply));
            }
            if awaited.as_ref().is_some_and(|awaited| awaited.load(Ordering::Relaxed)) {
                awaited = None;
                let mut go_on = Response::new(());
                *go_on.status_mut() = StatusCode::CONTINUE;
                // A stream that is over says so below.
                let _ = respond.send_informational(go_on);
            }
            if respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            // A deadline that has run out is its owner's matter: it is polled again.
            if watch.poll_expired(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Sends an answer.
async fn answer<N: Network>(
    shard: &Shard<N>,
    reply: Reply<N>,
    head_only: bool,
    mut respond: SendResponse<Bytes>,
    (watch, deadlines, place): (&mut Watch, &Deadlines, &Place),
) {
    let Reply { status, head, body } = reply;
    let date = shard.date.refresh(&mut shard.date.known()).to_owned();
    let response = http2::head(status, head, head_only, &body, &date);
    let is_over = body.is_end_stream();
    let Ok(stream) = respond.send_response(response, is_over) else { return };
    if is_over {
        return;
    }
    let part = Gathered::default();
    let mut sending = Sending { stream, body: pin!(body), part, waits: false, moved: false };
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
            let moved = std::mem::take(&mut sending.moved);
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
                if !sending.body.has_request_moved() {
                    // The client does not take it. The mark stays: by it the exchange tells why it was dropped.
                    sending.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                deadlines.clear(Wait::Write);
            }
        }
    })
    .await;
    if place.is_untaken() {
        deadlines.run_out(Wait::Write);
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
}

impl<B: Body<Data = Bytes>> Sending<'_, B> {
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
                let _ = match end {
                    End::Whole => self.stream.send_data(Bytes::new(), true),
                    End::Trailers(trailers) => self.stream.send_trailers(*trailers),
                };
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
        self.stream.reserve_capacity(self.part.len());
        let mut room = self.stream.capacity();
        if room == 0 {
            match self.stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(capacity))) => room = capacity,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let sent = ready!(self.part.poll_take(room, cx));
        (self.waits, self.moved) = (false, true);
        Poll::Ready(self.stream.send_data(sent, self.part.is_over()).map_err(|_| ()))
    }
}
