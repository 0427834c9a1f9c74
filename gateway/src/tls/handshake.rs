//! From a socket to a connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::HTTP_2;
use super::acceptor::Acceptor;
use super::secured::Secured;
use super::unmet::Unmet;
use crate::network::ByteStream;

/// The record type that a handshake begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What is read before anything is set up for a connection: most clients' first flight.
const FIRST_BYTES: usize = 2048;

/// A connection whose handshake is over.
pub struct Handshake<S> {
    /// Carries what the client encrypts.
    pub stream: TlsStream<S>,
    /// What the handshake proved.
    pub secured: Secured,
    /// It was agreed to speak HTTP/2.
    pub http2: bool,
}

/// Why there is none.
#[derive(Debug)]
pub enum Failure<S> {
    /// It speaks HTTP in the clear: the connection, so that it can be told.
    PlainHttp(S),
    /// It did not come to an end in time.
    TimedOut,
    /// The client left, or what it sent was refused.
    Failed(Unmet),
}

/// Takes a client's handshake. Until its first byte comes, nothing is held for it but the socket.
///
/// # Errors
/// Why there is no connection.
pub async fn handshake<S: ByteStream>(
    stream: S,
    acceptor: &Acceptor,
    within: Duration,
) -> Result<Handshake<S>, Failure<S>> {
    tokio::time::timeout(within, Box::pin(take(stream, acceptor))).await.unwrap_or(Err(Failure::TimedOut))
}

async fn take<S: ByteStream>(mut stream: S, acceptor: &Acceptor) -> Result<Handshake<S>, Failure<S>> {
    let mut first = Vec::with_capacity(FIRST_BYTES);
    stream.read_buf(&mut first).await.map_err(|_| Failure::Failed(Unmet::silent()))?;
    match first.first() {
        Some(&HANDSHAKE) => {}
        // The first letter of a method.
        Some(byte) if byte.is_ascii_uppercase() => return Err(Failure::PlainHttp(stream)),
        None => return Err(Failure::Failed(Unmet::silent())),
        Some(_) => return Err(Failure::Failed(Unmet::no_handshake())),
    }
    let mut fed = Ok(());
    let mut accept = TlsAcceptor::from(Arc::clone(&acceptor.config))
        .accept_with(stream, |connection| fed = feed(connection, &first));
    drop(first);
    if let Err(error) = fed {
        // One step sends the alert; the next would wait for an answer to it.
        poll_fn(|cx| {
            let _ = Pin::new(&mut accept).poll(cx);
            Poll::Ready(())
        })
        .await;
        return Err(Failure::Failed(Unmet::new(&error)));
    }
    let stream = accept.await.map_err(|error| Failure::Failed(Unmet::new(&error)))?;
    let secured = acceptor.secured(stream.get_ref().1);
    let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    Ok(Handshake { stream, secured, http2 })
}

/// Gives a connection bytes that were read before it was made.
fn feed(connection: &mut rustls::ServerConnection, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        connection.read_tls(&mut bytes)?;
        connection.process_new_packets().map_err(io::Error::other)?;
    }
    Ok(())
}
