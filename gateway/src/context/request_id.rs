//! The name of a request: a UUID of version 4 (RFC 9562, section 5.4), or what a trusted peer already calls it.
//!
//! Minting allocates nothing and reads no randomness: 128 random bits come in.

use http::HeaderValue;

use super::hex;

use crate::request_fields::{KnownName, RequestFields};

/// The longest id that is taken over from a trusted peer, bytes. A UUID has 36; others in use (ULID, Amazon's
/// `Root=1-...`, base64 of a digest) stay below 100.
const ACCEPTED_MAX: usize = 128;

/// A request's id: safe in a header and in a log line by construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Repr);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Repr {
    Minted([u8; 36]),
    /// Only bytes of [`is_id_byte`], so many of them. A UUID is one.
    Short([u8; 36], u8),
    /// The same, of more than have room there.
    Accepted(HeaderValue),
}

impl RequestId {
    /// A new UUIDv4 of 122 of these random bits.
    #[inline]
    pub fn mint(random: [u64; 2]) -> Self {
        let high = (random[0] & 0xffff_ffff_ffff_0fff) | 0x4000;
        let low = (random[1] & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let [a, b, c, d] = [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32].map(hex::digits);
        let mut text = [b'-'; 36];
        text[..8].copy_from_slice(&a);
        text[9..13].copy_from_slice(&b[..4]);
        text[14..18].copy_from_slice(&b[4..]);
        text[19..23].copy_from_slice(&c[..4]);
        text[24..28].copy_from_slice(&c[4..]);
        text[28..].copy_from_slice(&d);
        Self(Repr::Minted(text))
    }

    /// The peer's `x-request-id` where the peer is trusted and the id is one value of 1 to 128 bytes of
    /// `[A-Za-z0-9._~+/=-]`; else a new one.
    #[inline]
    pub fn accept_or_mint(headers: &RequestFields, peer_trusted: bool, random: [u64; 2]) -> Self {
        if peer_trusted && let Some(id) = Self::accepted(headers) { id } else { Self::mint(random) }
    }

    fn accepted(headers: &RequestFields) -> Option<Self> {
        let mut values = headers.get_all(KnownName::X_REQUEST_ID).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let bytes = value.as_bytes();
        let valid = (1..=ACCEPTED_MAX).contains(&bytes.len()) && bytes.iter().all(|b| is_id_byte(*b));
        if !valid {
            return None;
        }
        let mut text = [0; 36];
        Some(Self(match (text.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(bytes);
                Repr::Short(text, length)
            }
            _ => Repr::Accepted(value.to_header_value()),
        }))
    }

    /// The id as bytes of ASCII.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Minted(text) => text,
            Repr::Short(text, length) => text.get(..usize::from(*length)).unwrap_or_default(),
            Repr::Accepted(value) => value.as_bytes(),
        }
    }

    /// The id as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        // Both are ASCII by construction, so that the defaults are never taken.
        match &self.0 {
            Repr::Accepted(value) => value.to_str().unwrap_or_default(),
            _ => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }

    /// The value of `x-request-id`; allocates once for a minted id.
    #[inline]
    pub fn to_header_value(&self) -> HeaderValue {
        match &self.0 {
            Repr::Minted(text) => HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("")),
            Repr::Short(..) => HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static("")),
            Repr::Accepted(value) => value.clone(),
        }
    }
}

/// The alphabet of ids: the unreserved characters of URIs, and those of base64.
fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::names::X_REQUEST_ID;
    use super::*;

    fn from_peer(values: &[&[u8]], trusted: bool) -> RequestId {
        let mut headers = RequestFields::new();
        for value in values {
            headers.append(&X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        }
        RequestId::accept_or_mint(&headers, trusted, [1, 2])
    }

    #[test]
    fn a_minted_id_is_a_uuid_of_version_4() {
        let id = RequestId::mint([0x0123_4567_89ab_cdef, u64::MAX]);
        assert_eq!(id.as_str(), "01234567-89ab-4def-bfff-ffffffffffff");
        assert_eq!(RequestId::mint([0, 0]).as_str(), "00000000-0000-4000-8000-000000000000");
        assert_eq!(id.to_header_value(), id.as_str());
    }

    #[test]
    fn only_a_trusted_peer_names_a_request() {
        let minted = RequestId::mint([1, 2]);
        let longest = [b'a'; ACCEPTED_MAX];
        let too_long = [b'a'; ACCEPTED_MAX + 1];
        type Case<'a> = (&'a [&'a [u8]], bool, Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (&[b"req-1"], true, Some("req-1")),
            (&[b"req-1"], false, None),
            (&[b"Root=1-67891233-abcdef012345678912345678"], true, Some("Root=1-67891233-abcdef012345678912345678")),
            (&[b"aZ0._~+/=-"], true, Some("aZ0._~+/=-")),
            (&[&longest], true, Some(std::str::from_utf8(&longest).unwrap())),
            (&[&too_long], true, None),
            (&[b""], true, None),
            (&[b"a b"], true, None),
            (&[b"a\"b"], true, None),
            (&[b"a,b"], true, None),
            (&[b"caf\xc3\xa9"], true, None),
            (&[b"a", b"b"], true, None),
            (&[], true, None),
        ];
        for (values, trusted, expected) in cases {
            let id = from_peer(values, *trusted);
            assert_eq!(id.as_str(), expected.unwrap_or(minted.as_str()), "{values:?} {trusted}");
            assert_eq!(id.to_header_value(), id.as_str());
        }
    }

    proptest! {
        #[test]
        fn every_id_is_well_formed_and_keeps_its_random_bits(random in any::<[u64; 2]>()) {
            let id = RequestId::mint(random);
            let text = id.as_str();
            let groups: Vec<usize> = text.split('-').map(str::len).collect();
            prop_assert_eq!(groups, vec![8, 4, 4, 4, 12]);
            let number = u128::from_str_radix(&text.replace('-', ""), 16).unwrap();
            let given = (u128::from(random[0]) << 64) | u128::from(random[1]);
            let fixed: u128 = (0xf << 76) | (0x3 << 62);
            prop_assert_eq!(number & !fixed, given & !fixed);
            prop_assert_eq!(number & fixed, (0x4 << 76) | (0x2 << 62));
        }

        #[test]
        fn whatever_a_peer_sends_the_id_is_clean(value in proptest::collection::vec(32_u8..127, 0..200)) {
            let id = from_peer(&[&value], true);
            prop_assert!(!id.as_str().is_empty() && id.as_str().len() <= ACCEPTED_MAX);
            prop_assert!(id.as_str().bytes().all(is_id_byte));
        }
    }
}
