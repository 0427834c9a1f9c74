//! A new connection of HTTP/2, opened by a task of its own: a request that leaves meanwhile takes it from nobody.

use std::sync::Arc;
use std::time::Duration;

use super::carrier::Carrier;
use super::carriers::{NoCarrier, Opening};
use super::connection::OpenConnection;
use super::dial::{DialError, Dialled, dial};
use super::endpoint::Endpoint;
use super::in_flight::Permit;
use super::transport::Transport;
use super::way::Way;
use crate::clock::Clock;
use crate::http2::{self, Opened, Unspoken};
use crate::network::Network;
use crate::telemetry::metrics::UpstreamSeries;

/// What opening needs beside the endpoint.
pub(crate) struct Means<N: Network> {
    /// How connections are made.
    pub(crate) network: N,
    /// Time.
    pub(crate) clock: Clock,
    /// The upstream's metrics.
    pub(crate) series: Arc<UpstreamSeries>,
    /// Which worker asks.
    pub(crate) worker: usize,
    /// The time that it may take.
    pub(crate) within: Duration,
}

/// Opens a connection, and tells those who wait for it.
pub(crate) fn begin<N: Network>(opening: Opening, endpoint: Arc<Endpoint<N>>, way: Arc<Way>, means: Means<N>) {
    tokio::spawn(async move {
        let (permit, tell) = opening.into_parts();
        let outcome = match tokio::time::timeout(means.within, carrier(&endpoint, &way, means, permit)).await {
            Ok(opened) => opened.map_err(|error| NoCarrier::Failed(Arc::new(error))),
            Err(_elapsed) => Err(NoCarrier::Late),
        };
        if let Some(carriers) = &way.carriers {
            tell(carriers, outcome);
        }
    });
}

async fn carrier<N: Network>(
    endpoint: &Endpoint<N>,
    way: &Way,
    means: Means<N>,
    permit: Permit,
) -> Result<Arc<Carrier>, DialError> {
    let Means { network, clock, series, worker, within } = means;
    let Dialled { stream, .. } = dial(&network, endpoint, way, (&clock, &series), within).await?;
    let encrypted = stream.is_encrypted();
    let opened = opened(endpoint, stream, (&clock, &series)).await?;
    let open = OpenConnection::new(permit, series, worker);
    let taken = way.carriers.as_ref().map(|carriers| Arc::clone(carriers.taken())).unwrap_or_default();
    Ok(Carrier::start(opened, encrypted, clock, open, taken))
}

/// Puts HTTP/2 on a fresh stream.
///
/// # Errors
/// As [`DialError`]: also that the endpoint refused the gateway's certificate, which it may do after the handshake.
pub(super) async fn opened<N: Network>(
    endpoint: &Endpoint<N>,
    stream: Transport<N::Stream>,
    around: (&Clock, &UpstreamSeries),
) -> Result<Opened<Transport<N::Stream>>, DialError> {
    if !stream.agreed_on_http2() {
        return Err(DialError::Unspoken(Unspoken::NotAgreed));
    }
    http2::open(stream, around.0.clone()).await.map_err(|error| {
        let late = match &error {
            Unspoken::Broken(error) => endpoint.refused_late(error, around),
            Unspoken::Other(_) | Unspoken::NotAgreed => None,
        };
        late.map_or(DialError::Unspoken(error), DialError::Unsecured)
    })
}
