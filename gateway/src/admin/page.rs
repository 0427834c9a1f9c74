//! The page at `/`: files that carry no data, for whoever asks. Its script asks the API, with the token where there is
//! one, so that a browser can open it though it cannot send a token with the first request.
//!
//! What the page names is beside it, so that a program may serve all of it under a path of its own.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const FILES: [(&str, &str, &str); 6] = [
    ("/index.html", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/feed.js", "text/javascript; charset=utf-8", include_str!("page/feed.js")),
    ("/requests.js", "text/javascript; charset=utf-8", include_str!("page/requests.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page's files, each under its path.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new().route("/", get(index)), |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], text) }))
    })
}

/// The page; where it was asked for by a path without a slash at its end, the way to it: a browser would look for its
/// files beside that path, and not below.
async fn index(OriginalUri(uri): OriginalUri) -> Response {
    let (_, kind, text) = FILES[0];
    match uri.path().rsplit_once('/') {
        // Relative, as nobody knows what is in front of the program.
        Some((_, last)) if !last.is_empty() => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("./{last}/index.html"))]).into_response()
        }
        _ => ([(CONTENT_TYPE, kind)], text).into_response(),
    }
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
