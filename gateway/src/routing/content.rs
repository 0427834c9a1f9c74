//! Conditions on the listener, the client, the whole path, headers, query and body.
//!
//! A header's condition holds if the header is there and each of its lines has the value: all of them go on to the
//! upstream, which may read any (security.md, B5). A query's condition holds if one of the parameters of
//! that name has the value; names and values are decoded for the comparison (`%XX`, and `+` as a space). Conditions
//! that hold allocate nothing, a regex over an encoded query value aside.
//!
//! A body's condition holds if the body is JSON, no longer than the route looks into, and the pointer leads to the
//! value; numbers are compared as numbers. An object that names a member twice is no JSON here: what comes behind might
//! read the other one.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderName;
use regex::Regex;

use serde_json::Value;

use super::clients::Clients;
use super::tree::Params;
use crate::config::settings::route::{BodyMatch, RouteMatch, ValueMatch};
use crate::query::{decoded, decodes_to, pairs};
use crate::request_fields::RequestFields;

/// What is known of a request's body.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// No condition holds: there is none, or none that could be looked into.
    Absent,
    /// Every condition may hold: it has not been read.
    Unread,
    /// It is JSON of this length in bytes.
    Json(&'a Value, usize),
}

/// The conditions of a route.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Those that it is reached by; empty is all.
    listeners: Box<[Arc<str>]>,
    /// Where the client is.
    clients: Option<Box<Clients>>,
    /// Of the whole path.
    path: Option<Regex>,
    pub(super) headers: Vec<(HeaderName, ValueMatch)>,
    pub(super) query: Vec<(String, ValueMatch)>,
    body: Vec<BodyMatch>,
    body_limit: usize,
}

/// A condition that does not hold.
#[derive(Debug, Clone, Copy)]
pub enum Unmet<'a> {
    /// On this header.
    Header(&'a HeaderName, &'a ValueMatch),
    /// On this query parameter.
    Query(&'a str, &'a ValueMatch),
    /// On this place in the body.
    Body(&'a BodyMatch),
}

impl Content {
    /// The conditions as they are written.
    pub fn new(matches: &RouteMatch) -> Self {
        let RouteMatch { listeners, clients, path_regex, headers, query, body, body_limit, .. } = matches.clone();
        let (clients, path) = (Clients::new(&clients), path_regex.map(|path| path.regex));
        Self { listeners: listeners.into(), clients, path, headers, query, body, body_limit }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty()
            && self.clients.is_none()
            && self.path.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.body.is_empty()
    }

    /// Whether it takes this path, in its one form. A path that it does not take is another one than its route's: the
    /// methods of that are not said to be its own.
    #[inline]
    pub fn takes_path(&self, path: &str) -> bool {
        self.path.as_ref().is_none_or(|regex| regex.is_match(path))
    }

    /// Adds where the named groups of its expression are in a path that it takes; one that is in no part of it is
    /// empty.
    #[cold]
    pub(super) fn add_groups(&self, path: &str, params: &mut Params) {
        let Some((regex, found)) = self.path.as_ref().and_then(|regex| Some((regex, regex.captures(path)?))) else {
            return;
        };
        for name in regex.capture_names().flatten() {
            let range = found.name(name).map_or(0..0, |group| group.range());
            params.push((range.start as u32, range.end as u32));
        }
    }

    /// Whether it is there for who comes by the listener of this name.
    pub fn is_reached_by(&self, listener: &str) -> bool {
        self.listeners.is_empty() || self.listeners.iter().any(|name| **name == *listener)
    }

    /// Whether it is there for a client at this address; `None` is one of which nobody knows.
    #[inline]
    pub fn is_for(&self, client: Option<IpAddr>) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients.have(client))
    }

    /// Whether all hold but those on the listener, the client and the path.
    pub fn holds(&self, headers: &RequestFields, query: Option<&str>, body: Body<'_>) -> bool {
        self.unmet(headers, query, body).is_none()
    }

    /// The first that does not hold.
    pub fn unmet(&self, headers: &RequestFields, query: Option<&str>, body: Body<'_>) -> Option<Unmet<'_>> {
        self.unmet_but(headers, query, body, |_, _| false)
    }

    /// The same, where some headers are taken to have the value that is wanted.
    #[inline]
    pub(super) fn unmet_but(
        &self,
        headers: &RequestFields,
        query: Option<&str>,
        body: Body<'_>,
        excused: impl Fn(&HeaderName, &ValueMatch) -> bool,
    ) -> Option<Unmet<'_>> {
        for (name, wanted) in &self.headers {
            if !excused(name, wanted) && !each_line_is(wanted, headers, name) {
                return Some(Unmet::Header(name, wanted));
            }
        }
        for (name, wanted) in &self.query {
            if !parameter_is(wanted, query, name) {
                return Some(Unmet::Query(name, wanted));
            }
        }
        if self.body.is_empty() { None } else { self.unmet_body(body) }
    }

    /// The first on one of these parameters of the query that does not hold, of a request of which nothing else need be
    /// known.
    pub(super) fn unmet_among(&self, query: Option<&str>, known: &[Box<str>]) -> Option<Unmet<'_>> {
        let mut of_known = self.query.iter().filter(|(name, _)| known.iter().any(|one| **one == **name));
        let (name, wanted) = of_known.find(|(name, wanted)| !parameter_is(wanted, query, name))?;
        Some(Unmet::Query(name, wanted))
    }

    fn unmet_body(&self, body: Body<'_>) -> Option<Unmet<'_>> {
        let holds = |wanted: &&BodyMatch| match body {
            Body::Absent => false,
            Body::Unread => true,
            Body::Json(value, length) => {
                length <= self.body_limit
                    && value.pointer(&wanted.pointer).is_some_and(|found| is(found, &wanted.value))
            }
        };
        self.body.iter().find(|wanted| !holds(wanted)).map(Unmet::Body)
    }

    /// The largest body in which its conditions on one can hold, bytes; `None` where it has none.
    pub fn body_limit(&self) -> Option<usize> {
        (!self.body.is_empty()).then_some(self.body_limit)
    }
}

/// Whether a value is what is wanted; `1` is `1.0`. Two whole numbers are compared as such: as fractions, large ones
/// would be their neighbours too.
fn is(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::Number(wanted)) => {
            found == wanted || ((found.is_f64() || wanted.is_f64()) && found.as_f64() == wanted.as_f64())
        }
        _ => found == wanted,
    }
}

/// Whether a header is there, and each of its lines is what is wanted: who lets a request in by one line would let the
/// others pass unseen.
fn each_line_is(wanted: &ValueMatch, headers: &RequestFields, name: &HeaderName) -> bool {
    let mut lines = headers.get_all(name).iter();
    lines.next().is_some_and(|line| header_is(wanted, line.as_bytes()))
        && lines.all(|line| header_is(wanted, line.as_bytes()))
}

fn header_is(wanted: &ValueMatch, value: &[u8]) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(exact) => exact.as_bytes() == value,
        ValueMatch::Pattern(regex) => std::str::from_utf8(value).is_ok_and(|value| regex.is_match(value)),
        ValueMatch::Hidden(wanted) => header_is(wanted, value),
    }
}

/// Whether one of the parameters of this name is what is wanted.
#[inline]
fn parameter_is(wanted: &ValueMatch, query: Option<&str>, name: &str) -> bool {
    let mut values = pairs(query).filter(|(key, _)| decodes_to(key, name)).map(|pair| pair.1);
    values.any(|value| query_is(wanted, value))
}

fn query_is(wanted: &ValueMatch, value: &str) -> bool {
    match wanted {
        ValueMatch::Present => true,
        ValueMatch::Exact(exact) => decodes_to(value, exact),
        ValueMatch::Pattern(regex) => match decoded(value) {
            Some(value) => regex.is_match(&value),
            None => false,
        },
        ValueMatch::Hidden(wanted) => query_is(wanted, value),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

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
        assert_eq!(content.holds(&RequestFields::new(), query, Body::Absent), holds, "{query:?}");
    }

    #[test]
    fn large_numbers_are_not_their_neighbours() {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert!(is(&number("1"), &number("1.0")) && is(&number("9007199254740993"), &number("9007199254740993")));
        assert!(!is(&number("9007199254740992"), &number("9007199254740993")));
        assert!(!is(&number("1"), &number("1.5")));
    }

    #[test]
    fn a_body_leads_where_the_pointer_says_or_holds_nothing() {
        let content = |pointer: &str, wanted: Value| Content {
            body: vec![BodyMatch { pointer: pointer.into(), value: wanted, is_hidden: false }],
            body_limit: 10,
            ..Content::default()
        };
        let body = serde_json::json!({ "a": { "b/c": [true, 1.0, "x"] }, "n": null });
        for (pointer, wanted, holds) in [
            ("/a/b~1c/0", true.into(), true),
            ("/a/b~1c/0", "true".into(), false),
            ("/a/b~1c/1", 1.into(), true),
            ("/a/b~1c/1", 2.into(), false),
            ("/a/b~1c/2", "x".into(), true),
            ("/a/b~1c/3", "x".into(), false),
            ("/a", "x".into(), false),
            ("/n", false.into(), false),
        ] {
            let content = content(pointer, wanted);
            assert_eq!(content.holds(&RequestFields::new(), None, Body::Json(&body, 10)), holds, "{pointer}");
            assert!(!content.holds(&RequestFields::new(), None, Body::Json(&body, 11)), "beyond the limit");
            assert!(!content.holds(&RequestFields::new(), None, Body::Absent));
            assert!(content.holds(&RequestFields::new(), None, Body::Unread));
        }
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
    fn b5_a_header_has_the_value_in_each_of_its_lines() {
        let mut headers = RequestFields::new();
        let lines: [(&'static str, &[u8]); 5] =
            [("x-a", b"1"), ("x-a", b"22"), ("x-b", b"\xff"), ("x-d", b"2"), ("x-d", b"2")];
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let holds = |name, wanted| {
            let headers_wanted = vec![(HeaderName::from_static(name), wanted)];
            Content { headers: headers_wanted, ..Content::default() }.holds(&headers, None, Body::Absent)
        };
        for either in ["1", "22"] {
            assert!(!holds("x-a", exact(either)), "the other line goes on to the upstream too: {either}");
            assert!(!holds("x-a", pattern(either)), "{either}");
        }
        assert!(holds("x-a", pattern("1|2+")) && holds("x-a", ValueMatch::Present), "each line fits");
        assert!(holds("x-d", exact("2")) && holds("x-d", pattern("2")));
        assert!(holds("x-b", ValueMatch::Present) && !holds("x-b", pattern(".*")));
        assert!(!holds("x-d", exact("22")) && !holds("x-c", ValueMatch::Present) && !holds("x-c", pattern(".*")));
    }
}
