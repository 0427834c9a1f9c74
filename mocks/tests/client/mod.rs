//! A client that shows bytes as they are: a blocking socket, and answers read by hand.
//!
//! A read that would wait for ever ends after ten seconds, which fails the test.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer, its body without framing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the mock listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the connection is open");
        self
    }

    /// Sends a GET and reads its answer.
    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: mock\r\n{headers}\r\n")).answer()
    }

    /// Reads bytes up to and with `end`.
    pub(crate) fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return self.unread.drain(..at + end.len()).collect();
            }
            self.want_more();
        }
    }

    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.want_more();
        }
        self.unread.drain(..count).collect()
    }

    /// Reads a whole answer to a GET.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        answer.body = if answer.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let size = String::from_utf8(self.until(b"\r\n")).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
                body.extend(self.exactly(size));
                assert_eq!(self.exactly(2), b"\r\n");
                if size == 0 {
                    break body;
                }
            }
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            self.exactly(length)
        } else if matches!(answer.status, 100..=199 | 204 | 304) {
            Vec::new()
        } else {
            self.rest().0
        };
        answer
    }

    /// Reads an answer's head.
    pub(crate) fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n")).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("a status line");
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header line");
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Answer { status: status[..3].parse().unwrap(), headers: headers.collect(), body: Vec::new() }
    }

    /// Reads to the end; the error is how it ended, if not in order.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        loop {
            match self.more() {
                Ok(0) => return (std::mem::take(&mut self.unread), None),
                Ok(_) => {}
                Err(error) => return (std::mem::take(&mut self.unread), Some(error.kind())),
            }
        }
    }

    /// Closes its own side and reads to the end, whatever that is.
    pub(crate) fn rest_of_one(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self.rest();
    }

    fn want_more(&mut self) {
        assert_ne!(
            self.more().expect("the answer goes on"),
            0,
            "it ended after {:?}",
            String::from_utf8_lossy(&self.unread)
        );
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..read]);
        Ok(read)
    }

    /// Reads to the end, which must be a reset; gives the bytes before it.
    pub(crate) fn reset(&mut self) -> Vec<u8> {
        let (bytes, end) = self.rest();
        assert_eq!(end, Some(ErrorKind::ConnectionReset));
        bytes
    }

    /// Reads to the end, which must be an orderly close; gives the bytes before it.
    pub(crate) fn closed(&mut self) -> Vec<u8> {
        let (bytes, end) = self.rest();
        assert_eq!(end, None);
        bytes
    }
}
