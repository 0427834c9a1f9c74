//! A connection on which no request is read: beyond the limit, or not of the kind that is spoken there. It is told so,
//! and closed.

use std::time::Duration;

use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connection::linger;
use crate::error::{Code, GatewayError};
use crate::response::problem;

/// Beyond this a client that does not read is cut off.
const WRITE_TIME: Duration = Duration::from_secs(1);

/// Answers 503 without reading a request, and closes.
pub(crate) async fn overloaded<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let error = GatewayError::new(Code::Overloaded, "The gateway has as many connections as it may have.")
        .retry_after(Duration::from_secs(1));
    close_with(stream, error, &HeaderMap::new()).await;
}

/// Answers without reading a request, with `more` fields, and closes.
pub(super) async fn close_with<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    error: GatewayError,
    more: &HeaderMap,
) {
    let error = error.closing();
    let said = problem::Said::document(&error, None);
    let (bytes, _) = problem::raw((&error, said), None, more, false);
    if let Ok(Ok(())) = tokio::time::timeout(WRITE_TIME, stream.write_all(&bytes)).await {
        linger(stream).await;
    }
}
