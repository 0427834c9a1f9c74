//! Signed tokens: what is known of them on each worker, and their verification.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cache::Cache;
use super::claims::{self, Claims};
use super::refused::Refused;
use crate::config::settings::identity::{Jwt, Keys};
use crate::jws::{KeySet, Refusal, verify};
use crate::telemetry::metrics::AuthResult;

/// What one worker remembers.
pub(super) struct Memory {
    /// Tokens that hold.
    pub(super) proven: Cache,
    /// Tokens that do not.
    pub(super) refused: Refused,
}

/// A provider of signed tokens.
pub(super) struct Tokens {
    /// As configured.
    pub(super) settings: Jwt,
    memory: Box<[Mutex<Memory>]>,
}

/// The number of a fixed set: it does not change while its provider lives.
const FIXED: u64 = 0;

impl Tokens {
    pub(super) fn new(settings: Jwt, workers: usize) -> Self {
        let all = usize::try_from(settings.cache_bytes.unwrap_or(0)).unwrap_or(usize::MAX);
        let memory = || Mutex::new(Memory { proven: Cache::new(all / workers), refused: Refused::new() });
        Self { memory: (0..workers).map(|_| memory()).collect(), settings }
    }

    /// What a worker remembers. Only its own thread asks, an embedding program's aside.
    #[inline]
    pub(super) fn memory(&self, worker: usize) -> MutexGuard<'_, Memory> {
        self.memory[worker % self.memory.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of its keys: another one once a key is taken back.
    #[inline]
    pub(super) fn keys_number(&self) -> u64 {
        FIXED
    }

    /// Verifies a token at `now`, seconds since the Unix epoch.
    ///
    /// # Errors
    /// Why it does not hold.
    pub(super) fn verify(&self, token: &[u8], now: i64) -> Result<Claims, AuthResult> {
        let settings = &self.settings;
        let keys = |keys: &KeySet| verify(token, keys, &settings.algorithms, settings.max_token_bytes);
        let verified = match self.key_sets() {
            (Some(public), None) => keys(public),
            (None, Some(secret)) => keys(secret),
            // Each algorithm has its own kind of key, so at most one of both takes the token.
            (Some(public), Some(secret)) => match keys(public) {
                Err(Refusal::AlgorithmOfKey | Refusal::UnknownKey) => keys(secret),
                other => other,
            },
            (None, None) => Err(Refusal::UnknownKey),
        }?;
        if !settings.typ.is_empty() && !settings.typ.iter().any(|typ| verified.header.is_typ(typ)) {
            return Err(Refusal::Type.into());
        }
        claims::judge(&verified.payload, settings, now)
    }

    fn key_sets(&self) -> (Option<&KeySet>, Option<&KeySet>) {
        let public = self.settings.keys.as_ref().map(|keys| match keys {
            Keys::Fixed(fixed) => &*fixed.set,
        });
        (public, self.settings.secret.as_ref().map(|secret| &*secret.set))
    }
}
