//! What is known of a connection's other end, prepared once for each connection so that a request costs clones.
//!
//! Whether the peer is trusted is not held here but asked for each request: a reload may end it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};

use arrayvec::ArrayString;
use bytes::Bytes;
use http::HeaderValue;

use super::names::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::passes::OwnName;
use super::target::routing_host;
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
}

/// Whose a connection is, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Whoever is at this address: the socket's other end, or whom a trusted balancer names in the PROXY protocol.
    At(SocketAddr),
    /// Somebody whose address the balancer at this one cannot tell. They are not the balancer: its word is believed,
    /// theirs is not.
    Behind(SocketAddr),
}

impl Caller {
    /// The address that stands for it.
    pub fn address(self) -> SocketAddr {
        match self {
            Self::At(address) | Self::Behind(address) => address,
        }
    }
}

/// An address as text; those of IPv6 have 39 bytes at most. Copied with each request, which counts nobody's references.
pub(super) type AddressText = ArrayString<39>;

/// One connection's other end.
#[derive(Debug)]
pub struct Peer {
    /// Its address; IPv4 also where the socket is IPv6.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it speaks to us.
    pub scheme: Scheme,
    /// The address is a balancer's, and this is not the balancer.
    pub is_behind: bool,
    /// The address is nobody's: the program around the gateway does not say whose the connection is.
    pub is_unknown: bool,
    /// The address as text, for `x-forwarded-for` and records.
    pub(super) text: AddressText,
    /// What this gateway calls itself before upstreams.
    pub own_name: Option<OwnName>,
    /// The first host asked for: most connections ask for one host only.
    first: OnceLock<Box<Host>>,
    /// Of others the last one. The lock is never waited for: who finds it taken makes its own.
    last: Mutex<Option<Arc<Host>>>,
}

/// A host that a request asks for, and what is made of it once and not for each request.
#[derive(Debug)]
pub struct Host {
    /// As asked for; a host beyond doubt.
    pub value: HeaderValue,
    /// As routing compares it.
    pub name: Box<str>,
    /// What an untrusted connection's request is forwarded with, as lines of a head: `x-forwarded-for`, `-proto`,
    /// `-host` and `forwarded`.
    pub lines: Bytes,
}

/// Which host a request asks for. That of most is its connection's, and is not counted for each.
#[derive(Debug, Clone)]
pub enum AskedHost {
    /// The first one that was asked for on the connection.
    First,
    /// Another.
    Other(Arc<Host>),
}

impl Peer {
    /// Prepares what requests from this address need.
    pub fn new(address: SocketAddr, scheme: Scheme) -> Self {
        Self::of(Caller::At(address), scheme)
    }

    /// The same for whoever it is.
    pub fn of(caller: Caller, scheme: Scheme) -> Self {
        let ip = caller.address().ip().to_canonical();
        let is_behind = matches!(caller, Caller::Behind(_));
        let (port, text) = (caller.address().port(), address_text(ip));
        Self {
            ip,
            port,
            scheme,
            is_behind,
            is_unknown: false,
            text,
            own_name: None,
            first: OnceLock::new(),
            last: Mutex::new(None),
        }
    }

    /// Of a connection that nobody tells of: 0.0.0.0 stands for whose it is.
    pub fn unknown() -> Self {
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self { is_unknown: true, ..Self::new(nobody, Scheme::Http) }
    }

    /// The same, and upstreams are told of the gateway by this name.
    #[must_use]
    pub fn named(self, own_name: OwnName) -> Self {
        Self { own_name: Some(own_name), ..self }
    }

    /// The host, if it is the first that was asked for here, or the last.
    #[inline]
    pub fn recall(&self, value: &[u8]) -> Option<AskedHost> {
        if self.first.get()?.value.as_bytes() == value { Some(AskedHost::First) } else { self.recall_other(value) }
    }

    fn recall_other(&self, value: &[u8]) -> Option<AskedHost> {
        let last = self.last.try_lock().ok()?;
        last.as_ref().filter(|last| last.value.as_bytes() == value).map(|last| AskedHost::Other(Arc::clone(last)))
    }

    /// What is known of a host that was asked for here; `None` if it was asked for elsewhere.
    #[inline]
    pub fn known<'h>(&'h self, asked: &'h AskedHost) -> Option<&'h Host> {
        match asked {
            AskedHost::First => self.first.get().map(|first| &**first),
            AskedHost::Other(host) => Some(host),
        }
    }

    /// A host for a record alone. It is not remembered: whoever recalls it would take it for one that was let in.
    #[cold]
    pub fn refused_host(value: &HeaderValue) -> AskedHost {
        let host = Host { value: value.clone(), name: routing_host(value).into(), lines: Bytes::new() };
        AskedHost::Other(Arc::new(host))
    }

    /// Makes of a host, which has been found to be one, what its requests need.
    pub fn host(&self, value: &HeaderValue) -> AskedHost {
        let host = Box::new(Host {
            // A copy: a clone would keep the whole buffer that the request was read into.
            value: HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone()),
            name: routing_host(value).into(),
            lines: self.build_lines(Some(value)),
        });
        let Err(host) = self.first.set(host) else { return AskedHost::First };
        let host = Arc::<Host>::from(host);
        if let Ok(mut last) = self.last.try_lock() {
            *last = Some(Arc::clone(&host));
        }
        AskedHost::Other(host)
    }

    /// The lines of a request that names no host.
    pub fn lines_without_host(&self) -> Bytes {
        self.build_lines(None)
    }

    fn build_lines(&self, host: Option<&HeaderValue>) -> Bytes {
        let mut lines = Vec::with_capacity(256);
        write_field(&mut lines, &X_FORWARDED_FOR, self.text.as_bytes());
        write_field(&mut lines, &X_FORWARDED_PROTO, self.scheme.as_str().as_bytes());
        if let Some(host) = host {
            write_field(&mut lines, &X_FORWARDED_HOST, host.as_bytes());
        }
        let mut element = Vec::with_capacity(64 + host.map_or(0, HeaderValue::len));
        self.write_element(&mut element, host);
        write_field(&mut lines, &FORWARDED, &element);
        lines.into()
    }

    /// The `forwarded` element (RFC 7239) that this hop adds for a request to this host.
    pub(super) fn write_element(&self, out: &mut Vec<u8>, host: Option<&HeaderValue>) {
        self.write_for(out);
        write_words(out, host.map(HeaderValue::as_bytes), self.scheme.as_str().as_bytes());
        self.write_by(out);
    }

    /// For whom that element is, and nothing else of it.
    pub(super) fn write_for(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"for=");
        let text = self.text.as_bytes();
        match self.ip {
            IpAddr::V4(_) => out.extend_from_slice(text),
            IpAddr::V6(_) => quote(out, text),
        }
    }

    /// Who writes that element; last of all.
    pub(super) fn write_by(&self, out: &mut Vec<u8>) {
        if let Some(own_name) = &self.own_name {
            own_name.write(out);
        }
    }
}

/// What an element tells of a connection beside whose it is: the host asked for, and the scheme.
pub(super) fn write_words(out: &mut Vec<u8>, host: Option<&[u8]>, scheme: &[u8]) {
    if let Some(host) = host {
        write_host(out, host);
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(scheme);
}

/// Writes an address.
pub(super) fn address_text(ip: IpAddr) -> AddressText {
    let mut text = AddressText::new();
    match ip {
        IpAddr::V4(v4) => write_v4(&mut text, v4),
        // There is room for the longest.
        IpAddr::V6(v6) => drop(write!(text, "{v6}")),
    }
    text
}

/// An IPv4 address in dots. Behind a proxy each request writes some, and the formatting machinery takes six times as
/// long.
fn write_v4(out: &mut AddressText, ip: Ipv4Addr) {
    for (at, octet) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        let mut digit = |digit: u8| out.push(char::from(b'0' + digit));
        if octet >= 100 {
            digit(octet / 100);
        }
        if octet >= 10 {
            digit(octet / 10 % 10);
        }
        digit(octet % 10);
    }
}

/// IPv6 in brackets and quotes.
fn quote(out: &mut Vec<u8>, ip: &[u8]) {
    out.extend_from_slice(b"\"[");
    out.extend_from_slice(ip);
    out.extend_from_slice(b"]\"");
}

/// An address as RFC 7239 wants it: IPv6 in brackets and quotes (section 6.1).
pub(super) fn write_node(out: &mut Vec<u8>, ip: IpAddr) {
    let text = address_text(ip);
    match ip {
        IpAddr::V4(_) => out.extend_from_slice(text.as_bytes()),
        IpAddr::V6(_) => quote(out, text.as_bytes()),
    }
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

    fn element(peer: &Peer, host: Option<&HeaderValue>) -> String {
        let mut element = Vec::new();
        peer.write_element(&mut element, host);
        String::from_utf8(element).unwrap()
    }

    #[test]
    fn every_octet_is_written_as_the_standard_library_does() {
        for octet in 0..=255 {
            let ip = Ipv4Addr::new(octet, 255 - octet, octet, 7);
            assert_eq!(*address_text(ip.into()), *ip.to_string());
        }
    }

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
            assert_eq!(element(&peer, host.as_ref()), expected);
        }
    }

    #[test]
    fn another_host_on_the_same_connection_gets_its_own_element() {
        let peer = Peer::new("192.0.2.1:9".parse().unwrap(), Scheme::Http);
        for (host, is_first) in [("a", true), ("b", false), ("c", false), ("b", false)] {
            let value = HeaderValue::from_static(host);
            let line = format!("forwarded: for=192.0.2.1;host={host};proto=http\r\n");
            assert!(peer.recall(value.as_bytes()).is_none(), "another was asked for last");
            let asked = peer.host(&value);
            assert!(peer.known(&asked).unwrap().lines.ends_with(line.as_bytes()), "{host}");
            let again = peer.recall(value.as_bytes()).unwrap();
            assert_eq!(matches!(again, AskedHost::First), is_first, "{host}");
            let again = peer.known(&again).unwrap();
            assert_eq!((&again.value, &*again.name), (&value, host));
            let first = peer.recall(b"a").unwrap();
            assert_eq!(peer.known(&first).unwrap().value, "a", "it is remembered whatever comes behind it");
        }
    }
}
