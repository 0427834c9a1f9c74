//! What never became a request, and so passes no stage: it leaves a record all the same.

use http::{Method, Uri, Version};

use crate::error::GatewayError;
use crate::exchange::{Arrival, Exchange};
use crate::network::Network;
use crate::request_fields::RequestFields;
use crate::request_parts::RequestParts;
use crate::response::problem::{Said, raw};
use crate::telemetry::record::Ended;
use crate::{context, response};

/// Records what never became a request, and says what to write to its connection.
pub fn refuse<N: Network>(arrival: Arrival<N>, line: Option<(Method, Uri)>, error: &GatewayError) -> Vec<u8> {
    let mut parts = RequestParts::default();
    let unread = line.is_none();
    if let Some((method, uri)) = line {
        (parts.method, parts.uri) = (method, uri.into());
    }
    told(arrival, (parts, unread), error, |exchange| Said::of(exchange, error))
}

/// Records a connection for which there is no place, before anything is read of what it asks; says what to write to it,
/// where it speaks HTTP/1. Bodies of the configuration's own are for requests.
pub fn turn_away<N: Network>(arrival: Arrival<N>, version: Version, error: &GatewayError) -> Vec<u8> {
    let parts = RequestParts { version, ..RequestParts::default() };
    told(arrival, (parts, true), error, |exchange| Said::document(error, Some(exchange.request_id.as_bytes())))
}

/// What a connection is told, which leaves its record.
fn told<N: Network>(
    arrival: Arrival<N>,
    (mut parts, unread): (RequestParts, bool),
    error: &GatewayError,
    said: impl FnOnce(&Exchange<N>) -> Said,
) -> Vec<u8> {
    let (head_only, is_http2) = (parts.method == Method::HEAD, parts.version == Version::HTTP_2);
    let (mut exchange, _) = context::stage::begin(arrival.shard.snapshot(), arrival, &mut parts);
    exchange.unread = unread;
    exchange.note_problem(&RequestFields::new(), error);
    exchange.status = Some(error.code.status());
    exchange.code = Some(error.code);
    let (more, said) = (response::secured(&exchange), said(&exchange));
    let (bytes, body) = raw((error, said), Some(exchange.request_id.as_str()), &more, head_only);
    // One of HTTP/2 is told by GOAWAY alone.
    exchange.bytes_out = if is_http2 { 0 } else { body as u64 };
    exchange.finish(Ended::Complete);
    bytes
}
