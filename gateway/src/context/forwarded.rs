//! The outgoing `x-forwarded-for`, `x-forwarded-proto`, `x-forwarded-host` and `forwarded`.
//!
//! From a peer that is no trusted proxy, all four speak of the socket alone and replace whatever came. A trusted
//! proxy's chains are appended to, and its word on scheme and host stands where it is one plain value.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::client_address::parse_node;
use super::names::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::peer::{Peer, write_node};

/// Writes the four headers. `headers` were screened for the same `peer_trusted`; `host` is what the client asked for.
pub fn set_forwarded(headers: &mut HeaderMap, peer: &Peer, peer_trusted: bool, host: Option<&HeaderValue>) {
    if peer_trusted {
        extend(headers, peer, host);
        return;
    }
    headers.insert(&X_FORWARDED_FOR, peer.text.clone());
    headers.insert(&X_FORWARDED_PROTO, peer.scheme.header_value());
    match host {
        Some(host) => headers.insert(&X_FORWARDED_HOST, host.clone()),
        None => headers.remove(&X_FORWARDED_HOST),
    };
    headers.insert(&FORWARDED, peer.forwarded_element(host));
}

#[cold]
fn extend(headers: &mut HeaderMap, peer: &Peer, host: Option<&HeaderValue>) {
    let element = peer.forwarded_element(host);
    let came = joined(headers, &FORWARDED).or_else(|| converted(headers));
    headers.insert(&FORWARDED, appended(came, &element));
    let came = joined(headers, &X_FORWARDED_FOR);
    headers.insert(&X_FORWARDED_FOR, appended(came, &peer.text));
    keep_or_set(headers, &X_FORWARDED_PROTO, is_scheme, Some(peer.scheme.header_value()));
    keep_or_set(headers, &X_FORWARDED_HOST, is_host, host.cloned());
}

/// All lines of a list as one; `None` where there is nothing.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut list = Vec::new();
    for line in headers.get_all(name) {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(line.as_bytes());
    }
    (!list.is_empty()).then_some(list)
}

/// `x-forwarded-for` in the words of `forwarded` (RFC 7239, section 7.4), so that the newer header tells the whole way.
fn converted(headers: &HeaderMap) -> Option<Vec<u8>> {
    let chain = joined(headers, &X_FORWARDED_FOR)?;
    let mut list = Vec::with_capacity(chain.len() * 2);
    for entry in chain.split(|b| *b == b',') {
        if !list.is_empty() {
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(b"for=");
        match parse_node(entry) {
            Some(ip) => write_node(&mut list, ip),
            None => list.extend_from_slice(b"unknown"),
        }
    }
    Some(list)
}

fn appended(came: Option<Vec<u8>>, own: &HeaderValue) -> HeaderValue {
    let Some(mut list) = came else { return own.clone() };
    list.extend_from_slice(b", ");
    list.extend_from_slice(own.as_bytes());
    HeaderValue::from_bytes(&list).unwrap_or_else(|_| own.clone())
}

/// Leaves a single valid value as it is; else writes ours, or removes the field where we have none.
fn keep_or_set(headers: &mut HeaderMap, name: &HeaderName, valid: fn(&[u8]) -> bool, own: Option<HeaderValue>) {
    let mut values = headers.get_all(name).iter();
    let stands = values.next().is_some_and(|value| valid(value.as_bytes())) && values.next().is_none();
    if stands {
        return;
    }
    match own {
        Some(own) => headers.insert(name, own),
        None => headers.remove(name),
    };
}

fn is_scheme(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"https")
}

/// The characters of a host with a port; a list or a path is none.
fn is_host(value: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(b);
    (1..=255).contains(&value.len()) && value.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::super::peer::Scheme;
    use super::*;

    const OURS: &str = "for=10.0.0.1;host=api.example;proto=http";

    #[track_caller]
    fn check(trusted: bool, came: &[(&str, &str)], expected: [&str; 4]) {
        let mut headers = HeaderMap::new();
        for (name, value) in came {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let peer = Peer::new("10.0.0.1:1".parse().unwrap(), Scheme::Http);
        set_forwarded(&mut headers, &peer, trusted, Some(&HeaderValue::from_static("api.example")));
        for (name, expected) in
            [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &FORWARDED].into_iter().zip(expected)
        {
            let values: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(values, [expected], "{name}");
        }
    }

    #[test]
    fn strangers_words_are_replaced() {
        let lies = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1.1.1.1"),
        ];
        check(false, &lies, ["10.0.0.1", "http", "api.example", OURS]);
        check(false, &[], ["10.0.0.1", "http", "api.example", OURS]);
    }

    #[test]
    fn trusted_chains_are_appended_to() {
        check(
            true,
            &[
                ("x-forwarded-for", "203.0.113.7"),
                ("x-forwarded-for", "10.9.9.9"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "shop.example:8443"),
                ("forwarded", "for=203.0.113.7;proto=https"),
            ],
            [
                "203.0.113.7, 10.9.9.9, 10.0.0.1",
                "https",
                "shop.example:8443",
                "for=203.0.113.7;proto=https, for=10.0.0.1;host=api.example;proto=http",
            ],
        );
        check(true, &[], ["10.0.0.1", "http", "api.example", OURS]);
    }

    #[test]
    fn the_older_chain_is_told_in_the_newer_words() {
        check(
            true,
            &[("x-forwarded-for", "2001:db8::7, what, 203.0.113.7")],
            [
                "2001:db8::7, what, 203.0.113.7, 10.0.0.1",
                "http",
                "api.example",
                "for=\"[2001:db8::7]\", for=unknown, for=203.0.113.7, for=10.0.0.1;host=api.example;proto=http",
            ],
        );
    }

    #[test]
    fn doubtful_words_of_a_trusted_peer_do_not_stand() {
        for (proto, host) in [("ftp", "a,b"), ("http, https", "a/b"), ("", ""), ("https://", "a b")] {
            check(
                true,
                &[("x-forwarded-proto", proto), ("x-forwarded-host", host)],
                ["10.0.0.1", "http", "api.example", OURS],
            );
        }
        check(
            true,
            &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")],
            ["10.0.0.1", "http", "api.example", OURS],
        );
    }

    #[test]
    fn without_a_host_none_is_told() {
        let peer = Peer::new("192.0.2.1:1".parse().unwrap(), Scheme::Https);
        for trusted in [false, true] {
            let mut headers = HeaderMap::new();
            headers.append(&X_FORWARDED_HOST, HeaderValue::from_static("a b"));
            set_forwarded(&mut headers, &peer, trusted, None);
            assert!(!headers.contains_key(&X_FORWARDED_HOST));
            assert_eq!(headers[&FORWARDED], "for=192.0.2.1;proto=https");
            assert_eq!(headers[&X_FORWARDED_PROTO], "https");
        }
    }
}
