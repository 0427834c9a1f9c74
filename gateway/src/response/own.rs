//! Answers of the gateway's own that are no problems.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::close_while_draining;
use crate::context::names::X_REQUEST_ID;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::reply::Reply;
use crate::response_body::ResponseBody;
use crate::telemetry::record::Ended;

/// `OPTIONS *`: the gateway is there.
pub fn options<N: Network>(mut exchange: Box<Exchange<N>>) -> Reply<N> {
    exchange.status = Some(StatusCode::NO_CONTENT);
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    close_while_draining(&exchange, &mut headers);
    Reply::own(StatusCode::NO_CONTENT, headers, ResponseBody::own(Bytes::new(), exchange))
}

/// The client left in the middle of its request. Nobody reads this; the record says 499.
pub fn client_left<N: Network>(mut exchange: Box<Exchange<N>>) -> Reply<N> {
    exchange.finish(Ended::ClientLeft);
    Reply::own(StatusCode::BAD_REQUEST, closing(), ResponseBody::Empty)
}

/// Fields that say nothing but that the connection closes.
pub(super) fn closing() -> HeaderMap {
    HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))])
}
