//! A connection to an endpoint: an idle one of this worker, an idle one of a sibling, or a new one; of HTTP/2 a place
//! on one that others share.

use std::borrow::Borrow;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use http::HeaderValue;

use super::attempt::{Failure, Manner};
use crate::config::settings::upstream::Protocol;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1;
use crate::network::{ByteStream, Network};
use crate::telemetry::metrics::{ShedReason, UpstreamSeries};
use crate::timer::{Deadlines, Wait};
use crate::upstream::carriers::{Awaited, Carriers, NoCarrier, Turn};
use crate::upstream::connection::OpenConnection;
use crate::upstream::dial::{DialError, dial};
use crate::upstream::in_flight::Permit;
use crate::upstream::open::{self, Means};
use crate::upstream::pool::Taken;
use crate::upstream::way::Way;
use crate::upstream::{Connection, Endpoint, Leg, Selected};

/// How often a call waits for a connection to be opened, where others were faster to fill it each time.
const ROUNDS: usize = 4;

/// Takes an idle connection, or a place on one that has room.
pub(super) fn idle<N: Network>(exchange: &Exchange<N>, selected: &Selected<N>, now: Instant) -> Option<Leg<N::Stream>> {
    if selected.settings.protocol == Protocol::Http2 {
        let shared = selected.endpoint.way().carriers.as_ref()?.enter(exchange.shard.index)?;
        return Some(Leg::Shared(Box::new(shared)));
    }
    let pool = &selected.endpoint.pool;
    loop {
        match pool.take(exchange.shard.index, now, &selected.settings.pool)? {
            Taken::Own(connection) => return Some(Leg::Own(connection)),
            Taken::Borrowed(connection) => {
                let network = &exchange.shard.shared.network;
                // One that cannot be adopted is lost; the next may do.
                if let Ok(connection) = connection.adopt(|stream| network.adopt(stream)) {
                    return Some(Leg::Own(connection));
                }
            }
        }
    }
}

/// Opens a connection, within the attempt's time where that is less than a connection's. Of HTTP/2, takes a place on
/// one that is being opened, or on any other.
///
/// # Errors
/// `overloaded` at the endpoint's limit of connections, `connect_timeout`, `upstream_connect`; `upstream_timeout` when
/// the exchange's own time is up first.
pub(super) async fn open<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    manner: Manner,
) -> Result<Leg<N::Stream>, GatewayError> {
    let (endpoint, settings) = (&selected.endpoint, &selected.settings);
    let upstream = exchange.upstream().ok_or_else(|| GatewayError::new(Code::Internal, "No route."))?;
    let series = Arc::clone(&upstream.series);
    let time = manner.most.map_or(settings.pool.connect_timeout, |most| most.min(settings.pool.connect_timeout));
    let way = endpoint.way();
    if let Some(carriers) = &way.carriers {
        let awaited = Mutex::new(None);
        let sharing = Box::pin(share(exchange, selected, (&way, carriers), series, &awaited));
        let sharing = tokio::time::timeout(time, sharing);
        return match until_expired(&exchange.connection.deadlines, sharing).await? {
            Ok(shared) => shared.and_then(|leg| may_switch(leg, manner)),
            Err(_elapsed) => {
                let awaited = awaited.into_inner().unwrap_or_else(PoisonError::into_inner);
                Err(late_for(endpoint, awaited.as_ref()))
            }
        };
    }
    let permit = permit(selected).ok_or_else(full)?;
    let network = &exchange.shard.shared.network;
    let around = (&exchange.shard.shared.clock, &*series);
    let connect = tokio::time::timeout(time, dial(network, endpoint, &way, around, time));
    let dialled = match until_expired(&exchange.connection.deadlines, connect).await? {
        Ok(Ok(dialled)) => dialled,
        Ok(Err(error)) => return Err(no_connection(error)),
        Err(_elapsed) => return Err(late(endpoint)),
    };
    let open = OpenConnection::new(permit, series, exchange.shard.index);
    Ok(Leg::Own(Connection::new::<N>(dialled, exchange.now(), open)))
}

/// A place among the endpoint's connections. Where all are taken an idle connection gives way: who asks could not use
/// it, as for a switch of protocols, or it fell idle a moment ago.
fn permit<N: Network>(selected: &Selected<N>) -> Option<Permit> {
    let (endpoint, settings) = (&selected.endpoint, &selected.settings);
    let limit = settings.pool.max_connections.map_or(u32::MAX, |max| u32::try_from(max).unwrap_or(u32::MAX));
    let place = endpoint.connections.try_enter(limit);
    place.or_else(|| endpoint.pool.make_room().then(|| endpoint.connections.try_enter(limit)).flatten())
}

/// A place on a connection of HTTP/2, which is opened where it must be. The caller limits the time, and finds in
/// `noted` what was waited for last.
async fn share<N: Network>(
    exchange: &Exchange<N>,
    selected: &Selected<N>,
    (way, carriers): (&Arc<Way>, &Carriers),
    series: Arc<UpstreamSeries>,
    noted: &Mutex<Option<Awaited>>,
) -> Result<Leg<N::Stream>, GatewayError> {
    let worker = exchange.shard.index;
    let (mut was_late, mut was_full) = (None, false);
    for _ in 0..ROUNDS {
        if let Some(shared) = carriers.enter(worker) {
            return Ok(Leg::Shared(Box::new(shared)));
        }
        let (mut awaited, first) = match carriers.turn(worker, || permit(selected)) {
            Turn::Wait(awaited) => (awaited, None),
            Turn::Open(opening, awaited, first) => {
                let shared = &exchange.shard.shared;
                let (network, clock) = (shared.network.clone(), shared.clock.clone());
                let within = selected.settings.pool.connect_timeout;
                let means = Means { network, clock, series: Arc::clone(&series), worker, within };
                open::begin(opening, Arc::clone(&selected.endpoint), Arc::clone(way), means);
                (awaited, Some(first))
            }
            Turn::Full => match carriers.borrow(worker) {
                Some(shared) => return Ok(Leg::Shared(Box::new(shared))),
                // One that was found to be going away has given its place to another.
                None if !std::mem::replace(&mut was_full, true) => continue,
                None => return Err(full()),
            },
        };
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(awaited.clone());
        let carrier = match awaited.outcome().await {
            Ok(carrier) => carrier,
            Err(NoCarrier::Failed(error)) => return Err(no_connection(error)),
            // Who came while it was under way has time left: one lost packet is not everybody's failure.
            Err(NoCarrier::Late) if first.is_none() => {
                was_late = Some(awaited);
                continue;
            }
            Err(NoCarrier::Late) => return Err(late_for(&selected.endpoint, Some(&awaited))),
        };
        let kept = first.and_then(|first| first.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(shared) = kept.or_else(|| carrier.enter()) {
            return Ok(Leg::Shared(Box::new(shared)));
        }
        was_late = None;
    }
    Err(if was_late.is_some() { late_for(&selected.endpoint, was_late.as_ref()) } else { full() })
}

/// The leg, if it is good for what is asked.
fn may_switch<S: ByteStream>(leg: Leg<S>, manner: Manner) -> Result<Leg<S>, GatewayError> {
    if manner.switches && !leg.can_switch() {
        let detail = "This route's upstream takes no WebSockets over HTTP/2.";
        return Err(GatewayError::unserved_method(detail, HeaderValue::from_static("GET")));
    }
    Ok(leg)
}

fn full() -> GatewayError {
    let detail = "The upstream has as many connections as it may have.";
    GatewayError::shed(ShedReason::UpstreamConnections, detail)
}

/// The failure of one of those who waited for a connection. The first to say so says it for all.
fn late_for<N: Network>(endpoint: &Endpoint<N>, awaited: Option<&Awaited>) -> GatewayError {
    let error = late(endpoint);
    if awaited.is_none_or(Awaited::is_mine_to_blame) { error } else { error.because(AlreadyTold) }
}

/// The endpoint's breaker hears of this failure from another attempt.
#[derive(Debug, thiserror::Error)]
#[error("others waited for the same connection")]
pub(super) struct AlreadyTold;

fn late<N: Network>(endpoint: &Endpoint<N>) -> GatewayError {
    let error = GatewayError::new(Code::ConnectTimeout, "The upstream did not accept a connection in time.");
    match endpoint.unresolved() {
        Some(why) => error.because(why),
        None => error,
    }
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

fn no_connection(error: impl Borrow<DialError> + std::error::Error + Send + Sync + 'static) -> GatewayError {
    if error.borrow().is_own_lack() {
        let detail = if error.borrow().is_lack_of_threads() {
            "The gateway's machine has no thread left to look up the upstream's name."
        } else {
            "The gateway's machine has no socket left for a connection to the upstream."
        };
        // Its connection holds one itself, which somebody can be served with.
        return GatewayError::shed(ShedReason::Sockets, detail).because(error).closing();
    }
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
            return Poll::Ready(Err(GatewayError::upstream_late()));
        }
        Poll::Pending
    })
    .await
}
