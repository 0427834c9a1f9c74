//! Tokens that hold for one request: those that were used are remembered until they would have ended anyway.
//!
//! Where gateways share that memory it is a store's (`ledger.rs`). This one is the process's, so a token is used once
//! whatever worker it comes to. It is bounded: when it is full of tokens that could still be used again, further ones
//! are refused, since nothing else would keep the promise.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ahash::RandomState;

use super::ledger::jti;
use super::proven::Identity;
use crate::telemetry::metrics::AuthResult;

/// Tokens that are remembered at once: some 40 MB.
const MOST: usize = 1_000_000;
/// Fewer are not worth a look for those that have ended.
const FEW: usize = 1024;

/// Used tokens of all providers.
#[derive(Debug)]
pub(super) struct Used {
    hashers: [RandomState; 2],
    tokens: Mutex<Tokens>,
    most: usize,
    /// Uses that were given a name.
    named: AtomicU64,
}

#[derive(Debug, Default)]
struct Tokens {
    /// The end of each, seconds since the Unix epoch, by 128 bits of its provider and `jti`.
    ends: HashMap<u128, i64>,
    /// When there are so many, it is looked which have ended.
    look_at: usize,
}

impl Used {
    pub(super) fn new() -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { hashers, tokens: Mutex::default(), most: MOST, named: AtomicU64::new(0) }
    }

    /// A name for one use of a token, which no other use has, in this gateway or another: 128 bits under keys of the
    /// process's own.
    pub(super) fn name_of_use(&self) -> String {
        let number = self.named.fetch_add(1, Ordering::Relaxed);
        let [a, b] = [0, 1].map(|at| self.hashers[at].hash_one(number));
        format!("{a:016x}{b:016x}")
    }

    /// Uses an identity's token at `now`, seconds since the Unix epoch.
    ///
    /// # Errors
    /// It was used before, has no `jti`, or there is no room to remember it.
    pub(super) fn use_up(&self, identity: &Identity, now: i64) -> Result<(), AuthResult> {
        let jti = jti(identity).ok_or(AuthResult::Claims)?;
        let [a, b] = [0, 1].map(|at| u128::from(self.hashers[at].hash_one((&*identity.provider, jti))));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.ends.len() >= tokens.look_at.max(FEW) || tokens.ends.len() >= self.most {
            tokens.ends.retain(|_, end| *end > now);
            tokens.look_at = 2 * tokens.ends.len();
        }
        let is_full = tokens.ends.len() >= self.most;
        match tokens.ends.entry(a << 64 | b) {
            std::collections::hash_map::Entry::Occupied(_) => Err(AuthResult::Replayed),
            std::collections::hash_map::Entry::Vacant(_) if is_full => Err(AuthResult::Unavailable),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(identity.until);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::passport::Passports;
    use crate::identity::proven::Proof;

    fn identity(provider: &str, jti: Option<&str>, until: i64) -> Identity {
        Identity {
            provider: provider.into(),
            subject: None,
            scopes: Box::default(),
            claims: json!({ "jti": jti }).as_object().unwrap().clone(),
            until,
            fields: Box::default(),
            passports: Passports::default(),
            credential: Box::default(),
            proof: Proof { provider: 0, keys: 0 },
            digest: std::sync::OnceLock::new(),
        }
    }

    #[test]
    fn a_token_is_used_once() {
        let used = Used::new();
        assert_eq!(used.use_up(&identity("a", Some("1"), 100), 10), Ok(()));
        assert_eq!(used.use_up(&identity("a", Some("1"), 100), 11), Err(AuthResult::Replayed));
        assert_eq!(used.use_up(&identity("b", Some("1"), 100), 11), Ok(()), "another issuer's");
        assert_eq!(used.use_up(&identity("a", Some("2"), 100), 11), Ok(()));
        for none in [None, Some("")] {
            assert_eq!(used.use_up(&identity("a", none, 100), 11), Err(AuthResult::Claims));
        }
    }

    #[test]
    fn the_memory_is_bounded_and_what_has_ended_makes_room() {
        let used = Used { most: 2000, ..Used::new() };
        let mut refused = 0;
        for number in 0..3000 {
            let result = used.use_up(&identity("a", Some(&number.to_string()), 100), 10);
            refused += u32::from(result == Err(AuthResult::Unavailable));
        }
        assert_eq!(refused, 1000, "what cannot be remembered is not let through");
        assert_eq!(used.use_up(&identity("a", Some("new"), 300), 100), Ok(()), "all of them have ended");
        assert!(used.tokens.lock().unwrap().ends.len() <= 1);
    }
}
