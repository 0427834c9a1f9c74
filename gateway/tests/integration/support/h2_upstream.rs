//! Upstreams that speak HTTP/2: one by the rules, whose story takes its requests one by one; and one that sends the
//! frames it is given.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::guarded;
use super::h2::Frames;

/// Requests that may wait for their story to take them.
const WAITING: usize = 1024;

/// What a story says of a connection.
enum Order {
    /// No new request is taken.
    GoAway,
    /// It ends without a word.
    Cut,
}

/// An upstream by the rules.
pub(crate) struct H2Upstream {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    asked: mpsc::Receiver<Asked>,
}

/// A request that has come.
pub(crate) struct Asked {
    /// Which connection it came by, in the order in which they came.
    pub(crate) connection: usize,
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
    orders: mpsc::Sender<Order>,
}

impl H2Upstream {
    pub(crate) async fn start() -> Self {
        Self::with(Builder::new()).await
    }

    /// With settings of its own.
    pub(crate) async fn with(builder: Builder) -> Self {
        Self::on(builder, None).await
    }

    /// Over TLS.
    pub(crate) async fn over_tls(mut config: ServerConfig, protocols: &[&[u8]]) -> Self {
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self::on(Builder::new(), Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn on(builder: Builder, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        let (sender, asked) = mpsc::channel(WAITING);
        let count = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = count.fetch_add(1, Ordering::Relaxed);
                let (builder, sender, tls) = (builder.clone(), sender.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &builder, number, sender).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &builder, number, sender).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, accepted, asked }
    }

    /// Connections that have come.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Asked {
        guarded("a request", self.asked.recv()).await.unwrap()
    }

    /// Whether no request waits to be taken.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.asked.is_empty()
    }
}

async fn serve<S>(stream: S, builder: &Builder, number: usize, sender: mpsc::Sender<Asked>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let (orders, mut ordered) = mpsc::channel(WAITING);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let asked = Asked { connection: number, request, respond, orders: orders.clone() };
                if sender.send(asked).await.is_err() {
                    return;
                }
            }
            order = ordered.recv() => match order {
                Some(Order::GoAway) => connection.graceful_shutdown(),
                Some(Order::Cut) | None => return,
            },
        }
    }
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name).map(|value| value.to_str().unwrap())
    }

    /// Reads the body to its end.
    pub(crate) async fn read(&mut self) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
        let (body, mut bytes) = (self.request.body_mut(), Vec::new());
        while let Some(data) = guarded("more of a body", body.data()).await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, guarded("trailers", body.trailers()).await?))
    }

    /// Answers with this body.
    pub(crate) fn answer(mut self, body: &str) {
        let whole = body.is_empty();
        let mut stream = self.respond.send_response(Response::new(()), whole).unwrap();
        if !whole {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
    }

    /// Begins an answer with these fields.
    pub(crate) fn begin(&mut self, status: u16, fields: &[(&str, &str)]) -> SendStream<Bytes> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        self.respond.send_response(response.body(()).unwrap(), false).unwrap()
    }

    /// Answers with a head alone.
    pub(crate) fn head_only(mut self, status: u16, fields: &[(&str, &str)]) {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        self.respond.send_response(response.body(()).unwrap(), true).unwrap();
    }

    /// Resets the stream.
    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits until the other side has reset the stream, which is not answered yet: why.
    pub(crate) async fn was_reset(&mut self) -> Reason {
        guarded("a reset", poll_fn(|cx| self.respond.poll_reset(cx))).await.unwrap()
    }

    /// Whether its connection has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.orders.is_closed()
    }

    /// Its connection takes no new request.
    pub(crate) fn go_away(&self) {
        assert!(self.orders.try_send(Order::GoAway).is_ok());
    }

    /// Its connection ends without a word.
    pub(crate) fn cut(&self) {
        assert!(self.orders.try_send(Order::Cut).is_ok());
    }
}

/// Waits until the other side has reset a stream on which an answer has begun: why.
pub(crate) async fn was_reset(stream: &mut SendStream<Bytes>) -> Reason {
    guarded("a reset", poll_fn(|cx| stream.poll_reset(cx))).await.unwrap()
}

/// Sends bytes as the other side takes them; false when it does not want more.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, last: bool) -> bool {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return false };
        let part = bytes.split_to(room.min(bytes.len()));
        if stream.send_data(part, last && bytes.is_empty()).is_err() {
            return false;
        }
    }
    true
}

/// An upstream of frames.
pub(crate) struct FramesUpstream {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl FramesUpstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// The next connection, its preface read, these settings told.
    pub(crate) async fn accept(&self, settings: &[u8]) -> Frames {
        let (stream, _) = guarded("a connection", self.listener.accept()).await.unwrap();
        Frames::of_client(stream, settings).await
    }
}
