//! WebSocket upgrades (RFC 6455): the tunnel starts after the upstream's 101, never before.

use http::StatusCode;

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
    let answer = forward_once(exchange, selected, request).await?;
    if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Upgraded::Refused(answer));
    }
    let protocol = answer.head.fields.get("upgrade");
    if !protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket")) {
        let detail = "The upstream switched to another protocol than the one asked for.";
        return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
    }
    Ok(Upgraded::Switched(answer))
}
