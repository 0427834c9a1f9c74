//! An aggregate's answer, or an item of a batch, on its way to the client. The route's edits come after all that the
//! gateway says itself, but for the request's id and what frames the answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::own::tell_limits;
use super::{close_while_draining, compress, cross_origin, edited, secure_own};
use crate::context::names::{X_AGGREGATE_MISSING, X_REQUEST_ID};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::{Document, ResponseBody};

/// Passes a document on, as its parts stream. It is not to be kept: what its parts said of that is not looked at.
pub fn composed<N: Network>(mut exchange: Box<Exchange<N>>, document: Document<N>) -> Reply<N> {
    exchange.status = Some(StatusCode::OK);
    let mut headers = head(&exchange);
    // Names of parts are letters, digits, dots, hyphens and underscores.
    if let Ok(missing) = HeaderValue::try_from(document.null())
        && !missing.is_empty()
    {
        headers.insert(X_AGGREGATE_MISSING.clone(), missing);
        // A page that may read the answer may read that too.
        if headers.contains_key(header::ACCESS_CONTROL_EXPOSE_HEADERS) {
            let name = HeaderValue::from_name(X_AGGREGATE_MISSING.clone());
            headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, name);
        }
    }
    edit(&exchange, &mut headers);
    let length = document.length();
    let is_head = exchange.method == Method::HEAD;
    if is_head && let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let compresses = exchange.route().is_some_and(|route| route.settings.compress.is_some());
    let told = (length, false);
    let packing = compresses.then(|| compress::prepare(&exchange, StatusCode::OK, &mut headers, told)).flatten();
    exchange.note_answered(&headers);
    let body = match packing {
        _ if is_head => {
            document.discard();
            ResponseBody::own(Bytes::new(), exchange)
        }
        None => ResponseBody::composed(exchange, document),
        Some(packing) => ResponseBody::packed_document(exchange, document, packing),
    };
    Reply::own(StatusCode::OK, headers, body)
}

/// Passes an item on, as it stood in the answer for many. It is not to be kept either.
pub fn item<N: Network>(mut exchange: Box<Exchange<N>>, item: Bytes) -> Reply<N> {
    exchange.status = Some(StatusCode::OK);
    let mut headers = head(&exchange);
    edit(&exchange, &mut headers);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(item.len()));
    exchange.note_answered(&headers);
    let body = if exchange.method == Method::HEAD { Bytes::new() } else { item };
    Reply::own(StatusCode::OK, headers, ResponseBody::own(body, exchange))
}

/// What both say.
fn head<N: Network>(exchange: &Exchange<N>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    tell_limits(exchange, &mut headers);
    cross_origin::tell(exchange, &mut headers);
    secure_own(exchange, &mut headers);
    headers
}

fn edit<N: Network>(exchange: &Exchange<N>, headers: &mut HeaderMap) {
    edited::own(exchange, headers);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    close_while_draining(exchange, headers);
}
