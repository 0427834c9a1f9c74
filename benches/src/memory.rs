//! A network in memory: one client, and upstreams that answer every request with the same bytes.
//!
//! It stands in for sockets at the seam of `gateway::network`. Nothing here is a task, takes a lock or wakes anybody:
//! whoever measures polls the gateway himself, turn by turn. As with a socket, an answer is not there yet in the turn
//! in which its request was sent, so that the gateway is polled as often as by a real event loop.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use gateway::network::Network;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What an answer that went well begins with.
pub const OK: &[u8] = b"HTTP/1.1 200 ";

/// What both ends of the gateway share with whoever measures.
#[derive(Debug, Default)]
pub struct Wire {
    turn: AtomicU64,
    asked: AtomicBool,
    answered: AtomicU64,
    dialled: AtomicU64,
}

impl Wire {
    /// The client has one more request to send, and has got nothing of its answer.
    pub fn ask(&self) {
        self.answered.store(0, Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
    }

    /// The next turn: what was sent to an upstream in the one before is answered.
    pub fn next_turn(&self) {
        advance(&self.turn, 1);
    }

    /// Bytes that the client has got since it last asked.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Connections that were opened to upstreams.
    pub fn dialled(&self) -> u64 {
        self.dialled.load(Ordering::Relaxed)
    }
}

/// Adds without a locked instruction: one thread uses a wire.
fn advance(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

/// The network.
#[derive(Debug, Clone)]
pub struct Memory {
    wire: Arc<Wire>,
    answer: &'static [u8],
}

impl Memory {
    /// A network of which every upstream answers with these bytes.
    pub fn new(wire: Arc<Wire>, answer: &'static [u8]) -> Self {
        Self { wire, answer }
    }

    /// A client's connection; what it sends each time it is asked to, and what every answer to it begins with.
    pub fn client(&self, request: &'static [u8], expected: &'static [u8]) -> Stream {
        Stream::Client(Client { wire: Arc::clone(&self.wire), request, expected })
    }

    /// A connection to an upstream.
    pub fn upstream(&self) -> Stream {
        advance(&self.wire.dialled, 1);
        Stream::Upstream(Upstream { wire: Arc::clone(&self.wire), answer: self.answer, left: b"", due: 0 })
    }
}

impl Network for Memory {
    type Stream = Stream;

    async fn connect(&self, _address: SocketAddr) -> io::Result<Stream> {
        Ok(self.upstream())
    }

    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{host}: there are no names in memory")))
    }

    fn adopt(&self, stream: Stream) -> io::Result<Stream> {
        Ok(stream)
    }

    fn is_quiet(stream: &Stream) -> bool {
        match stream {
            Stream::Client(client) => !client.wire.asked.load(Ordering::Relaxed),
            Stream::Upstream(upstream) => upstream.is_quiet(),
        }
    }
}

/// Either end's connection.
#[derive(Debug)]
pub enum Stream {
    /// A client's.
    Client(Client),
    /// An upstream's.
    Upstream(Upstream),
}

/// Sends the same request each time, and counts what comes back.
#[derive(Debug)]
pub struct Client {
    wire: Arc<Wire>,
    request: &'static [u8],
    expected: &'static [u8],
}

impl Client {
    fn read(&self, buf: &mut ReadBuf<'_>) -> bool {
        let asked = self.wire.asked.load(Ordering::Relaxed);
        if asked {
            self.wire.asked.store(false, Ordering::Relaxed);
            buf.put_slice(self.request);
        }
        asked
    }

    /// # Errors
    /// The answer is not the expected one: what is measured is not what was meant.
    fn write(&self, first: &[u8], length: usize) -> io::Result<usize> {
        if self.wire.answered() == 0 && !first.starts_with(self.expected) {
            return Err(io::Error::other(String::from_utf8_lossy(first).into_owned()));
        }
        advance(&self.wire.answered, length as u64);
        Ok(length)
    }
}

/// Answers whatever ends in an empty line, one turn later.
#[derive(Debug)]
pub struct Upstream {
    wire: Arc<Wire>,
    answer: &'static [u8],
    left: &'static [u8],
    due: u64,
}

impl Upstream {
    fn is_quiet(&self) -> bool {
        self.left.is_empty() || self.wire.turn.load(Ordering::Relaxed) < self.due
    }

    fn read(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.is_quiet() {
            return false;
        }
        let (now, later) = self.left.split_at(self.left.len().min(buf.remaining()));
        buf.put_slice(now);
        self.left = later;
        true
    }

    fn write(&mut self, last: &[u8], length: usize) -> usize {
        if last.ends_with(b"\r\n\r\n") {
            self.left = self.answer;
            self.due = self.wire.turn.load(Ordering::Relaxed) + 1;
        }
        length
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let came = match self.get_mut() {
            Self::Client(client) => client.read(buf),
            Self::Upstream(upstream) => upstream.read(buf),
        };
        if came { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(match self.get_mut() {
            Self::Client(client) => client.write(buf, buf.len()),
            Self::Upstream(upstream) => Ok(upstream.write(buf, buf.len())),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        let mut parts = bufs.iter().filter(|buf| !buf.is_empty());
        Poll::Ready(match self.get_mut() {
            Self::Client(client) => client.write(parts.next().map_or(b"", |part| part), length),
            Self::Upstream(upstream) => Ok(upstream.write(parts.next_back().map_or(b"", |part| part), length)),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
