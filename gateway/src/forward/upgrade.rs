//! WebSocket upgrades (RFC 6455): the tunnel starts after the upstream's 101, never before.

use http::{StatusCode, header};

use super::attempt::Failure;
use super::head::Outgoing;
use super::retry::forward_once;
use crate::context::mark_websocket;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::response_body::Answer;
use crate::upstream::Selected;

/// What the upstream makes of the request to switch.
pub enum Upgraded<N: Network> {
    /// It switched; the tunnel waits until the client has its 101.
    Switched(Answer<N>),
    /// It answered like any other request.
    Refused(Answer<N>),
}

/// Asks the upstream to switch, on a connection of its own.
///
/// # Errors
/// As `forward`.
pub async fn upgrade<N: Network>(
    exchange: &mut Exchange<N>,
    selected: Selected<N>,
    mut request: Outgoing,
) -> Result<Upgraded<N>, Failure> {
    mark_websocket(&mut request.head.headers);
    let key = exchange.connection.websocket_key.clone();
    if let Some(key) = &key {
        request.head.headers.insert(header::SEC_WEBSOCKET_KEY, key.value());
    }
    let answer = forward_once(exchange, selected, request).await?;
    if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Upgraded::Refused(answer));
    }
    let protocol = answer.head.fields.get("upgrade");
    if !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
        let detail = "The upstream switched to another protocol than the one asked for.";
        return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
    }
    let accept = answer.head.fields.get("sec-websocket-accept").unwrap_or_default();
    if key.is_some_and(|key| !key.is_answered_by(accept)) {
        let detail = "The upstream did not prove that it speaks WebSocket.";
        return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
    }
    Ok(Upgraded::Switched(answer))
}

/// A client of HTTP/2 that asks for a WebSocket gets one, or nothing: without it, its request makes no sense.
#[cold]
pub fn refused() -> GatewayError {
    GatewayError::new(Code::MethodNotAllowed, "This route takes no WebSockets.")
}
