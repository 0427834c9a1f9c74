//! Signed tokens for requests: all minted before the run, so that signing costs it nothing.
//!
//! A `{token(...)}` placeholder has claims with a bounded number of values (`user-{zipf(100)}` has a hundred). Each
//! combination is signed once, with ES256 or RS256 as the key is; templates that ask for the same claims share them.
//! `exp` and `iat` are set here from the time that the caller gives, so tokens differ from run to run; all else about a
//! request follows from the seed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draws::Draws;
use super::pattern::Pattern;

/// A bank of this many RS256 tokens takes a minute to sign and a hundred megabytes to keep.
const MAX_TOKENS: u64 = 100_000;

/// Why tokens cannot be minted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A template holds tokens, and there is no key.
    #[error("it holds {{token(...)}} and there is no key to sign with: give --token-key FILE (a private key in PEM)")]
    Missing,
    /// The key is of no use.
    #[error(
        "the key cannot be used ({0}): give a private key in PEM, for ES256 (P-256, PKCS #8) or RS256 (RSA); \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
    )]
    Key(String),
    /// A placeholder names a key that is not there.
    #[error("its tokens are to be signed with the key `{name}`, and {}", known_keys(.known))]
    Unknown {
        /// The key's name.
        name: String,
        /// Names of the keys that are there.
        known: Vec<String>,
    },
    /// More combinations of claims than can be kept.
    #[error("its claims have {0} combinations; at most {MAX_TOKENS} tokens are minted: use smaller ranges")]
    Many(String),
}

fn known_keys(known: &[String]) -> String {
    match known {
        [] => "no key here has a name: leave `key` out".to_owned(),
        known => format!("there are {}", known.join(", ")),
    }
}

/// What all tokens of a run have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// The claim `iss`, unless a placeholder has its own.
    pub issuer: Option<String>,
    /// The claim `aud`, unless a placeholder has its own.
    pub audience: Option<String>,
    /// The header's `kid`.
    pub key_id: Option<String>,
    /// The claim `iat`, seconds since the Unix epoch.
    pub issued_at: u64,
    /// From `iat` to `exp`.
    pub lifetime: Duration,
}

/// A private key, and the tokens that were signed with it.
#[derive(Debug)]
pub struct TokenKey {
    key: EncodingKey,
    algorithm: Algorithm,
    settings: TokenSettings,
    minted: Mutex<HashMap<String, Arc<TokenBank>>>,
    /// Others, for placeholders that name one of them.
    named: BTreeMap<String, Self>,
}

impl TokenKey {
    /// Reads a private key in PEM: P-256 (signs ES256) or RSA (signs RS256).
    ///
    /// # Errors
    /// [`KeyError::Key`] when it is neither, or a trial signature fails.
    pub fn from_pem(pem: &[u8], settings: TokenSettings) -> Result<Self, KeyError> {
        let (key, algorithm) = match EncodingKey::from_ec_pem(pem) {
            Ok(key) => (key, Algorithm::ES256),
            Err(_) => match EncodingKey::from_rsa_pem(pem) {
                Ok(key) => (key, Algorithm::RS256),
                Err(error) => return Err(KeyError::Key(error.to_string())),
            },
        };
        let made = Self { key, algorithm, settings, minted: Mutex::default(), named: BTreeMap::new() };
        // A key of another curve is noticed only when it signs.
        made.sign(&Map::new())?;
        Ok(made)
    }

    /// With another key beside it, which signs the tokens of placeholders that name it: `{token(key=NAME, subject=a)}`.
    #[must_use]
    pub fn beside(mut self, name: &str, key: Self) -> Self {
        self.named.insert(name.to_owned(), key);
        self
    }

    /// One token for each combination of the claims; the same ones for the same claims.
    pub(super) fn mint(&self, spec: &TokenSpec) -> Result<Arc<TokenBank>, KeyError> {
        let Some(name) = &spec.key else { return self.mint_own(spec) };
        let known = || self.named.keys().cloned().collect();
        let key = self.named.get(name).ok_or_else(|| KeyError::Unknown { name: name.clone(), known: known() })?;
        key.mint_own(spec)
    }

    fn mint_own(&self, spec: &TokenSpec) -> Result<Arc<TokenBank>, KeyError> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = spec.identity();
        if let Some(known) = minted.get(&identity) {
            return Ok(Arc::clone(known));
        }
        let variants = spec.variants().ok_or_else(|| KeyError::Many("endlessly many".to_owned()))?;
        if variants > MAX_TOKENS {
            return Err(KeyError::Many(variants.to_string()));
        }
        let tokens = (0..variants).map(|variant| self.sign(&self.claims(spec, variant)));
        let bank = Arc::new(TokenBank { tokens: tokens.collect::<Result<_, _>>()? });
        minted.insert(identity, Arc::clone(&bank));
        Ok(bank)
    }

    fn claims(&self, spec: &TokenSpec, variant: u64) -> Map<String, Value> {
        let settings = &self.settings;
        let mut claims = Map::new();
        for (name, value) in [("iss", &settings.issuer), ("aud", &settings.audience)] {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value.as_str().into());
            }
        }
        claims.insert("iat".to_owned(), settings.issued_at.into());
        claims.insert("exp".to_owned(), settings.issued_at.saturating_add(settings.lifetime.as_secs()).into());
        for (name, value) in spec.values(variant) {
            claims.insert(name, value.into());
        }
        claims
    }

    fn sign(&self, claims: &Map<String, Value>) -> Result<Box<[u8]>, KeyError> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.settings.key_id);
        let token =
            jsonwebtoken::encode(&header, claims, &self.key).map_err(|error| KeyError::Key(error.to_string()))?;
        Ok(token.into_bytes().into())
    }
}

/// The claims of one placeholder.
#[derive(Debug, Clone)]
pub(super) struct TokenSpec {
    /// Who signs; the run's own key when `None`.
    pub(super) key: Option<String>,
    claims: Vec<(String, Pattern)>,
}

impl TokenSpec {
    /// `subject`, `issuer` and `audience` are written out; other names are the claims' own. Each pattern has a bounded
    /// number of variants.
    pub(super) fn new(key: Option<String>, claims: Vec<(String, Pattern)>) -> Self {
        let claim = |name: String| match name.as_str() {
            "subject" => "sub".to_owned(),
            "issuer" => "iss".to_owned(),
            "audience" => "aud".to_owned(),
            _ => name,
        };
        Self { key, claims: claims.into_iter().map(|(name, value)| (claim(name), value)).collect() }
    }

    fn variants(&self) -> Option<u64> {
        self.claims.iter().try_fold(1_u64, |product, (_, value)| product.checked_mul(value.variants()?))
    }

    /// Draws one of its variants.
    pub(super) fn draw_variant(&self, draws: &mut Draws) -> u64 {
        self.claims
            .iter()
            .fold(0, |variant, (_, value)| variant * value.variants().unwrap_or(1) + value.draw_variant(draws))
    }

    fn values(&self, mut variant: u64) -> Vec<(String, String)> {
        let mut values = Vec::with_capacity(self.claims.len());
        for (name, value) in self.claims.iter().rev() {
            let variants = value.variants().unwrap_or(1);
            let mut text = String::new();
            value.write_variant(variant % variants, &mut text);
            variant /= variants;
            values.push((name.clone(), text));
        }
        values.reverse();
        values
    }

    /// What tells two apart: names, and patterns as they are.
    fn identity(&self) -> String {
        format!("{:?}", self.claims)
    }
}

/// The tokens of one placeholder.
#[derive(Debug, Default)]
pub(super) struct TokenBank {
    tokens: Vec<Box<[u8]>>,
}

impl TokenBank {
    pub(super) fn token(&self, variant: u64) -> &[u8] {
        usize::try_from(variant).ok().and_then(|index| self.tokens.get(index)).map_or(b"", |token| token)
    }
}
