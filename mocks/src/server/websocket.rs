//! WebSocket: the handshake's check, and the echo (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::stream::Stream;
use crate::http1::head::Head;

/// The value of `sec-websocket-accept`; `None` when the request is no WebSocket handshake.
pub(crate) fn accept(head: &Head<'_, '_>) -> Option<String> {
    let has = |name: &str, token: &[u8]| {
        let mut tokens = head.values(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token))
    };
    let asked = head.method == "GET"
        && head.minor == 1
        && has("upgrade", b"websocket")
        && has("connection", b"upgrade")
        && has("sec-websocket-version", b"13");
    let mut keys = head.values("sec-websocket-key").filter(|_| asked);
    match (keys.next(), keys.next()) {
        // 16 bytes in base64 are 24 characters.
        (Some(key), None) if key.len() == 24 => Some(derive_accept_key(key)),
        _ => None,
    }
}

/// Sends each message back until the peer closes. Pings are answered and closes returned by the protocol's code.
pub(crate) async fn echo(stream: Stream, read_already: Vec<u8>) {
    let mut socket = WebSocketStream::from_partially_read(stream, read_already, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let sent = match message {
            message if message.is_text() || message.is_binary() => socket.send(message).await,
            // The answer to a ping, or to a close, was queued by the read; this sends it.
            _ => socket.flush().await,
        };
        if sent.is_err() {
            return;
        }
    }
}
