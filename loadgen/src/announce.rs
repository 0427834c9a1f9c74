//! The PROXY protocol, as a balancer speaks it: the header that says, before all else, whose connection it is.
//!
//! Source: "The PROXY protocol, versions 1 & 2", W. Tarreau, 2020/03/05. Each connection is on behalf of another
//! client, with an address of 198.18.0.0/15, which is there for benchmarks (RFC 2544, appendix C.2.2).

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};

/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2 on behalf of a client; TCP over IPv4; twelve bytes of addresses follow.
const PROXY_TCP4: [u8; 4] = [0x21, 0x11, 0, 12];
/// The network of the clients, and how many addresses it has.
const NETWORK: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const ADDRESSES: u32 = 1 << 17;

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    /// The header of the connection with this number to a server.
    pub(crate) fn header(self, number: u64, server: SocketAddr) -> Vec<u8> {
        let place = u32::try_from(number % u64::from(ADDRESSES)).unwrap_or(0);
        let port = u16::try_from(1024 + number % 60_000).unwrap_or(1024);
        let client = SocketAddrV4::new(Ipv4Addr::from_bits(NETWORK + place), port);
        let server = match server {
            SocketAddr::V4(server) => server,
            // The client is of IPv4, and both are of one family.
            SocketAddr::V6(server) => SocketAddrV4::new(Ipv4Addr::LOCALHOST, server.port()),
        };
        match self {
            Self::V1 => {
                let (from, to) = (client.ip(), server.ip());
                format!("PROXY TCP4 {from} {to} {} {}\r\n", client.port(), server.port()).into_bytes()
            }
            Self::V2 => [
                &SIGNATURE[..],
                &PROXY_TCP4,
                &client.ip().octets(),
                &server.ip().octets(),
                &client.port().to_be_bytes(),
                &server.port().to_be_bytes(),
            ]
            .concat(),
        }
    }
}

/// A socket that sends its header before the first byte.
#[derive(Debug)]
pub(crate) struct Announced {
    socket: TcpStream,
    /// What is left of the header.
    left: Vec<u8>,
}

impl Announced {
    /// A socket without a header.
    pub(crate) fn plain(socket: TcpStream) -> Self {
        Self { socket, left: Vec::new() }
    }

    pub(crate) fn new(socket: TcpStream, header: Vec<u8>) -> Self {
        Self { socket, left: header }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Sends the header, as far as the socket takes it.
    ///
    /// # Errors
    /// As a write to the socket; would block while a part of it is left.
    #[cold]
    pub(crate) fn announce(&mut self) -> io::Result<()> {
        while !self.left.is_empty() {
            match self.socket.write(&self.left)? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => drop(self.left.drain(..count)),
            }
        }
        Ok(())
    }
}

impl Read for Announced {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.socket.read(into)
    }
}

impl Write for Announced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.left.is_empty() {
            self.announce()?;
        }
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn each_connection_is_on_behalf_of_another_client() {
        let server = "127.0.0.1:8080".parse().unwrap();
        let text = |number| String::from_utf8(ProxyProtocol::V1.header(number, server)).unwrap();
        assert_eq!(text(0), "PROXY TCP4 198.18.0.0 127.0.0.1 1024 8080\r\n");
        assert_eq!(text(258), "PROXY TCP4 198.18.1.2 127.0.0.1 1282 8080\r\n");
        assert!(text(131_071).starts_with("PROXY TCP4 198.19.255.255 "), "{}", text(131_071));
        let header = ProxyProtocol::V2.header(258, server);
        assert_eq!(&header[..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
        assert_eq!(header[16..], [198, 18, 1, 2, 127, 0, 0, 1, 5, 2, 0x1f, 0x90]);
    }

    #[test]
    fn the_header_goes_before_the_first_byte_and_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut announced = Announced::new(socket, b"HEADER ".to_vec());
        announced.write_all(b"one ").unwrap();
        announced.write_all(b"two").unwrap();
        drop(announced);
        let mut seen = String::new();
        listener.accept().unwrap().0.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "HEADER one two");
    }
}
