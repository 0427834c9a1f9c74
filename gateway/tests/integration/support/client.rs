//! A client that sends the bytes it is given and reads answers by the rules of RFC 9112.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::guarded;

/// A connection.
pub(crate) struct Client<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// As in the status line.
    pub(crate) version: String,
    /// The status.
    pub(crate) status: u16,
    /// The fields, in order, names in small letters.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// Fields after a chunked body.
    pub(crate) trailers: Vec<(String, String)>,
    /// The body came to the end that its framing promised.
    pub(crate) whole: bool,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// The socket alone.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Around a connection that is there already.
    pub(crate) fn on(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes. A connection that the gateway has closed is no failure: its answer may be there to be read.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            // What TLS has taken is not on its way yet.
            self.stream.flush().await
        };
        let _ = guarded("the gateway takes what is sent", sent).await;
    }

    /// Sends bytes and reads the answer to a request that is not HEAD.
    pub(crate) async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).await;
        self.answer().await
    }

    /// Asks until it is let in: a gateway that gets too little of a busy machine turns some away to protect itself, and
    /// who comes under load comes again.
    pub(crate) async fn ask_until_let_in(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        for _ in 0..10_000 {
            let answer = self.ask(bytes.as_ref()).await;
            if !answer.is_turned_away() {
                return answer;
            }
        }
        panic!("nobody is let in");
    }

    /// Asks where the connection may be closed: `None` when it was closed before a byte of an answer came.
    pub(crate) async fn try_ask(&mut self, bytes: impl AsRef<[u8]>) -> Result<Option<Answer>, String> {
        self.send(bytes).await;
        if self.unread.is_empty() {
            match self.fill().await {
                Ok(0) => return Ok(None),
                // A reset where the request was on its way may have lost an answer.
                Err(error) => return Err(error.to_string()),
                Ok(_) => {}
            }
        }
        let answer = self.answer().await;
        if answer.whole { Ok(Some(answer)) } else { Err(format!("cut: {answer:?}")) }
    }

    /// Reads an answer to a request that is not HEAD; an interim answer is an answer too.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        self.body_of(&mut answer).await;
        answer
    }

    /// Reads the head of an answer and no more.
    pub(crate) async fn head(&mut self) -> Answer {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return parse_head(std::str::from_utf8(&head).unwrap());
            }
            let got = self.fill().await;
            let text = String::from_utf8_lossy(&self.unread).into_owned();
            assert!(matches!(got, Ok(1..)), "closed before an answer's head was whole: {text:?}");
        }
    }

    /// Reads what follows a head.
    pub(crate) async fn body_of(&mut self, answer: &mut Answer) {
        answer.whole = true;
        if answer.status < 200 || matches!(answer.status, 204 | 304) {
            return;
        }
        if answer.header("transfer-encoding").is_some_and(|value| value == "chunked") {
            self.chunks(answer).await;
        } else if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().unwrap();
            answer.whole = self.take(length, &mut answer.body).await;
        } else {
            answer.body = self.rest().await;
        }
    }

    async fn chunks(&mut self, answer: &mut Answer) {
        answer.whole = false;
        loop {
            let Some(line) = self.line().await else { return };
            let size = usize::from_str_radix(line.split(';').next().unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            if !self.take(size, &mut answer.body).await || self.line().await.is_none() {
                return;
            }
        }
        while let Some(line) = self.line().await {
            if line.is_empty() {
                answer.whole = true;
                return;
            }
            answer.trailers.push(field(&line));
        }
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n") {
                let line = self.unread.drain(..end + 2).collect::<Vec<u8>>();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if !matches!(self.fill().await, Ok(1..)) {
                return None;
            }
        }
    }

    async fn take(&mut self, count: usize, into: &mut Vec<u8>) -> bool {
        while self.unread.len() < count {
            if !matches!(self.fill().await, Ok(1..)) {
                into.append(&mut self.unread);
                return false;
            }
        }
        into.extend(self.unread.drain(..count));
        true
    }

    /// The next chunk of a chunked body that has more.
    pub(crate) async fn chunk(&mut self) -> String {
        String::from_utf8(self.raw_chunk().await).unwrap()
    }

    /// The same of a body that is no text.
    pub(crate) async fn raw_chunk(&mut self) -> Vec<u8> {
        let line = self.line().await.expect("the body goes on");
        let mut data = self.bytes(usize::from_str_radix(&line, 16).unwrap() + 2).await;
        data.truncate(data.len() - 2);
        data
    }

    /// Reads so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        assert!(self.take(count, &mut bytes).await, "closed after {} of {count} bytes", bytes.len());
        bytes
    }

    /// Everything until the gateway closes. A reset is a close.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while matches!(self.fill().await, Ok(1..)) {}
        std::mem::take(&mut self.unread)
    }

    /// Waits for the close, and makes sure that nothing comes before it.
    pub(crate) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "more came before the close: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Says that no more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The socket, to be written to or read from at will.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    async fn fill(&mut self) -> io::Result<usize> {
        guarded("bytes from the gateway, or its close", self.stream.read_buf(&mut self.unread)).await
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

fn parse_head(text: &str) -> Answer {
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut status = lines.next().unwrap().splitn(3, ' ');
    Answer {
        version: status.next().unwrap().to_owned(),
        status: status.next().unwrap().parse().unwrap(),
        headers: lines.map(field).collect(),
        ..Answer::default()
    }
}

impl Answer {
    /// The value of a field that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert!(values.next().is_none(), "{name} is repeated in {self:?}");
        first
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {text:?}", self.status))
    }

    /// What the upstream echoed; the answer is a 200.
    pub(crate) fn echo(&self) -> Echo {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        Echo(self.json())
    }

    /// The status of an upstream's own answer: it is no problem document of the gateway.
    pub(crate) fn echo_status(&self) -> u16 {
        assert_ne!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.status
    }

    /// Whether the gateway had too much to do.
    pub(crate) fn is_turned_away(&self) -> bool {
        self.status == 503 && self.json()["code"] == "overloaded"
    }

    /// The problem document's code. Holds the whole document against the contract.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        let code = document["code"].as_str().unwrap().to_owned();
        assert_eq!(document["status"], self.status);
        assert_eq!(document["type"], format!("urn:portcullis:problem:{code}"));
        assert!(document["title"].is_string() && document["detail"].is_string());
        if let Some(id) = self.header("x-request-id") {
            assert_eq!(document["request_id"], id);
        }
        code
    }
}

/// A request as the upstream saw it.
#[derive(Debug)]
pub(crate) struct Echo(Value);

impl Echo {
    /// What this body tells, however it came.
    pub(crate) fn of(body: &[u8]) -> Self {
        Self(serde_json::from_slice(body).unwrap())
    }

    /// A member of the echo.
    pub(crate) fn get(&self, member: &str) -> &Value {
        &self.0[member]
    }

    /// The path as the upstream saw it.
    pub(crate) fn path(&self) -> &str {
        self.0["path"].as_str().unwrap()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0["headers"].as_array().unwrap().iter();
        fields
            .filter(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|field| field[1].as_str().unwrap())
            .collect()
    }

    /// `forwarded` without the name that the gateway gives itself.
    pub(crate) fn forwarded(&self) -> &str {
        let (told, own_name) = self.header("forwarded").unwrap().rsplit_once(";by=_").unwrap();
        // A part of an aggregate, and a call of a batch, tell that they are one of several.
        let own_name = own_name.strip_suffix(".1.1").unwrap_or(own_name);
        assert!(own_name.len() == 16 && own_name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own_name}");
        told
    }

    /// The value of a field that is there at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} is repeated: {values:?}");
        values.first().copied()
    }
}
