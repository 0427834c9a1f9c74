//! What is answered when nothing cuts it: status, body, and the lines that a rule adds. The same for every protocol.

use super::content::Content;
use super::routes::Route;
use crate::calls::Outcomes;
use crate::faults::{Act, Etag};
use crate::http1::head::Head;
use crate::http1::json::Received;
use crate::world::Endpoint;

/// The request header that lists what is shown.
const SHOW: &str = "x-mock-show";

/// An answer that is still to be written.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub content: Content,
    /// More lines of the head, names in small letters.
    pub lines: Vec<(String, String)>,
}

impl Reply {
    /// What the route gives, as the act and the outcomes of calls change it.
    pub(crate) fn of(
        route: Route,
        act: &Act,
        endpoint: &Endpoint,
        head: &Head<'_, '_>,
        received: &Received,
        calls: &Outcomes,
    ) -> Self {
        let mut content = match &act.body {
            Some(body) => Content::written(body),
            None => Content::of(route, endpoint, head, received),
        };
        let is_echo = route == Route::Echo && act.body.is_none();
        if let (true, Content::Whole { bytes, .. }, false) = (is_echo, &mut content, calls.is_empty()) {
            calls.add_to(bytes);
        }
        let mut lines = act.headers.clone();
        let caching = &act.caching;
        let tag = caching.etag.as_ref().map(|etag| tag(etag, head.target));
        let texts = [("cache-control", &caching.cache_control), ("vary", &caching.vary), ("etag", &tag)];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        lines.extend(texts);
        lines.extend(caching.age.map(|age| ("age".to_owned(), age.to_string())));
        show(head, &mut lines);
        let mut status = act.status.or(calls.failed).unwrap_or(200);
        if status == 200 && tag.is_some_and(|tag| is_known(head, &tag)) {
            status = 304;
        }
        Self { status, content, lines }
    }

    /// The lines as HTTP/1 writes them.
    pub(crate) fn http1_lines(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes()).collect()
    }
}

/// Shows the request's own lines of the names that its `x-mock-show` lists, one for each, as `x-mock-saw-NAME`; and the
/// list itself, so that what is not shown is known not to have come. A long list is cut.
fn show(head: &Head<'_, '_>, lines: &mut Vec<(String, String)>) {
    const MOST: usize = 32;
    let lists: Vec<&[u8]> = head.values(SHOW).collect();
    if lists.is_empty() {
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let list = text(&lists.join(&b','));
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty()).take(MOST);
    for name in names {
        let saw = format!("x-mock-saw-{}", name.to_ascii_lowercase());
        lines.extend(head.values(name).take(MOST).map(|value| (saw.clone(), text(value))));
    }
    lines.push((SHOW.to_owned(), list));
}

/// The entity tag with its quotes.
fn tag(etag: &Etag, target: &str) -> String {
    match etag {
        Etag::Is(text) => format!("\"{text}\""),
        Etag::OfTarget => {
            // FNV-1a (Fowler, Noll, Vo): any hash does that is the same in every process.
            let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            format!("\"{:016x}\"", target.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
        }
    }
}

/// Does the client say that it has this version (RFC 9110, section 13.1.2)? The comparison is the weak one.
fn is_known(head: &Head<'_, '_>, tag: &str) -> bool {
    let mut tags = head.values("if-none-match").flat_map(|line| line.split(|byte| *byte == b','));
    matches!(head.method, "GET" | "HEAD")
        && tags.any(|known| {
            let known = known.trim_ascii();
            known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag.as_bytes()
        })
}
