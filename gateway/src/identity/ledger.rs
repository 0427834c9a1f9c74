//! What gateways share of tokens, in a store: which were used up where each holds once, and which were taken back
//! before their time (security.md, H12).
//!
//! A token is used up by one atomic step of the store, whichever gateways it comes to at once. While the store is down
//! nobody knows whether a token was used, so none is let in; whether one was taken back is the configuration's choice.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::proven::Identity;
use crate::config::settings::identity::{Jwt, ProviderKind};
use crate::store::{By, Call, Down, Script, Store};
use crate::telemetry::metrics::AuthResult;

/// Clocks of gateways differ: a used token is remembered so much longer than it holds here, seconds.
pub(super) const MARGIN: i64 = 60;
/// A longer `jti` is in no list: such a token is taken back by its digest.
const MAX_JTI_BYTES: usize = 256;

/// A provider's tokens in stores, on one route.
#[derive(Debug)]
pub(super) struct Ledger {
    used: Option<Shelf>,
    revoked: Option<Shelf>,
    /// Tokens hold while nobody can say whether they were taken back.
    is_open: bool,
}

/// A store; one that is not there answers as one that is down.
#[derive(Debug)]
struct Shelf(Option<Arc<Store>>);

impl Shelf {
    async fn ask(&self, by: By<'_>, call: Call) -> Result<bool, Down> {
        let store = self.0.as_ref().ok_or(Down)?;
        match *store.ask(by, call).await? {
            [answer] => Ok(answer == 1),
            _ => Err(Down),
        }
    }
}

impl Ledger {
    /// What stores are asked about the tokens of a provider, on a route that may take each once. `None`: nothing.
    pub(super) fn of(
        kind: &ProviderKind,
        single_use: bool,
        store: impl Fn(&str) -> Option<Arc<Store>>,
    ) -> Option<Self> {
        let ProviderKind::Jwt(jwt) = kind else { return None };
        let Jwt { replay_store, revocation, .. } = &**jwt;
        let used = replay_store.as_ref().filter(|_| single_use).map(|name| Shelf(store(name)));
        let revoked = revocation.as_ref().map(|revocation| Shelf(store(&revocation.store)));
        let is_open = revocation.as_ref().is_some_and(|revocation| revocation.is_open_without_store);
        (used.is_some() || revoked.is_some()).then_some(Self { used, revoked, is_open })
    }

    /// Whether used tokens are remembered here, and not by this process alone.
    pub(super) fn remembers(&self) -> bool {
        self.used.is_some()
    }

    /// Whether stores are asked if tokens were taken back.
    #[inline]
    pub(super) fn revokes(&self) -> bool {
        self.revoked.is_some()
    }

    /// Whether the token was taken back, by its `jti` or by its digest.
    ///
    /// # Errors
    /// It was; or nobody can say, and then it does not pass.
    pub(super) async fn not_revoked(&self, by: By<'_>, identity: &Identity) -> Result<(), AuthResult> {
        let Some(shelf) = &self.revoked else { return Ok(()) };
        let look = |id: Option<String>| async move {
            let Some(id) = id else { return Ok(false) };
            let mut call = Call::new(Script::IsThere);
            call.keys.push(format!("revoked:{}:{id}", identity.provider));
            shelf.ask(by, call).await
        };
        let by_jti = jti(identity).filter(|jti| jti.len() <= MAX_JTI_BYTES).map(str::to_owned);
        // Two calls, since in a cluster their keys are in two places; they travel together.
        match tokio::join!(look(by_jti), look(Some(identity.digest().to_owned()))) {
            (Ok(true), _) | (_, Ok(true)) => Err(AuthResult::Revoked),
            (Ok(false), Ok(false)) => Ok(()),
            _ if self.is_open => Ok(()),
            _ => Err(AuthResult::Unavailable),
        }
    }

    /// Uses the token up at `now`, seconds since the Unix epoch; `name` is this use's, and no other's.
    ///
    /// # Errors
    /// It was used before, has no `jti`, or nobody can say.
    pub(super) async fn use_up(
        &self,
        by: By<'_>,
        identity: &Identity,
        (name, now): (String, i64),
    ) -> Result<(), AuthResult> {
        let Some(shelf) = &self.used else { return Ok(()) };
        let jti = jti(identity).ok_or(AuthResult::Claims)?;
        let mut call = Call::new(Script::UseUp);
        call.keys.push(key_of_use(&identity.provider, jti));
        call.text = Some(name);
        call.numbers.push(identity.until.saturating_sub(now).max(1).saturating_add(MARGIN).saturating_mul(1000));
        match shelf.ask(by, call).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(AuthResult::Replayed),
            Err(Down) => Err(AuthResult::Unavailable),
        }
    }
}

/// The name of a token among its issuer's, where it has one.
pub(super) fn jti(identity: &Identity) -> Option<&str> {
    identity.claims.get("jti").and_then(serde_json::Value::as_str).filter(|jti| !jti.is_empty())
}

/// What a used token is called in a store: the same in every gateway, of one length whatever its `jti`.
fn key_of_use(provider: &str, jti: &str) -> String {
    let mut bytes = provider.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(jti.as_bytes());
    format!("used:{{{}}}", hex(&digest(&SHA256, &bytes).as_ref()[..16]))
}

/// What a token is called in a list of those that were taken back: the digest of what is signed of it. The signature is
/// left out, since of some algorithms there are two that hold over the same token.
pub(super) fn digest_of(credential: &[u8]) -> String {
    let signed = credential.iter().rposition(|byte| *byte == b'.').map_or(credential, |dot| &credential[..dot]);
    format!("sha256:{}", hex(digest(&SHA256, signed).as_ref()))
}

/// Small hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_has_one_name_in_every_gateway_and_no_other_token_has_it() {
        let key = key_of_use("main", "1");
        assert_eq!(key, "used:{b02d920ac19423cd6318391375f74937}", "half of a SHA-256 over `main`, NUL, `1`");
        assert_eq!(key.len(), "used:{}".len() + 32, "of one length");
        assert_eq!(key_of_use("main", "1"), key);
        for (provider, jti) in [("main", "2"), ("mai", "n1"), ("other", "1"), ("main\0", "1"), ("main", "\x001")] {
            assert_ne!(key_of_use(provider, jti), key, "{provider:?} {jti:?}");
        }
        assert_eq!(key_of_use("main", &"x".repeat(8000)).len(), key.len());
    }

    #[test]
    fn another_signature_makes_no_other_digest() {
        // `printf %s "${TOKEN%.*}" | sha256sum` of `a.b.c`.
        let digest = "sha256:2e7336dc8eba87ef472df568c35482abf2575dc3e5eac0c5c62b8ffaeac2c934";
        assert_eq!(digest_of(b"a.b.c"), digest);
        assert_eq!(digest_of(b"a.b.c"), digest_of(b"a.b.other"));
        assert_ne!(digest_of(b"a.b.c"), digest_of(b"a.x.c"));
    }
}
