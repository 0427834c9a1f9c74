//! Tokens that hold for one request: those that were used are remembered until they would have ended anyway, and a
//! minute more, for a clock that is set back.
//!
//! Where gateways share that memory it is a store's (`ledger.rs`). This one is the process's, so a token is used once
//! whatever worker it comes to. It is bounded: when it is full of tokens that could still be used again, further ones
//! are refused, since nothing else would keep the promise.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use super::ledger::{MARGIN, jti};
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
    /// Until when each is remembered, seconds since the Unix epoch, by 128 bits of its provider and `jti`.
    ends: HashMap<u128, i64>,
    /// When there are so many, it is looked which have ended.
    look_at: usize,
    /// The first end of all, or an earlier one.
    first_end: i64,
}

impl Tokens {
    /// Looks which have ended, where that is worth it: when there are twice as many as the last time, and when there
    /// are as many as there may be, once for each second in which one of them ends. Whether it looked.
    fn make_room(&mut self, most: usize, now: i64) -> bool {
        let (count, has_ended) = (self.ends.len(), self.first_end <= now);
        let is_due = if count >= most { has_ended } else { count >= self.look_at.max(FEW) };
        if is_due {
            self.ends.retain(|_, end| *end > now);
            self.look_at = 2 * self.ends.len();
            self.first_end = self.ends.values().copied().min().unwrap_or(i64::MAX);
        }
        is_due
    }

    fn insert(&mut self, mark: u128, identity: &Identity) {
        let end = identity.until.saturating_add(MARGIN);
        self.ends.insert(mark, end);
        self.first_end = self.first_end.min(end);
    }
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

    /// What an identity's token is remembered by: 128 bits of its provider and `jti`.
    fn mark(&self, identity: &Identity) -> Result<u128, AuthResult> {
        let jti = jti(identity).ok_or(AuthResult::Claims)?;
        let [a, b] = [0, 1].map(|at| u128::from(self.hashers[at].hash_one((&*identity.provider, jti))));
        Ok(a << 64 | b)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an identity's token can still be used, as far as is known: it is not used by this.
    ///
    /// # Errors
    /// It was used before, or has no `jti`.
    pub(super) fn was_unused(&self, identity: &Identity) -> Result<(), AuthResult> {
        let mark = self.mark(identity)?;
        if self.tokens().ends.contains_key(&mark) { Err(AuthResult::Replayed) } else { Ok(()) }
    }

    /// A store says that an identity's token is used: whoever brings it again need not ask there. No more than half of
    /// the memory is for that, since the rest is the only place where other tokens are remembered.
    pub(super) fn note(&self, identity: &Identity, now: i64) {
        let Ok(mark) = self.mark(identity) else { return };
        let mut tokens = self.tokens();
        tokens.make_room(self.most, now);
        if tokens.ends.len() < self.most / 2 {
            tokens.insert(mark, identity);
        }
    }

    /// Uses an identity's token at `now`, seconds since the Unix epoch.
    ///
    /// # Errors
    /// It was used before, has no `jti`, or there is no room to remember it.
    pub(super) fn use_up(&self, identity: &Identity, now: i64) -> Result<(), AuthResult> {
        let mark = self.mark(identity)?;
        let mut tokens = self.tokens();
        tokens.make_room(self.most, now);
        let is_full = tokens.ends.len() >= self.most;
        if tokens.ends.contains_key(&mark) {
            return Err(AuthResult::Replayed);
        }
        if is_full {
            return Err(AuthResult::Unavailable);
        }
        tokens.insert(mark, identity);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(provider: &str, jti: Option<&str>, until: i64) -> Identity {
        Identity {
            provider: provider.into(),
            claims: json!({ "jti": jti }).as_object().unwrap().clone(),
            until,
            ends: until,
            ..Identity::unnamed()
        }
    }

    #[test]
    fn a_token_is_used_once() {
        let used = Used::new();
        for _ in 0..2 {
            assert_eq!(used.was_unused(&identity("a", Some("1"), 100)), Ok(()), "to look does not use it");
        }
        assert_eq!(used.use_up(&identity("a", Some("1"), 100), 10), Ok(()));
        assert_eq!(used.was_unused(&identity("a", Some("1"), 100)), Err(AuthResult::Replayed));
        assert_eq!(used.use_up(&identity("a", Some("1"), 100), 11), Err(AuthResult::Replayed));
        assert_eq!(used.use_up(&identity("b", Some("1"), 100), 11), Ok(()), "another issuer's");
        assert_eq!(used.use_up(&identity("a", Some("2"), 100), 11), Ok(()));
        for none in [None, Some("")] {
            assert_eq!(used.was_unused(&identity("a", none, 100)), Err(AuthResult::Claims));
            assert_eq!(used.use_up(&identity("a", none, 100), 11), Err(AuthResult::Claims));
        }
    }

    #[test]
    fn what_a_store_says_is_noted_in_half_of_the_memory() {
        let used = Used { most: 20, ..Used::new() };
        for number in 0..20 {
            used.note(&identity("a", Some(&number.to_string()), 100), 10);
        }
        let noted = |number: u32| used.was_unused(&identity("a", Some(&number.to_string()), 100)).is_err();
        assert_eq!((0..20).filter(|number| noted(*number)).count(), 10);
        assert_eq!(used.use_up(&identity("a", Some("own"), 100), 10), Ok(()));
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
        let new = identity("a", Some("new"), 300);
        assert_eq!(used.use_up(&new, 100), Err(AuthResult::Unavailable), "the clock may be set back yet");
        assert_eq!(used.use_up(&new, 100 + MARGIN), Ok(()), "all of them have ended");
        assert!(used.tokens.lock().unwrap().ends.len() <= 1);
    }

    #[test]
    fn a_clock_that_is_set_back_by_less_than_a_minute_lets_no_token_be_used_twice() {
        let used = Used::new();
        let first = identity("a", Some("first"), 100);
        used.use_up(&first, 10).unwrap();
        for number in 0..2 * FEW {
            used.use_up(&identity("a", Some(&number.to_string()), 300), 130).unwrap();
        }
        assert_eq!(used.use_up(&first, 99), Err(AuthResult::Replayed), "it was looked which have ended");
    }

    #[test]
    fn a_full_memory_is_looked_through_only_when_some_have_ended() {
        let used = Used { most: 2000, ..Used::new() };
        for number in 0..2000 {
            used.use_up(&identity("a", Some(&number.to_string()), 100 + number % 2), 10).unwrap();
        }
        let looks = |now: i64| {
            let looked = (0..1000).filter(|_| used.tokens.lock().unwrap().make_room(2000, now + MARGIN)).count();
            (looked, used.tokens.lock().unwrap().ends.len())
        };
        assert_eq!((looks(10), looks(99)), ((0, 2000), (0, 2000)), "none of them has ended");
        assert_eq!(looks(100), (1, 1000), "half of them have, and that is found out once");
        for number in 2000..3000 {
            used.use_up(&identity("a", Some(&number.to_string()), 102), 100 + MARGIN).unwrap();
        }
        let further = used.use_up(&identity("a", Some("further"), 200), 100 + MARGIN);
        assert_eq!(further, Err(AuthResult::Unavailable), "it is full again");
        assert_eq!((looks(100), looks(101), looks(102)), ((0, 2000), (1, 1000), (0, 1000)));
    }
}
