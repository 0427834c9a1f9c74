//! A connection that begins with a handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::connection::{self, linger};
use crate::error::{Code, GatewayError};
use crate::network::{ByteStream, Network};
use crate::response::problem;
use crate::shard::Shard;
use crate::telemetry::metrics::{HandshakeResult, ListenerSeries};
use crate::tls::{Acceptor, Failure, handshake};

/// Beyond this a client that does not read is cut off.
const WRITE_TIME: Duration = Duration::from_secs(1);

/// Takes the handshake, then serves the connection to its end. What is `kept` is dropped with the connection.
pub async fn serve<N: Network, K: Send>(
    shard: Arc<Shard<N>>,
    stream: N::Stream,
    peer: SocketAddr,
    (acceptor, series): (Arc<Acceptor>, Arc<ListenerSeries>),
    drain: watch::Receiver<bool>,
    kept: K,
) {
    let within = shard.snapshot().config.server.tls_handshake_timeout;
    let taken = handshake(stream, &acceptor, within).await;
    // A connection lives longer than the certificates that it was shown.
    drop(acceptor);
    let (result, secured) = match taken {
        Ok(secured) => (HandshakeResult::Ok, Some(secured)),
        Err(Failure::TimedOut) => (HandshakeResult::Timeout, None),
        Err(Failure::Failed) => (HandshakeResult::Failed, None),
        Err(Failure::PlainHttp(stream)) => {
            Box::pin(tell_to_use_tls(stream)).await;
            (HandshakeResult::PlainHttp, None)
        }
    };
    series.shook_hands(result);
    drop(series);
    if let Some(secured) = secured {
        connection::serve_secured(shard, secured, peer, drain, kept).await;
    }
}

/// A browser, or a person with `curl`, gets to know what is wrong.
async fn tell_to_use_tls<S: ByteStream>(mut stream: S) {
    let error = GatewayError::new(Code::BadRequest, "This port speaks TLS: the URL begins with https://.").closing();
    let bytes = problem::raw(&error, None);
    if let Ok(Ok(())) = tokio::time::timeout(WRITE_TIME, stream.write_all(&bytes)).await {
        linger(stream).await;
    }
}
