//! The passport: a short-lived token of the gateway's own, so that a service can check by itself who asks, and that the
//! request came through the gateway.
//!
//! It is for one upstream (`aud`), and holds for a minute at most, but no longer than the credential: how long the
//! gateway remembers what that proved is no matter of the passport's. A proven identity keeps the passports that were
//! made of it, so that one is signed only when the last has used up two thirds of its time.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderName;
use serde_json::{Value, json};

use super::claims::claim;
use super::proven::Identity;
use crate::config::settings::IdentityHeaders;
use crate::config::settings::identity::Passport as Settings;
use crate::http1::write_field;

/// Its `typ`: no other token of the gateway, or of an issuer, is taken for one.
const TYP: &str = "passport+jwt";
/// Passports that an identity keeps, one for each upstream.
const KEPT: usize = 32;
/// Keys that were in force before are published on, so that a passport on its way is still verified.
const FORMER: usize = 4;

/// A passport that was made.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    upstream: Arc<str>,
    /// Which office made it.
    office: u64,
    /// When another one is made, Unix time.
    renew_at: i64,
    /// The whole field.
    field: Arc<[u8]>,
}

/// Passports of one identity.
pub(super) type Passports = Mutex<Vec<Issued>>;

/// What makes passports: one configuration of them.
#[derive(Debug)]
pub struct Office {
    settings: Arc<Settings>,
    headers: IdentityHeaders,
    header: HeaderName,
    number: u64,
    /// Public keys of former configurations.
    former: Vec<Value>,
}

impl Office {
    pub(super) fn new(settings: &Arc<Settings>, headers: &IdentityHeaders, number: u64, before: Option<&Self>) -> Self {
        let is_new = |jwk: &&Value| !settings.keys.iter().any(|key| key.jwk() == *jwk);
        let published = before.map(Self::published).unwrap_or_default();
        let former = published.iter().filter(is_new).take(FORMER).cloned().collect();
        Self {
            header: settings.header.clone(),
            settings: Arc::clone(settings),
            headers: headers.clone(),
            number,
            former,
        }
    }

    pub(super) fn is(&self, settings: &Settings, headers: &IdentityHeaders) -> bool {
        *self.settings == *settings && self.headers == *headers
    }

    /// The public keys: the one that signs first, those that will sign, those that did.
    fn published(&self) -> Vec<Value> {
        self.settings.keys.iter().map(|key| key.jwk().clone()).chain(self.former.iter().cloned()).collect()
    }

    /// The header that carries it.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// The key set, for who verifies.
    pub fn key_set(&self) -> Value {
        json!({ "keys": self.published() })
    }

    /// The field for a request of this identity to this upstream at `now`, seconds since the Unix epoch.
    pub(super) fn field(&self, identity: &Identity, upstream: &Arc<str>, now: i64) -> Option<Arc<[u8]>> {
        let mut kept = identity.passports.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |issued: &&Issued| issued.office == self.number && issued.upstream == *upstream;
        if let Some(issued) = kept.iter().find(is_it).filter(|issued| now < issued.renew_at) {
            return Some(Arc::clone(&issued.field));
        }
        let lifetime = i64::try_from(self.settings.lifetime.as_secs()).unwrap_or(1);
        let token = self.settings.keys.first()?.sign(TYP, &self.claims(identity, upstream, (now, now + lifetime)))?;
        let mut field = Vec::with_capacity(token.len() + 32);
        write_field(&mut field, &self.header, token.as_bytes());
        let field: Arc<[u8]> = field.into();
        kept.retain(|issued| issued.office == self.number && issued.upstream != *upstream);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        let renew_at = now + (2 * lifetime / 3).max(1);
        kept.push(Issued { upstream: Arc::clone(upstream), office: self.number, renew_at, field: Arc::clone(&field) });
        Some(field)
    }

    fn claims(&self, identity: &Identity, upstream: &str, (from, until): (i64, i64)) -> Value {
        let mut claims = json!({
            "iss": &*self.settings.issuer,
            "aud": upstream,
            "iat": from,
            "exp": until.min(identity.ends),
            "idp": &*identity.provider,
        });
        if let Some(subject) = &identity.subject {
            claims["sub"] = (**subject).into();
        }
        if !identity.scopes.is_empty() {
            claims["scope"] = identity.scopes.join(" ").into();
        }
        for (_, name) in &self.headers.claims {
            // What the gateway says itself is not for others to say.
            if let Some(value) = claim(&identity.claims, name).filter(|_| claims.get(&**name).is_none()) {
                claims[&**name] = value.clone();
            }
        }
        claims
    }
}
