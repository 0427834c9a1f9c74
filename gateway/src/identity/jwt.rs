//! Signed tokens: their keys, and their verification.

use std::sync::Arc;

use super::claims::{self, Claims};
use super::key_store::KeyStore;
use crate::config::settings::identity::{Jwt, Keys};
use crate::jws::{KeySet, Refusal, Verified, verify};
use crate::telemetry::metrics::AuthResult;

/// A provider of signed tokens.
pub(super) struct Signed {
    /// As configured.
    settings: Jwt,
    /// Its keys, where they are fetched.
    pub(super) store: Option<Arc<KeyStore>>,
}

/// The number of a fixed set: it does not change while its provider lives.
const FIXED: u64 = 0;

impl Signed {
    /// A provider; keys that were fetched from the same place before are used on.
    pub(super) fn new(settings: Jwt, before: Option<Arc<KeyStore>>) -> Self {
        let store = match &settings.keys {
            Some(Keys::Fetched(source)) => Some(match before.filter(|before| before.source.from == source.from) {
                Some(same) if same.source == *source => same,
                Some(other) => Arc::new(KeyStore::after(&other, source.clone())),
                None => Arc::new(KeyStore::new(source.clone())),
            }),
            Some(Keys::Fixed(_)) | None => None,
        };
        Self { settings, store }
    }

    /// The number of its keys: another one once a key is taken back.
    #[inline]
    pub(super) fn keys_number(&self) -> u64 {
        self.store.as_ref().map_or(FIXED, |store| store.number())
    }

    /// Verifies a token at `now`, seconds since the Unix epoch.
    ///
    /// # Errors
    /// Why it does not hold.
    pub(super) fn verify(&self, token: &[u8], now: i64) -> Result<Claims, AuthResult> {
        let verified = self.verify_signature(token)?;
        let typ = &self.settings.typ;
        if !typ.is_empty() && !typ.iter().any(|typ| verified.header.is_typ(typ)) {
            return Err(Refusal::Type.into());
        }
        claims::judge(&verified.payload, &self.settings, now)
    }

    fn verify_signature(&self, token: &[u8]) -> Result<Verified, AuthResult> {
        let with = |keys: &KeySet| verify(token, keys, &self.settings.algorithms, self.settings.max_token_bytes);
        let with_public = match (&self.settings.keys, &self.store) {
            (Some(Keys::Fixed(fixed)), _) => with(&fixed.set).map_err(AuthResult::from),
            (_, Some(store)) => match store.keys() {
                Some(fetched) => with(&fetched.set).map_err(AuthResult::from),
                None => Err(AuthResult::NoKeys),
            },
            _ => Err(AuthResult::UnknownKey),
        };
        match (with_public, &self.settings.secret) {
            // Each algorithm has its own kind of key, so at most one of both takes the token.
            (Err(why @ (AuthResult::AlgorithmOfKey | AuthResult::UnknownKey | AuthResult::NoKeys)), Some(secret)) => {
                with(&secret.set).map_err(|refusal| match refusal {
                    Refusal::AlgorithmOfKey | Refusal::UnknownKey => why,
                    other => other.into(),
                })
            }
            (result, _) => result,
        }
    }
}
