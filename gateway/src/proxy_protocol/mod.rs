//! The PROXY protocol, versions 1 and 2: what a balancer that passes bytes on says before them, about who sent them.
//!
//! Source: "The PROXY protocol, versions 1 & 2", W. Tarreau, 2020/03/05 (`doc/proxy-protocol.txt` of HAProxy). Pure:
//! bytes go in; out comes the header, or how many bytes are missing *at least*. Who reads no more than that at once
//! never reads a byte behind the header, so that what follows (a handshake, a request) is read by who reads it anyway.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

/// The longest header that is taken, bytes. Of version 1 none is longer than 107; version 2 could be 64 KiB, with 4 KiB
/// for an address and what else balancers tell (nginx has the same bound).
pub const LONGEST: usize = 4096;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// The connection is on behalf of this client.
    Client(SocketAddr),
    /// It is on behalf of somebody whose address cannot be told: `UNKNOWN`, `UNSPEC`, a UNIX socket, datagrams.
    Unknown,
    /// The balancer speaks for itself: it looks whether somebody is there.
    Local,
}

/// How far the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes are missing, never 0.
    Missing(usize),
    /// A header, and its length.
    Whole(Header, usize),
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The connection begins with something else.
    Absent,
    /// It begins as a header does, and is none.
    Malformed,
}

/// Reads the header that a connection begins with.
///
/// # Errors
/// No bytes that could follow would make a header of these.
pub fn parse(bytes: &[u8]) -> Result<Progress, Refused> {
    if begins(bytes, v2::SIGNATURE) {
        return v2::parse(bytes);
    }
    if begins(bytes, v1::BEGIN) {
        return v1::parse(bytes);
    }
    Err(Refused::Absent)
}

/// Whether the bytes begin with this, as far as they go. No bytes begin with anything: the shorter form is waited for.
fn begins(bytes: &[u8], with: &[u8]) -> bool {
    let common = bytes.len().min(with.len());
    bytes[..common] == with[..common]
}
