//! Listening sockets that keep their port while they are closed.
//!
//! A refusing endpoint has no listener, so the kernel answers connects with RST. Its port is held meanwhile by a second
//! socket that is bound and never listens; otherwise another program could be given the port.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel queues; more than any test opens at once.
const BACKLOG: i32 = 4096;

/// An address that is ours, whether a listener is open or not.
#[derive(Debug)]
pub(crate) struct Port {
    address: SocketAddr,
    /// Holds the port; never listens.
    _holder: Socket,
}

impl Port {
    /// Takes the address and opens its first listener. Port 0 takes a free port.
    pub(crate) fn open(address: SocketAddr) -> io::Result<(Self, Socket)> {
        let holder = bound(address)?;
        let local = holder.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an IP socket"))?;
        let port = Self { address: local, _holder: holder };
        let listener = port.listen()?;
        Ok((port, listener))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens a listener.
    pub(crate) fn listen(&self) -> io::Result<Socket> {
        let socket = bound(self.address)?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    }
}

/// Hands a listener to the present runtime.
pub(crate) fn into_tokio(socket: Socket) -> io::Result<TcpListener> {
    TcpListener::from_std(socket.into())
}

fn bound(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
