//! The keys of a run: what signs the tokens of its requests, and the set that its gateways hold them against.
//!
//! They are made anew for each run, so that no token outlives it. Where the scenario names none, the set has a key for
//! ES256 and one for RS256, and the scenario says which of them signs. Keys that it names come into the set, and go, at
//! their times.

use std::collections::BTreeSet;
use std::time::Duration;

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

use crate::scenario::model::{KeyPart, TokenAlgorithm, TokenPart};

/// Characters of a line of PEM (RFC 7468).
const LINE: usize = 64;

/// The keys of one run.
#[derive(Debug)]
pub(crate) struct RunKeys {
    /// Signs the tokens of loads.
    pub(crate) signing: TokenKey,
    /// The key that signs where no other is named, for the users of journeys.
    pub(super) shared: Key,
    /// The public keys as JWK sets, each from its time on, counted from t = 0. The first is from the start.
    pub(super) published: Vec<(Duration, String)>,
    /// The public half of the first RSA key in PEM, for programs that read no JWK sets; empty when there is none.
    pub(crate) rsa_public: String,
}

/// One key that was made.
struct Made {
    pem: String,
    public: Jwk,
    /// In PEM, of RSA keys.
    rsa_public: Option<String>,
}

impl RunKeys {
    /// Makes them.
    pub(crate) fn make(part: &TokenPart) -> Result<Self, KeyError> {
        Self::make_at(part, unix_seconds())
    }

    /// Makes them for tokens that are issued at this time, seconds since the Unix epoch.
    pub(crate) fn make_at(part: &TokenPart, issued_at: u64) -> Result<Self, KeyError> {
        let keys = if part.keys.is_empty() { one_of_each(part.algorithm) } else { part.keys.clone() };
        let made = keys.iter().map(make).collect::<Result<Vec<Made>, KeyError>>()?;
        let settings = |key: &KeyPart| TokenSettings {
            issuer: part.issuer.clone(),
            audience: part.audience.clone(),
            key_id: Some(key.name.clone()),
            issued_at,
            lifetime: part.lifetime,
        };
        let signer = |at: usize| TokenKey::from_pem(made[at].pem.as_bytes(), settings(&keys[at]));
        let mut signing = signer(0)?;
        for (at, key) in keys.iter().enumerate() {
            signing = signing.beside(&key.name, signer(at)?);
        }
        let shared = Key { pem: made[0].pem.clone(), settings: settings(&keys[0]) };
        let rsa_public = made.iter().find_map(|made| made.rsa_public.clone()).unwrap_or_default();
        Ok(Self { signing, shared, published: published(&keys, &made)?, rsa_public })
    }

    /// The public keys at the start, as a JWK set.
    pub(crate) fn set(&self) -> &str {
        self.published.first().map_or("", |(_, set)| set)
    }
}

/// What a run has whose scenario names no keys: the first signs, and the set has one for each algorithm.
fn one_of_each(first: TokenAlgorithm) -> Vec<KeyPart> {
    let key = |algorithm| {
        let name = format!("run-{:?}", jose(algorithm)).to_lowercase();
        KeyPart { name, algorithm, from: None, until: None }
    };
    match first {
        TokenAlgorithm::Es256 => vec![key(TokenAlgorithm::Es256), key(TokenAlgorithm::Rs256)],
        TokenAlgorithm::Rs256 => vec![key(TokenAlgorithm::Rs256), key(TokenAlgorithm::Es256)],
    }
}

fn jose(algorithm: TokenAlgorithm) -> Algorithm {
    match algorithm {
        TokenAlgorithm::Es256 => Algorithm::ES256,
        TokenAlgorithm::Rs256 => Algorithm::RS256,
    }
}

fn make(key: &KeyPart) -> Result<Made, KeyError> {
    let (pem, rsa_public) = match key.algorithm {
        TokenAlgorithm::Es256 => (ec_pem()?, None),
        TokenAlgorithm::Rs256 => rsa_pems().map(|(private, public)| (private, Some(public)))?,
    };
    let public = public(&pem, jose(key.algorithm), &key.name)?;
    Ok(Made { pem, public, rsa_public })
}

/// A set for each time at which a key comes or goes.
fn published(keys: &[KeyPart], made: &[Made]) -> Result<Vec<(Duration, String)>, KeyError> {
    let changes = keys.iter().flat_map(|key| [key.from, key.until]).flatten();
    let times: BTreeSet<Duration> = changes.chain([Duration::ZERO]).collect();
    let set = |at: Duration| {
        let published = keys.iter().zip(made).filter(|(key, _)| key.is_published(at));
        let set = JwkSet { keys: published.map(|(_, made)| made.public.clone()).collect() };
        serde_json::to_string(&set).map_err(|error| KeyError::Key(error.to_string()))
    };
    times.into_iter().map(|at| Ok((at, set(at)?))).collect()
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

fn public(pem: &str, algorithm: Algorithm, name: &str) -> Result<Jwk, KeyError> {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let public = key.and_then(|key| Jwk::from_encoding_key(&key, algorithm));
    let mut public = public.map_err(|error| KeyError::Key(error.to_string()))?;
    public.common.key_id = Some(name.to_owned());
    public.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(public)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use loadgen::request::{Dice, Text};
    use serde_json::Value;

    use super::*;

    fn part(algorithm: TokenAlgorithm, keys: Vec<KeyPart>) -> TokenPart {
        let (issuer, audience) = (Some("https://idp.example".to_owned()), Some("api".to_owned()));
        TokenPart { algorithm, issuer, audience, lifetime: Duration::from_secs(60), keys }
    }

    fn token(keys: &RunKeys, text: &str) -> String {
        let mut text = Text::parse(text).unwrap();
        text.mint(Some(&keys.signing)).unwrap();
        text.render(&mut Dice::new(1, 1), &Default::default())
    }

    /// Whom a token is of, by the keys of a set.
    fn subject(token: &str, set: &str) -> Option<String> {
        let header = jsonwebtoken::decode_header(token).unwrap();
        let set: JwkSet = serde_json::from_str(set).unwrap();
        let key = DecodingKey::from_jwk(set.find(&header.kid.unwrap())?).unwrap();
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&["api"]);
        validation.set_issuer(&["https://idp.example"]);
        let claims = decode::<Value>(token, &key, &validation).unwrap().claims;
        claims["sub"].as_str().map(str::to_owned)
    }

    #[test]
    fn the_set_proves_what_the_key_signs() {
        for algorithm in [TokenAlgorithm::Es256, TokenAlgorithm::Rs256] {
            let keys = RunKeys::make(&part(algorithm, Vec::new())).unwrap();
            let token = token(&keys, "{token(subject=user-1)}");
            assert_eq!(jsonwebtoken::decode_header(&token).unwrap().alg, jose(algorithm));
            assert_eq!(subject(&token, keys.set()).as_deref(), Some("user-1"));
            assert_eq!(serde_json::from_str::<JwkSet>(keys.set()).unwrap().keys.len(), 2);
            assert!(keys.published.len() == 1 && !keys.set().contains("\"d\""), "no private part");
            assert!(keys.rsa_public.starts_with("-----BEGIN PUBLIC KEY"));
        }
    }

    #[test]
    fn keys_come_and_go_at_their_times() {
        let at = |seconds: u64| Some(Duration::from_secs(seconds));
        let key =
            |name: &str, from, until| KeyPart { name: name.to_owned(), algorithm: TokenAlgorithm::Es256, from, until };
        let keys = vec![key("old", None, at(12)), key("next", at(5), None)];
        let keys = RunKeys::make(&part(TokenAlgorithm::Es256, keys)).unwrap();
        let tokens = ["{token(subject=a)}", "{token(key=next, subject=b)}"].map(|text| token(&keys, text));
        let proven = |set: &str| tokens.each_ref().map(|token| subject(token, set));
        let [old, next] = ["a", "b"].map(|subject| Some(subject.to_owned()));
        let found: Vec<_> = keys.published.iter().map(|(at, set)| (at.as_secs(), proven(set))).collect();
        assert_eq!(found, [(0, [old.clone(), None]), (5, [old, next.clone()]), (12, [None, next])]);
        assert_eq!(keys.rsa_public, "");
    }
}
