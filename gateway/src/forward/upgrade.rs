//! WebSocket upgrades (RFC 6455): the tunnel starts after the upstream's 101, never before.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};

use super::attempt::{Answer, Failure, forward_once};
use super::head::Outgoing;
use crate::client::Tunnel;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::response_body::Source;
use crate::upstream::Selected;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

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
    Switched(Response<()>, Box<Switched<N>>),
    /// It answered like any other request.
    Refused(Answer<N>),
}

/// Both the upstream's stream and its place among the connections.
pub struct Switched<N: Network> {
    source: Source<N>,
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
    mark(&mut request.head.headers);
    let Answer { response, source } = forward_once(exchange, selected, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Upgraded::Refused(Answer { response, source }));
    }
    let protocol = response.headers().get(header::UPGRADE);
    if !protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        let detail = "The upstream switched to another protocol than the one asked for.";
        return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
    }
    Ok(Upgraded::Switched(response, Box::new(Switched { source })))
}

/// Marks a head as a switch to WebSocket.
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, UPGRADE);
    headers.insert(header::UPGRADE, WEBSOCKET);
}

impl<N: Network> Switched<N> {
    /// Leaves the tunnel with the client's connection, which starts it when the 101 is written.
    pub fn leave_with(self, exchange: Box<Exchange<N>>) {
        let connection = std::sync::Arc::clone(&exchange.connection);
        let idle_timeout = exchange.route().and_then(|route| route.settings.idle_timeout);
        let (stream, read_ahead, open) = self.source.connection.into_stream();
        let selected = self.source.selected;
        let tunnel = Tunnel { stream, read_ahead, open, selected, idle_timeout, exchange };
        let mut slot = connection.tunnel.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *slot = Some(Box::new(tunnel));
    }
}
