//! One key (RFC 7517), and the policy that every key must meet before it verifies anything.
//!
//! The library below would take keys that nobody should: meant for something else, empty or short secrets, small
//! moduli, odd exponents, texts that are no canonical base64url. They are refused when they are loaded.

use std::fmt;

use serde_json::{Map, Value};

use super::material::{Material, Numbers};
use super::roca::is_of_flawed_generator;
use super::{Algorithm, Refusal, base64url};

/// The smallest modulus (RFC 7518, section 3.3), bits.
const RSA_MIN_BITS: usize = 2048;
/// The largest, as verifying is not free, bits.
const RSA_MAX_BITS: usize = 8192;
/// The largest exponent: nobody needs more than 32 bits, and a large one makes verifying slow.
const RSA_MAX_EXPONENT_BYTES: usize = 4;
/// The shortest secret that any algorithm takes: a hash of 256 bits (RFC 7518, section 3.2).
const SECRET_MIN_BYTES: usize = 32;
/// Members that only a private key has (RFC 7518, section 6; `k` aside, which is the whole of a secret).
pub(super) const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth"];

/// A key that meets the policy, ready to verify.
#[derive(Clone)]
pub struct Key {
    /// `kid`
    pub kid: Option<Box<str>>,
    /// What it may be used with, and with what; never empty.
    materials: Box<[(Algorithm, Material)]>,
    /// It came with its private half.
    pub is_private: bool,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyError {
    /// It is no JSON object, or a member that it needs is missing or of the wrong kind.
    Malformed,
    /// `kty` or `crv` is one that is not known here.
    Unknown,
    /// It is for something else: `use` is not `sig`, or `key_ops` is without `verify`.
    Purpose,
    /// `alg` is no signature algorithm that fits the key.
    Algorithm,
    /// A number is not canonical base64url, or does not have the length that it must have.
    Encoding,
    /// A number of RSA begins with a zero byte, which base64url of a number has none of (RFC 7518, sections 2 and
    /// 6.3.1.1).
    LeadingZero,
    /// A secret below the length of the shortest hash, a modulus below 2048 bits, or one of a flawed generator.
    Weak,
    /// A modulus above 8192 bits, or an exponent above 32.
    TooLarge,
    /// It is no key: the point is not on the curve, the exponent is even, the point has a small order.
    Invalid,
}

impl KeyError {
    /// As written in logs and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "key_malformed",
            Self::Unknown => "key_unknown_type",
            Self::Purpose => "key_not_for_verifying",
            Self::Algorithm => "key_algorithm",
            Self::Encoding | Self::LeadingZero => "key_encoding",
            Self::Weak => "key_weak",
            Self::TooLarge => "key_too_large",
            Self::Invalid => "key_invalid",
        }
    }

    /// What is wrong, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Malformed => "a member that it needs is missing or of the wrong kind",
            Self::Unknown => "its kty or crv is not known",
            Self::Purpose => "it is not for verifying signatures (use, key_ops)",
            Self::Algorithm => "its alg is no signature algorithm that fits it",
            Self::LeadingZero => {
                "its n or e begins with a zero byte, as Java's BigInteger.toByteArray has it: take it off"
            }
            Self::Encoding => "a number in it is not canonical base64url of the right length",
            Self::Weak => "it is too weak: RSA needs 2048 bits of a sound generator, a secret the length of the hash",
            Self::TooLarge => "it is larger than any key that is in use",
            Self::Invalid => "it is no key: its numbers are not on the curve, or impossible",
        }
    }

    /// Whether whoever published the set may have meant it so: such a key is for others.
    pub fn is_for_others(self) -> bool {
        matches!(self, Self::Unknown | Self::Purpose)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}

impl std::error::Error for KeyError {}

impl fmt::Debug for Key {
    /// Names no key material.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<Algorithm> = self.algorithms().collect();
        f.debug_struct("Key").field("kid", &self.kid).field("algorithms", &algorithms).finish_non_exhaustive()
    }
}

impl Key {
    /// Reads a key. A private key verifies as its public half does; [`Self::is_private`] tells.
    ///
    /// # Errors
    /// Which part of the policy it does not meet.
    pub fn from_jwk(jwk: &Value) -> Result<Self, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::Malformed)?;
        let kty = required(members, "kty")?;
        check_purpose(members)?;
        let numbers = match kty {
            "RSA" => rsa(members)?,
            "EC" => ec(members)?,
            "OKP" => okp(members)?,
            "oct" => Numbers::Oct(secret(&number(members, "k")?)?),
            _ => return Err(KeyError::Unknown),
        };
        let is_private = kty != "oct" && PRIVATE.iter().any(|name| members.contains_key(*name));
        let bound = match text(members, "alg")? {
            // Many write the curve's size for the hash's.
            Some("ES521") => Some(Algorithm::Es512),
            Some(alg) => Some(Algorithm::named(alg).ok_or(KeyError::Algorithm)?),
            None => None,
        };
        let kid = text(members, "kid")?.map(Box::from);
        Self::new(kid, &numbers, bound, is_private)
    }

    /// A secret for these algorithms.
    ///
    /// # Errors
    /// It is shorter than the hash of one of them.
    pub fn from_secret(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let numbers = Numbers::Oct(bytes.to_vec());
        let mut materials = Vec::new();
        for algorithm in algorithms.iter().filter(|algorithm| algorithm.is_symmetric()) {
            if !numbers.algorithms().any(|fitting| fitting == *algorithm) {
                return Err(KeyError::Weak);
            }
            materials.push((*algorithm, numbers.prepare(*algorithm)?));
        }
        if materials.is_empty() {
            return Err(KeyError::Algorithm);
        }
        Ok(Self { kid: None, materials: materials.into(), is_private: false })
    }

    fn new(
        kid: Option<Box<str>>,
        numbers: &Numbers,
        bound: Option<Algorithm>,
        is_private: bool,
    ) -> Result<Self, KeyError> {
        let fitting = numbers.algorithms().filter(|algorithm| bound.is_none_or(|bound| bound == *algorithm));
        let materials = fitting.map(|algorithm| Ok((algorithm, numbers.prepare(algorithm)?)));
        let materials: Box<[_]> = materials.collect::<Result<_, KeyError>>()?;
        match (materials.is_empty(), bound, numbers) {
            (false, ..) => Ok(Self { kid, materials, is_private }),
            (true, Some(bound), Numbers::Oct(_)) if bound.is_symmetric() => Err(KeyError::Weak),
            (true, ..) => Err(KeyError::Algorithm),
        }
    }

    /// What it may be used with.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> + '_ {
        self.materials.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether it may be used with this algorithm.
    pub fn takes(&self, algorithm: Algorithm) -> bool {
        self.materials.iter().any(|(known, _)| *known == algorithm)
    }

    /// Whether it is a secret.
    pub fn is_symmetric(&self) -> bool {
        self.algorithms().any(Algorithm::is_symmetric)
    }

    /// Verifies a signature over a message.
    ///
    /// # Errors
    /// The algorithm is not the key's, the signature has the wrong length, or it does not hold.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let known = self.materials.iter().find(|(known, _)| *known == algorithm);
        let (_, material) = known.ok_or(Refusal::AlgorithmOfKey)?;
        if algorithm.signature_len().is_some_and(|length| signature.len() != length) {
            return Err(Refusal::SignatureLength);
        }
        material.verify(message, signature)
    }
}

/// `use` must be `sig`, `key_ops` must hold `verify`, each where it is there (RFC 7517, sections 4.2 and 4.3).
fn check_purpose(members: &Map<String, Value>) -> Result<(), KeyError> {
    if text(members, "use")?.is_some_and(|usage| usage != "sig") {
        return Err(KeyError::Purpose);
    }
    let Some(operations) = members.get("key_ops") else { return Ok(()) };
    let operations = operations.as_array().ok_or(KeyError::Malformed)?;
    let texts: Option<Vec<&str>> = operations.iter().map(Value::as_str).collect();
    let texts = texts.ok_or(KeyError::Malformed)?;
    if texts.iter().enumerate().any(|(at, text)| texts[..at].contains(text)) {
        return Err(KeyError::Malformed);
    }
    if texts.contains(&"verify") { Ok(()) } else { Err(KeyError::Purpose) }
}

fn rsa(members: &Map<String, Value>) -> Result<Numbers, KeyError> {
    let (n, e) = (number(members, "n")?, number(members, "e")?);
    // As few bytes as the number has (RFC 7518, section 2, Base64urlUInt).
    let (Some(&first), Some(&exponent_first)) = (n.first(), e.first()) else { return Err(KeyError::Encoding) };
    if first == 0 || exponent_first == 0 {
        return Err(KeyError::LeadingZero);
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if bits < RSA_MIN_BITS || is_of_flawed_generator(&n) {
        return Err(KeyError::Weak);
    }
    if bits > RSA_MAX_BITS || e.len() > RSA_MAX_EXPONENT_BYTES {
        return Err(KeyError::TooLarge);
    }
    // Both are odd; an exponent of one would make every message its own signature.
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    if !is_odd(&n) || !is_odd(&e) || e == [1] {
        return Err(KeyError::Invalid);
    }
    Ok(Numbers::Rsa { n, e })
}

fn ec(members: &Map<String, Value>) -> Result<Numbers, KeyError> {
    let curve = required(members, "crv")?;
    let coordinate = match curve {
        "P-256" | "secp256k1" => 32,
        "P-384" => 48,
        "P-521" => 66,
        _ => return Err(KeyError::Unknown),
    };
    let (x, y) = (number(members, "x")?, number(members, "y")?);
    // Coordinates have the full length, leading zeros included (RFC 7518, section 6.2.1.2).
    if x.len() != coordinate || y.len() != coordinate {
        return Err(KeyError::Encoding);
    }
    Ok(Numbers::Ec { curve: curve.to_owned(), point: [&[4], &x[..], &y[..]].concat() })
}

fn okp(members: &Map<String, Value>) -> Result<Numbers, KeyError> {
    if required(members, "crv")? != "Ed25519" {
        return Err(KeyError::Unknown);
    }
    let point: [u8; 32] = number(members, "x")?.try_into().map_err(|_| KeyError::Encoding)?;
    if has_small_order(point) { Err(KeyError::Invalid) } else { Ok(Numbers::Ed25519(point.to_vec())) }
}

/// Whether a point of Ed25519 has an order that divides eight: under such a key a signature holds for many messages.
/// The points are those of libsodium's `ge25519_has_small_order`, the sign aside.
fn has_small_order(mut point: [u8; 32]) -> bool {
    const EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    point[31] &= 0x7f;
    let (first, middle, last) = (point[0], &point[1..31], point[31]);
    // y = 0 and y = 1; then p - 1, p and p + 1, where p = 2^255 - 19.
    let is_near_zero = first <= 1 && middle.iter().all(|byte| *byte == 0) && last == 0;
    let is_near_p = (0xec..=0xee).contains(&first) && middle.iter().all(|byte| *byte == 0xff) && last == 0x7f;
    is_near_zero || is_near_p || EIGHT.contains(&point)
}

fn secret(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    if bytes.len() < SECRET_MIN_BYTES { Err(KeyError::Weak) } else { Ok(bytes.to_vec()) }
}

/// A member that is text where it is there.
fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, KeyError> {
    members.get(name).map(|value| value.as_str().ok_or(KeyError::Malformed)).transpose()
}

fn required<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, KeyError> {
    text(members, name)?.ok_or(KeyError::Malformed)
}

/// A member that is base64url.
fn number(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    base64url::decode(required(members, name)?.as_bytes()).ok_or(KeyError::Encoding)
}
