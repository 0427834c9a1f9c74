//! What an endpoint's bytes come and go by: a bare stream, or TLS on one.
//!
//! An enum and not a type parameter: a pool holds both over a reload that turns TLS on, and what stands on it (codec,
//! bodies, tunnels) is compiled once. In the clear it costs one branch for each read and write.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use crate::network::{ByteStream, Network};
use crate::tls::HTTP_2;

/// A connection's stream.
#[derive(Debug)]
pub enum Transport<S: ByteStream> {
    /// In the clear.
    Plain(S),
    /// Encrypted, with an endpoint that has proven who it is.
    Tls(Box<Encrypted<S>>),
}

/// A stream that says that it closes (RFC 8446, section 6.1), as far as that can be said without waiting.
#[derive(Debug)]
pub struct Encrypted<S: ByteStream>(TlsStream<Held<S>>);

impl<S: ByteStream> Drop for Encrypted<S> {
    fn drop(&mut self) {
        self.0.get_mut().1.send_close_notify();
        let _ = Pin::new(&mut self.0).poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}

/// A stream that can be taken out and put back, since what encrypts does not give its own away.
#[derive(Debug)]
pub(super) struct Held<S>(Option<S>);

impl<S> Held<S> {
    /// Holds a stream.
    pub(super) fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn get(&mut self) -> io::Result<&mut S> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<S: ByteStream> Transport<S> {
    /// On a stream whose handshake is over.
    pub(super) fn encrypted(stream: TlsStream<Held<S>>) -> Self {
        Self::Tls(Box::new(Encrypted(stream)))
    }

    /// Whether it is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether the handshake has come to HTTP/2; in the clear there is none that could have come to something else.
    pub(super) fn agreed_on_http2(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.0.get_ref().1.alpn_protocol() == Some(HTTP_2),
        }
    }

    /// The same on another form of its stream.
    ///
    /// # Errors
    /// As `change`; the connection is lost then.
    pub(super) fn adopt(self, change: impl FnOnce(S) -> io::Result<S>) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => change(stream).map(Self::Plain),
            Self::Tls(mut tls) => {
                let held = tls.0.get_mut().0;
                let stream = held.0.take().ok_or(io::ErrorKind::NotConnected)?;
                held.0 = Some(change(stream)?);
                Ok(Self::Tls(tls))
            }
        }
    }
}

/// `Network::is_quiet`, where what has been decrypted is no silence either.
pub(super) fn is_quiet<N: Network>(stream: &Transport<N::Stream>) -> bool {
    match stream {
        Transport::Plain(stream) => N::is_quiet(stream),
        Transport::Tls(tls) => {
            let (held, session) = tls.0.get_ref();
            session.wants_read() && held.0.as_ref().is_some_and(N::is_quiet)
        }
    }
}

impl<S: ByteStream> AsyncRead for Transport<S> {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(&mut tls.0).poll_read(cx, buf),
        }
    }
}

impl<S: ByteStream> AsyncWrite for Transport<S> {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut tls.0).poll_write(cx, bytes),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(tls) => Pin::new(&mut tls.0).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(tls) => tls.0.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut tls.0).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.0).poll_shutdown(cx),
        }
    }
}

impl<S: ByteStream> AsyncRead for Held<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_read(cx, buf)
    }
}

impl<S: ByteStream> AsyncWrite for Held<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get()?).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().get()?).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().get()?).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use proptest::prelude::*;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{RootCertStore, ServerConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream as ServerStream;

    use super::*;
    use crate::config::settings::upstream::{Protocol, Target};
    use crate::config::settings::upstream_tls::{Trust, UpstreamTls};
    use crate::http1::Client;
    use crate::tls::Connector;

    /// The least that is under way, bytes. (Of a single one at a time no handshake comes to its end.)
    const LEAST: usize = 16;
    /// What tickets fit in, bytes: the server's handshake ends with them under way, and the client reads none before.
    const ROOM_FOR_TICKETS: usize = 4096;

    /// What does not come to pass in this time never does.
    const LONG: Duration = Duration::from_secs(30);

    /// Both ends of a connection whose handshake is over; so many bytes are under way in each direction at most.
    async fn secured(under_way: usize) -> (Transport<DuplexStream>, ServerStream<DuplexStream>) {
        let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.der().clone(), PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let settings =
            UpstreamTls { trust: Trust::Own(Arc::new(roots)), name: None, certificate: None, files: Box::default() };
        let connector = Connector::new(&settings, &Target::Name("a.test".into(), 1), Protocol::Http1).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut server = builder.with_no_client_auth().with_single_cert(vec![certificate], key.into()).unwrap();
        if under_way < ROOM_FOR_TICKETS {
            server.send_tls13_tickets = 0;
        }
        let (ours, theirs) = tokio::io::duplex(under_way);
        let accept = TlsAcceptor::from(Arc::new(server)).accept(theirs);
        let handshake = async { tokio::join!(connector.connect(Held::new(ours)), accept) };
        let (ours, theirs) = tokio::time::timeout(LONG, handshake).await.expect("the handshake ends");
        (Transport::encrypted(ours.unwrap()), theirs.unwrap())
    }

    fn tickets(transport: &Transport<DuplexStream>) -> u32 {
        let Transport::Tls(tls) = transport else { panic!("it is encrypted") };
        tls.0.get_ref().1.tls13_tickets_received()
    }

    #[tokio::test]
    async fn tickets_on_an_idle_connection_are_no_answer_but_an_answer_unasked_and_an_end_are_seen() {
        let (transport, mut server) = secured(1 << 16).await;
        assert_eq!(tickets(&transport), 0, "they are on their way, behind the handshake");
        let mut http = Client::new(transport, |_| false);
        assert!(http.is_ready() && http.is_ready());
        let mut http = http.map_stream(|transport| {
            assert!(tickets(&transport) > 0, "they were read meanwhile");
            transport.adopt(Ok)
        });
        assert!(http.as_mut().unwrap().is_ready(), "also once another worker has adopted it");
        server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        assert!(!http.unwrap().is_ready());

        let (transport, mut server) = secured(1 << 16).await;
        server.shutdown().await.unwrap();
        assert!(!Client::new(transport, |_| false).is_ready(), "it said that it closes");
        let (transport, server) = secured(1 << 16).await;
        drop(server);
        assert!(!Client::new(transport, |_| false).is_ready(), "it closed without a word");
    }

    #[tokio::test]
    async fn who_is_left_is_told_so_and_reads_what_came_before() {
        let (mut transport, mut server) = secured(1 << 16).await;
        transport.write_all(b"bye").await.unwrap();
        drop(transport);
        let mut read = Vec::new();
        // Without the word for it this is an error: whatever was read may have been cut.
        server.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"bye");
    }

    #[tokio::test]
    async fn a_stream_that_is_lost_while_it_changes_hands_loses_the_connection() {
        let (transport, _server) = secured(1 << 16).await;
        assert!(transport.adopt(|_| Err(io::ErrorKind::NotConnected.into())).is_err());
        let mut held: Held<DuplexStream> = Held(None);
        assert_eq!(held.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(held.write(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
    }

    #[tokio::test]
    async fn a_handshake_ends_however_little_is_under_way() {
        for under_way in [LEAST, 100, ROOM_FOR_TICKETS - 1, ROOM_FOR_TICKETS] {
            let (_ours, _theirs) = secured(under_way).await;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_is_sent_arrives_however_it_is_cut(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40_000), 1..6),
            under_way in LEAST..100_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let (sent, echoed) = runtime.block_on(async {
                let (mut ours, mut theirs) = secured(under_way).await;
                let sent = parts.concat();
                let mut received = vec![0; sent.len()];
                let (one, two) = (&mut ours, &mut theirs);
                let there = async {
                    for part in &parts {
                        one.write_all(part).await.unwrap();
                        one.flush().await.unwrap();
                    }
                };
                let (_, read) = tokio::join!(there, two.read_exact(&mut received));
                read.unwrap();
                let mut echoed = vec![0; sent.len()];
                let back = async {
                    two.write_all(&received).await.unwrap();
                    two.flush().await.unwrap();
                };
                let (_, read) = tokio::join!(back, one.read_exact(&mut echoed));
                read.unwrap();
                (sent, echoed)
            });
            prop_assert!(sent == echoed);
        }
    }
}
