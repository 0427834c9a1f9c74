//! A token issuer for the stories: a key that signs, and the set that verifies.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::clock::Clock;
use serde_json::{Value, json};

/// The `iss` of its tokens.
pub(crate) const ISSUER: &str = "https://idp.test";

/// A key of an issuer.
pub(crate) struct Issuer {
    pair: EcdsaKeyPair,
    kid: String,
}

impl Issuer {
    /// An issuer with a new key.
    pub(crate) fn new(kid: &str) -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(), kid: kid.to_owned() }
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    /// A set of this key alone.
    pub(crate) fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// A token over a header and a payload as they are.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token that holds for a minute, with these claims in the place of the usual; null takes one away.
    pub(crate) fn token(&self, members: &Value) -> String {
        let mut claims =
            json!({ "iss": ISSUER, "aud": "api", "sub": "ada", "exp": now() + 60, "scope": "orders:read" });
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        self.sign(&json!({ "alg": "ES256", "kid": self.kid }).to_string(), &claims.to_string())
    }

    /// `[identity.providers.main]` with this key, as TOML.
    pub(crate) fn provider(&self, more: &str) -> String {
        format!(
            "[identity.providers.main]\nkind = 'jwt'\nissuer = '{ISSUER}'\naudiences = ['api']\n\
             jwks = {{ inline = '{}' }}\n{more}\n",
            self.jwks()
        )
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let clock = Clock::system();
    clock.unix_us(clock.now()) / 1_000_000
}
