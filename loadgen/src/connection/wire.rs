//! What bytes go over: a socket that does not block, in the clear or secured.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::announce::Announced;
use crate::tls::{Secured, Tls};

#[derive(Debug)]
pub(crate) enum Wire {
    Plain(Announced),
    // It is large, and the others are not to be.
    Secured(Box<Secured>),
}

impl Wire {
    /// Secures a socket where `tls` says how; the handshake is part of the first write.
    pub(crate) fn over(stream: Announced, tls: Option<&Tls>) -> io::Result<Self> {
        Ok(match tls {
            None => Self::Plain(stream),
            Some(tls) => Self::Secured(Box::new(tls.begin(stream)?)),
        })
    }

    /// The socket.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream.socket(),
            Self::Secured(secured) => secured.get_ref().socket(),
        }
    }

    /// Whether what has been read says nothing of what the socket still has, nor a full socket of what is still to be
    /// sent: records are held back on their way in and out.
    pub(super) fn is_secured(&self) -> bool {
        matches!(self, Self::Secured(_))
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Secured(secured) => secured.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            // No room, as long as earlier records have not left.
            Self::Secured(secured) => match secured.write(bytes) {
                Ok(0) if !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
                written => written,
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Secured(secured) => secured.flush(),
        }
    }
}
