//! One client connection: a socket that does not block, the request it carries, and the reader of its answer.
//!
//! HTTP/1.1 is here; a connection that carries several requests at once is in [`http2`].

pub(crate) mod http2;
pub(crate) mod wire;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::request::ExpectedHeader;
use crate::response::{Progress, ResponseReader};
use crate::sample::Failure;
use wire::Wire;

/// The request that a connection carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) template: usize,
    /// Its number, from which its bytes can be made again.
    pub(crate) number: u64,
    pub(crate) intended_ns: u64,
    /// When its first byte was written; `None` while the connection is being opened.
    pub(crate) sent_ns: Option<u64>,
    pub(crate) head_ns: Option<u64>,
    /// When the driver took it on; the time limit counts from here.
    pub(crate) started_ns: u64,
    /// How many connections had it before this one, and took up neither it nor any other.
    pub(crate) moves: u8,
}

impl InFlight {
    /// One that was taken on at `now_ns`, and has not been sent.
    pub(crate) fn new(template: usize, number: u64, intended_ns: u64, now_ns: u64) -> Self {
        Self { template, number, intended_ns, sent_ns: None, head_ns: None, started_ns: now_ns, moves: 0 }
    }
}

/// Starts to connect; the socket is writable when that is done.
pub(crate) fn open_socket(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Without it the kernel may hold the last part of a request back for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// What is written in one go. More would make the requests of other connections late: the kernel carries a loopback
/// packet to its reader's socket within the sender's call.
const WRITE_BYTES: usize = 64 * 1024;

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// Nothing more for now.
    Waiting,
    /// There may be more: others have their go first.
    More,
    /// The answer is whole; whether the connection can carry another.
    Done { reusable: bool },
    /// The connection is of no use any more.
    Broken(Failure),
}

/// A connection and what it carries.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Wire,
    connected: bool,
    pub(crate) in_flight: Option<InFlight>,
    /// Bytes of its request that went out.
    written: usize,
    pub(crate) reader: ResponseReader,
    /// The bytes of a request that was rendered for this connection; kept, so that the next needs no memory.
    pub(crate) rendered: Vec<u8>,
}

impl Connection {
    /// Takes a socket of [`open_socket`].
    pub(crate) fn new(stream: Wire) -> Self {
        let (reader, rendered) = (ResponseReader::new(), Vec::new());
        Self { stream, connected: false, in_flight: None, written: 0, reader, rendered }
    }

    /// Takes a request on; its bytes go out with [`Connection::write`].
    /// Its answer is held against `headers`.
    pub(crate) fn begin(&mut self, in_flight: InFlight, is_head: bool, headers: Option<Arc<[ExpectedHeader]>>) {
        debug_assert!(self.in_flight.is_none(), "one request at a time");
        self.reader.reset(is_head);
        self.reader.expect(headers);
        self.in_flight = Some(in_flight);
        self.written = 0;
    }

    /// The socket became writable: whether connecting has worked.
    pub(crate) fn check_connected(&mut self) -> Result<(), Failure> {
        if self.connected {
            return Ok(());
        }
        if matches!(self.stream.socket().take_error(), Ok(None)) {
            match self.stream.socket().peer_addr() {
                Ok(_) => {
                    self.connected = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(_) => {}
            }
        }
        Err(Failure::Connect)
    }

    /// Writes more of the request, as far as the socket takes it and as much as one go may: of the bytes that are the
    /// same each time, or else of those that were rendered. Whether there is more that the socket may take.
    pub(crate) fn write(&mut self, fixed: Option<&[u8]>, now_ns: u64) -> Result<bool, Failure> {
        let Some(in_flight) = &mut self.in_flight else { return Ok(false) };
        if !self.connected {
            return Ok(false);
        }
        let bytes = fixed.unwrap_or(&self.rendered);
        in_flight.sent_ns.get_or_insert(now_ns);
        let until = bytes.len().min(self.written + WRITE_BYTES);
        while self.written < until {
            match self.stream.write(&bytes[self.written..until]) {
                Ok(0) => return Err(Failure::Closed),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Closed),
            }
        }
        match self.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(Failure::Closed),
            _ => Ok(until < bytes.len()),
        }
    }

    /// Whether what is read may be what a write has waited for, as in a handshake.
    pub(crate) fn writes_after_reads(&self) -> bool {
        self.stream.is_secured()
    }

    /// Reads until the answer is whole, the socket has no more, or one go's share is taken. `may_be_closed` says that
    /// the event told of a close, so that a short read does not mean that the socket is empty.
    pub(crate) fn read(&mut self, scratch: &mut [u8], may_be_closed: bool, now_ns: u64) -> ReadOutcome {
        let is_secured = self.stream.is_secured();
        let mut taken = 0;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return self.ended(),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return ReadOutcome::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return ReadOutcome::Broken(Failure::Closed),
            };
            // Bytes that no request asked for.
            let Some(in_flight) = &mut self.in_flight else { return ReadOutcome::Broken(Failure::Malformed) };
            let Ok(progress) = self.reader.feed(&scratch[..count]) else {
                return ReadOutcome::Broken(Failure::Malformed);
            };
            if self.reader.has_head() {
                in_flight.head_ns.get_or_insert(now_ns);
            }
            if let Progress::Done(used) = progress {
                let clean = used == count && !may_be_closed;
                return ReadOutcome::Done { reusable: clean && self.reader.head().keep_alive };
            }
            // A short read from a stream means that it is empty, and the next byte brings a new event (epoll(7)).
            if count < scratch.len() && !may_be_closed && !is_secured {
                return ReadOutcome::Waiting;
            }
            taken += count;
            if taken >= scratch.len() {
                return ReadOutcome::More;
            }
        }
    }

    fn ended(&mut self) -> ReadOutcome {
        if self.in_flight.is_some() && self.reader.closed() {
            return ReadOutcome::Done { reusable: false };
        }
        ReadOutcome::Broken(Failure::Closed)
    }
}
