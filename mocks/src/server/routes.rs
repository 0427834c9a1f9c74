//! Which path gives what.

use std::time::Duration;

use crate::http1::head::Head;

/// The largest body that `/bytes/{n}` gives: 1 TiB.
const MAX_BYTES: u64 = 1 << 40;
/// Where items are asked for, `/items?ids=1,2`.
const ITEMS: &str = "/items";

/// What a request asks for. Every path that is none of the others is an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Echo,
    /// So many bytes.
    Bytes(u64),
    /// So many chunks, with this pause between two.
    Stream(u64, Duration),
    /// So many events, with this pause between two.
    Events(u64, Duration),
    WebSocket,
    /// An object for each id that the query names.
    Items,
    Health,
    OpenApi,
}

impl Route {
    /// The route of a request. Only GET and HEAD reach what is not an echo.
    #[inline]
    pub(crate) fn of(head: &Head<'_, '_>) -> Self {
        if !matches!(head.method, "GET" | "HEAD") {
            return Self::Echo;
        }
        match head.path_and_query() {
            (ITEMS, Some(query)) if ids(query).is_some() => Self::Items,
            (path, _) => Self::of_path(path).unwrap_or(Self::Echo),
        }
    }

    fn of_path(path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        Some(match (first, rest) {
            ("bytes", count) => Self::Bytes(number(count)?.min(MAX_BYTES)),
            ("stream", rest) => {
                let (count, pause) = series(rest)?;
                Self::Stream(count, pause)
            }
            ("sse", rest) => {
                let (count, pause) = series(rest)?;
                Self::Events(count, pause)
            }
            ("ws", "") => Self::WebSocket,
            ("healthz", "") => Self::Health,
            ("openapi.json", "") => Self::OpenApi,
            _ => return None,
        })
    }
}

/// The ids that a query names, as they are written there.
pub(crate) fn ids(query: &str) -> Option<impl Iterator<Item = &str>> {
    let list = query.split('&').find_map(|pair| pair.strip_prefix("ids="))?;
    Some(list.split(',').filter(|id| !id.is_empty()))
}

fn series(rest: &str) -> Option<(u64, Duration)> {
    let (count, pause) = rest.split_once('/')?;
    Some((number(count)?, Duration::from_millis(number(pause)?)))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let pause = Duration::from_millis(20);
        for (path, route) in [
            ("/bytes/512", Some(Route::Bytes(512))),
            ("/stream/3/20", Some(Route::Stream(3, pause))),
            ("/sse/3/20", Some(Route::Events(3, pause))),
            ("/ws", Some(Route::WebSocket)),
            ("/healthz", Some(Route::Health)),
            ("/openapi.json", Some(Route::OpenApi)),
            ("/echo", None),
            ("/", None),
            ("/bytes/", None),
            ("/bytes/+5", None),
            ("/bytes/many", None),
            ("/stream/3", None),
            ("/healthz/more", None),
            ("*", None),
        ] {
            assert_eq!(Route::of_path(path), route, "{path}");
        }
    }

    #[test]
    fn a_query_names_ids() {
        let named = |query| ids(query).map(|ids| ids.map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(named("x=1&ids=7,%2C,,a"), Some(vec!["7".to_owned(), "%2C".to_owned(), "a".to_owned()]));
        assert_eq!((named("ids="), named("idss=1"), named("")), (Some(vec![]), None, None));
    }
}
