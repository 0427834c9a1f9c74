//! Writes the heads of answers, and chunks.

use std::io::Write as _;

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
    /// There is none, and none is announced (204, 101).
    Bare,
}

/// What is to be said of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing: it stays open, as HTTP/1.1 has it.
    Implied,
    /// `keep-alive`, for HTTP/1.0 clients.
    KeepAlive,
    /// `close`.
    Close,
}

/// An answer's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerHead<'a> {
    pub status: u16,
    pub content_type: &'a str,
    pub ending: Ending,
    pub persistence: Persistence,
    /// `x-mock-service: …\r\nx-mock-endpoint: …\r\nx-mock-residence-ns: `, without the value.
    pub identity: &'a [u8],
    pub residence_ns: u64,
    /// More lines, each with its CRLF.
    pub extra: &'a [u8],
}

impl AnswerHead<'_> {
    /// Writes the head with its empty line.
    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        status_line(out, self.status);
        if self.ending != Ending::Bare {
            out.extend_from_slice(b"content-type: ");
            out.extend_from_slice(self.content_type.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        match self.ending {
            Ending::Length(length) => {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Ending::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Ending::Close | Ending::Bare => {}
        }
        match self.persistence {
            Persistence::Implied => {}
            Persistence::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
            Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
        }
        out.extend_from_slice(self.extra);
        out.extend_from_slice(self.identity);
        out.extend_from_slice(itoa::Buffer::new().format(self.residence_ns).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }
}

/// Writes `HTTP/1.1 200 OK` and its CRLF.
#[inline]
pub(crate) fn status_line(out: &mut Vec<u8>, status: u16) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        out.push(b' ');
        out.extend_from_slice(reason(status).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes one chunk with its framing.
pub(crate) fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The chunk that ends a body.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// May an answer with this status have a body (RFC 9110, section 6.4.1)?
pub(crate) fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Unnamed",
    }
}
