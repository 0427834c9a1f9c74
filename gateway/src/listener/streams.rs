//! One connection that speaks HTTP/2: its streams, each a task of its own, and what holds for all of them.
//!
//! `h2` keeps the streams' states and windows; frames are counted on their way to it (`http2::Watched`). What ends the
//! connection here: nothing asked for a while, a head that does not come to its end, a client that takes no bytes, more
//! resets and empty frames than a client may send, a drain.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::Reason;
use h2::server::{Builder, Connection};

use super::connection::{LINGER_TIME, linger};
use super::drain::{Draining, ON_ITS_WAY};
use super::silence::{Seen, Silence};
use super::stream;
use super::unanswered::Unanswered;
use crate::client::ClientConnection;
use crate::clock::Clock;
use crate::config::settings::server::Server;
use crate::context::WebSocketKey;
use crate::exchange::Arrival;
use crate::http2::{Allowance, FIELD_BYTES, Interim, Pulse, Watched, frame_budget};
use crate::last_call::Listening;
use crate::network::{ByteStream, Network};
use crate::shard::Shard;
use crate::telemetry::metrics::ShedReason;
use crate::timer::{Wait, Watch};

/// What one stream holds of an answer that the client does not take, bytes; the connection it comes from is not read
/// meanwhile.
const SEND_BYTES: usize = 64 * 1024;

/// Streams that were reset and whose last frames may still come, and for how long.
const RESET_STREAMS: usize = 64;
const RESET_TIME: Duration = Duration::from_secs(1);

/// The smallest frames of which the connection's window may be full, bytes. Beyond the budget `h2` ends the connection,
/// and with it the requests of those who did nothing. It bounds memory too, since `h2` spends some 250 bytes on a frame
/// of any size, so that a connection may hold some 17 times its window: 17 MB where that is 1 MiB. A stream's window of
/// 64 KiB may come byte by byte.
const LEAST_FRAME: usize = 15;

/// Streams whose clients are listened to though their answers have gone out, of one connection.
const LISTENED: usize = 32;

/// Requests that are being served, and who wants to know when there are none.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: AtomicUsize,
    /// Those of them that wait for what they are answered.
    unanswered: Unanswered,
    /// Those of them that are answered, and whose clients go on sending.
    listened: AtomicUsize,
    /// Bytes that had left the connection when that was last looked at.
    written: AtomicU64,
    waker: AtomicWaker,
    /// The connection ended since the client took no bytes.
    untaken: AtomicBool,
    /// Where is said which heads of answers are interim ones.
    interim: Arc<Interim>,
}

/// One of them, for as long as it is served.
#[derive(Debug)]
pub(super) struct Place(Arc<Open>);

impl Place {
    fn take(open: &Arc<Open>) -> Self {
        open.count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }

    /// Those that wait for what they are answered.
    pub(super) fn unanswered(&self) -> &Unanswered {
        &self.0.unanswered
    }

    /// The next head of this stream is an interim one.
    pub(super) fn goes_on(&self, stream: u32) {
        self.0.interim.announce(stream);
    }

    /// It did not go.
    pub(super) fn goes_not(&self, stream: u32) {
        self.0.interim.take(stream);
    }

    /// Whether the connection ended since the client took no bytes.
    pub(super) fn is_untaken(&self) -> bool {
        self.0.untaken.load(Ordering::Relaxed)
    }

    /// Bytes that have left the connection.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// The most that may leave the connection before what one of its streams holds has had its turn, where there are
    /// others.
    pub(super) fn round(&self) -> u64 {
        match self.0.count.load(Ordering::Relaxed) {
            0 | 1 => 0,
            streams => (streams * SEND_BYTES) as u64,
        }
    }

    /// Listens on though its answer has gone out; `None` where too many do.
    pub(super) fn listen(&self) -> Option<Listened<'_>> {
        let listened = &self.0.listened;
        let has_room = |count: usize| (count < LISTENED).then_some(count + 1);
        listened.fetch_update(Ordering::Relaxed, Ordering::Relaxed, has_room).ok().map(|_| Listened(listened))
    }
}

/// A client that is listened to.
#[derive(Debug)]
pub(super) struct Listened<'p>(&'p AtomicUsize);

impl Drop for Listened<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.waker.wake();
        }
    }
}

/// Serves the connection to its end.
pub(super) async fn serve<N: Network, S: ByteStream>(
    shard: &Arc<Shard<N>>,
    connection: &Arc<ClientConnection>,
    (stream, read_ahead): (S, Bytes),
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
) {
    let clock = &shard.shared.clock;
    let snapshot = shard.snapshot();
    let server = &snapshot.config.server;
    let allowance = Allowance::new(server.h2.max_resets_per_second);
    let interim = allowance.interim();
    let (stream, pulse) = Watched::new(stream, read_ahead, allowance, clock.clone());
    connection.begin_head(clock.now(), server.header_read_timeout);
    let shaken = {
        // One that did not come to its end gives the stream back when it is dropped.
        let handshake = pin!(builder(server).handshake::<_, Bytes>(stream));
        drop(snapshot);
        shake(handshake, connection, clock, watch, draining).await
    };
    if let Some(h2) = shaken {
        connection.deadlines.clear(Wait::Head);
        let (mut h2, pulse, open) = (h2, Arc::clone(&pulse), Arc::new(Open { interim, ..Open::default() }));
        let keepalive = shard.snapshot().config.server.h2.keepalive;
        let silence = keepalive.and_then(|interval| Some(Silence::new(interval, h2.ping_pong()?)));
        let last_call = LastWord::NotYet;
        let (told, ending) = (false, false);
        let streams = Streams { shard, connection, h2, pulse, open, silence, draining: told, ending, last_call };
        streams.run(watch, draining).await;
    }
    if let Some(stream) = pulse.take_stream() {
        linger(stream).await;
    }
}

/// The limits as `h2` keeps them. The list of header fields may be twice what the gateway takes, so that nearly all of
/// what is too large gets the gateway's own answer, and a record; of what is more, `h2` keeps nothing.
fn builder(server: &Server) -> Builder {
    let fields = 2 * (server.max_header_bytes + server.max_uri_bytes + FIELD_BYTES * server.max_headers);
    let window = usize::try_from(server.h2.connection_window).unwrap_or(usize::MAX);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(server.h2.max_concurrent_streams)
        .initial_window_size(server.h2.stream_window)
        .initial_connection_window_size(server.h2.connection_window)
        .max_header_list_size(u32::try_from(fields).unwrap_or(u32::MAX))
        .data_frame_budget(frame_budget(window, LEAST_FRAME))
        .max_send_buffer_size(SEND_BYTES)
        .max_concurrent_reset_streams(RESET_STREAMS)
        // A burst within the allowance of a second ends nothing: a page that is left resets more than `h2`'s twenty.
        .max_pending_accept_reset_streams(usize::try_from(server.h2.max_resets_per_second).unwrap_or(usize::MAX))
        .reset_stream_duration(RESET_TIME)
        .enable_connect_protocol();
    builder
}

/// Waits for the preface to be whole; `None` when it is none, or does not come in time. Where a drain begins, or began
/// before, it may be on its way with a request behind it: that is waited for as on an idle connection.
async fn shake<C>(
    mut handshake: Pin<&mut impl Future<Output = Result<C, h2::Error>>>,
    connection: &ClientConnection,
    clock: &Clock,
    watch: &mut Watch,
    draining: &mut Draining<'_, impl Future<Output = ()>>,
) -> Option<C> {
    let mut hurried = false;
    poll_fn(|cx| {
        if let Poll::Ready(done) = handshake.as_mut().poll(cx) {
            return Poll::Ready(done.ok());
        }
        if !hurried && draining.poll_has_begun(cx) {
            hurried = true;
            connection.deadlines.set(Wait::Head, clock.now(), Some(ON_ITS_WAY));
        }
        while watch.poll_expired(cx).is_ready() {
            if connection.deadlines.has_expired(Wait::Head) {
                return Poll::Ready(None);
            }
        }
        Poll::Pending
    })
    .await
}

/// A connection whose preface has come.
struct Streams<'a, N: Network, S: ByteStream> {
    shard: &'a Arc<Shard<N>>,
    connection: &'a Arc<ClientConnection>,
    h2: Connection<Watched<S>, Bytes>,
    pulse: Arc<Pulse<S>>,
    open: Arc<Open>,
    /// What is done when nothing is heard of the client, where something is.
    silence: Option<Silence>,
    /// The client was told that no new request is taken.
    draining: bool,
    /// It was told that the connection ends at once.
    ending: bool,
    last_call: LastWord,
}

/// While a drain of the gateway lasts, its end waits, for a moment, until the connection's requests were told of it.
enum LastWord {
    /// No drain has begun that is known here.
    NotYet,
    /// It is listened for.
    Awaited(Listening),
    /// Nobody has anything more to say.
    Said,
}

impl<N: Network, S: ByteStream> Streams<'_, N, S> {
    async fn run(mut self, watch: &mut Watch, draining: &mut Draining<'_, impl Future<Output = ()>>) {
        let mut held = None;
        poll_fn(|cx| {
            loop {
                self.open.waker.register(cx.waker());
                let is_over = self.poll_streams(cx, &mut held).is_ready();
                let is_flooded = self.pulse.is_flooded() && !self.ending;
                if is_flooded {
                    self.shard.shared.shed(ShedReason::Http2Flood);
                }
                if is_over {
                    return Poll::Ready(());
                }
                if is_flooded {
                    self.end(Reason::ENHANCE_YOUR_CALM);
                    continue;
                }
                if !self.draining && (draining.poll_has_begun(cx) || self.has_lost_its_client()) {
                    self.drain();
                    continue;
                }
                if self.draining {
                    self.hear_last_call(cx, draining);
                }
                self.set_deadlines();
                if self.silence.is_some() {
                    self.watch_silence(cx);
                }
                if watch.poll_expired(cx).is_pending() {
                    return Poll::Pending;
                }
                if self.has_run_out() {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }

    /// Reads and writes, and takes the requests that have come; ready when the connection is over.
    fn poll_streams(&mut self, cx: &mut Context<'_>, held: &mut Option<u64>) -> Poll<()> {
        let (gate, clock) = (&self.shard.gate, &self.shard.shared.clock);
        if gate.is_paused() && gate.poll_held(held, clock.now(), cx).is_pending() {
            // What is being served goes on; what is asked now waits, as many as may be open.
            return self.h2.poll_closed(cx).map(|_| ());
        }
        *held = None;
        loop {
            match std::task::ready!(self.h2.poll_accept(cx)) {
                Some(Ok((request, respond))) => {
                    let place = Place::take(&self.open);
                    let key = stream::asks_for_websocket(&request).then(|| WebSocketKey::new(self.shard.draw()));
                    let connection = Arc::new(self.connection.of_stream(clock.clone(), key));
                    let arrival = Arrival { shard: Arc::clone(self.shard), connection };
                    tokio::spawn(stream::serve(arrival, request, respond, place));
                }
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
    }

    /// Whether who signed the client's certificate may not do so any more: what is asked is refused here.
    fn has_lost_its_client(&self) -> bool {
        self.connection.secured.as_ref().is_some_and(|secured| secured.was_refused())
    }

    /// No new request is taken; those that have come are answered.
    fn drain(&mut self) {
        self.draining = true;
        self.connection.deadlines.clear(Wait::Idle);
        self.h2.graceful_shutdown();
    }

    /// Once the last call has come, the connection is waited for until what its requests were told has gone out. Its
    /// client may have been told to go long before the gateway drains, for a reason of its own.
    #[cold]
    fn hear_last_call(&mut self, cx: &mut Context<'_>, draining: &mut Draining<'_, impl Future<Output = ()>>) {
        let last_call = &self.shard.shared.last_call;
        if matches!(self.last_call, LastWord::NotYet) && draining.poll_has_begun(cx) {
            self.last_call = LastWord::Awaited(last_call.listen());
            // They say that they are there, and listen themselves.
            self.open.unanswered.wake();
        }
        let LastWord::Awaited(listening) = &mut self.last_call else { return };
        let _ = listening.poll_called(cx);
        if last_call.has_come() && self.open.unanswered.is_empty() && !self.pulse.waits_to_write() {
            self.last_call = LastWord::Said;
        }
    }

    /// Nothing more is done but to say why.
    fn end(&mut self, reason: Reason) {
        self.ending = true;
        self.h2.abrupt_shutdown(reason);
        self.connection.deadlines.set(Wait::Write, self.shard.shared.clock.now(), Some(LINGER_TIME));
    }

    fn set_deadlines(&mut self) {
        let (deadlines, now) = (&self.connection.deadlines, self.shard.shared.clock.now());
        if self.ending {
            return;
        }
        // An answer's last bytes may wait for the client after its stream has let go of them.
        if self.open.count.load(Ordering::Relaxed) > 0 || self.pulse.waits_to_write() {
            deadlines.clear(Wait::Idle);
        } else if !deadlines.is_set(Wait::Idle) {
            // A client that was told takes note, or is left.
            let idle = if self.draining { Some(LINGER_TIME) } else { self.connection.idle_timeout };
            deadlines.set(Wait::Idle, now, idle);
        }
        if !self.pulse.is_in_block() {
            deadlines.clear(Wait::Head);
        } else if !deadlines.is_set(Wait::Head) {
            let timeout = self.shard.snapshot().config.server.header_read_timeout;
            deadlines.set(Wait::Head, now, Some(timeout));
        }
        let written = self.pulse.written();
        let moved = self.open.written.load(Ordering::Relaxed) != written;
        self.open.written.store(written, Ordering::Relaxed);
        if !self.pulse.waits_to_write() {
            deadlines.clear(Wait::Write);
        } else if moved || !deadlines.is_set(Wait::Write) {
            let timeout = self.shard.snapshot().config.server.body_idle_timeout;
            deadlines.set(Wait::Write, now, Some(timeout));
        }
    }

    #[cold]
    fn watch_silence(&mut self, cx: &mut Context<'_>) {
        let now = self.shard.shared.clock.now();
        let (heard, written, waits) = (self.pulse.heard(), self.pulse.written(), self.pulse.waits_to_write());
        let is_in_use = self.open.count.load(Ordering::Relaxed) > 0 && !self.ending;
        if let Some(silence) = &mut self.silence {
            silence.watch((&self.connection.deadlines, now), (Seen { heard, written, waits }, is_in_use), cx);
        }
    }

    /// A deadline has run out; whether the connection is over with it.
    fn has_run_out(&mut self) -> bool {
        let deadlines = &self.connection.deadlines;
        let now = self.shard.shared.clock.now();
        if self.silence.as_mut().is_some_and(|silence| silence.is_over(deadlines, now)) {
            return true;
        }
        if deadlines.has_expired(Wait::Write) {
            // Answers that this cuts say so: their streams only see that the connection is gone.
            self.open.untaken.store(!self.ending, Ordering::Relaxed);
            return true;
        }
        if deadlines.has_expired(Wait::Head) && self.pulse.is_in_block() {
            // Nobody can read on behind half a head: other streams' heads are packed with what it holds.
            self.end(Reason::ENHANCE_YOUR_CALM);
        } else if deadlines.has_expired(Wait::Idle)
            && self.open.count.load(Ordering::Relaxed) == 0
            && !self.pulse.waits_to_write()
        {
            if self.draining {
                return true;
            }
            self.drain();
        }
        false
    }
}
