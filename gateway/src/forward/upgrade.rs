//! WebSocket upgrades (RFC 6455): the tunnel starts after the upstream's 101, never before.

use http::{HeaderMap, Method, StatusCode, Version, header};

use super::attempt::{Failure, forward_once};
use super::head::Outgoing;
use crate::context::mark_websocket;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::response_body::Answer;
use crate::upstream::Selected;

/// Whether the client asks for a WebSocket.
pub fn is_websocket(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    let Some(upgrade) = headers.get(header::UPGRADE) else { return false };
    *method == Method::GET
        && version == Version::HTTP_11
        && upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")
        && names_upgrade(headers)
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

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
    if answer.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Upgraded::Refused(answer));
    }
    let protocol = answer.response.headers().get(header::UPGRADE);
    if !protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        let detail = "The upstream switched to another protocol than the one asked for.";
        return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
    }
    Ok(Upgraded::Switched(answer))
}
