//! Clients that are slow, broken or mean, beside the loads of a scenario: what they do to a gateway, and what it does
//! to them.
//!
//! - `act`: what each kind does, as bytes and pauses; `frames`: those of HTTP/2;
//! - `client`: one connection of one of them; `crowd`: all of them, in a thread of their own;
//! - `seen`: what came of each connection, and the figures of all.
//!
//! They come from loopback addresses of their own (`address`), so that limits on an address hit them alone, and the
//! gateway's records of them are told from those of the loads. They speak to loopback only, and all of what they do is
//! bounded: connections at once, bytes on each, and the time.
//!
//! Deliberately absent: attacks over TLS. What comes out of a handshake is the same bytes; what may be done to the
//! handshake itself is `half_handshake`.

mod act;
mod client;
mod crowd;
mod frames;
mod seen;

use std::net::{IpAddr, Ipv4Addr};

pub(crate) use act::ACTS;
pub use act::Act;
pub(crate) use crowd::{Field, attack};
pub(crate) use frames::CODES;
pub(crate) use seen::{NAMES, Seen, figures};

/// Parts of a scenario that can have an address each.
pub(crate) const MOST_PARTS: usize = 200;

/// Where the hostile clients of the part with this number come from.
pub(crate) fn address(part: usize) -> IpAddr {
    let last = u8::try_from(part + 1).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(127, 66, 0, last))
}
