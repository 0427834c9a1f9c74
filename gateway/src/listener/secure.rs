//! A connection that begins with a handshake.

use std::sync::Arc;

use tokio::sync::watch;

use super::connection::{self, LINGER_TIME};
use super::drain;
use super::refuse::close_with;
use crate::context::Caller;
use crate::error::{Code, GatewayError};
use crate::network::Network;
use crate::shard::Shard;
use crate::telemetry::metrics::{HandshakeResult, ListenerSeries};
use crate::tls::{Acceptor, Failure, handshake};

/// Takes the handshake, then serves the connection to its end. What is `kept` is dropped with the connection.
pub async fn serve<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    caller: Caller,
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
        Err(Failure::Failed) => (HandshakeResult::Failed, None),
        Err(Failure::PlainHttp(stream)) => {
            // A browser, or a person with `curl`, gets to know what is wrong.
            let error = GatewayError::new(Code::BadRequest, "This port speaks TLS: the URL begins with https://.");
            Box::pin(close_with(stream, error)).await;
            (HandshakeResult::PlainHttp, None)
        }
    };
    series.shook_hands(result);
    drop(series);
    if let Some(secured) = secured {
        connection::serve_secured(shard, secured, caller, drain, kept).await;
    }
}
