//! A set of keys (RFC 7517, section 5), and which of them a token is verified with.
//!
//! A set is refused whole where it says two things (a `kid` twice), where a secret lies among public keys, and where a
//! private key does: whoever can read it can sign. That is so whatever the secret or the private key is for. A key that
//! is for something else, or that is bad, is left out; it never verifies. Sets with keys for encryption beside those
//! for signatures are common, some with one `kid` for both, and are not refused for it: a `kid` names one of those that
//! verify.

use std::fmt;

use serde_json::Value;

use super::key::{Key, KeyError, PRIVATE};
use super::{Header, Refusal, json};

/// Keys that a set may have.
pub const MAX_KEYS: usize = 100;
/// The largest set, bytes.
pub const MAX_KEY_SET_BYTES: usize = 256 << 10;
/// A longer `kid` names no key.
const MAX_KID_BYTES: usize = 1024;

/// Keys, one for each `kid`.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// A key of a set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its `kid`, where it has one.
    pub kid: Option<String>,
    /// Why.
    pub error: KeyError,
}

/// Why a set is refused whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySetError {
    /// It is larger than [`MAX_KEY_SET_BYTES`].
    TooLarge,
    /// It is not JSON, or names a member twice.
    Json(String),
    /// It has no array `keys`.
    NoKeys,
    /// More than [`MAX_KEYS`].
    TooMany,
    /// Two keys of one `kid` that both verify.
    Duplicate(String),
    /// Secrets and public keys in one set: a public key could be taken for a secret.
    Mixed,
    /// A private key, by its `kid`.
    Private(String),
    /// No key in it can verify a signature; why each cannot.
    Unusable(Vec<LeftOut>),
}

impl KeySetError {
    /// As written in answers.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::TooLarge => "key_set_too_large",
            Self::Json(_) => "key_set_json",
            Self::NoKeys => "key_set_malformed",
            Self::TooMany => "key_set_too_many",
            Self::Duplicate(_) => "key_set_duplicate_kid",
            Self::Mixed => "key_set_mixed",
            Self::Private(_) => "key_set_private",
            Self::Unusable(_) => "key_set_unusable",
        }
    }
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the key set is larger than {MAX_KEY_SET_BYTES} bytes"),
            Self::Json(why) => write!(f, "the key set is not JSON: {why}"),
            Self::NoKeys => f.write_str("the key set has no array `keys`"),
            Self::TooMany => write!(f, "the key set has more than {MAX_KEYS} keys"),
            Self::Duplicate(kid) => write!(f, "two keys of the set have the kid {kid:?}"),
            Self::Mixed => f.write_str("the key set has secrets beside public keys"),
            Self::Private(kid) => write!(f, "the key set has the private key {kid:?}: whoever reads it can sign"),
            Self::Unusable(left_out) => match left_out.first() {
                Some(LeftOut { kid, error, .. }) => {
                    write!(f, "no key of the set can be used; {:?}: {error}", kid.as_deref().unwrap_or(""))
                }
                None => f.write_str("the key set is empty"),
            },
        }
    }
}

impl std::error::Error for KeySetError {}

/// A secret or a private key that was published is one that others know, also where it is for something else, or cannot
/// be used here.
fn refuse_what_is_secret(jwks: &[Value]) -> Result<(), KeySetError> {
    let text = |jwk: &Value, name: &str| jwk.get(name).and_then(Value::as_str).map(str::to_owned);
    let of_type = |jwk: &Value| text(jwk, "kty").map(|kty| kty == "oct");
    // One that does not say of what kind it is, is none that can be used, and published all the same.
    let is_private = |jwk: &&Value| of_type(jwk) != Some(true) && PRIVATE.iter().any(|name| jwk.get(name).is_some());
    if let Some(private) = jwks.iter().find(is_private) {
        return Err(KeySetError::Private(text(private, "kid").unwrap_or_default()));
    }
    let (secrets, others): (Vec<bool>, Vec<bool>) = jwks.iter().filter_map(of_type).partition(|is_secret| *is_secret);
    if secrets.is_empty() || others.is_empty() { Ok(()) } else { Err(KeySetError::Mixed) }
}

impl KeySet {
    /// Reads a set; what is left out is told.
    ///
    /// # Errors
    /// Why it is refused whole.
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<LeftOut>), KeySetError> {
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        Self::from_json(&json::parse(bytes).map_err(|error| KeySetError::Json(error.to_string()))?)
    }

    /// Reads a set that is JSON already, each member of it once.
    ///
    /// # Errors
    /// Why it is refused whole.
    pub fn from_json(set: &Value) -> Result<(Self, Vec<LeftOut>), KeySetError> {
        let jwks = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoKeys)?;
        if jwks.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        refuse_what_is_secret(jwks)?;
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, jwk) in jwks.iter().enumerate() {
            match Key::from_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
                    left_out.push(LeftOut { index, kid, error });
                }
            }
        }
        let set = Self::of(keys)?;
        if set.keys.is_empty() { Err(KeySetError::Unusable(left_out)) } else { Ok((set, left_out)) }
    }

    /// A set of these keys.
    ///
    /// # Errors
    /// They do not go together.
    pub fn of(keys: Vec<Key>) -> Result<Self, KeySetError> {
        let name = |key: &Key| key.kid.as_deref().unwrap_or("").to_owned();
        for (at, key) in keys.iter().enumerate() {
            if key.is_private {
                return Err(KeySetError::Private(name(key)));
            }
            if keys[..at].iter().any(|other| key.kid.is_some() && other.kid == key.kid) {
                return Err(KeySetError::Duplicate(name(key)));
            }
        }
        let secrets = keys.iter().filter(|key| key.is_symmetric()).count();
        if secrets > 0 && secrets < keys.len() {
            return Err(KeySetError::Mixed);
        }
        Ok(Self { keys })
    }

    /// A set of one key, a private one too.
    pub fn single(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// The keys.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Which key a token with this header is verified with. `kid` is looked up among the keys' own, and nowhere
    /// else; a key without one is found by whoever needs it, where there is no other.
    ///
    /// # Errors
    /// There is none, it is not for this algorithm, or there are several.
    pub(super) fn select(&self, header: &Header) -> Result<usize, Refusal> {
        if let Some(kid) = &header.kid {
            if kid.len() > MAX_KID_BYTES {
                return Err(Refusal::UnknownKey);
            }
            if let Some(index) = self.keys.iter().position(|key| key.kid.as_ref() == Some(kid)) {
                let takes = self.keys[index].takes(header.algorithm);
                return if takes { Ok(index) } else { Err(Refusal::AlgorithmOfKey) };
            }
        }
        let is_candidate = |key: &Key| header.kid.is_none() || key.kid.is_none();
        let fits = |(_, key): &(usize, &Key)| is_candidate(key) && key.takes(header.algorithm);
        let mut fitting = self.keys.iter().enumerate().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => Ok(index),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousKey),
            (None, _) if self.keys.iter().any(is_candidate) => Err(Refusal::AlgorithmOfKey),
            (None, _) => Err(Refusal::UnknownKey),
        }
    }
}
