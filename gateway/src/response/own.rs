//! Answers of the gateway's own that are no problems.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::close_while_draining;
use crate::context::names::X_REQUEST_ID;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::response_body::ResponseBody;
use crate::telemetry::record::Ended;

/// `OPTIONS *`: the gateway is there.
pub fn options<N: Network>(mut exchange: Box<Exchange<N>>) -> Response<ResponseBody<N>> {
    exchange.status = Some(StatusCode::NO_CONTENT);
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(X_REQUEST_ID.clone(), exchange.request_id.to_header_value());
    close_while_draining(&exchange, &mut headers);
    let mut response = Response::new(ResponseBody::own(Bytes::new(), exchange));
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.headers_mut() = headers;
    response
}

/// The client left in the middle of its request. Nobody reads this; the record says 499.
pub fn client_left<N: Network>(mut exchange: Box<Exchange<N>>) -> Response<ResponseBody<N>> {
    exchange.finish(Ended::ClientLeft);
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
