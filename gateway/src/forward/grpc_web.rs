//! Calls of web pages on routes that translate them (`grpc_web`): to the service they are calls of gRPC like any other.

use http::{HeaderValue, header};

use crate::algorithms::grpc_web::{Web, type_of_request};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;

impl<N: Network> Exchange<N> {
    /// How a call of a web page is written, where its route translates it.
    #[cold]
    pub(crate) fn translated(&self) -> Option<Web> {
        self.speech.web.filter(|_| self.route().is_some_and(|route| route.settings.grpc_web))
    }
}

/// Has its body's text decoded as it passes; what is counted and limited is what the client sends.
#[cold]
pub(super) fn read<N: Network>(exchange: &Exchange<N>, body: &mut RequestBody) {
    if exchange.translated().is_some_and(|web| web.sends_text) {
        body.decode_text();
    }
}

/// Makes its head that of a call.
#[cold]
pub(super) fn address<N: Network>(exchange: &Exchange<N>, headers: &mut RequestFields) {
    if exchange.translated().is_none() {
        return;
    }
    let kind = headers.get(&header::CONTENT_TYPE).and_then(|kind| type_of_request(kind.as_bytes()));
    if let Some(kind) = kind.and_then(|kind| HeaderValue::from_maybe_shared(bytes::Bytes::from(kind)).ok()) {
        headers.insert(&header::CONTENT_TYPE, kind);
    }
    // Its client cannot take trailers; the gateway does, and services refuse who does not say so.
    headers.insert(&header::TE, HeaderValue::from_static("trailers"));
}
