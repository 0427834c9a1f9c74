//! Who is asking: the socket's other end, or, behind trusted proxies, the first address from the right that is not one
//! of them.
//!
//! `x-forwarded-for` is read first; `forwarded` only where there is none. An entry that is no address ends the walk,
//! and the last proxy that was read counts as the client: what lies left of it cannot be vouched for by anyone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::elements::{Element, Elements};
use super::peer::{AddressText, Peer, address_text};
use super::trusted_proxies::TrustedProxies;

use crate::request_fields::{KnownName, RequestFields};

/// The address that a request is counted and recorded under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address.
    pub ip: IpAddr,
    /// A proxy did not tell for whom it asks, or in a way that cannot be read: the address is that proxy's, and says
    /// nothing of where the request comes from.
    pub is_hidden: bool,
    text: AddressText,
}

impl ClientAddress {
    /// One that nobody hides.
    pub(crate) fn known(ip: IpAddr) -> Self {
        Self { ip, is_hidden: false, text: address_text(ip) }
    }

    /// The address as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Finds the client behind a screened request. Costs one clone where the peer is not a trusted proxy.
#[inline]
pub fn client_address(headers: &RequestFields, peer: &Peer, proxies: &TrustedProxies) -> ClientAddress {
    if !proxies.contains(peer.ip) || peer.is_behind {
        return ClientAddress { ip: peer.ip, is_hidden: false, text: peer.text };
    }
    let (ip, is_hidden) = behind_proxies(headers, peer.ip, proxies);
    let text = if ip == peer.ip { peer.text } else { address_text(ip) };
    ClientAddress { ip, is_hidden, text }
}

/// The last address that can be vouched for, and whether whoever stands behind it is hidden.
fn behind_proxies(headers: &RequestFields, peer: IpAddr, proxies: &TrustedProxies) -> (IpAddr, bool) {
    let mut lines = headers.get_all(KnownName::X_FORWARDED_FOR).iter().rev().peekable();
    if lines.peek().is_some() {
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
        return walk(entries.map(parse_node), peer, proxies);
    }
    let Some(elements) = Elements::of(headers) else { return (peer, true) };
    walk(elements.iter().rev().map(Element::node), peer, proxies)
}

fn walk(entries: impl Iterator<Item = Option<IpAddr>>, peer: IpAddr, proxies: &TrustedProxies) -> (IpAddr, bool) {
    let mut nearest = peer;
    for entry in entries {
        let Some(ip) = entry else { return (nearest, true) };
        nearest = ip;
        if !proxies.contains(ip) {
            break;
        }
    }
    (nearest, false)
}

/// An address as it is met in both headers: bare, with a port, IPv6 in brackets.
pub(super) fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = text.trim_ascii();
    if let Some(ip) = parse_v4(text) {
        return Some(IpAddr::V4(ip));
    }
    let text = std::str::from_utf8(text).ok()?;
    let ip = match text.strip_prefix('[') {
        Some(rest) if text.ends_with(']') => IpAddr::V6(rest.strip_suffix(']')?.parse().ok()?),
        Some(_) => text.parse::<SocketAddr>().ok()?.ip(),
        None => text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?,
    };
    Some(ip.to_canonical())
}

/// An IPv4 address as the standard library reads it, which is most of what chains hold, in a quarter of its time: four
/// numbers of at most three digits without leading zeros.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|b| *b == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || (part.len() > 1 && part[0] == b'0') {
            return None;
        }
        let mut number = 0u16;
        for digit in part {
            number = number * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        *octet = u8::try_from(number).ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::names::{FORWARDED, X_FORWARDED_FOR};
    use super::super::peer::{Caller, Scheme};
    use super::*;

    #[track_caller]
    fn check(peer: &str, for_lines: &[&str], forwarded: &[&str], expected: &str) {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let mut headers = RequestFields::new();
        for line in for_lines {
            headers.append(&X_FORWARDED_FOR, line);
        }
        for line in forwarded {
            headers.append(&FORWARDED, line);
        }
        let peer = Peer::new(peer.parse().unwrap(), Scheme::Http);
        let client = client_address(&headers, &peer, &proxies);
        assert_eq!(client.as_str(), expected);
        assert_eq!(client.ip.to_string(), expected);
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        check("192.0.2.9:1", &["203.0.113.7"], &["for=203.0.113.7"], "192.0.2.9");
        check("[::ffff:192.0.2.9]:1", &[], &[], "192.0.2.9");
    }

    #[test]
    fn whoever_is_behind_a_balancer_is_not_believed_as_the_balancer_is() {
        let balancer = "10.0.0.1:1".parse().unwrap();
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let headers = RequestFields::from_iter([(&X_FORWARDED_FOR, "203.0.113.7")]);
        for (caller, expected) in [(Caller::Behind(balancer), "10.0.0.1"), (Caller::At(balancer), "203.0.113.7")] {
            assert_eq!(client_address(&headers, &Peer::of(caller, Scheme::Http), &proxies).as_str(), expected);
        }
    }

    #[test]
    fn behind_trusted_proxies_the_first_stranger_from_the_right_is_the_client() {
        let peer = "10.0.0.1:1";
        check(peer, &["203.0.113.7"], &[], "203.0.113.7");
        check(peer, &["198.51.100.1, 203.0.113.7"], &[], "203.0.113.7");
        check(peer, &["198.51.100.1,203.0.113.7, 10.2.2.2"], &[], "203.0.113.7");
        check(peer, &["198.51.100.1", "203.0.113.7,10.2.2.2"], &[], "203.0.113.7");
        check(peer, &["203.0.113.7:4711"], &[], "203.0.113.7");
        check(peer, &["[2001:db8::7]:4711, fd00::1"], &[], "2001:db8::7");
        check(peer, &["2001:db8::7"], &[], "2001:db8::7");
        check(peer, &["10.3.3.3, 10.2.2.2"], &[], "10.3.3.3");
        check(peer, &[], &[], "10.0.0.1");
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_walk() {
        let peer = "10.0.0.1:1";
        check(peer, &["203.0.113.7, unknown"], &[], "10.0.0.1");
        check(peer, &["203.0.113.7, unknown, 10.2.2.2"], &[], "10.2.2.2");
        check(peer, &["203.0.113.7, "], &[], "10.0.0.1");
        check(peer, &[""], &["for=203.0.113.7"], "10.0.0.1");
        check(peer, &["203.0.113.7 10.0.0.2"], &[], "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_where_there_is_no_x_forwarded_for() {
        let peer = "10.0.0.1:1";
        check(peer, &[], &["for=203.0.113.7"], "203.0.113.7");
        check(peer, &[], &["For=\"[2001:db8::7]:4711\";proto=https"], "2001:db8::7");
        check(peer, &[], &["for=198.51.100.1, proto=http; for=203.0.113.7;by=10.0.0.9"], "203.0.113.7");
        check(peer, &[], &["for=203.0.113.7;host=\"a,b;for=1.1.1.1\"", "for=10.5.5.5"], "203.0.113.7");
        check(peer, &[], &["for=203.0.113.7, for=_hidden"], "10.0.0.1");
        check(peer, &[], &["for=\"203.0.113.7"], "10.0.0.1");
        check(peer, &["198.51.100.1"], &["for=203.0.113.7"], "198.51.100.1");
        check(peer, &[], &[&"for=10.1.1.1,".repeat(65)], "10.0.0.1");
    }

    proptest! {
        #[test]
        fn hostile_chains_do_no_harm(line in "[0-9a-fx.:,;=\"\\\\ \\[\\]]{0,80}", which in any::<bool>()) {
            let mut headers = RequestFields::new();
            let name = if which { &X_FORWARDED_FOR } else { &FORWARDED };
            headers.append(name, line);
            let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http);
            let proxies = TrustedProxies::new(&["0.0.0.0/0".parse().unwrap()]);
            let client = client_address(&headers, &peer, &proxies);
            prop_assert_eq!(client.as_str().parse::<IpAddr>().unwrap(), client.ip);
        }

        #[test]
        fn an_ipv4_address_reads_as_in_the_standard_library(
            text in prop_oneof!["[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}", "[0-9.+ a]{0,16}"],
            octets in any::<[u8; 4]>(),
        ) {
            prop_assert_eq!(parse_v4(text.as_bytes()), text.parse().ok(), "{}", text);
            let ip = Ipv4Addr::from(octets);
            prop_assert_eq!(parse_v4(ip.to_string().as_bytes()), Some(ip));
        }

        #[test]
        fn a_client_cannot_choose_its_address(forged in "[0-9., a-z]{0,60}") {
            // The proxy appends what it saw; whatever stands before must not matter.
            let mut headers = RequestFields::new();
            headers.append(&X_FORWARDED_FOR, format!("{forged}, 203.0.113.7"));
            let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http);
            let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
            let client = client_address(&headers, &peer, &proxies);
            prop_assert_eq!(client.as_str(), "203.0.113.7");
        }
    }
}
