//! A new connection to an endpoint: the network's, then the handshake, where TLS is spoken.
//!
//! Of a name with several addresses, one that swallows what is sent to it takes a moment and not all of the time:
//! others are tried beside it (RFC 8305, section 5). None of them is the gateway's own admin address.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use super::endpoint::Endpoint;
use super::transport::{Held, Transport};
use super::way::Way;
use crate::clock::Clock;
use crate::config::settings::upstream::Target;
use crate::http2::Unspoken;
use crate::network::{ByteStream, Network};
use crate::telemetry::metrics::UpstreamSeries;
use crate::tls::Unsecured;

/// Between the beginnings of two attempts of which the first has said nothing: as recommended there, and the least that
/// is allowed.
const STEP: Duration = Duration::from_millis(250);
const LEAST_STEP: Duration = Duration::from_millis(10);

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
    /// What the network says, of the last address that failed.
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

impl DialError {
    /// Whether it was the gateway's own machine that had nothing to open a connection with: no file descriptor, no
    /// memory, no thread to look a name up. That says nothing about the endpoint. Not an address that is not available:
    /// that is the endpoint's where a machine speaks no IPv6, and ports run out for one endpoint at a time, beside
    /// which another serves.
    pub(crate) fn is_own_lack(&self) -> bool {
        matches!(self, Self::Network(error) if is_lack(error))
    }

    /// Whether it was a thread that it had not.
    pub(crate) fn is_lack_of_threads(&self) -> bool {
        matches!(self, Self::Network(error) if error.raw_os_error() == Some(libc::EAGAIN))
    }
}

/// Opens a connection to an endpoint in this way. The caller limits the time, to `within`.
///
/// # Errors
/// As [`DialError`].
pub async fn dial<N: Network>(
    network: &N,
    endpoint: &Endpoint<N>,
    way: &Way,
    (clock, series): (&Clock, &UpstreamSeries),
    within: Duration,
) -> Result<Dialled<N::Stream>, DialError> {
    let stream = connect(network, endpoint, clock, within).await.map_err(DialError::Network)?;
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

async fn connect<N: Network>(
    network: &N,
    endpoint: &Endpoint<N>,
    clock: &Clock,
    within: Duration,
) -> io::Result<N::Stream> {
    match &endpoint.target {
        Target::Socket(address) => {
            endpoint.closed.check(*address)?;
            network.connect(*address).await
        }
        Target::Name(host, port) => {
            // Boxed, so that who dials an address has no room for it.
            let found = Box::pin(endpoint.naming.find(network, (host, *port), within)).await?;
            let (mut addresses, stale) = (found.addresses, found.stale);
            endpoint.closed.leave_out(&mut addresses)?;
            let Some(why) = stale else { return connect_any(network, &addresses, within).await };
            endpoint.naming.stood_in(clock.now(), why.clone());
            connect_any(network, &addresses, within).await.map_err(|error| at_earlier(error, &why))
        }
    }
}

/// An error of addresses that may have moved. The machine's own lack stays what it is.
fn at_earlier(error: io::Error, why: &str) -> io::Error {
    if is_lack(&error) {
        return error;
    }
    io::Error::new(error.kind(), format!("{error}, at the addresses that it had ({why})"))
}

/// Whether this is the system's word that it has nothing to open a connection or make a thread with.
fn is_lack(error: &io::Error) -> bool {
    const OF_THE_MACHINE: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EAGAIN];
    error.raw_os_error().is_some_and(|code| OF_THE_MACHINE.contains(&code))
}

/// The first address that answers. The next one is tried when one has failed, and beside one that is silent, so early
/// that each has its turn within the time.
async fn connect_any<N: Network>(network: &N, addresses: &[SocketAddr], within: Duration) -> io::Result<N::Stream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let step = (within / count).clamp(LEAST_STEP, STEP);
    let (mut left, mut attempts) = (addresses.iter(), FuturesUnordered::new());
    loop {
        attempts.extend(left.next().map(|address| network.connect(*address)));
        let ended = if left.as_slice().is_empty() {
            attempts.next().await
        } else {
            let Ok(ended) = tokio::time::timeout(step, attempts.next()).await else { continue };
            ended
        };
        match ended {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last = error,
            None => return Err(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::DuplexStream;

    use super::*;

    const SILENT: u16 = 1;
    const REFUSES: u16 = 2;
    const ANSWERS: u16 = 3;
    /// After 300 ms.
    const IS_FAR: u16 = 4;

    #[derive(Clone)]
    struct Ports;

    impl Network for Ports {
        type Stream = DuplexStream;

        async fn connect(&self, address: SocketAddr) -> io::Result<DuplexStream> {
            match address.port() {
                SILENT => std::future::pending().await,
                REFUSES => return Err(io::ErrorKind::ConnectionRefused.into()),
                // virtual time
                IS_FAR => tokio::time::sleep(Duration::from_millis(300)).await,
                _ => {}
            }
            Ok(tokio::io::duplex(1).0)
        }

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Ok(Vec::new())
        }

        fn adopt(&self, stream: DuplexStream) -> io::Result<DuplexStream> {
            Ok(stream)
        }
    }

    /// Milliseconds, in tens, until there is a connection by one of these addresses; why there is none.
    async fn connected(ports: &[u16]) -> Result<u128, io::ErrorKind> {
        let addresses: Vec<_> = ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect();
        let clock = Clock::starting_at(Duration::ZERO);
        let (began, within) = (clock.now(), Duration::from_secs(1));
        let connecting = tokio::time::timeout(within, connect_any(&Ports, &addresses, within));
        let outcome = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        // The timer may be late by a millisecond each time.
        outcome.map(|_| (clock.now() - began).as_millis() / 10 * 10).map_err(|error| error.kind())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_silent_holds_up_the_others_for_a_moment_alone() {
        assert_eq!(connected(&[ANSWERS, SILENT]).await, Ok(0));
        assert_eq!(connected(&[SILENT, ANSWERS]).await, Ok(250));
        assert_eq!(connected(&[REFUSES, REFUSES, ANSWERS]).await, Ok(0), "one that refuses holds up nobody");
        assert_eq!(connected(&[SILENT, REFUSES, ANSWERS]).await, Ok(250));
        assert_eq!(connected(&[IS_FAR, SILENT]).await, Ok(300), "the first is still waited for");
        let many = [SILENT; 9].into_iter().chain([ANSWERS]).collect::<Vec<_>>();
        assert_eq!(connected(&many).await, Ok(900), "each has its turn within the time");
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_answers_the_last_failure_says_why() {
        assert_eq!(connected(&[]).await, Err(io::ErrorKind::NotFound));
        assert_eq!(connected(&[REFUSES, REFUSES]).await, Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(connected(&[REFUSES, SILENT]).await, Err(io::ErrorKind::TimedOut));
    }
}
