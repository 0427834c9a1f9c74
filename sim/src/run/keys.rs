//! The keys of a run: what signs the tokens of its requests, and the set that its gateways hold them against.
//!
//! They are made anew for each run, so that no token outlives it. The set has a key for ES256 and one for RS256; the
//! scenario says which of them signs.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey};
use loadgen::clock::unix_seconds;
use loadgen::journey::wire::Key;
use loadgen::request::{KeyError, TokenKey, TokenSettings};

use crate::scenario::model::{TokenAlgorithm, TokenPart};

/// Characters of a line of PEM (RFC 7468).
const LINE: usize = 64;

/// The keys of one run.
#[derive(Debug)]
pub(crate) struct RunKeys {
    /// Signs the tokens of loads.
    pub(crate) signing: TokenKey,
    /// The same key, for the users of journeys.
    pub(super) shared: Key,
    /// The public keys, as a JWK set.
    pub(crate) set: String,
    /// The public RSA key in PEM, for programs that read no JWK sets.
    pub(crate) rsa_public: String,
}

impl RunKeys {
    /// Makes them.
    pub(crate) fn make(part: &TokenPart) -> Result<Self, KeyError> {
        let (ec, (rsa, rsa_public)) = (ec_pem()?, rsa_pems()?);
        let keys = vec![public(&ec, Algorithm::ES256)?, public(&rsa, Algorithm::RS256)?];
        let set = serde_json::to_string(&JwkSet { keys }).map_err(|error| KeyError::Key(error.to_string()))?;
        let (pem, algorithm) = match part.algorithm {
            TokenAlgorithm::Es256 => (ec, Algorithm::ES256),
            TokenAlgorithm::Rs256 => (rsa, Algorithm::RS256),
        };
        let settings = TokenSettings {
            issuer: part.issuer.clone(),
            audience: part.audience.clone(),
            key_id: Some(key_id(algorithm)),
            issued_at: unix_seconds(),
            lifetime: part.lifetime,
        };
        let signing = TokenKey::from_pem(pem.as_bytes(), settings.clone())?;
        Ok(Self { signing, shared: Key { pem, settings }, set, rsa_public })
    }
}

fn key_id(algorithm: Algorithm) -> String {
    format!("run-{algorithm:?}").to_lowercase()
}

fn ec_pem() -> Result<String, KeyError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(unspecified)?;
    Ok(pem("PRIVATE", pair.to_pkcs8v1().map_err(unspecified)?.as_ref()))
}

/// A private key, and its public half.
fn rsa_pems() -> Result<(String, String), KeyError> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(unspecified)?;
    let private: Pkcs8V1Der<'static> = pair.as_der().map_err(unspecified)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(unspecified)?;
    Ok((pem("PRIVATE", private.as_ref()), pem("PUBLIC", public.as_ref())))
}

fn unspecified(error: aws_lc_rs::error::Unspecified) -> KeyError {
    KeyError::Key(format!("none could be made: {error}"))
}

/// A key in PEM (RFC 7468, sections 10 and 13).
fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(LINE).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN {kind} KEY-----\n{}-----END {kind} KEY-----\n", lines.collect::<String>())
}

fn public(pem: &str, algorithm: Algorithm) -> Result<Jwk, KeyError> {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let public = key.and_then(|key| Jwk::from_encoding_key(&key, algorithm));
    let mut public = public.map_err(|error| KeyError::Key(error.to_string()))?;
    public.common.key_id = Some(key_id(algorithm));
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(public)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jsonwebtoken::{DecodingKey, Validation, decode};
    use loadgen::request::{Dice, Text};
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_set_proves_what_the_key_signs() {
        for algorithm in [TokenAlgorithm::Es256, TokenAlgorithm::Rs256] {
            let (issuer, audience) = (Some("https://idp.example".to_owned()), Some("api".to_owned()));
            let part = TokenPart { algorithm, issuer, audience, lifetime: Duration::from_secs(60) };
            let keys = RunKeys::make(&part).unwrap();
            let mut text = Text::parse("{token(subject=user-1)}").unwrap();
            text.mint(Some(&keys.signing)).unwrap();
            let token = text.render(&mut Dice::new(1, 1), &Default::default());
            let header = jsonwebtoken::decode_header(&token).unwrap();
            let set: JwkSet = serde_json::from_str(&keys.set).unwrap();
            assert_eq!(set.keys.len(), 2);
            let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap()).unwrap()).unwrap();
            let mut validation = Validation::new(header.alg);
            validation.set_audience(&["api"]);
            validation.set_issuer(&["https://idp.example"]);
            let claims = decode::<Value>(&token, &key, &validation).unwrap().claims;
            assert_eq!(claims["sub"], "user-1");
            assert!(!keys.set.contains("\"d\""), "no private part");
        }
    }
}
