//! A new connection to an endpoint: the network's, then the handshake, where TLS is spoken.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::endpoint::Endpoint;
use super::transport::{Held, Transport};
use super::way::Way;
use crate::clock::Clock;
use crate::config::settings::upstream::Target;
use crate::http2::Unspoken;
use crate::network::{ByteStream, Network};
use crate::telemetry::metrics::UpstreamSeries;
use crate::tls::Unsecured;

/// A fresh stream.
pub struct Dialled<S: ByteStream> {
    /// The stream.
    pub(super) stream: Transport<S>,
    /// The number of the way in which it was made.
    pub(super) way: u32,
}

/// Why there is none.
#[derive(Debug)]
pub enum DialError {
    /// What the network says, of the last address that was tried.
    Network(io::Error),
    /// The endpoint is not believed, or does not believe the gateway.
    Unsecured(Unsecured),
    /// It does not speak HTTP/2.
    Unspoken(Unspoken),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Unsecured(why) => why.fmt(f),
            Self::Unspoken(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for DialError {}

/// Opens a connection to an endpoint in this way. The caller limits the time.
///
/// # Errors
/// As [`DialError`].
pub async fn dial<N: Network>(
    network: &N,
    endpoint: &Endpoint<N>,
    way: &Way,
    (clock, series): (&Clock, &UpstreamSeries),
) -> Result<Dialled<N::Stream>, DialError> {
    let stream = connect(network, &endpoint.target).await.map_err(DialError::Network)?;
    let stream = match &way.tls {
        None => Transport::Plain(stream),
        Some(tls) => {
            // Boxed, so that who dials in the clear has no room for it.
            let handshake = Box::pin(tls.connect(Held::new(stream), (clock, series)));
            Transport::encrypted(handshake.await.map_err(DialError::Unsecured)?)
        }
    };
    Ok(Dialled { stream, way: way.number })
}

async fn connect<N: Network>(network: &N, target: &Target) -> io::Result<N::Stream> {
    match target {
        Target::Socket(address) => network.connect(*address).await,
        Target::Name(host, port) => connect_any(network, &network.resolve(host, *port).await?).await,
    }
}

/// The first address that answers.
async fn connect_any<N: Network>(network: &N, addresses: &[SocketAddr]) -> io::Result<N::Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match network.connect(*address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
