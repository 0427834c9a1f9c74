//! The bodies of answers, made piece by piece.

use std::time::Duration;

use super::routes::{Route, ids};
use crate::http1::answer::{Ending, LAST_CHUNK, chunk};
use crate::http1::head::Head;
use crate::http1::json::{self, Received};
use crate::world::Endpoint;

/// The alphabet over and over; `/bytes` starts each piece at its beginning, so the piece's length is a multiple of 26.
static PAGE: [u8; 26 * 2520] = page();
const OPENAPI: &str = include_str!("openapi.json");

const JSON: &str = "application/json";

const fn page() -> [u8; 26 * 2520] {
    let mut page = [0; 26 * 2520];
    let mut at = 0;
    while at < page.len() {
        page[at] = b'a' + (at % 26) as u8;
        at += 1;
    }
    page
}

/// A body that is still to be sent.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Whole { bytes: Vec<u8>, sent: bool },
    Bytes { left: u64 },
    Lines { next: u64, count: u64, pause: Duration, events: bool },
}

impl Content {
    /// A body that a rule has written.
    pub(crate) fn written(body: &str) -> Self {
        Self::Whole { bytes: body.as_bytes().to_vec(), sent: false }
    }

    /// What the route gives.
    pub(crate) fn of(route: Route, endpoint: &Endpoint, head: &Head<'_, '_>, received: &Received) -> Self {
        match route {
            Route::Bytes(left) => Self::Bytes { left },
            Route::Stream(count, pause) => Self::Lines { next: 0, count, pause, events: false },
            Route::Events(count, pause) => Self::Lines { next: 0, count, pause, events: true },
            Route::Echo | Route::WebSocket | Route::Items | Route::Health | Route::OpenApi => {
                let mut bytes = Vec::new();
                small(&mut bytes, route, endpoint, head, received);
                Self::Whole { bytes, sent: false }
            }
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self {
            Self::Whole { .. } => JSON,
            Self::Bytes { .. } => "application/octet-stream",
            Self::Lines { events: false, .. } => "application/x-ndjson",
            Self::Lines { events: true, .. } => "text/event-stream",
        }
    }

    /// How it is framed for a client of this minor version.
    pub(crate) fn ending(&self, minor: u8) -> Ending {
        match self {
            Self::Whole { bytes, .. } => Ending::Length(bytes.len() as u64),
            Self::Bytes { left } => Ending::Length(*left),
            Self::Lines { .. } if minor == 0 => Ending::Close,
            Self::Lines { .. } => Ending::Chunked,
        }
    }

    /// Writes the next piece, framed, to `out`, and gives the pause before it; `None` when all is written.
    pub(crate) fn next(&mut self, ending: Ending, out: &mut Vec<u8>) -> Option<Duration> {
        match self {
            Self::Whole { sent: true, .. } | Self::Bytes { left: 0 } => None,
            Self::Whole { bytes, sent } => {
                *sent = true;
                out.extend_from_slice(bytes);
                Some(Duration::ZERO)
            }
            Self::Bytes { left } => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(PAGE.len());
                *left -= take as u64;
                out.extend_from_slice(&PAGE[..take]);
                Some(Duration::ZERO)
            }
            Self::Lines { next, count, pause, events } => {
                if *next > *count {
                    return None;
                }
                *next += 1;
                if *next > *count {
                    if ending == Ending::Chunked {
                        out.extend_from_slice(LAST_CHUNK);
                    }
                    return Some(Duration::ZERO);
                }
                let line = line(*next, *count, *events);
                match ending {
                    Ending::Chunked => chunk(out, line.as_bytes()),
                    _ => out.extend_from_slice(line.as_bytes()),
                }
                Some(if *next == 1 { Duration::ZERO } else { *pause })
            }
        }
    }

    /// The framed body's length in bytes.
    pub(crate) fn wire_length(&self, ending: Ending) -> u64 {
        if let Self::Bytes { left } = self {
            return *left;
        }
        let (mut copy, mut piece, mut total) = (self.clone(), Vec::new(), 0);
        while copy.next(ending, &mut piece).is_some() {
            total += piece.len() as u64;
            piece.clear();
        }
        total
    }
}

fn line(number: u64, count: u64, event: bool) -> String {
    if event {
        format!("id: {number}\ndata: {{\"event\":{number},\"of\":{count}}}\n\n")
    } else {
        format!("{{\"chunk\":{number},\"of\":{count}}}\n")
    }
}

/// The start of the body of `/bytes/{n}`, for bodies that are sent with their head; `None` when it is too large for
/// that.
pub(crate) fn few_bytes(count: u64) -> Option<&'static [u8]> {
    const FEW: u64 = 4096;
    usize::try_from(count).ok().filter(|_| count <= FEW).map(|count| &PAGE[..count])
}

/// Writes a body that is one JSON document.
#[inline]
pub(crate) fn small(out: &mut Vec<u8>, route: Route, endpoint: &Endpoint, head: &Head<'_, '_>, received: &Received) {
    match route {
        Route::OpenApi => out.extend_from_slice(OPENAPI.as_bytes()),
        Route::Items => items(out, head.path_and_query().1.unwrap_or("")),
        Route::Health => {
            out.extend_from_slice(&endpoint.echo_prefix);
            out.extend_from_slice(b",\"status\":\"ok\"}");
        }
        _ => json::echo(out, &endpoint.echo_prefix, head, received),
    }
}

/// `{"items":[{"id":"7","name":"item 7"}]}`: an object for each id, in their order.
fn items(out: &mut Vec<u8>, query: &str) {
    out.extend_from_slice(b"{\"items\":[");
    for (number, id) in ids(query).into_iter().flatten().enumerate() {
        out.extend_from_slice(if number > 0 { b",{\"id\":" } else { b"{\"id\":" });
        let id = decoded(id);
        json::string(out, &id);
        out.extend_from_slice(b",\"name\":");
        json::string(out, &[b"item ", &*id].concat());
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// Without its percent signs; what is no encoding stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.filter(|_| byte == b'%').and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_those_that_are_asked_for() {
        let written = |query: &str| {
            let mut out = Vec::new();
            items(&mut out, query);
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let item = |id: &str| serde_json::json!({ "id": id, "name": format!("item {id}") });
        assert_eq!(
            written("ids=7,a%22%2cb,%zz"),
            serde_json::json!({ "items": [item("7"), item("a\",b"), item("%zz")] })
        );
        assert_eq!(written("ids="), serde_json::json!({ "items": [] }));
    }

    #[test]
    fn the_openapi_document_is_one() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for path in [
            "/echo",
            "/bytes/{n}",
            "/stream/{chunks}/{ms}",
            "/sse/{n}/{ms}",
            "/ws",
            "/items",
            "/healthz",
            "/openapi.json",
        ] {
            assert!(document["paths"][path]["get"]["responses"].is_object(), "{path}");
        }
    }

    #[test]
    fn lengths_are_those_of_what_is_written() {
        let mut lines = Content::Lines { next: 0, count: 2, pause: Duration::ZERO, events: false };
        let (mut out, length) = (Vec::new(), lines.wire_length(Ending::Chunked));
        while lines.next(Ending::Chunked, &mut out).is_some() {}
        assert_eq!(out, b"13\r\n{\"chunk\":1,\"of\":2}\n\r\n13\r\n{\"chunk\":2,\"of\":2}\n\r\n0\r\n\r\n");
        assert_eq!(length, out.len() as u64);
        assert_eq!(Content::Bytes { left: 100_000 }.wire_length(Ending::Length(100_000)), 100_000);
    }
}
