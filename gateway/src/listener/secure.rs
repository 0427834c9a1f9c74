//! A connection that begins with a handshake.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use super::connection::{self, LINGER_TIME};
use super::drain;
use super::refuse::close_with;
use crate::context::Caller;
use crate::error::{Code, GatewayError};
use crate::network::Network;
use crate::response;
use crate::shard::Shard;
use crate::telemetry::events::Event;
use crate::telemetry::metrics::{HandshakeResult, ListenerSeries};
use crate::tls::{Acceptor, Failure, Unmet, handshake};

/// Takes the handshake, then serves the connection, which came by the listener of this number, to its end. What is
/// `kept` is dropped with the connection.
pub async fn serve<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    (caller, listener): (Caller, Option<u16>),
    (acceptor, series): (Arc<Acceptor>, Arc<ListenerSeries>),
    drain: watch::Receiver<bool>,
    kept: K,
) {
    let within = shard.snapshot().config.server.tls_handshake_timeout;
    // When a drain begins, a handshake may be under way, and a request behind it. Who has said nothing is not waited
    // for.
    let taken = tokio::select! {
        taken = handshake(stream, &acceptor, within) => taken,
        () = drain::wait_and(drain.clone(), LINGER_TIME) => Err(Failure::TimedOut),
    };
    // A connection lives longer than the certificates that it was shown.
    drop(acceptor);
    let (result, secured) = match taken {
        Ok(secured) => (HandshakeResult::Ok, Some(secured)),
        Err(Failure::TimedOut) => (HandshakeResult::Timeout, None),
        Err(Failure::Failed(unmet)) => {
            tell(&shard, &series, caller.address(), &unmet);
            (unmet.result, None)
        }
        Err(Failure::PlainHttp(stream)) => {
            // A browser, or a person with `curl`, gets to know what is wrong.
            let error = GatewayError::new(Code::BadRequest, "This port speaks TLS: the URL begins with https://.");
            let detail = "what came was HTTP in the clear".to_owned();
            let unmet = Unmet { result: HandshakeResult::PlainHttp, detail };
            tell(&shard, &series, caller.address(), &unmet);
            let date = response::dated(&shard.date);
            Box::pin(close_with(stream, error, &date)).await;
            (unmet.result, None)
        }
    };
    series.shook_hands(result);
    drop(series);
    if let Some(secured) = secured {
        connection::serve_secured(shard, secured, (caller, listener), drain, kept).await;
    }
}

/// Tells of a handshake that failed, unless one of this listener was told of a moment ago, or nothing was said in it.
#[cold]
fn tell<N: Network>(shard: &Shard<N>, series: &ListenerSeries, client: SocketAddr, unmet: &Unmet) {
    let (shared, listener) = (&shard.shared, Arc::clone(series.name()));
    let now = shared.clock.now();
    if unmet.detail.is_empty() {
        return;
    }
    if let Some(untold) = series.may_tell(shared.clock.ticks_ms(now) / 1000) {
        let (result, detail) = (unmet.result, unmet.detail.clone());
        shared.report(now, Event::Handshake { listener, client, result, detail, untold });
    }
}
