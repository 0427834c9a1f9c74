//! Keeps one source of keys fresh, on the control runtime: one fetch at a time, and none on a request's way.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use serde_json::Value;

use super::key_schedule::Schedule;
use super::key_store::{Fetched, KeyStore, MAX_STALE};
use super::remote::{self, Answer};
use crate::clock::Clock;
use crate::config::settings::identity::KeySource;
use crate::jws::{KeySet, MAX_KEY_SET_BYTES, decode_base64url, parse_json};
use crate::telemetry::events::{Event, Events, KeysEvent};
use crate::telemetry::notice;

/// What a keeper works with.
pub(super) struct Keeper {
    /// The provider's name.
    pub(super) provider: Arc<str>,
    /// Time.
    pub(super) clock: Clock,
    /// Where events go.
    pub(super) events: Arc<Events>,
    /// What asks key servers.
    pub(super) client: reqwest::Client,
}

impl Keeper {
    /// Fetches until nobody needs the store any more.
    pub(super) async fn keep(self, store: Weak<KeyStore>) {
        let Some((wake, source)) = store.upgrade().map(|store| (Arc::clone(&store.wake), store.source.clone())) else {
            return;
        };
        let mut schedule = Schedule::new(self.clock.now(), source.refresh, source.cooldown);
        let mut failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(schedule.next().into()) => {}
                () = wake.notified() => {
                    let Some(is_wanted) = store.upgrade().map(|store| store.waiting() > 0) else { return };
                    if !is_wanted {
                        continue;
                    }
                    tokio::time::sleep_until(schedule.next_wanted(self.clock.now()).into()).await;
                }
            }
            let began = self.clock.now();
            schedule.begin(began);
            match store.upgrade() {
                Some(store) => store.begin(began),
                None => return,
            }
            let fetched = self.fetch(&source.from).await;
            let Some(store) = store.upgrade() else { return };
            let now = self.clock.now();
            let failed = match fetched.and_then(|answer| self.accept(&store, &answer, now).map(|()| answer)) {
                Ok(answer) => {
                    schedule.succeeded(now, answer.fresh_for);
                    None
                }
                Err(why) => {
                    schedule.failed(now);
                    Some(why)
                }
            };
            self.tell(&store, failed.as_deref(), &mut failing, now);
            store.end_round(failed.is_some());
        }
    }

    async fn fetch(&self, from: &KeySource) -> Result<Answer, String> {
        match from {
            KeySource::Url(url) => remote::get(&self.client, url, MAX_KEY_SET_BYTES).await,
            KeySource::Discovery(issuer) => {
                let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
                let document = remote::get(&self.client, &url, MAX_KEY_SET_BYTES).await?;
                let url = keys_of(issuer, &document.body)?;
                remote::get(&self.client, &url, MAX_KEY_SET_BYTES).await
            }
        }
    }

    /// Puts a set in force, if it is one.
    fn accept(&self, store: &KeyStore, answer: &Answer, now: Instant) -> Result<(), String> {
        let (set, left_out) = KeySet::parse(&answer.body).map_err(|error| error.to_string())?;
        let bad = left_out.iter().filter(|key| !key.error.is_for_others());
        let left_out = bad.map(|key| format!("{:?}: {}", key.kid.as_deref().unwrap_or(""), key.error)).collect();
        let document = parse_json(&answer.body).map_err(|error| error.to_string())?;
        let jwks: BTreeSet<String> =
            document.get("keys").and_then(Value::as_array).into_iter().flatten().map(Value::to_string).collect();
        let before = store.keys();
        let is_first = before.is_none();
        let has_changed = before.is_some_and(|before| before.jwks != jwks);
        let kids = set.keys().iter().filter_map(|key| key.kid.as_deref().map(str::to_owned)).collect();
        store.put(Some(Fetched { set, jwks, at: now }));
        if has_changed || is_first {
            self.report(now, KeysEvent::Rotate { kids, left_out });
        }
        Ok(())
    }

    /// Says how the fetch ended, and when the source begins to fail and is well again.
    fn tell(&self, store: &KeyStore, failed: Option<&str>, failing: &mut bool, now: Instant) {
        self.report(now, KeysEvent::Fetch { failed: failed.map(str::to_owned) });
        if failed.is_some() != *failing {
            *failing = failed.is_some();
            notice::keys(&self.provider, failed);
            if *failing && store.keys().is_some() {
                self.report(now, KeysEvent::Stale);
            }
        }
        if store.keys().is_some_and(|keys| now.saturating_duration_since(keys.at) > MAX_STALE) {
            store.put(None);
        }
    }

    fn report(&self, at: Instant, what: KeysEvent) {
        let event = Event::Keys { provider: Arc::clone(&self.provider), what };
        self.events.report(self.clock.monotonic_ns(at), event);
    }
}

/// Where the keys of an issuer are, by its own configuration (OpenID Connect Discovery 1.0, section 4.3): it must be
/// about this issuer, and name a place that may be asked.
fn keys_of(issuer: &str, document: &[u8]) -> Result<String, String> {
    let document = parse_json(document).map_err(|error| format!("the issuer's configuration is not JSON: {error}"))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let says = text("issuer").unwrap_or("");
    if says.trim_end_matches('/') != issuer.trim_end_matches('/') {
        return Err(format!("the configuration is of the issuer {says:?}"));
    }
    let url = text("jwks_uri").ok_or("the issuer's configuration names no jwks_uri")?;
    let is_safe = remote::may_be_asked(url) && (url.starts_with("https://") || issuer.starts_with("http://"));
    if is_safe { Ok(url.to_owned()) } else { Err(format!("jwks_uri {url:?} is not https")) }
}

/// The `kid` of a token; empty where there is none.
pub(super) fn kid_of(token: &[u8]) -> Vec<u8> {
    let header = token.split(|byte| *byte == b'.').next().and_then(decode_base64url);
    let header = header.and_then(|header| parse_json(&header).ok());
    let kid = header.as_ref().and_then(|header| header.get("kid")).and_then(Value::as_str);
    kid.unwrap_or("").as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuers_configuration_is_its_own_and_names_a_safe_place() {
        let of = |issuer: &str, document: &str| keys_of(issuer, document.as_bytes());
        let good = r#"{"issuer":"https://idp.test","jwks_uri":"https://keys.test/x"}"#;
        assert_eq!(of("https://idp.test", good).as_deref(), Ok("https://keys.test/x"));
        assert!(of("https://other.test", good).is_err());
        for bad in [
            "{}",
            "<html>",
            r#"{"issuer":"https://idp.test"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"http://keys.test/x"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"http://127.0.0.1/x"}"#,
            r#"{"issuer":"https://idp.test","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://idp.test","issuer":"https://idp.test","jwks_uri":"https://a"}"#,
        ] {
            assert!(of("https://idp.test", bad).is_err(), "{bad}");
        }
        let local = r#"{"issuer":"http://127.0.0.1:9","jwks_uri":"http://127.0.0.1:9/keys"}"#;
        assert!(of("http://127.0.0.1:9", local).is_ok());
    }
}
