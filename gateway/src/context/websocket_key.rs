//! The key of a WebSocket's handshake (RFC 6455, section 4.1), where the gateway makes it: a client that asks over
//! HTTP/2 has none (RFC 8441, section 5).

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Appended to the key before it is hashed (RFC 6455, section 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketKey(String);

impl WebSocketKey {
    /// Of random bits.
    pub fn new(bits: [u64; 2]) -> Self {
        Self(STANDARD.encode([bits[0].to_be_bytes(), bits[1].to_be_bytes()].concat()))
    }

    /// As `sec-websocket-key` has it.
    pub fn value(&self) -> HeaderValue {
        // Base64 is made of what a value may hold.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }

    /// Whether this `sec-websocket-accept` answers it.
    pub fn is_answered_by(&self, accept: &[u8]) -> bool {
        answer_to(self.0.as_bytes()).as_bytes() == accept
    }
}

/// The `sec-websocket-accept` that answers a key.
pub fn answer_to(key: &[u8]) -> String {
    // No secret and no signature: it shows that the other side speaks WebSocket.
    let mut hash = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(MAGIC);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_is_answered_as_it_says() {
        let key = WebSocketKey("dGhlIHNhbXBsZSBub25jZQ==".into());
        assert!(key.is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!key.is_answered_by(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOp="));
        assert_eq!(WebSocketKey::new([1, 2]).value().len(), 24);
    }
}
