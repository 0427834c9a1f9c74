//! `forwarded` (RFC 7239), read: its elements, and how far trusted proxies vouch for them.
//!
//! Each proxy appends what it saw, so that the last element is the peer's, and each one before was written by whom the
//! one behind it names. What lies left of the first stranger, or of one that hides, cannot be vouched for by anyone.

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::request_fields::{KnownName, RequestFields};

use super::client_address::parse_node;
use super::names::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::trusted_proxies::TrustedProxies;

/// Elements that are read; a longer chain is taken for a forgery and not read at all.
const ELEMENTS_MAX: usize = 64;

/// The elements of all lines, in their order.
pub(super) struct Elements<'h>(SmallVec<[Element<'h>; 8]>);

/// One of them: `for=192.0.2.43;proto=https;host=example.com`
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'h>(&'h [u8]);

impl<'h> Elements<'h> {
    /// Reads them; `None` where a quote is left open, or there are too many.
    pub(super) fn of(headers: &'h RequestFields) -> Option<Self> {
        let mut elements: SmallVec<[Element<'h>; 8]> = SmallVec::new();
        for line in headers.get_all(KnownName::FORWARDED) {
            if !split_quoted(line.as_bytes(), b',', |element| elements.push(Element(element))) {
                return None;
            }
        }
        (elements.len() <= ELEMENTS_MAX).then_some(Self(elements))
    }

    /// The same where none of the older headers came: a proxy that speaks those may pass on a `forwarded` that its
    /// client made up.
    #[cold]
    pub(super) fn alone(headers: &'h RequestFields) -> Option<Self> {
        let older = [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST];
        if older.into_iter().any(|name| headers.contains_key(name)) { None } else { Self::of(headers) }
    }

    /// In their order, or from the last one on.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Element<'h>> {
        self.0.iter().copied()
    }

    /// The first one that a trusted proxy wrote: it tells of the client's own connection.
    pub(super) fn of_client(&self, proxies: &TrustedProxies) -> Option<Element<'h>> {
        let is_strangers = |element: &Element<'_>| !element.node().is_some_and(|ip| proxies.contains(ip));
        self.iter().rev().find(is_strangers).or_else(|| self.iter().next())
    }
}

impl<'h> Element<'h> {
    /// For whom it is, where that is an address.
    pub(super) fn node(self) -> Option<IpAddr> {
        parse_node(self.value(b"for=")?)
    }

    /// The value of a parameter, its quotes taken off; what is escaped in them stays so. `name` ends with its `=`.
    pub(super) fn value(self, name: &[u8]) -> Option<&'h [u8]> {
        let mut found = None;
        split_quoted(self.0, b';', |pair| {
            let pair = pair.trim_ascii();
            if found.is_none() && pair.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
                found = Some(&pair[name.len()..]);
            }
        });
        let value = found?;
        Some(value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value))
    }
}

/// Pairs, each with the number of its element.
pub(crate) type ToldOfUrl<'h> = SmallVec<[(u8, &'h [u8]); 4]>;

/// All that `forwarded` tells of the scheme and the host that were asked for: whole pairs, each with the number of its
/// element. `None` where it cannot be read.
pub(crate) fn told_of_url(headers: &RequestFields) -> Option<ToldOfUrl<'_>> {
    let mut told = ToldOfUrl::new();
    for (number, element) in (0..).zip(Elements::of(headers)?.iter()) {
        split_quoted(element.0, b';', |pair| {
            let pair = pair.trim_ascii();
            let begins = |name: &[u8]| pair.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name));
            if begins(b"host") || begins(b"proto") {
                told.push((number, pair));
            }
        });
    }
    Some(told)
}

/// Hands the parts between separators to `each`, quoted strings kept whole. `false` when a quote is left open.
fn split_quoted<'a>(text: &'a [u8], separator: u8, mut each: impl FnMut(&'a [u8])) -> bool {
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte if *byte == separator && !quoted => {
                each(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    each(&text[start..]);
    !quoted
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::names::FORWARDED;
    use super::*;

    fn of_client(lines: &[&'static str]) -> Option<String> {
        let proxies = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()]);
        let mut headers = RequestFields::new();
        for &line in lines {
            headers.append(&FORWARDED, HeaderValue::from_static(line));
        }
        let element = Elements::of(&headers)?.of_client(&proxies)?;
        Some(String::from_utf8(element.0.trim_ascii().to_vec()).unwrap())
    }

    #[test]
    fn the_clients_element_is_the_first_that_a_trusted_proxy_wrote() {
        for (lines, expected) in [
            (&["for=203.0.113.7;proto=https"][..], Some("for=203.0.113.7;proto=https")),
            (&["for=198.51.100.1;proto=http, for=203.0.113.7"], Some("for=203.0.113.7")),
            (&["for=203.0.113.7;proto=https", "for=10.1.1.1;proto=http"], Some("for=203.0.113.7;proto=https")),
            (&["for=10.2.2.2;proto=https, for=10.1.1.1"], Some("for=10.2.2.2;proto=https")),
            // Whoever hides is told of by the proxy before which it hides.
            (&["proto=http, for=_hidden;proto=https, for=10.1.1.1"], Some("for=_hidden;proto=https")),
            (&["proto=https"], Some("proto=https")),
            (&["for=\"203.0.113.7"], None),
            (&[], None),
        ] {
            assert_eq!(of_client(lines).as_deref(), expected, "{lines:?}");
        }
        let long: &'static str = "for=10.1.1.1,".repeat(ELEMENTS_MAX).leak();
        assert_eq!(of_client(&[long]), None);
    }

    #[test]
    fn a_value_is_found_by_its_name_in_any_letters_and_without_its_quotes() {
        let element = Element(b" For=\"[2001:db8::7]:4711\"; HOST=\"a;proto=x\" ;proto=https;proto=http");
        assert_eq!(element.node(), Some("2001:db8::7".parse().unwrap()));
        for (name, expected) in [("proto=", Some("https")), ("host=", Some("a;proto=x")), ("by=", None)] {
            assert_eq!(element.value(name.as_bytes()), expected.map(str::as_bytes), "{name}");
        }
        assert_eq!(Element(b"for").value(b"for="), None);
    }

    #[test]
    fn scheme_and_host_are_told_whole_and_element_by_element() {
        let told = |line: &'static str| {
            let mut headers = RequestFields::new();
            headers.append(&FORWARDED, HeaderValue::from_static(line));
            let told = told_of_url(&headers)?;
            Some(told.iter().map(|(number, pair)| format!("{number} {}", pair.escape_ascii())).collect::<Vec<_>>())
        };
        let all = told("for=a; Host=\"x,y;z\" , by=b;proto=http;host=c");
        assert_eq!(all.unwrap(), ["0 Host=\\\"x,y;z\\\"", "1 proto=http", "1 host=c"]);
        assert_eq!(told("for=a").unwrap(), [""; 0]);
        assert_eq!(told("host=\"a"), None);
    }

    #[test]
    fn it_is_not_read_beside_the_older_headers() {
        let mut headers = RequestFields::new();
        headers.append(&FORWARDED, HeaderValue::from_static("for=203.0.113.7;proto=https"));
        assert!(Elements::alone(&headers).is_some());
        for name in [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST] {
            let mut beside = headers.clone();
            beside.append(name, HeaderValue::from_static(""));
            assert!(Elements::alone(&beside).is_none(), "{name}");
        }
    }
}
