//! A connection that switched protocols: bytes both ways until either side ends, or nothing moves for too long.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;
use crate::client::Tunnel;
use crate::error::Code;
use crate::network::Network;
use crate::telemetry::record::Ended;
use crate::timer::{Wait, Watch};

/// What is moved at once in one direction.
const BUFFER_BYTES: usize = 16 * 1024;

/// One direction of a tunnel.
struct Pump {
    /// Bytes that were read before the tunnel was one; they go first.
    ahead: Bytes,
    buffer: Box<[u8]>,
    filled: usize,
    written: usize,
    moved: u64,
    read_done: bool,
    shut: bool,
    frames: Frames,
}

impl Pump {
    fn new(ahead: Bytes) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self {
            ahead,
            buffer,
            filled: 0,
            written: 0,
            moved: 0,
            read_done: false,
            shut: false,
            frames: Frames::default(),
        }
    }

    /// What was read and is not written yet.
    fn unwritten(&self) -> &[u8] {
        if self.ahead.is_empty() { &self.buffer[self.written..self.filled] } else { &self.ahead }
    }

    fn wrote(&mut self, n: usize) {
        if self.ahead.is_empty() {
            self.frames.see(&self.buffer[self.written..self.written + n]);
            self.written += n;
        } else {
            self.frames.see(&self.ahead[..n]);
            self.ahead.advance(n);
        }
        self.moved += n as u64;
    }

    /// Moves what can be moved; ready when this direction has come to its end. `progress` is set if anything moved. A
    /// failure says which end it is of.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut R>,
        mut to: Pin<&mut W>,
        progress: &mut bool,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        loop {
            if !self.unwritten().is_empty() {
                match to.as_mut().poll_write(cx, self.unwritten()) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(Broken::To)),
                    Poll::Ready(Ok(n)) => {
                        self.wrote(n);
                        *progress = true;
                    }
                }
                continue;
            }
            if self.read_done {
                if !self.shut {
                    std::task::ready!(to.as_mut().poll_shutdown(cx)).map_err(|_| Broken::To)?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut space = ReadBuf::new(&mut self.buffer);
            match from.as_mut().poll_read(cx, &mut space) {
                Poll::Pending => return flush(cx, to),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::From)),
                Poll::Ready(Ok(())) => {
                    self.filled = space.filled().len();
                    self.written = 0;
                    self.read_done = self.filled == 0;
                }
            }
        }
    }
}

/// Which end of a direction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    /// The one that is read.
    From,
    /// The one that is written to.
    To,
}

/// Pending, unless the flush fails.
fn flush<W: AsyncWrite>(cx: &mut Context<'_>, to: Pin<&mut W>) -> Poll<Result<(), Broken>> {
    match to.poll_flush(cx) {
        Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::To)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

/// How a tunnel ends whose client, or whose upstream, failed.
fn ended_by(client: bool) -> Ended {
    if client { Ended::ClientLeft } else { Ended::UpstreamCut }
}

/// Whether a pump has done its work.
type Done = Poll<Result<(), Broken>>;

/// Which side came to its end first.
#[derive(Debug, Default)]
struct Ends {
    upstream_first: bool,
}

impl Ends {
    /// How the tunnel ends, where it does now.
    fn look(&mut self, (up, down): (&Pump, &Pump), (up_done, down_done): (Done, Done)) -> Option<Ended> {
        self.upstream_first |= down.read_done && !up.read_done;
        match (up_done, down_done) {
            // Who was told that it is over closes as it likes, and over TLS often without a word.
            (Poll::Ready(Err(Broken::From)), Poll::Ready(Ok(()))) if self.upstream_first => {
                Some(self.both_ended((up, down)))
            }
            (Poll::Ready(Err(broken)), _) => Some(ended_by(broken == Broken::From)),
            (_, Poll::Ready(Err(broken))) => Some(ended_by(broken == Broken::To)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Some(self.both_ended((up, down))),
            _ => None,
        }
    }

    /// An upstream that ends first, when nobody has said that this is the close, has died (RFC 6455, section 7.1.5:
    /// 1006 at the client).
    fn both_ended(&self, (up, down): (&Pump, &Pump)) -> Ended {
        let was_said = up.frames.has_closed() || down.frames.has_closed();
        if self.upstream_first && !was_said { Ended::UpstreamCut } else { Ended::Complete }
    }
}

/// Runs a tunnel to its end, then records it. The exchange knows at every moment what has moved, so that the record is
/// right even if the tunnel is cut.
pub async fn run<N: Network, S: AsyncRead + AsyncWrite + Unpin>(client: S, client_ahead: Bytes, tunnel: Tunnel<N>) {
    let Tunnel { mut stream, read_ahead, selected: _selected, idle_timeout, mut exchange } = tunnel;
    let mut client = client;
    let deadlines = Arc::clone(&exchange.connection.deadlines);
    let mut watch = Watch::new(Arc::clone(&deadlines));
    let (mut up, mut down) = (Pump::new(client_ahead), Pump::new(read_ahead));
    let mut ends = Ends::default();
    deadlines.set(Wait::ResponseBody, exchange.now(), idle_timeout);
    let (mut client_read, mut client_write) = tokio::io::split(&mut client);
    let (mut upstream_read, mut upstream_write) = tokio::io::split(&mut stream);
    let ended = poll_fn(|cx| {
        exchange.answer_roll_call(None);
        let mut progress = false;
        let up_done = up.poll(cx, Pin::new(&mut client_read), Pin::new(&mut upstream_write), &mut progress);
        let down_done = down.poll(cx, Pin::new(&mut upstream_read), Pin::new(&mut client_write), &mut progress);
        if progress {
            (exchange.tunnelled_in, exchange.bytes_out) = (up.moved, down.moved);
            deadlines.set(Wait::ResponseBody, exchange.now(), idle_timeout);
        }
        match ends.look((&up, &down), (up_done, down_done)) {
            Some(ended) => Poll::Ready(ended),
            None => watch.poll_expired(cx).map(|()| Ended::Timeout),
        }
    })
    .await;
    if ended == Ended::UpstreamCut {
        exchange.code = Some(Code::UpstreamReset);
    }
    exchange.finish(ended);
}
