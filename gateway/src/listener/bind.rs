//! Listening sockets.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::network;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Which addresses a socket on `[::]` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 too, whatever the system's default is.
    Both,
    /// IPv6 alone.
    Own,
}

impl Families {
    /// IPv4 goes to the listener on `0.0.0.0`, where another one of the same port is.
    pub fn beside(address: SocketAddr, mut all: impl Iterator<Item = SocketAddr>) -> Self {
        let is_other = |other: SocketAddr| {
            other.port() == address.port() && matches!(other.ip(), IpAddr::V4(ip) if ip.is_unspecified())
        };
        if address.is_ipv6() && address.port() != 0 && all.any(is_other) { Self::Own } else { Self::Both }
    }
}

/// Binds a listening socket, non-blocking. A second gateway on the port is an error unless both share it on purpose.
///
/// # Errors
/// As the system says: most often that the address is in use.
pub fn bind(address: SocketAddr, families: Families, reuse_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(families == Families::Own)?;
    }
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuse_address(true)?;
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    network::keep_alive(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What to do about a socket that could not be bound.
pub fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let what = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the address is in use; stop what listens there, or choose another address (port 0 takes a free one)"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address; 0.0.0.0 or [::] listens on all",
        _ => return format!("cannot listen on {address}: {error}"),
    };
    format!("cannot listen on {address}: {what}")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn both_families_of_a_port_have_a_listener_each_where_both_are_asked_for() {
        let four = bind(([0, 0, 0, 0], 0).into(), Families::Both, false).unwrap();
        let v4 = four.local_addr().unwrap();
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, v4.port()));
        if bind((Ipv6Addr::UNSPECIFIED, 0).into(), Families::Both, false).is_err() {
            return; // A machine without IPv6.
        }
        assert_eq!(bind(v6, Families::Both, false).unwrap_err().kind(), io::ErrorKind::AddrInUse, "it takes IPv4 too");
        assert_eq!(Families::beside(v6, [v4, v6].into_iter()), Families::Own);
        bind(v6, Families::beside(v6, [v4, v6].into_iter()), false).unwrap();
    }

    #[test]
    fn what_it_accepts_is_looked_after_by_the_system_when_it_falls_silent() {
        let listener = bind(([127, 0, 0, 1], 0).into(), Families::Both, false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let socket = socket2::SockRef::from(&accepted);
        assert_eq!((socket.keepalive().unwrap(), socket.tcp_keepalive_time().unwrap().as_secs()), (true, 60));
    }

    #[test]
    fn alone_it_takes_both() {
        let beside = |all: &[&str]| {
            let all = all.iter().map(|it| it.parse().unwrap());
            Families::beside("[::]:80".parse().unwrap(), all)
        };
        assert_eq!(beside(&["[::]:80", "0.0.0.0:81", "127.0.0.1:80"]), Families::Both);
        assert_eq!(beside(&["[::]:80", "0.0.0.0:80"]), Families::Own);
    }
}
