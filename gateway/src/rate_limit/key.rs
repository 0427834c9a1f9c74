//! Who a request counts as.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::busiest::Shown;
use crate::config::settings::rate_limit::LimitKey;
use crate::exchange::Exchange;
use crate::network::Network;
use crate::plugins::LimitRequest;
use crate::request_fields::RequestFields;

/// Longer names of keys are cut where they are shown.
const SHOWN: usize = 128;

/// What a request is counted by. Two kinds never meet, whatever they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    /// All requests.
    Global,
    /// All requests of a route.
    Route(&'a str),
    /// A client's address, or the network that it counts as.
    Address(IpAddr),
    /// A header's value.
    Header(&'a [u8]),
    /// Who is asking: the provider that says so, and the subject, which is one only there.
    Subject(&'a str, &'a str),
    /// A claim's value.
    Claim(&'a str),
    /// The same where it is a whole number.
    NumberClaim(i64),
    /// What the program's own code says: the first half of a SHA-256 of it.
    Custom(u128),
}

impl<'a> Key<'a> {
    /// The key of a request. Where what the rule counts by is missing, it counts as its client's address.
    pub fn of<N: Network>(
        (key, ipv6_prefix): (&LimitKey, u8),
        exchange: &'a Exchange<N>,
        headers: &'a RequestFields,
    ) -> Self {
        let named = match key {
            LimitKey::Global => Some(Self::Global),
            LimitKey::Route => exchange.route().map(|route| Self::Route(&route.settings.name)),
            LimitKey::Header(name) => headers.get(name).map(|value| Self::Header(value.as_bytes())),
            LimitKey::Subject => {
                exchange.identity.as_deref().and_then(|it| Some(Self::Subject(&it.provider, it.subject.as_deref()?)))
            }
            LimitKey::Claim(name) => {
                exchange.identity.as_deref().and_then(|it| Self::of_claim(it.claims.get(&**name)?))
            }
            LimitKey::Custom(name) => Self::of_program(name, exchange, headers),
            LimitKey::ClientIp => None,
        };
        named.unwrap_or_else(|| Self::Address(network_of(exchange.client.ip, ipv6_prefix)))
    }

    /// What the program's own code says.
    #[cold]
    fn of_program<N: Network>(name: &str, exchange: &Exchange<N>, headers: &RequestFields) -> Option<Self> {
        let key = exchange.shard.shared.plugins.limit_key(name)?;
        key.key(&LimitRequest::of(exchange, &headers.to_map())).map(|text| Self::Custom(first_half(text.as_bytes())))
    }

    /// A claim that is one value; lists and objects are none.
    fn of_claim(claim: &'a Value) -> Option<Self> {
        match claim {
            Value::String(text) => Some(Self::Claim(text)),
            Value::Number(number) => number.as_i64().map(Self::NumberClaim),
            Value::Bool(true) => Some(Self::Claim("true")),
            Value::Bool(false) => Some(Self::Claim("false")),
            _ => None,
        }
    }

    /// A keyed hash, for this process alone.
    #[inline]
    pub fn hash_with(&self, hasher: &impl BuildHasher) -> u64 {
        let mut state = hasher.build_hasher();
        match self {
            Self::Address(IpAddr::V4(address)) => state.write_u64(u64::from(u32::from(*address)) << 8 | 1),
            Self::Address(IpAddr::V6(address)) => {
                state.write_u8(2);
                state.write_u128(u128::from(*address));
            }
            other => other.hash(&mut state),
        }
        state.finish()
    }

    /// Kind and value as bytes, the same in every process.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, value): (&[u8], Cow<'_, [u8]>) = match self {
            Self::Global => (b"global", Cow::Borrowed(b"")),
            Self::Route(name) => (b"route", name.as_bytes().into()),
            Self::Address(IpAddr::V4(address)) => (b"address", address.octets().to_vec().into()),
            Self::Address(IpAddr::V6(address)) => (b"address", address.octets().to_vec().into()),
            Self::Header(value) => (b"header", (*value).into()),
            // Names of providers have no such byte.
            Self::Subject(provider, subject) => (b"subject", [*provider, "\0", *subject].concat().into_bytes().into()),
            Self::Claim(value) => (b"claim", value.as_bytes().into()),
            Self::NumberClaim(number) => (b"number", number.to_be_bytes().to_vec().into()),
            Self::Custom(digest) => (b"custom", digest.to_be_bytes().to_vec().into()),
        };
        out.extend_from_slice(kind);
        out.push(0);
        out.extend_from_slice(&value);
    }

    /// The key for operators' eyes, and of a subject its provider.
    pub fn told(&self, rule: &str) -> Shown {
        let provider = if let Self::Subject(provider, _) = self { Some((*provider).into()) } else { None };
        Shown { key: self.shown(rule).into(), provider }
    }

    /// The key for operators' eyes. Headers may hold secrets, so only their hash is shown.
    pub fn shown(&self, rule: &str) -> String {
        let cut = |text: &str| text.chars().take(SHOWN).collect();
        match self {
            Self::Global => "(all requests)".to_owned(),
            Self::Route(name) => cut(name),
            Self::Address(address) => address.to_string(),
            Self::Header(_) | Self::Custom(_) => format!("sha256:{:032x}", stable_id(rule, None, self)),
            Self::Subject(_, text) | Self::Claim(text) => cut(text),
            Self::NumberClaim(number) => number.to_string(),
        }
    }
}

/// The network of an address that counts as one client. IPv4 addresses count each, however they are written.
pub(super) fn network_of(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let kept = u32::from(ipv6_prefix.min(128));
            let mask = u128::MAX.checked_shl(128 - kept).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(address) & mask))
        }
        v4 => v4,
    }
}

/// What a key is called in a store, whatever its rule: 128 bits of a SHA-256, in 22 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortId(u128);

impl ShortId {
    /// Of a key.
    pub fn of(key: &Key<'_>) -> Self {
        Self(stable_id("", None, key))
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
        (0..22).try_for_each(|digit| f.write_char(char::from(DIGITS[(self.0 >> (6 * digit)) as usize & 63])))
    }
}

/// What a key is called where it must not be readable: in events, and in a store. The first half of a SHA-256 over the
/// rule's name, the tier where it has one, and the key, so that it is the same in every gateway.
pub fn stable_id(rule: &str, tier: Option<&str>, key: &Key<'_>) -> u128 {
    let mut bytes = Vec::with_capacity(64);
    for part in [rule, tier.unwrap_or("")] {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    key.write(&mut bytes);
    first_half(&bytes)
}

/// The first half of a SHA-256.
fn first_half(bytes: &[u8]) -> u128 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    digest.iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str, prefix: u8) -> String {
        network_of(text.parse().unwrap(), prefix).to_string()
    }

    #[test]
    fn k5_a_client_that_moves_within_its_network_stays_one_client() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::1", 64), network("2001:db8:1:2::9", 64));
        assert_ne!(network("2001:db8:1:3::1", 64), network("2001:db8:1:2::1", 64));
        assert_eq!(network("2001:db8::1", 128), "2001:db8::1");
        assert_eq!(network("2001:db8::1", 1), "::");
        assert_eq!(network("::ffff:10.0.0.7", 64), "10.0.0.7");
        assert_eq!(network("10.0.0.7", 8), "10.0.0.7");
    }

    #[test]
    fn k4_secrets_and_control_characters_are_not_shown() {
        let key = Key::Header(b"secret\r\nx: y");
        assert!(!key.shown("r").contains("secret") && key.shown("r").starts_with("sha256:"));
        assert!(Key::Subject("idp", &"x".repeat(10_000)).shown("r").len() <= SHOWN);
    }

    #[test]
    fn names_in_stores_are_fixed() {
        // Gateways of two versions share a store: this may change only together with the name of the script.
        let (v4, v6) = ("10.0.0.7".parse().unwrap(), "2001:db8::".parse().unwrap());
        for (key, expected) in [
            (Key::Global, "toY5ZTHK-NawfWRq8BDJu2"),
            (Key::Route("api"), "HaH-eV9sLhbEGjyaLQ7BD2"),
            (Key::Address(v4), "goAFTqJb0_Fyw-DUEiOm53"),
            (Key::Address(v6), "OpenE4hXyr1VAVA4G_07w2"),
            (Key::Header(b"k"), "-7J0TiUK4l8ZnzagnLWWo3"),
            (Key::Subject("idp", "ada"), "bkb2N5D1wagP-GZ414lU61"),
            (Key::Claim("acme"), "OyEkOtg040R1UxTzLc-F62"),
            (Key::NumberClaim(7), "nEvDSplqxFHbMRL30pnfi1"),
            (Key::Custom(7), "xbodAyI0dqulLtBVMOlbw2"),
        ] {
            assert_eq!(ShortId::of(&key).to_string(), expected, "{key:?}");
        }
        // What events call keys.
        const EVENT: u128 = 0x1fe4_d370_846e_3aa0_63e5_3444_50bd_5deb;
        assert_eq!(stable_id("public", None, &Key::Address(v4)), EVENT);
        assert_ne!(EVENT, stable_id("public", Some("anonymous"), &Key::Address(v4)));
        assert_ne!(stable_id("a", None, &Key::Global), stable_id("b", None, &Key::Global));
    }

    proptest! {
        #[test]
        fn kinds_never_meet(value in "[ -~]{0,20}") {
            let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
            let keys = [
                Key::Global,
                Key::Route(&value),
                Key::Header(value.as_bytes()),
                Key::Subject("idp", &value),
                Key::Subject("other", &value),
                Key::Claim(&value),
                Key::Custom(first_half(value.as_bytes())),
            ];
            for (position, a) in keys.iter().enumerate() {
                for b in &keys[position + 1..] {
                    prop_assert_ne!(a.hash_with(&hasher), b.hash_with(&hasher));
                    prop_assert_ne!(stable_id("r", None, a), stable_id("r", None, b));
                }
            }
        }
    }
}
