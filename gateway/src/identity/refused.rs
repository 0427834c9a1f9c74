//! Credentials that were refused lately, so that the same bad token is not verified again and again. Pure.
//!
//! Only a mark of each is kept: 128 bits of two hashes with keys of their own. Two credentials with one mark would be
//! refused alike for a few seconds; nothing is ever granted by a mark.

use std::collections::HashMap;

use ahash::RandomState;

use super::proven::Proof;
use crate::telemetry::metrics::AuthResult;

/// Marks of each of two generations.
const MOST: usize = 4096;

type Marks = HashMap<u128, (Proof, i64, AuthResult), RandomState>;

/// A bounded memory of refusals.
#[derive(Debug)]
pub(super) struct Refused {
    /// How long a refusal is remembered, seconds.
    seconds: i64,
    hashers: [RandomState; 2],
    young: Marks,
    old: Marks,
}

impl Refused {
    /// An empty one that remembers for so many seconds.
    pub(super) fn new(seconds: i64) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { seconds, hashers, young: Marks::default(), old: Marks::default() }
    }

    fn mark(&self, credential: &[u8]) -> u128 {
        let [a, b] = [0, 1].map(|at| u128::from(self.hashers[at].hash_one(credential)));
        a << 64 | b
    }

    /// Why this credential was refused, with the keys of today.
    pub(super) fn find(&self, credential: &[u8], proof: Proof, now: i64) -> Option<AuthResult> {
        if self.young.is_empty() && self.old.is_empty() {
            return None;
        }
        let mark = self.mark(credential);
        let (of, at, why) = self.young.get(&mark).or_else(|| self.old.get(&mark))?;
        // What does not hold yet may hold a moment later.
        let seconds = if *why == AuthResult::NotYet { self.seconds.min(1) } else { self.seconds };
        // A clock that was set back forgets.
        (*of == proof && (0..seconds).contains(&(now - at))).then_some(*why)
    }

    /// Remembers a refusal.
    pub(super) fn keep(&mut self, credential: &[u8], proof: Proof, now: i64, why: AuthResult) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        let mark = self.mark(credential);
        self.young.insert(mark, (proof, now, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_a_while_and_under_the_same_keys() {
        let (proof, other) = (Proof { provider: 1, keys: 1 }, Proof { provider: 1, keys: 2 });
        let mut refused = Refused::new(10);
        assert_eq!(refused.find(b"a", proof, 100), None);
        refused.keep(b"a", proof, 100, AuthResult::Signature);
        assert_eq!(refused.find(b"a", proof, 109), Some(AuthResult::Signature));
        for (credential, proof, now) in
            [(&b"b"[..], proof, 100), (b"a", other, 100), (b"a", proof, 110), (b"a", proof, 99)]
        {
            assert_eq!(refused.find(credential, proof, now), None);
        }
    }

    #[test]
    fn it_is_bounded() {
        let proof = Proof { provider: 1, keys: 1 };
        let mut refused = Refused::new(10);
        for number in 0..20_000_u32 {
            refused.keep(&number.to_be_bytes(), proof, 1, AuthResult::Signature);
        }
        assert!(refused.young.len() + refused.old.len() <= 2 * MOST);
        assert!(refused.find(&19_999_u32.to_be_bytes(), proof, 1).is_some());
    }
}
