//! WebSocket upgrades (RFC 6455): the tunnel starts after the upstream's 101, never before.

use http::{StatusCode, header};

use super::attempt::Failure;
use super::head::Outgoing;
use super::retry::forward_to_switch;
use crate::context::{answer_to, mark_websocket};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::http1::ResponseHead;
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
        request.head.headers.insert(&header::SEC_WEBSOCKET_KEY, key.value());
    }
    let asked = request.head.headers.get(&header::SEC_WEBSOCKET_KEY).map(|key| key.as_bytes().to_vec());
    let mut answer = forward_to_switch(exchange, selected, request).await?;
    if answer.source.leg.is_shared() {
        if !answer.head.status.is_success() {
            return Ok(Upgraded::Refused(answer));
        }
        let own = key.is_some();
        prove(&mut answer.head, asked.filter(|_| !own).as_deref());
        return Ok(Upgraded::Switched(answer));
    }
    if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
        if exchange.connection.opens_tunnel(answer.head.status) {
            let detail = "The upstream did not switch to WebSocket.";
            return Err(GatewayError::new(Code::UpstreamInvalid, detail).into());
        }
        return Ok(Upgraded::Refused(answer));
    }
    if !switches(&answer.head) {
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

/// Whether a 101 opens the tunnel that was asked for, and nothing else: one protocol, named as one for this connection
/// (RFC 6455, section 4.1), and no body (RFC 9112, section 6.3). A length of 0, which has no place there either, says
/// nothing else.
fn switches(head: &ResponseHead) -> bool {
    let mut protocols = head.fields.all(&header::UPGRADE);
    let is_websocket = protocols.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    let tokens = head.fields.all(&header::CONNECTION).flat_map(|line| line.split(|byte| *byte == b','));
    let is_for_connection = tokens.map(<[u8]>::trim_ascii).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let has_body = head.fields.all(&header::CONTENT_LENGTH).any(|length| length != b"0")
        || head.fields.get("transfer-encoding").is_some();
    is_websocket && protocols.next().is_none() && is_for_connection && !has_body
}

/// Makes an answer of HTTP/2 the one that a client of HTTP/1 waits for: its 200 is 101 there, and proves nothing (RFC
/// 8441, section 5), so that the gateway answers the client's key.
fn prove(head: &mut ResponseHead, asked: Option<&[u8]>) {
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    head.fields.retain(|name| !name.eq_ignore_ascii_case(header::SEC_WEBSOCKET_ACCEPT.as_str().as_bytes()));
    if let Some(key) = asked {
        head.fields.push_more(&[(&header::SEC_WEBSOCKET_ACCEPT, &answer_to(key))]);
    }
}
