//! The gateway's seam to the simulated network.

use std::io;
use std::net::{IpAddr, SocketAddr};

use gateway::network::Network;
use turmoil::net::TcpStream;

/// turmoil's network, seen from the host on which it is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simulated;

impl Network for Simulated {
    type Stream = TcpStream;

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // turmoil panics at names that it does not know, so only addresses are resolved: scenarios write nothing else.
        let address: IpAddr = host.parse().map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no such name"))?;
        Ok(vec![SocketAddr::new(address, port)])
    }

    fn adopt(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}
