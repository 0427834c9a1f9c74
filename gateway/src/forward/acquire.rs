//! A connection to an endpoint: an idle one of this worker, an idle one of a sibling, or a new one.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::attempt::Failure;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1;
use crate::network::Network;
use crate::telemetry::metrics::ShedReason;
use crate::timer::{Deadlines, Wait};
use crate::upstream::connection::OpenConnection;
use crate::upstream::dial::{DialError, dial};
use crate::upstream::pool::Taken;
use crate::upstream::{Connection, Endpoint, Selected};

/// Takes an idle connection.
pub(super) fn idle<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    now: Instant,
) -> Option<Connection<N::Stream>> {
    let pool = &selected.endpoint.pool;
    loop {
        match pool.take(exchange.shard.index, now, &selected.settings.pool)? {
            Taken::Own(connection) => return Some(connection),
            Taken::Borrowed(connection) => {
                let network = &exchange.shard.shared.network;
                // One that cannot be adopted is lost; the next may do.
                if let Ok(connection) = connection.adopt(|stream| network.adopt(stream)) {
                    return Some(connection);
                }
            }
        }
    }
}

/// Opens a connection, within `most` where an attempt has less time than a connection.
///
/// # Errors
/// `overloaded` at the endpoint's limit of connections, `connect_timeout`, `upstream_connect`; `upstream_timeout` when
/// the exchange's own time is up first.
pub(super) async fn open<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    most: Option<Duration>,
) -> Result<Connection<N::Stream>, GatewayError> {
    let Selected { endpoint, settings, .. } = selected;
    let limit = settings.pool.max_connections.map_or(u32::MAX, |max| u32::try_from(max).unwrap_or(u32::MAX));
    let permit = endpoint.connections.try_enter(limit).ok_or_else(|| {
        let detail = "The upstream has as many connections as it may have.";
        GatewayError::shed(ShedReason::UpstreamConnections, detail)
    })?;
    let network = &exchange.shard.shared.network;
    let time = most.map_or(settings.pool.connect_timeout, |most| most.min(settings.pool.connect_timeout));
    let series = exchange.upstream().map(|upstream| Arc::clone(&upstream.series));
    let series = series.ok_or_else(|| GatewayError::new(Code::Internal, "No route."))?;
    let around = (&exchange.shard.shared.clock, &*series);
    let connect = tokio::time::timeout(time, dial(network, endpoint, around));
    let dialled = match until_expired(&exchange.connection.deadlines, connect).await? {
        Ok(Ok(dialled)) => dialled,
        Ok(Err(error)) => return Err(no_connection(error)),
        Err(_elapsed) => {
            return Err(GatewayError::new(Code::ConnectTimeout, "The upstream did not accept a connection in time."));
        }
    };
    let open = OpenConnection::new(permit, series, exchange.shard.index);
    Ok(Connection::new::<N>(dialled, exchange.now(), open))
}

/// The failure of a connection that broke before it carried an answer: in TLS 1.3 an endpoint may refuse the gateway's
/// certificate when the request is on its way already. Says too whether it may have been closed for being idle.
#[cold]
pub(super) fn refused_late<N: Network>(
    exchange: &Exchange<N>,
    endpoint: &Endpoint<N>,
    (failure, broken): (Failure, bool),
) -> (Failure, bool) {
    let Some(upstream) = exchange.upstream() else { return (failure, broken) };
    let error = match &failure {
        Failure::Problem(error) => error.internal.as_ref().and_then(|internal| internal.downcast_ref()),
        Failure::Covered(_) | Failure::ClientLeft => None,
    };
    let Some(http1::Error::Broken(error)) = error else { return (failure, broken) };
    match endpoint.refused_late(error, (&exchange.shard.shared.clock, &upstream.series)) {
        Some(why) => (no_connection(DialError::Unsecured(why)).into(), false),
        None => (failure, broken),
    }
}

fn no_connection(error: DialError) -> GatewayError {
    GatewayError::new(Code::UpstreamConnect, "No connection to the upstream.").because(error)
}

/// Waits for `work`, but not longer than the exchange may take.
async fn until_expired<T>(deadlines: &Deadlines, work: impl Future<Output = T>) -> Result<T, GatewayError> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        if deadlines.has_expired(Wait::Exchange) {
            return Poll::Ready(Err(GatewayError::new(Code::UpstreamTimeout, "The upstream did not answer in time.")));
        }
        Poll::Pending
    })
    .await
}
