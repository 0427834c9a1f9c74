//! `problems` of `[server]` and of routes.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::schema::problems::PROBLEM;
use crate::config::settings::Route;
use crate::config::settings::problems::{ProblemBody, Problems};
use crate::config::source::Sources;
use crate::config::tree::Entry;
use crate::config::value::problem_key;

/// The largest body: a page with its pictures in it. It is sent as often as somebody brings the problem about.
pub(crate) const MOST_BYTES: u64 = 256 << 10;

/// The bodies of a table's `problems`; `None` where it has none.
pub(crate) fn build(context: &Context<'_>, table: &Reader<'_>) -> Option<Arc<Problems>> {
    let read = |entry: &Entry| {
        let reader = Reader::new(Some(entry.node.table()?), None, &PROBLEM, entry.node.at);
        Some((problem_key::parse(&entry.key).ok()?, body(context.sources, &reader)?))
    };
    Problems::new(table.map("problems").iter().filter_map(read).collect()).map(Arc::new)
}

/// A body, as far as it can be understood. A file that has gone since it was checked is empty.
pub(crate) fn body(sources: &Sources, table: &Reader<'_>) -> Option<ProblemBody> {
    let file = table.get("file").and_then(|node| Some(sources.resolve(node.text()?, node.at)));
    let written = match &file {
        Some(file) => key_files::read(file, MOST_BYTES).unwrap_or_default(),
        None => table.text("body").into_owned().into_bytes(),
    };
    let content_type = match table.get("content_type") {
        Some(kind) => Some(HeaderValue::from_str(kind.text()?).ok()?),
        // Said, so that nobody guesses (RFC 9110, section 8.3).
        None => (!written.is_empty()).then(|| HeaderValue::from_static(by_ending(file.as_deref()))),
    };
    Some(ProblemBody::new(content_type, &Bytes::from(written), file))
}

fn by_ending(file: Option<&Path>) -> &'static str {
    let ending = file.and_then(Path::extension).and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Gives a route its problems, and those of its shares, which take its place once one is chosen.
pub(crate) fn give(route: &mut Route, problems: Option<Arc<Problems>>) {
    let split = route.split.as_mut().and_then(Arc::get_mut);
    for share in split.into_iter().flat_map(|split| &mut split.shares) {
        if let Some(own) = Arc::get_mut(&mut share.route) {
            own.problems.clone_from(&problems);
        }
    }
    route.problems = problems;
}
