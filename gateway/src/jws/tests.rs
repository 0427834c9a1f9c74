//! Attacks and oddities, each with the id of its requirement (security.md, H), beside what must pass.

mod forms;
mod keys;
mod signatures;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::samples::{self, SECRET};
use super::{Algorithm, Key, KeyError, KeySet, KeySetError, Refusal, base64url::encode, verify};

fn one(jwk: &Value) -> KeySet {
    KeySet::single(Key::from_jwk(jwk).expect("a key"))
}

fn judge(token: &str, keys: &KeySet) -> Result<Vec<u8>, Refusal> {
    verify(token.as_bytes(), keys, Algorithm::ALL, 8192).map(|verified| verified.payload)
}

fn rs256() -> (KeySet, String) {
    (one(&samples::jwk(Algorithm::Rs256)), samples::token(Algorithm::Rs256, None, &json!({ "sub": "ada" })))
}

/// A token with this header, signed with the right key.
fn with_header(header: &str) -> Result<Vec<u8>, Refusal> {
    let token = samples::token_of(Algorithm::Es256, header.as_bytes(), b"{}");
    judge(&token, &one(&samples::jwk(Algorithm::Es256)))
}
