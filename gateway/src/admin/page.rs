//! The page at `/`: files that carry no data, for whoever asks. Its script asks the API, with the token where there is
//! one, so that a browser can open it though it cannot send a token with the first request.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

const FILES: [(&str, &str, &str); 6] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/feed.js", "text/javascript; charset=utf-8", include_str!("page/feed.js")),
    ("/requests.js", "text/javascript; charset=utf-8", include_str!("page/requests.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// The page's files, each under its path.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { ([(CONTENT_TYPE, kind)], text) }))
    })
}
