//! One call: a GET over HTTP/1.1, on a connection that is kept for the next.
//!
//! A worker has its own connections. An answer's body is read to its end and forgotten; its head has a bound.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http1::body::Decoder;
use crate::http1::head::{Framing, MAX_HEAD, MAX_HEADERS};

/// Idle connections that are kept to one address.
const KEPT: usize = 64;
/// Addresses to which connections are kept.
const ADDRESSES: usize = 256;

/// Idle connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<String, Vec<TcpStream>>>,
}

/// An answer's head, as far as it matters.
struct AnswerHead {
    status: u16,
    length: usize,
    /// `None`: the body ends with the connection.
    framing: Option<Framing>,
    keep: bool,
}

impl Pool {
    /// Sends a request and reads its answer to the end: the status.
    ///
    /// # Errors
    /// No connection, or no whole answer.
    pub(super) async fn call(&self, authority: &str, request: &[u8]) -> io::Result<u16> {
        if let Some(stream) = self.take(authority) {
            // The other side may have closed it meanwhile; then nothing was answered, and a GET is sent again.
            match self.exchange(stream, authority, request).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                done => return done,
            }
        }
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        self.exchange(stream, authority, request).await
    }

    /// The error kind `ConnectionAborted` says that not a byte came back.
    async fn exchange(&self, mut stream: TcpStream, authority: &str, request: &[u8]) -> io::Result<u16> {
        let unanswered = || io::Error::from(io::ErrorKind::ConnectionAborted);
        stream.write_all(request).await.map_err(|_| unanswered())?;
        let mut unread = Vec::with_capacity(1024);
        let head = loop {
            match read_head(&unread)? {
                Some(head) if head.status >= 200 => break head,
                Some(interim) => drop(unread.drain(..interim.length)),
                None if unread.len() > MAX_HEAD => return Err(io::ErrorKind::InvalidData.into()),
                None => match stream.read_buf(&mut unread).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) if unread.is_empty() => return Err(unanswered()),
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) => return Err(error),
                },
            }
        };
        unread.drain(..head.length);
        let Some(framing) = head.framing else {
            while stream.read_buf(&mut unread).await? > 0 {
                unread.clear();
            }
            return Ok(head.status);
        };
        let mut decoder = Decoder::new(framing);
        loop {
            let taken = decoder.push(&unread, &mut |_| {}).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            unread.drain(..taken);
            if decoder.is_done() {
                break;
            }
            if stream.read_buf(&mut unread).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if head.keep && unread.is_empty() {
            self.keep(authority, stream);
        }
        Ok(head.status)
    }

    fn take(&self, authority: &str) -> Option<TcpStream> {
        self.lock().get_mut(authority)?.pop()
    }

    fn keep(&self, authority: &str, stream: TcpStream) {
        let mut idle = self.lock();
        if idle.len() >= ADDRESSES && !idle.contains_key(authority) {
            return;
        }
        let kept = idle.entry(authority.to_owned()).or_default();
        if kept.len() < KEPT {
            kept.push(stream);
        }
    }

    /// A poisoned map is used all the same: it is whole between two calls.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<TcpStream>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head at the start of these bytes; `None` when it is not whole.
fn read_head(bytes: &[u8]) -> io::Result<Option<AnswerHead>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(invalid()),
    };
    let status = response.code.ok_or_else(invalid)?;
    let (mut framing, mut keep) = (None, response.version == Some(1));
    for line in response.headers.iter() {
        let value = std::str::from_utf8(line.value).unwrap_or("").trim();
        if line.name.eq_ignore_ascii_case("content-length") {
            framing = Some(Framing::Length(value.parse().map_err(|_| invalid())?));
        } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Some(Framing::Chunked);
        } else if line.name.eq_ignore_ascii_case("connection") {
            keep &= !value.eq_ignore_ascii_case("close");
        }
    }
    if matches!(status, 204 | 304) {
        framing = Some(Framing::Empty);
    }
    Ok(Some(AnswerHead { status, length, framing, keep }))
}
