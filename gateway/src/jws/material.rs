//! What a signature is computed with: a key of the library, ready to be used.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents};

use super::algorithm::Family;
use super::key::KeyError;
use super::{Algorithm, Refusal};

/// A key for one algorithm, parsed once.
#[derive(Clone)]
pub(super) enum Material {
    /// A public key; it knows its algorithm.
    Public(ParsedPublicKey),
    /// A secret; boxed, as it holds the states of two hashes.
    Secret(Box<hmac::Key>),
}

/// The numbers of a key, of the length that its type and curve give them.
pub(super) enum Numbers {
    /// `n` and `e`, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// The curve, and an uncompressed point (SEC 1, section 2.3.3).
    Ec { curve: String, point: Vec<u8> },
    /// An encoded point.
    Ed25519(Vec<u8>),
    /// A secret.
    Oct(Vec<u8>),
}

impl Numbers {
    /// The algorithms that fit the key's type, curve and size.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> + '_ {
        Algorithm::ALL.iter().copied().filter(move |algorithm| match (algorithm.family(), self) {
            (Family::Rsa(_), Self::Rsa { .. }) | (Family::Ed25519, Self::Ed25519(_)) => true,
            (Family::Ec(name, ..), Self::Ec { curve, .. }) => name == curve,
            (Family::Hmac(_, hash), Self::Oct(secret)) => secret.len() >= hash,
            _ => false,
        })
    }

    /// The key for an algorithm that fits it.
    ///
    /// # Errors
    /// The numbers are no key: a point is not on its curve, say.
    pub(super) fn prepare(&self, algorithm: Algorithm) -> Result<Material, KeyError> {
        let public = match (algorithm.family(), self) {
            (Family::Rsa(parameters), Self::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)
            }
            (Family::Ec(_, _, verification), Self::Ec { point, .. }) => ParsedPublicKey::new(verification, point),
            (Family::Ed25519, Self::Ed25519(point)) => ParsedPublicKey::new(&ED25519, point),
            (Family::Hmac(hash, _), Self::Oct(secret)) => {
                return Ok(Material::Secret(Box::new(hmac::Key::new(hash, secret))));
            }
            _ => return Err(KeyError::Algorithm),
        };
        public.map(Material::Public).map_err(|_| KeyError::Invalid)
    }
}

impl Material {
    /// Verifies. Secrets are compared in constant time.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let verified = match self {
            Self::Public(key) => key.verify_sig(message, signature),
            Self::Secret(key) => hmac::verify(key, message, signature),
        };
        verified.map_err(|_| Refusal::Signature)
    }
}
