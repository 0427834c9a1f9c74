//! An identity that is proven.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::ledger::{MARGIN, digest_of};
use super::passport::Passports;
use crate::tls::ClientCertificate;

/// Who is asking, proven by one credential.
pub struct Identity {
    /// The name of the provider that proved it.
    pub provider: Arc<str>,
    /// Who it is.
    pub subject: Option<Box<str>>,
    /// What is granted.
    pub scopes: Box<[Box<str>]>,
    /// All that the credential says.
    pub claims: Map<String, Value>,
    /// The second at which it was proven, Unix time.
    pub(super) since: i64,
    /// The second from which on it does not hold any more unless it is proven again, Unix time.
    pub until: i64,
    /// The second from which on its credential holds no more, which may be later than what is remembered of it.
    pub(super) ends: i64,
    /// What the upstream is told: whole fields, as they are written.
    pub(crate) fields: Box<[u8]>,
    /// Passports that were made of it.
    pub(super) passports: Passports,
    /// The credential, as it was presented.
    pub(super) credential: Box<[u8]>,
    /// Which provider, with which keys, proved it.
    pub(super) proof: Proof,
    /// What it is called in a list of tokens that were taken back, once somebody has asked.
    pub(super) digest: OnceLock<Box<str>>,
    /// What tells it from others to who keeps answers, once somebody has asked.
    pub(super) likeness: OnceLock<[u8; 32]>,
    /// The SHA-256 of the certificate whose owner alone may present the credential.
    pub(super) bound: Option<[u8; 32]>,
}

/// A provider as it was configured, and its keys as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proof {
    /// Which provider: another number for each configuration of it.
    pub(super) provider: u64,
    /// Its keys; counts up whenever one of them is taken back.
    pub(super) keys: u64,
}

#[cfg(test)]
impl Identity {
    /// One of the provider `p` of whom nothing is known: what tests begin with.
    pub(super) fn unnamed() -> Self {
        Self {
            provider: "p".into(),
            subject: None,
            scopes: Box::default(),
            claims: Map::new(),
            since: 0,
            until: 0,
            ends: 0,
            fields: Box::default(),
            passports: Passports::default(),
            credential: Box::default(),
            proof: Proof { provider: 1, keys: 1 },
            digest: OnceLock::new(),
            likeness: OnceLock::new(),
            bound: None,
        }
    }
}

impl Identity {
    /// What it takes in memory, nearly.
    pub(super) fn bytes(&self) -> usize {
        // Claims as values take about three times their text, which is within the credential.
        size_of::<Self>() + 4 * self.credential.len() + self.fields.len() + 128
    }

    /// The same for all credentials that prove the same: provider, subject, scopes and claims, but for the times and
    /// the name of the token itself, in whatever order members stand, on all levels.
    pub fn likeness(&self) -> &[u8; 32] {
        self.likeness.get_or_init(|| {
            let is_tokens_own = |claim: &str| matches!(claim, "exp" | "iat" | "nbf" | "jti");
            let claims = self.claims.iter().filter(|(name, _)| !is_tokens_own(name)).collect::<BTreeMap<_, _>>();
            let mut all = serde_json::json!([&*self.provider, self.subject, self.scopes, claims]);
            all.sort_all_objects();
            let mut hasher = Sha256::new();
            hasher.update(all.to_string());
            hasher.update(&self.fields);
            hasher.finalize().into()
        })
    }

    /// What its token is called in a list of those that were taken back.
    pub(super) fn digest(&self) -> &str {
        self.digest.get_or_init(|| digest_of(&self.credential).into_boxed_str())
    }

    /// Whether it is whoever is at the other end of a connection, where the client has shown this certificate: what is
    /// known of a credential is known on all connections.
    #[inline]
    pub(super) fn is_held_with<'c>(&self, certificate: impl FnOnce() -> Option<&'c Arc<ClientCertificate>>) -> bool {
        let Some(bound) = &self.bound else { return true };
        certificate().is_some_and(|shown| shown.fingerprint() == bound)
    }

    /// Whether it still holds at this second. A clock that was set back forgets, or what was to be believed for a while
    /// would be until the clock is there again. A request is as old as its head, so that a little earlier is no step.
    #[inline]
    pub(super) fn holds(&self, proof: Proof, now: i64) -> bool {
        self.proof == proof && (self.since.saturating_sub(MARGIN)..self.until).contains(&now)
    }
}

impl fmt::Debug for Identity {
    /// Shows no credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Identity");
        shown.field("provider", &self.provider).field("subject", &self.subject).field("scopes", &self.scopes);
        shown.finish_non_exhaustive()
    }
}

/// An identity that is found by its whole credential.
#[derive(Debug, Clone)]
pub(super) struct ByCredential(pub(super) Arc<Identity>);

impl Borrow<[u8]> for ByCredential {
    fn borrow(&self) -> &[u8] {
        &self.0.credential
    }
}

impl PartialEq for ByCredential {
    fn eq(&self, other: &Self) -> bool {
        self.0.credential == other.0.credential
    }
}

impl Eq for ByCredential {}

impl Hash for ByCredential {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As a slice is hashed: it is looked up by one.
        self.0.credential[..].hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_prove_the_same_are_alike_in_whatever_order_their_claims_stand() {
        let likeness = |claims: &str| {
            let claims = serde_json::from_str(claims).unwrap();
            *Identity { claims, ..Identity::unnamed() }.likeness()
        };
        assert_eq!(likeness(r#"{"sub":"ada","org":"a","exp":1}"#), likeness(r#"{"exp":2,"org":"a","sub":"ada"}"#));
        let realm = |members: &str| likeness(&format!(r#"{{"sub":"ada","realm_access":[{{{members}}}]}}"#));
        assert_eq!(realm(r#""roles":["a","b"],"of":{"x":1,"y":2}"#), realm(r#""of":{"y":2,"x":1},"roles":["a","b"]"#));
        assert_ne!(realm(r#""roles":["a","b"]"#), realm(r#""roles":["b","a"]"#), "lists have an order");
        assert_ne!(likeness(r#"{"sub":"ada","org":"a"}"#), likeness(r#"{"sub":"a","org":"ada"}"#));
    }

    #[test]
    fn a_clock_that_was_set_back_forgets_what_was_proven() {
        let (proof, other) = (Proof { provider: 1, keys: 1 }, Proof { provider: 1, keys: 2 });
        let identity = Identity { since: 1000, until: 1030, ..Identity::unnamed() };
        for (now, expected) in [(1000, true), (1029, true), (1030, false), (940, true), (939, false), (0, false)] {
            assert_eq!(identity.holds(proof, now), expected, "{now}");
        }
        assert!(!identity.holds(other, 1000));
        let for_ever = Identity { since: 1000, until: i64::MAX, ..Identity::unnamed() };
        assert!(for_ever.holds(proof, i64::MAX - 1) && !for_ever.holds(proof, 939), "it is looked at again");
    }
}
