//! Conditions on headers and query.
//!
//! A header's condition holds if one of its lines has the value. A query's condition holds if one of the parameters of
//! that name has the value; names and values are decoded for the comparison (`%XX`, and `+` as a space). Conditions
//! that hold allocate nothing, a regex over an encoded query value aside.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use crate::config::settings::route::{RouteMatch, ValueMatch};

/// The conditions of a route.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pub(super) headers: Vec<(HeaderName, ValueMatch)>,
    pub(super) query: Vec<(String, ValueMatch)>,
}

/// A condition that does not hold.
#[derive(Debug, Clone, Copy)]
pub enum Unmet<'a> {
    /// On this header.
    Header(&'a HeaderName, &'a ValueMatch),
    /// On this query parameter.
    Query(&'a str, &'a ValueMatch),
}

impl Content {
    /// The conditions as they are written.
    pub fn new(matches: &RouteMatch) -> Self {
        Self { headers: matches.headers.clone(), query: matches.query.clone() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.headers.len() + self.query.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty()
    }

    /// Whether all hold.
    pub fn holds(&self, headers: &HeaderMap, query: Option<&str>) -> bool {
        self.unmet(headers, query).is_none()
    }

    /// The first that does not hold.
    pub fn unmet(&self, headers: &HeaderMap, query: Option<&str>) -> Option<Unmet<'_>> {
        self.unmet_but(headers, query, |_| false)
    }

    /// The same, where some headers are taken to have whatever value is wanted.
    #[inline]
    pub(super) fn unmet_but(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        excused: impl Fn(&HeaderName) -> bool,
    ) -> Option<Unmet<'_>> {
        for (name, wanted) in &self.headers {
            if !excused(name) && !headers.get_all(name).iter().any(|value| header_is(wanted, value.as_bytes())) {
                return Some(Unmet::Header(name, wanted));
            }
        }
        for (name, wanted) in &self.query {
            let mut values = pairs(query).filter(|(key, _)| decodes_to(key, name)).map(|pair| pair.1);
            if !values.any(|value| query_is(wanted, value)) {
                return Some(Unmet::Query(name, wanted));
            }
        }
        None
    }
}

fn header_is(wanted: &ValueMatch, value: &[u8]) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(exact) => exact.as_bytes() == value,
        ValueMatch::Pattern(regex) => std::str::from_utf8(value).is_ok_and(|value| regex.is_match(value)),
    }
}

fn query_is(wanted: &ValueMatch, value: &str) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(exact) => decodes_to(value, exact),
        ValueMatch::Pattern(regex) => match decoded(value) {
            Some(value) => regex.is_match(&value),
            None => false,
        },
    }
}

/// The pairs of a query, as sent; a name without `=` has the empty value.
pub(super) fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether an encoded text says this.
fn decodes_to(encoded: &str, plain: &str) -> bool {
    if !encoded.contains(['%', '+']) {
        return encoded == plain;
    }
    // A `+` that is written `%2B` is not a space, so spaces are made before triplets are decoded.
    let mut parts = encoded.split('+');
    let mut bytes = plain.bytes();
    let mut same = |part: &str| percent_encoding::percent_decode_str(part).all(|byte| bytes.next() == Some(byte));
    let first = parts.next().unwrap_or("");
    if !same(first) {
        return false;
    }
    for part in parts {
        if !same("%20") || !same(part) {
            return false;
        }
    }
    bytes.next().is_none()
}

/// What an encoded text says; `None` if that is not UTF-8.
pub(super) fn decoded(encoded: &str) -> Option<Cow<'_, str>> {
    if !encoded.contains(['%', '+']) {
        return Some(Cow::Borrowed(encoded));
    }
    let spaced = encoded.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use regex::Regex;

    use super::*;

    fn exact(text: &str) -> ValueMatch {
        ValueMatch::Exact(text.to_owned())
    }

    fn pattern(text: &str) -> ValueMatch {
        ValueMatch::Pattern(Regex::new(&format!("^(?:{text})$")).unwrap())
    }

    #[track_caller]
    fn query(wanted: ValueMatch, query: Option<&str>, holds: bool) {
        let content = Content { query: vec![("a b".to_owned(), wanted)], ..Content::default() };
        assert_eq!(content.holds(&HeaderMap::new(), query), holds, "{query:?}");
    }

    #[test]
    fn query_values_are_decoded() {
        query(exact("c+d"), Some("a+b=c%2Bd"), true);
        query(exact("c d"), Some("x=1&a%20b=c+d"), true);
        query(exact("c d"), Some("a+b=c%20d%20"), false);
        query(exact("c"), Some("a+b=x&a+b=c"), true);
        query(exact(""), Some("a+b"), true);
        query(exact("c"), Some("a+bc=c"), false);
        query(exact("c"), None, false);
        query(ValueMatch::Present, Some("a+b"), true);
        query(ValueMatch::Present, Some("ab=a+b"), false);
        query(pattern("[0-9 ]+"), Some("a+b=1%202+3"), true);
        query(pattern("[0-9]+"), Some("a+b=12x"), false);
        query(pattern(".*"), Some("a+b=%FF"), false);
    }

    #[test]
    fn a_header_has_the_value_in_one_of_its_lines() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("22"));
        headers.append("x-b", HeaderValue::from_bytes(b"\xff").unwrap());
        let holds = |name, wanted| {
            let headers_wanted = vec![(HeaderName::from_static(name), wanted)];
            Content { headers: headers_wanted, ..Content::default() }.holds(&headers, None)
        };
        assert!(holds("x-a", exact("22")) && holds("x-a", pattern("2+")) && holds("x-b", ValueMatch::Present));
        assert!(!holds("x-a", exact("2")) && !holds("x-b", pattern(".*")) && !holds("x-c", ValueMatch::Present));
    }
}
