//! What is counted of credentials: what came of them, and how often they were known already.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Shards;
use crate::error::Code;
use crate::jws::Refusal;
use crate::labelled::labelled;

labelled! {
    /// What came of a credential: a fixed list, which clients never see.
    #[repr(u8)]
    pub enum AuthResult, "As written in metrics, records and explanations.";
    /// It holds, and is enough.
    Granted = "granted";
    /// There is none.
    Missing = "missing";
    /// What is there is not one credential.
    Malformed = "malformed";
    /// The token is longer than tokens may be.
    TooLarge = "too_large";
    /// It is not three parts.
    NotCompact = "not_compact";
    /// A part is not canonical base64url.
    Base64 = "base64";
    /// Its header is not one JSON object.
    Header = "header";
    /// Its header has what must be understood and is not.
    Critical = "critical";
    /// Its `alg` is not accepted.
    Algorithm = "algorithm";
    /// Its `alg` is not the key's.
    AlgorithmOfKey = "algorithm_of_key";
    /// No key has its `kid`.
    UnknownKey = "unknown_key";
    /// It has no `kid`, and several keys would fit.
    AmbiguousKey = "ambiguous_key";
    /// It is not signed.
    NoSignature = "no_signature";
    /// Its signature has the wrong length.
    SignatureLength = "signature_length";
    /// Its signature does not hold.
    Signature = "signature";
    /// Its `typ` is not accepted.
    Type = "typ";
    /// It is from somebody else.
    Issuer = "issuer";
    /// It is for somebody else.
    Audience = "audience";
    /// It does not hold any more.
    Expired = "expired";
    /// It does not hold yet.
    NotYet = "not_yet";
    /// A claim is missing, or of the wrong kind.
    Claims = "claims";
    /// It is bound to a certificate, or a key, that the client has not shown.
    NotHolder = "not_holder";
    /// It was used before, where each holds once.
    Replayed = "replayed";
    /// It was taken back before its time.
    Revoked = "revoked";
    /// Its issuer says that it does not hold.
    Inactive = "inactive";
    /// The keys to verify it could not be fetched.
    NoKeys = "no_keys";
    /// Whoever would have to say whether it holds cannot be asked.
    Unavailable = "unavailable";
    /// Nobody has this API key.
    UnknownApiKey = "unknown_api_key";
    /// Nobody has this name with this password.
    Password = "password";
    /// It holds, but a scope that the route needs is missing.
    Scope = "scope";
    /// It holds, but a claim is not what the route needs.
    ClaimRule = "claim_rule";
}

impl AuthResult {
    /// The problem that a client gets.
    pub fn code(self) -> Code {
        match self {
            Self::Malformed => Code::BadRequest,
            Self::Scope | Self::ClaimRule => Code::Forbidden,
            Self::NoKeys | Self::Unavailable => Code::IdentityUnavailable,
            _ => Code::Unauthorized,
        }
    }

    /// Whether it took a signature, or a hash as dear, to find out.
    pub fn is_dear(self) -> bool {
        matches!(
            self,
            Self::Signature
                | Self::Inactive
                | Self::Type
                | Self::Issuer
                | Self::Audience
                | Self::Expired
                | Self::NotYet
                | Self::Claims
                | Self::NotHolder
                | Self::Password
        )
    }
}

impl From<Refusal> for AuthResult {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLarge => Self::TooLarge,
            Refusal::NotCompact => Self::NotCompact,
            Refusal::Base64 => Self::Base64,
            Refusal::Header => Self::Header,
            Refusal::Critical => Self::Critical,
            Refusal::Algorithm => Self::Algorithm,
            Refusal::AlgorithmOfKey => Self::AlgorithmOfKey,
            Refusal::UnknownKey => Self::UnknownKey,
            Refusal::AmbiguousKey => Self::AmbiguousKey,
            Refusal::NoSignature => Self::NoSignature,
            Refusal::SignatureLength => Self::SignatureLength,
            Refusal::Signature => Self::Signature,
            Refusal::Type => Self::Type,
        }
    }
}

/// The keys of a provider that fetches them; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// The provider's name.
    pub provider: Arc<str>,
    /// Since they were fetched; `None` where there are none.
    pub seconds: Option<f64>,
    /// They cannot be fetched.
    pub failing: bool,
}

/// An issuer that is asked about tokens; read when somebody scrapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedIssuer {
    /// The provider's name.
    pub provider: Arc<str>,
    /// It does not answer, or not as it should, and is left alone for a while.
    pub failing: bool,
}

/// What is counted for one provider.
#[derive(Debug)]
pub struct AuthSeries {
    name: Arc<str>,
    shards: Shards<Counts>,
}

#[derive(Debug, Default)]
struct Counts([AtomicU64; AuthResult::ALL.len()]);

impl AuthSeries {
    pub(super) fn new(name: Arc<str>, workers: usize) -> Self {
        Self { name, shards: Shards::new(workers) }
    }

    /// The provider's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts one credential.
    #[inline]
    pub fn count(&self, worker: usize, result: AuthResult) {
        let (shard, alone) = self.shards.own(worker);
        alone.bump(&shard.0[result as usize], 1);
    }

    /// The sums over all workers; counts of zero are left out.
    pub fn totals(&self) -> Vec<(AuthResult, u64)> {
        let sum =
            |result: AuthResult| self.shards.used().map(|shard| shard.0[result as usize].load(Ordering::Relaxed)).sum();
        let all = AuthResult::ALL.iter().map(|result| (*result, sum(*result)));
        all.filter(|(_, count)| *count > 0).collect()
    }
}

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CacheResult {
    /// It is the last one of its connection.
    Connection,
    /// In the worker's cache.
    Hit,
    /// Nowhere: it was verified.
    Miss,
    /// Among those that were refused a moment ago.
    Negative,
}

impl CacheResult {
    /// Every result, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Connection, Self::Hit, Self::Miss, Self::Negative];

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Negative => "negative",
        }
    }
}

/// What is counted of the caches of verified tokens.
#[derive(Debug)]
pub struct TokenCacheSeries(Shards<Lookups>);

#[derive(Debug, Default)]
struct Lookups([AtomicU64; CacheResult::ALL.len()]);

impl TokenCacheSeries {
    pub(super) fn new(workers: usize) -> Self {
        Self(Shards::new(workers))
    }

    /// Counts one look-up.
    #[inline]
    pub fn count(&self, worker: usize, result: CacheResult) {
        let (shard, alone) = self.0.own(worker);
        alone.bump(&shard.0[result as usize], 1);
    }

    /// The sum over all workers.
    pub fn total(&self, result: CacheResult) -> u64 {
        self.0.used().map(|shard| shard.0[result as usize].load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_of_the_verifier_has_its_own_label() {
        for refusal in Refusal::ALL {
            assert_eq!(AuthResult::from(*refusal).as_str(), refusal.as_str());
        }
    }

    #[test]
    fn what_may_hold_a_moment_later_is_not_kept_from_it() {
        for why in [AuthResult::NoKeys, AuthResult::Unavailable, AuthResult::UnknownKey] {
            assert!(!why.is_dear(), "{why:?}");
        }
        assert!(AuthResult::Expired.is_dear() && AuthResult::Inactive.is_dear());
    }

    #[test]
    fn results_are_counted_by_provider() {
        let series = AuthSeries::new("main".into(), 2);
        for (worker, result) in [(0, AuthResult::Granted), (1, AuthResult::Granted), (1, AuthResult::Expired)] {
            series.count(worker, result);
        }
        assert_eq!(series.totals(), [(AuthResult::Granted, 2), (AuthResult::Expired, 1)]);
    }
}
