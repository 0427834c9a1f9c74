//! The passport: a short-lived token of the gateway's own, so that a service can check by itself who asks, and that the
//! request came through the gateway.
//!
//! It is for one upstream (`aud`), and holds for a minute at most, but no longer than the credential: how long the
//! gateway remembers what that proved is no matter of the passport's. A proven identity keeps the passports that were
//! made of it, so that one is signed only when the last has used up two thirds of its time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderName;
use serde_json::{Value, json};

use super::claims::claim;
use super::proven::Identity;
use crate::config::settings::IdentityHeaders;
use crate::config::settings::identity::Passport as Settings;
use crate::exchange::Exchange;
use crate::http1::write_field;
use crate::network::Network;

/// Its `typ`: no other token of the gateway, or of an issuer, is taken for one.
const TYP: &str = "passport+jwt";
/// Passports that an identity keeps, one for each upstream.
const KEPT: usize = 32;
/// Keys that were in force before are published on, so that a passport on its way is still verified: so many, and for
/// so long. That is a passport's longest life, and a minute each for a service's clock and for the keys that it has in
/// mind. Longer would be for whoever has stolen one.
const FORMER: usize = 4;
const FORMER_FOR: Duration = Duration::from_secs(180);

/// A passport that was made.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    upstream: Arc<str>,
    /// Which office made it.
    office: u64,
    /// When it was made, Unix time: a clock that was set back makes another one, or services would be shown one of
    /// times to come.
    made: i64,
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
    /// Keys of former configurations.
    former: Vec<Former>,
}

/// A key that was in force before.
#[derive(Debug, Clone)]
struct Former {
    jwk: Value,
    /// When it was replaced.
    since: Instant,
}

impl Former {
    fn is_published(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < FORMER_FOR
    }
}

impl Office {
    pub(super) fn new(
        settings: &Arc<Settings>,
        headers: &IdentityHeaders,
        (number, now): (u64, Instant),
        before: Option<&Self>,
    ) -> Self {
        let is_new = |former: &Former| !settings.keys.iter().any(|key| *key.jwk() == former.jwk);
        let replaced = |before: &Self| -> Vec<Former> {
            let last = before.settings.keys.iter().map(|key| Former { jwk: key.jwk().clone(), since: now });
            last.chain(before.former.iter().cloned()).collect()
        };
        let former = before.map(replaced).unwrap_or_default().into_iter();
        let former = former.filter(|former| is_new(former) && former.is_published(now)).take(FORMER).collect();
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
    fn published(&self, now: Instant) -> Vec<&Value> {
        let former = self.former.iter().filter(|former| former.is_published(now)).map(|former| &former.jwk);
        self.settings.keys.iter().map(|key| key.jwk()).chain(former).collect()
    }

    /// The header that carries it.
    pub fn header(&self) -> &HeaderName {
        &self.header
    }

    /// The key set, for who verifies now.
    pub fn key_set(&self, now: Instant) -> Value {
        json!({ "keys": self.published(now) })
    }

    /// The field for a request of this identity to this upstream at `now`, seconds since the Unix epoch.
    pub(super) fn field(&self, identity: &Identity, upstream: &Arc<str>, now: i64) -> Option<Arc<[u8]>> {
        let mut kept = identity.passports.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |issued: &&Issued| issued.office == self.number && issued.upstream == *upstream;
        if let Some(issued) = kept.iter().find(is_it).filter(|issued| (issued.made..issued.renew_at).contains(&now)) {
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
        let (upstream, kept_field) = (Arc::clone(upstream), Arc::clone(&field));
        kept.push(Issued { upstream, office: self.number, made: now, renew_at, field: kept_field });
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

/// The passport for the upstream that is asked, where passports are made: one that holds from now on, however long ago
/// the request came. A route without an upstream has none: each part of an aggregate has one of its own.
#[inline]
pub(super) fn passport<N: Network>(exchange: &Exchange<N>) -> Option<Arc<[u8]>> {
    let office = exchange.snapshot.passport.as_ref()?;
    let upstream = exchange.upstream()?;
    let now = exchange.shard.shared.clock.unix_seconds(exchange.now());
    office.field(exchange.identity.as_ref()?, &upstream.name, now)
}

impl<N: Network> Exchange<N> {
    /// An upstream is asked from now on, another one than before or later than that, and has a passport that holds
    /// there and then.
    #[cold]
    pub fn renew_passport(&mut self) {
        self.passport = passport(self);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;

    use super::*;
    use crate::jws::Signer;

    fn signers() -> Vec<Arc<Signer>> {
        let pem = KeyPair::generate().unwrap().serialize_pem();
        Signer::from_pem(&pem).unwrap().into_iter().map(Arc::new).collect()
    }

    /// What makes passports with these keys from now on.
    fn office(keys: &[Arc<Signer>], now: Instant, before: Option<&Office>) -> Office {
        let settings = Arc::new(Settings {
            header: HeaderName::from_static("x-auth-passport"),
            keys: keys.to_vec(),
            file: "passport.pem".into(),
            lifetime: Duration::from_secs(30),
            issuer: "gateway".into(),
        });
        Office::new(&settings, &IdentityHeaders::usual(), (1, now), before)
    }

    fn kids(office: &Office, now: Instant) -> Vec<String> {
        let set = office.key_set(now);
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        set["keys"].as_array().unwrap().iter().map(kid).collect()
    }

    #[test]
    fn a_passport_is_used_for_two_thirds_of_its_time_and_not_by_a_clock_that_was_set_back() {
        let office = office(&signers(), crate::clock::Clock::system().now(), None);
        let identity = Identity { until: i64::MAX, ends: i64::MAX, ..Identity::unnamed() };
        let at = |now: i64| office.field(&identity, &"api".into(), now).unwrap();
        let first = at(10_000);
        assert_eq!(at(10_019), first);
        let second = at(10_020);
        assert_ne!(second, first);
        let third = at(6_400);
        assert_ne!(third, second, "services would be shown one of an hour to come");
        assert_eq!(at(6_401), third);
    }

    #[test]
    fn i_a_key_that_was_replaced_is_published_for_as_long_as_its_last_passport_may_be_looked_at() {
        let (leaked, new, newer) = (signers(), signers(), signers());
        let kid = |keys: &[Arc<Signer>]| keys[0].kid().to_owned();
        let begin = crate::clock::Clock::system().now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let first = office(&leaked, begin, None);
        assert_eq!(kids(&first, after(3600)), [kid(&leaked)], "the one that signs, for as long as it does");
        let second = office(&new, after(3600), Some(&first));
        assert_eq!(kids(&second, after(3600 + 179)), [kid(&new), kid(&leaked)]);
        assert_eq!(kids(&second, after(3600 + 180)), [kid(&new)], "no passport of it can be on its way any more");
        // Another change begins nobody's time anew.
        let third = office(&newer, after(3600 + 100), Some(&second));
        assert_eq!(kids(&third, after(3600 + 179)), [kid(&newer), kid(&new), kid(&leaked)]);
        assert_eq!(kids(&third, after(3600 + 180)), [kid(&newer), kid(&new)]);
        let back = office(&leaked, after(3600 + 110), Some(&third));
        assert_eq!(kids(&back, after(3600 + 110)), [kid(&leaked), kid(&newer), kid(&new)], "each is there once");
    }
}
