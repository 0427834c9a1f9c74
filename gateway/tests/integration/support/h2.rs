//! Clients that speak HTTP/2: one by the rules, through the `h2` crate, and one that sends the frames it is given.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::client::Answer;
use super::guarded;

/// A connection by the rules.
pub(crate) struct H2Client {
    sender: SendRequest<Bytes>,
    /// Ends with the connection.
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// A request on its way.
pub(crate) struct Call {
    /// What comes of it.
    pub(crate) answer: ResponseFuture,
    /// The rest of the request.
    pub(crate) body: SendStream<Bytes>,
}

impl H2Client {
    /// Connects by prior knowledge.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with(address, h2::client::Builder::new()).await
    }

    /// The same, with settings of its own.
    pub(crate) async fn with(address: SocketAddr, builder: h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::on(stream, builder).await
    }

    /// Connects over TLS; the handshake must come to HTTP/2.
    pub(crate) async fn over_tls(address: SocketAddr, mut config: ClientConfig, name: &str) -> Self {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::on(stream, h2::client::Builder::new()).await
    }

    /// Around a connection that is there already.
    pub(crate) async fn on<S>(stream: S, builder: h2::client::Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = guarded("a connection", builder.handshake(stream)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    /// Sends the head of a request; `whole` when no body follows.
    pub(crate) async fn begin(&mut self, request: Request<()>, whole: bool) -> Call {
        let mut sender = guarded("room for a stream", self.sender.clone().ready()).await.unwrap();
        let (answer, body) = sender.send_request(request, whole).unwrap();
        Call { answer, body }
    }

    /// Asks, with a body, and reads the answer.
    pub(crate) async fn send(&mut self, request: Request<()>, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        let mut call = self.begin(request, body.is_empty()).await;
        if !body.is_empty() {
            call.body.send_data(body, true).unwrap();
        }
        call.answer().await
    }

    /// Gets a path of `a.test`.
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(get(path), "").await
    }

    /// Whether the gateway has said that it takes an extended CONNECT.
    pub(crate) async fn takes_extended_connect(&self) {
        super::eventually("the gateway's settings", || self.sender.is_extended_connect_protocol_enabled()).await;
    }

    /// Waits for the connection's end: what the gateway said of it.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        // Its half goes on while somebody could send.
        let Self { sender, connection } = self;
        let ended = guarded("the connection's end", connection).await.unwrap();
        drop(sender);
        ended
    }
}

impl Call {
    /// Reads the answer to its end.
    pub(crate) async fn answer(self) -> Answer {
        self.try_answer().await.unwrap()
    }

    /// The same; an error where the stream was reset before an answer's head.
    pub(crate) async fn try_answer(self) -> Result<Answer, h2::Error> {
        let (mut answer, mut body) = head(self.answer).await?;
        answer.whole = rest(&mut answer, &mut body).await.is_ok();
        Ok(answer)
    }
}

/// Reads the head of an answer.
pub(crate) async fn head(answer: ResponseFuture) -> Result<(Answer, RecvStream), h2::Error> {
    let (parts, body) = guarded("an answer", answer).await?.into_parts();
    let fields = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let answer = Answer {
        version: "HTTP/2".into(),
        status: parts.status.as_u16(),
        headers: fields.collect(),
        ..Answer::default()
    };
    Ok((answer, body))
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8(value.as_bytes().to_vec()).unwrap()
}

/// Reads what follows a head; an error where it is cut.
pub(crate) async fn rest(answer: &mut Answer, body: &mut RecvStream) -> Result<(), h2::Error> {
    while let Some(data) = guarded("more of a body", body.data()).await {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        answer.body.extend_from_slice(&data);
    }
    if let Some(trailers) = guarded("trailers", body.trailers()).await? {
        answer.trailers = trailers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    }
    Ok(())
}

/// A GET of `a.test`.
pub(crate) fn get(path: &str) -> Request<()> {
    Request::builder().uri(format!("http://a.test{path}")).body(()).unwrap()
}

/// A POST to `a.test`.
pub(crate) fn post(path: &str) -> Request<()> {
    Request::builder().method("POST").uri(format!("http://a.test{path}")).body(()).unwrap()
}

/// A connection that sends frames.
pub(crate) struct Frames {
    stream: TcpStream,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A block of header fields, each written out (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The fields of a GET.
pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")];

impl Frames {
    /// Connects, and says so in frames.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut frames = Self::silent(address).await;
        frames.send([PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).await;
        frames
    }

    /// Connects, and says nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// The server's end of a connection: the client's preface is read, and these settings are told.
    pub(crate) async fn of_client(stream: TcpStream, settings: &[u8]) -> Self {
        stream.set_nodelay(true).unwrap();
        let mut frames = Self { stream };
        let mut preface = [0; 24];
        guarded("a preface", frames.stream.read_exact(&mut preface)).await.unwrap();
        assert_eq!(preface, PREFACE);
        frames.send(frame(SETTINGS, 0, 0, settings)).await;
        frames
    }

    /// Sends bytes. A connection that the gateway has closed is no failure: what it said may be there to be read.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = guarded("the gateway takes what is sent", self.stream.write_all(bytes.as_ref())).await;
    }

    /// Sends bytes as long as the gateway takes them, so many at most.
    pub(crate) async fn send_while_taken(&mut self, bytes: &[u8]) {
        let sending = self.stream.write_all(bytes);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(500), sending).await;
    }

    /// The next frame; `None` at the connection's end. A reset is an end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        guarded("a frame", self.stream.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        guarded("a frame", self.stream.read_exact(&mut payload)).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Waits for the connection's end; the code that it was told.
    pub(crate) async fn goaway(&mut self) -> Option<Reason> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code(4));
            }
        }
        code
    }

    /// Sees that the connection goes on.
    pub(crate) async fn is_alive(&mut self) {
        self.send(frame(PING, 0, 0, b"alive...")).await;
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == b"alive..." {
                return;
            }
        }
    }
}

impl Frame {
    /// A code of four bytes in its payload.
    pub(crate) fn code(&self, at: usize) -> Reason {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap()).into()
    }
}
