//! The outgoing `x-forwarded-for`, `x-forwarded-proto`, `x-forwarded-host` and `forwarded`.
//!
//! From a peer that is no trusted proxy, all four speak of the socket alone and replace whatever came. A trusted
//! proxy's chains are appended to, and its word on scheme and host stands where it is one plain value. Each chain that
//! came alone is told in the words of the other too, scheme and host with it: a service may read either.

use http::{HeaderName, HeaderValue};

use super::client_address::parse_node;
use super::elements::Elements;
use super::names::{FORWARDED, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::peer::{Peer, Scheme, address_text, write_node, write_words};
use super::trusted_proxies::TrustedProxies;

use crate::request_fields::{FieldValue, KnownName, RequestFields, Values};

/// Between two entries of a list.
const SEPARATOR: &[u8] = b", ";
/// `for="[IPv6]";host="";proto=https;by=_NAME` and a separator, host left out.
const ELEMENT_BYTES: usize = 104;

/// Writes the four headers. `trusted`: the proxies that are believed, where the peer is one of them; `headers` were
/// screened for the same. `host` is what the client asked for.
pub fn set_forwarded(
    headers: &mut RequestFields,
    peer: &Peer,
    trusted: Option<&TrustedProxies>,
    host: Option<&HeaderValue>,
) {
    if let Some(proxies) = trusted {
        extend(headers, peer, proxies, host);
        return;
    }
    headers.insert(&X_FORWARDED_FOR, peer.text.as_bytes());
    headers.insert(&X_FORWARDED_PROTO, peer.scheme.as_str());
    match host {
        Some(host) => headers.insert(&X_FORWARDED_HOST, host),
        None => drop(headers.remove(&X_FORWARDED_HOST)),
    }
    let mut element = Vec::with_capacity(ELEMENT_BYTES + host.map_or(0, HeaderValue::len));
    peer.write_element(&mut element, host);
    set(headers, &FORWARDED, element);
}

/// Whether the client's own connection is encrypted: the word of a trusted proxy, where it is one plain value.
#[inline]
pub fn is_secure(headers: &RequestFields, peer: &Peer, trusted: Option<&TrustedProxies>) -> bool {
    let told = trusted.and_then(|proxies| told_scheme(headers, proxies));
    told.unwrap_or(peer.scheme == Scheme::Https)
}

#[cold]
fn told_scheme(headers: &RequestFields, proxies: &TrustedProxies) -> Option<bool> {
    let mut values = headers.get_all(KnownName::X_FORWARDED_PROTO).iter().map(|value| value.as_bytes());
    let told = match values.next() {
        Some(value) => Some(value).filter(|_| values.next().is_none()),
        None => Elements::alone(headers)?.of_client(proxies)?.value(b"proto="),
    };
    told.filter(|told| is_scheme(told)).map(|told| told.eq_ignore_ascii_case(b"https"))
}

/// The host that the client asked a trusted proxy for, port and all, where it is told in one plain value: what
/// `set_forwarded` tells an upstream.
#[cold]
pub fn told_host(headers: &RequestFields, proxies: &TrustedProxies) -> Option<HeaderValue> {
    let mut values = headers.get_all(KnownName::X_FORWARDED_HOST).iter();
    let told = match values.next() {
        Some(value) => value.to_header_value(),
        None => HeaderValue::from_bytes(Elements::alone(headers)?.of_client(proxies)?.value(b"host=")?).ok()?,
    };
    (values.next().is_none() && is_host(told.as_bytes())).then_some(told)
}

/// One buffer of the right size for each header that is written.
#[inline(never)]
fn extend(headers: &mut RequestFields, peer: &Peer, proxies: &TrustedProxies, host: Option<&HeaderValue>) {
    let own = peer.text.as_bytes();
    let mut chain = joined(&headers.get_all(KnownName::X_FORWARDED_FOR), own.len());
    let room = ELEMENT_BYTES + host.map_or(0, HeaderValue::len);
    let told = joined(&headers.get_all(KnownName::FORWARDED), room);
    if chain.is_empty() && !told.is_empty() {
        chain = tell_in_older_words(headers, proxies, own.len());
    }
    let forwarded = if told.is_empty() {
        in_newer_words(headers, peer, proxies, &chain, host)
    } else {
        let mut forwarded = told;
        separate(&mut forwarded);
        peer.write_element(&mut forwarded, host);
        forwarded
    };
    set(headers, &FORWARDED, forwarded);
    separate(&mut chain);
    chain.extend_from_slice(own);
    set(headers, &X_FORWARDED_FOR, chain);
    keep_or_set(headers, &X_FORWARDED_PROTO, is_scheme, Some(peer.scheme.as_str().as_bytes()));
    keep_or_set(headers, &X_FORWARDED_HOST, is_host, host.map(HeaderValue::as_bytes));
}

/// All lines of a list as one, with room for more; empty where there is nothing.
fn joined(lines: &Values<'_>, room: usize) -> Vec<u8> {
    let length: usize = lines.iter().map(|line| line.len() + SEPARATOR.len()).sum();
    let mut list = if length == 0 { Vec::new() } else { Vec::with_capacity(length + room) };
    for line in lines {
        separate(&mut list);
        list.extend_from_slice(line.as_bytes());
    }
    list
}

/// `forwarded` in the words of the older headers, where none of those came: writes scheme and host as they are told of
/// the client's own connection, and gives the chain, with room for more. Whoever reads either header learns the same.
#[cold]
fn tell_in_older_words(headers: &mut RequestFields, proxies: &TrustedProxies, room: usize) -> Vec<u8> {
    let Some(elements) = Elements::alone(headers) else { return Vec::new() };
    let mut chain = Vec::with_capacity(ELEMENT_BYTES + room);
    for element in elements.iter() {
        separate(&mut chain);
        match element.node() {
            Some(ip) => chain.extend_from_slice(address_text(ip).as_bytes()),
            None => chain.extend_from_slice(b"unknown"),
        }
    }
    let client = elements.of_client(proxies);
    let told = |name: &[u8], is_valid: fn(&[u8]) -> bool| {
        let value = client?.value(name).filter(|value| is_valid(value))?;
        HeaderValue::from_bytes(value).ok()
    };
    let (scheme, host) = (told(b"proto=", is_scheme), told(b"host=", is_host));
    drop(elements);
    for (name, value) in [(&X_FORWARDED_PROTO, scheme), (&X_FORWARDED_HOST, host)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    chain
}

/// The older headers in the words of `forwarded` (RFC 7239, section 7.4), and our own element behind them, so that the
/// newer header tells the whole way. Where scheme or host are told of the client's own connection, its element has them
/// and no other: ours would say the opposite, and some services read the last one.
fn in_newer_words(
    headers: &RequestFields,
    peer: &Peer,
    proxies: &TrustedProxies,
    chain: &[u8],
    host: Option<&HeaderValue>,
) -> Vec<u8> {
    let scheme = only(headers, &X_FORWARDED_PROTO, is_scheme);
    let told_host = only(headers, &X_FORWARDED_HOST, is_host);
    let is_told = scheme.is_some() || told_host.is_some();
    let scheme = scheme.map_or(peer.scheme.as_str().as_bytes(), |value| value.as_bytes());
    let host = told_host.map(|told| told.as_bytes()).or(host.map(HeaderValue::as_bytes));
    // An address of eleven bytes, and it is mostly longer, has room for `for="[]"`.
    let mut list = Vec::with_capacity(chain.len() * 2 + ELEMENT_BYTES + host.map_or(0, <[u8]>::len));
    let client_end = convert(&mut list, chain, proxies);
    separate(&mut list);
    peer.write_for(&mut list);
    let end = list.len();
    write_words(&mut list, host, scheme);
    if let Some(client_end) = client_end.filter(|_| is_told) {
        let words = list.len() - end;
        list[client_end..].rotate_right(words);
    }
    peer.write_by(&mut list);
    list
}

/// Writes an element for each entry of `x-forwarded-for`; where that of the client's own connection ends, which is the
/// one that [`Elements::of_client`] would choose.
fn convert(list: &mut Vec<u8>, chain: &[u8], proxies: &TrustedProxies) -> Option<usize> {
    if chain.is_empty() {
        return None;
    }
    let (mut first, mut strangers) = (None, None);
    for entry in chain.split(|b| *b == b',') {
        separate(list);
        list.extend_from_slice(b"for=");
        let ip = parse_node(entry);
        match ip {
            Some(ip) => write_node(list, ip),
            None => list.extend_from_slice(b"unknown"),
        }
        first = first.or(Some(list.len()));
        if !ip.is_some_and(|ip| proxies.contains(ip)) {
            strangers = Some(list.len());
        }
    }
    strangers.or(first)
}

fn separate(list: &mut Vec<u8>) {
    if !list.is_empty() {
        list.extend_from_slice(SEPARATOR);
    }
}

/// Replaces a header by what was made of valid values, and so is one.
fn set(headers: &mut RequestFields, name: &HeaderName, value: Vec<u8>) {
    headers.insert(name, value);
}

/// Leaves a single valid value as it is; else writes ours, or removes the field where we have none.
fn keep_or_set(headers: &mut RequestFields, name: &HeaderName, valid: fn(&[u8]) -> bool, own: Option<&[u8]>) {
    if only(headers, name, valid).is_some() {
        return;
    }
    match own {
        Some(own) => headers.insert(name, own),
        None => drop(headers.remove(name)),
    }
}

/// A trusted proxy's word, where it is one valid value.
fn only<'h>(headers: &'h RequestFields, name: &HeaderName, valid: fn(&[u8]) -> bool) -> Option<FieldValue<'h>> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|value| valid(value.as_bytes()) && values.next().is_none())
}

fn is_scheme(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"https")
}

/// The characters of a host with a port; a list or a path is none.
fn is_host(value: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':') || is_rare_in_hosts(*b);
    (1..=255).contains(&value.len()) && value.iter().all(fits)
}

fn is_rare_in_hosts(b: u8) -> bool {
    b"_~%!$&'()*+;=[]".contains(&b)
}

#[cfg(test)]
mod tests;
