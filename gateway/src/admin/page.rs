//! The page at `/`: files that carry no data, for whoever asks. Its script asks the API, with the token where there is
//! one, so that a browser can open it though it cannot send a token with the first request.
//!
//! What the page names is beside it, so that a program may serve all of it under a path of its own.

use std::sync::Arc;

use axum::Router;
use axum::extract::{OriginalUri, State as Shared};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{State, access};
use crate::network::Network;

const FILES: [(&str, &str, &str); 5] = [
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/feed.js", "text/javascript; charset=utf-8", include_str!("page/feed.js")),
    ("/requests.js", "text/javascript; charset=utf-8", include_str!("page/requests.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page's files, each under its path.
pub(super) fn router<N: Network>() -> Router<Arc<State<N>>> {
    let pages = Router::new().route("/", get(index::<N>)).route("/index.html", get(page::<N>));
    FILES.into_iter().fold(pages, |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], text) }))
    })
}

/// The page; where it was asked for by a path without a slash at its end, the way to it: a browser would look for its
/// files beside that path, and not below.
async fn index<N: Network>(
    OriginalUri(uri): OriginalUri,
    state: Shared<Arc<State<N>>>,
    headers: HeaderMap,
) -> Response {
    match uri.path().rsplit_once('/') {
        // Relative, as nobody knows what is in front of the program.
        Some((_, last)) if !last.is_empty() => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("./{last}/index.html"))]).into_response()
        }
        _ => page(state, headers).await,
    }
}

async fn page<N: Network>(Shared(state): Shared<Arc<State<N>>>, headers: HeaderMap) -> Response {
    let html = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    access::of_page(&state, &headers, (html, include_str!("page/index.html")).into_response())
}

#[cfg(test)]
mod tests {
    use super::FILES;
    use crate::telemetry::events::Kind;

    /// What happens with each request is told only to who asks for it, and the page does not.
    #[test]
    fn the_page_has_words_and_a_group_for_every_kind_of_event() {
        let feed = FILES.iter().find(|(path, ..)| *path == "/feed.js").unwrap().2;
        let groups = &feed[feed.find("const GROUPS = {").unwrap()..feed.find("const feed = ").unwrap()];
        let told = &feed[feed.find("const TOLD = {").unwrap()..feed.find("function momentOf").unwrap()];
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_frequent()).map(Kind::as_str) {
            assert!(told.contains(&format!("\n  {kind}: ")), "{kind} is not told");
            assert!(groups.contains(&format!("\"{kind}\"")), "{kind} is in no group");
        }
    }
}
