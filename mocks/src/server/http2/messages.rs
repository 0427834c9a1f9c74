//! gRPC's framing (a flag, four bytes of length, the message), and the one message of the health check.

use bytes::{Buf, Bytes, BytesMut};

/// The longest message that is taken; gRPC's usual bound.
const MAX_MESSAGE: usize = 4 << 20;
/// The flag and the length.
const PREFIX: usize = 5;

/// Why bytes are no message: a gRPC code, and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable(pub u8, pub &'static str);

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    unread: BytesMut,
}

impl Messages {
    /// More bytes have come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next whole message with its prefix, as it came.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Unreadable> {
        let Some(prefix) = self.unread.first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if prefix[0] != 0 {
            return Err(Unreadable(12, "compressed messages are not taken"));
        }
        if length > MAX_MESSAGE {
            return Err(Unreadable(8, "the message is longer than 4 MiB"));
        }
        if self.unread.len() < PREFIX + length {
            return Ok(None);
        }
        Ok(Some(self.unread.split_to(PREFIX + length).freeze()))
    }

    /// Nothing is left over.
    pub(super) fn is_empty(&self) -> bool {
        self.unread.is_empty()
    }
}

/// A message with its prefix.
pub(super) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat().into()
}

/// `HealthCheckResponse { status: SERVING }`.
pub(super) const SERVING: &[u8] = &[0x08, 0x01];

/// The service that a `HealthCheckRequest` names (`string service = 1`); empty when it names none. `None`: it is no
/// such message.
pub(super) fn service(framed: &Bytes) -> Option<Bytes> {
    let mut rest = framed.slice(PREFIX.min(framed.len())..);
    let mut service = Bytes::new();
    while rest.has_remaining() {
        let key = varint(&mut rest)?;
        let length = match key & 7 {
            0 => {
                varint(&mut rest)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            5 => 4,
            _ => return None,
        };
        if rest.len() < length {
            return None;
        }
        let value = rest.split_to(length);
        if key == (1 << 3 | 2) {
            service = value;
        }
    }
    Some(service)
}

/// A number of protobuf's: seven bits a byte, the low ones first.
fn varint(bytes: &mut Bytes) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.has_remaining().then(|| bytes.get_u8())?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn messages_are_found_however_they_are_cut(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..6), size in 1usize..20,
        ) {
            let all: Vec<u8> = sent.iter().flat_map(|message| framed(message)).collect();
            let (mut messages, mut found) = (Messages::default(), Vec::new());
            for piece in all.chunks(size) {
                messages.push(piece);
                while let Some(message) = messages.next().unwrap() {
                    found.push(message[PREFIX..].to_vec());
                }
            }
            prop_assert_eq!(found, sent);
            prop_assert!(messages.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut messages = Messages::default();
            messages.push(&bytes);
            let _ = (messages.next(), service(&Bytes::from(bytes)));
        }
    }

    #[test]
    fn what_is_not_taken_has_its_code() {
        let code = |bytes: &[u8]| {
            let mut messages = Messages::default();
            messages.push(bytes);
            messages.next().map_err(|unreadable| unreadable.0)
        };
        assert_eq!(code(&[1, 0, 0, 0, 0]), Err(12));
        assert_eq!(code(&[0, 1, 0, 0, 0]), Err(8));
        assert_eq!(code(&[0, 0, 0, 0]), Ok(None));
    }

    #[test]
    fn a_health_check_names_a_service() {
        let name = |message: &[u8]| service(&framed(message)).map(|name| name.to_vec());
        assert_eq!(name(b""), Some(vec![]));
        assert_eq!(name(b"\x0a\x03abc"), Some(b"abc".to_vec()));
        assert_eq!(name(b"\x10\x96\x01\x0a\x01a\x25....\x19........"), Some(b"a".to_vec()), "other fields are skipped");
        assert_eq!(name(b"\x0a\x05abc"), None);
        assert_eq!(name(b"\x0b"), None);
    }
}
