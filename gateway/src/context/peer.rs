//! What is known of a connection's other end, prepared once for each connection so that a request costs clones.
//!
//! Whether the peer is trusted is not held here but asked for each request: a reload may end it.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;

use bytes::Bytes;
use http::HeaderValue;

use super::names::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::http1::write_field;

/// How the client speaks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.as_str())
    }
}

/// One connection's other end.
#[derive(Debug)]
pub struct Peer {
    /// Its address; IPv4 also where the socket is IPv6.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it speaks to us.
    pub scheme: Scheme,
    /// The address as text, for `x-forwarded-for` and records.
    pub(super) text: HeaderValue,
    /// What was made for the last host asked for: most connections ask for one host only. The lock is never waited
    /// for: who finds it taken makes its own.
    last: Mutex<Option<(HeaderValue, Bytes)>>,
}

impl Peer {
    /// Prepares what requests from this address need.
    pub fn new(address: SocketAddr, scheme: Scheme) -> Self {
        let ip = address.ip().to_canonical();
        Self { ip, port: address.port(), scheme, text: address_value(ip), last: Mutex::new(None) }
    }

    /// All that an untrusted connection's request is forwarded with, as lines of a head: `x-forwarded-for`, `-proto`,
    /// `-host` and `forwarded`.
    #[inline]
    pub fn forwarded_lines(&self, host: Option<&HeaderValue>) -> Bytes {
        let Some(host) = host else { return self.build_lines(None) };
        let Ok(mut last) = self.last.try_lock() else { return self.build_lines(Some(host)) };
        match &*last {
            Some((known, lines)) if known == host => lines.clone(),
            _ => {
                let lines = self.build_lines(Some(host));
                // A copy: a clone would keep the whole buffer that the request was read into.
                *last = HeaderValue::from_bytes(host.as_bytes()).ok().map(|host| (host, lines.clone()));
                lines
            }
        }
    }

    fn build_lines(&self, host: Option<&HeaderValue>) -> Bytes {
        let mut lines = Vec::with_capacity(256);
        write_field(&mut lines, &X_FORWARDED_FOR, self.text.as_bytes());
        write_field(&mut lines, &X_FORWARDED_PROTO, self.scheme.as_str().as_bytes());
        if let Some(host) = host {
            write_field(&mut lines, &X_FORWARDED_HOST, host.as_bytes());
        }
        write_field(&mut lines, &FORWARDED, self.forwarded_element(host).as_bytes());
        lines.into()
    }

    /// The `forwarded` element (RFC 7239) that this hop adds for a request to this host.
    pub(super) fn forwarded_element(&self, host: Option<&HeaderValue>) -> HeaderValue {
        let mut text = Vec::with_capacity(64 + host.map_or(0, HeaderValue::len));
        text.extend_from_slice(b"for=");
        write_node(&mut text, self.ip);
        if let Some(host) = host {
            write_host(&mut text, host.as_bytes());
        }
        text.extend_from_slice(b";proto=");
        text.extend_from_slice(self.scheme.as_str().as_bytes());
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("for=unknown"))
    }
}

/// An address as a header's value.
pub(super) fn address_value(ip: IpAddr) -> HeaderValue {
    let mut text = Vec::with_capacity(40);
    // Writing to a vector cannot fail.
    let _ = write!(text, "{ip}");
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown"))
}

/// An address as RFC 7239 wants it: IPv6 in brackets and quotes (section 6.1).
pub(super) fn write_node(out: &mut Vec<u8>, ip: IpAddr) {
    // Writing to a vector cannot fail.
    let _ = match ip {
        IpAddr::V4(v4) => write!(out, "{v4}"),
        IpAddr::V6(v6) => write!(out, "\"[{v6}]\""),
    };
}

/// `;host=`, quoted where it is no token, as with a port. What cannot be in a quoted string is no host: left out.
fn write_host(out: &mut Vec<u8>, host: &[u8]) {
    let visible = host.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b'"' && *b != b'\\');
    if host.is_empty() || !visible {
        return;
    }
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    out.extend_from_slice(b";host=");
    if host.iter().all(is_token) {
        out.extend_from_slice(host);
    } else {
        out.push(b'"');
        out.extend_from_slice(host);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_follow_rfc_7239() {
        for (address, host, scheme, expected) in [
            ("192.0.2.1:9", Some("example.com"), Scheme::Http, "for=192.0.2.1;host=example.com;proto=http"),
            (
                "192.0.2.1:9",
                Some("example.com:8080"),
                Scheme::Https,
                "for=192.0.2.1;host=\"example.com:8080\";proto=https",
            ),
            ("[2001:db8::1]:9", Some("[::1]"), Scheme::Http, "for=\"[2001:db8::1]\";host=\"[::1]\";proto=http"),
            ("[::ffff:192.0.2.1]:9", None, Scheme::Http, "for=192.0.2.1;proto=http"),
            ("192.0.2.1:9", Some("a\"b"), Scheme::Http, "for=192.0.2.1;proto=http"),
            ("192.0.2.1:9", Some("a b"), Scheme::Http, "for=192.0.2.1;proto=http"),
            ("192.0.2.1:9", Some(""), Scheme::Http, "for=192.0.2.1;proto=http"),
        ] {
            let peer = Peer::new(address.parse().unwrap(), scheme);
            let host = host.map(|host| HeaderValue::from_str(host).unwrap());
            assert_eq!(peer.forwarded_element(host.as_ref()), expected);
            assert_eq!(peer.forwarded_element(host.as_ref()), expected, "the second time from memory");
        }
    }

    #[test]
    fn another_host_on_the_same_connection_gets_its_own_element() {
        let peer = Peer::new("192.0.2.1:9".parse().unwrap(), Scheme::Http);
        for host in ["a", "b", "a"] {
            let value = HeaderValue::from_static(host);
            assert_eq!(peer.forwarded_element(Some(&value)), format!("for=192.0.2.1;host={host};proto=http"));
        }
    }
}
