//! What never became a request, and so passes no stage: it leaves a record all the same.

use http::{HeaderMap, Method, Uri};

use crate::error::GatewayError;
use crate::exchange::Arrival;
use crate::network::Network;
use crate::telemetry::record::Ended;
use crate::{context, response};

/// Records what never became a request, and says what to write to its connection.
pub fn refuse<N: Network>(arrival: Arrival<N>, line: Option<(Method, Uri)>, error: &GatewayError) -> Vec<u8> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    let unread = line.is_none();
    if let Some(line) = line {
        (parts.method, parts.uri) = line;
    }
    let head_only = parts.method == Method::HEAD;
    let (mut exchange, _) = context::stage::begin(arrival, &mut parts);
    exchange.unread = unread;
    exchange.note_problem(&HeaderMap::new(), error);
    exchange.status = Some(error.code.status());
    exchange.code = Some(error.code);
    let more = response::secured(&exchange);
    let said = response::problem::Said::of(&exchange, error);
    let (bytes, body) = response::problem::raw((error, said), Some(exchange.request_id.as_str()), &more, head_only);
    exchange.bytes_out = body as u64;
    exchange.finish(Ended::Complete);
    bytes
}
