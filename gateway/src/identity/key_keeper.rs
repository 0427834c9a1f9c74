//! Keeps one source of keys fresh, on the control runtime: one fetch at a time, and none on a request's way.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Instant;

use serde_json::Value;

use super::key_document::{keys_of, moved, text_of};
use super::key_schedule::Schedule;
use super::key_store::{Fetched, KeyStore};
use super::remote::{self, Answer};
use crate::clock::Clock;
use crate::config::settings::identity::KeySource;
use crate::fetch_failure::place;
use crate::jws::{KeySet, MAX_KEY_SET_BYTES, decode_base64url, parse_json};
use crate::telemetry::events::{Event, Events, KeysEvent};
use crate::telemetry::notice;

/// Who is asked for documents.
pub(super) trait Ask: Send + Sync {
    /// The document at this URL.
    fn ask(&self, url: &str) -> impl Future<Output = Result<Answer, String>> + Send;
}

impl Ask for reqwest::Client {
    async fn ask(&self, url: &str) -> Result<Answer, String> {
        remote::get(self, url, MAX_KEY_SET_BYTES).await
    }
}

/// What a keeper works with.
pub(super) struct Keeper<A> {
    /// The provider's name.
    pub(super) provider: Arc<str>,
    /// Time.
    pub(super) clock: Clock,
    /// Where events go.
    pub(super) events: Arc<Events>,
    /// What asks key servers.
    pub(super) client: A,
}

impl<A: Ask> Keeper<A> {
    /// Fetches until nobody needs the store any more.
    pub(super) async fn keep(self, store: Weak<KeyStore>) {
        let Some((wake, source)) = store.upgrade().map(|store| (Arc::clone(&store.wake), store.source.clone())) else {
            return;
        };
        let mut schedule = Schedule::new(self.clock.now(), source.refresh, source.cooldown);
        let mut failing = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(schedule.next().into()) => {}
                () = wake.notified() => {
                    let is_wanted = || store.upgrade().map(|store| store.is_wanted());
                    match is_wanted() {
                        None => return,
                        Some(false) => continue,
                        Some(true) => {}
                    }
                    tokio::time::sleep_until(schedule.next_wanted(self.clock.now()).into()).await;
                    // Who waited may only not have run yet since the last fetch, and need no other.
                    if is_wanted() == Some(false) {
                        continue;
                    }
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
            let accepted = fetched.and_then(|(url, answer)| match self.accept(&store, &answer, now) {
                Ok(()) => Ok(answer.fresh_for),
                Err(why) => Err(format!("{}: {why}", place(&url))),
            });
            let failed = match accepted {
                Ok(fresh_for) => {
                    schedule.succeeded(now, fresh_for);
                    None
                }
                Err(why) => {
                    schedule.failed(now);
                    Some(why)
                }
            };
            let is_failing = failed.is_some();
            self.tell(&store, failed, &mut failing, now);
            store.end_round(is_failing);
        }
    }

    /// What the server of the keys answers, and where that is.
    async fn fetch(&self, from: &KeySource) -> Result<(String, Answer), String> {
        let url = match from {
            KeySource::Url(url) => url.to_string(),
            KeySource::Discovery(issuer) => {
                let url = KeySource::configuration_url(issuer);
                let document = self.client.ask(&url).await?;
                keys_of(issuer, &document.body).map_err(|why| format!("{}: {why}", place(&url)))?
            }
        };
        let answer = self.client.ask(&url).await?;
        Ok((url, answer))
    }

    /// Puts a set in force, if it is one.
    fn accept(&self, store: &KeyStore, answer: &Answer, now: Instant) -> Result<(), String> {
        let (set, left_out) = KeySet::parse(&answer.body).map_err(|error| error.to_string())?;
        let bad = left_out.iter().filter(|key| !key.error.is_for_others());
        let left_out: Vec<String> =
            bad.map(|key| format!("{:?}: {}", key.kid.as_deref().unwrap_or(""), key.error)).collect();
        let document = parse_json(&answer.body).map_err(|error| error.to_string())?;
        let jwks: BTreeSet<String> =
            document.get("keys").and_then(Value::as_array).into_iter().flatten().map(text_of).collect();
        let before = store.keys();
        let has_changed = before.as_ref().is_none_or(|before| before.jwks != jwks);
        let kids = set.keys().iter().filter_map(|key| key.kid.as_deref().map(str::to_owned)).collect();
        let fetched = Fetched { set, jwks, at: now };
        let (came, went) = before.as_ref().map(|before| moved(before, &fetched)).unwrap_or_default();
        store.put(Some(fetched));
        if has_changed {
            // The first keys are no news; nor are keys that no token is verified with.
            if !came.is_empty() || !went.is_empty() {
                notice::keys_rotated(self.events.voice(), &self.provider, &came, &went);
            }
            if !left_out.is_empty() {
                notice::keys_left_out(self.events.voice(), &self.provider, &left_out);
            }
            self.report(now, KeysEvent::Rotate { kids, came, went, left_out });
        }
        Ok(())
    }

    /// Says how the fetch ended, and when the source begins to fail, fails for another reason than before, and is well
    /// again.
    fn tell(&self, store: &KeyStore, failed: Option<String>, failing: &mut Option<String>, now: Instant) {
        store.note(failed.as_deref());
        self.report(now, KeysEvent::Fetch { failed: failed.clone() });
        if failed != *failing {
            notice::keys(self.events.voice(), &self.provider, failed.as_deref());
            if failing.is_none() && store.keys().is_some() {
                self.report(now, KeysEvent::Stale);
            }
            *failing = failed;
        }
        store.let_go_of_stale(now);
    }

    fn report(&self, at: Instant, what: KeysEvent) {
        let event = Event::Keys { provider: Arc::clone(&self.provider), what };
        self.events.report(self.clock.monotonic_ns(at), event);
    }
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
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::config::settings::identity::FetchedKeys;
    use crate::identity::key_store::{Looked, MAX_STALE};

    const SECOND: Duration = Duration::from_secs(1);
    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","alg":"EdDSA",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// A server in virtual time: what it answers, how long that takes, and when it was asked.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<World>>);

    #[derive(Default)]
    struct World {
        documents: HashMap<String, (String, Option<Duration>)>,
        takes: Duration,
        asked: Vec<(Duration, String)>,
    }

    impl Server {
        fn says(&self, url: &str, document: &str, fresh_for: Option<Duration>) {
            self.0.lock().unwrap().documents.insert(url.to_owned(), (document.to_owned(), fresh_for));
        }

        fn is_gone(&self) {
            self.0.lock().unwrap().documents.clear();
        }

        /// The seconds at which it was asked.
        fn asked(&self) -> Vec<u64> {
            self.0.lock().unwrap().asked.iter().map(|(at, _)| at.as_secs()).collect()
        }
    }

    /// A server, and the clock on which it counts.
    struct Asked(Server, Clock, Instant);

    impl Ask for Asked {
        async fn ask(&self, url: &str) -> Result<Answer, String> {
            let (answer, takes) = {
                let mut world = self.0.0.lock().unwrap();
                world.asked.push((self.1.now() - self.2, url.to_owned()));
                (world.documents.get(url).cloned(), world.takes)
            };
            pass(takes).await;
            let (body, fresh_for) = answer.ok_or("nobody is there")?;
            Ok(Answer { body: body.into_bytes(), fresh_for })
        }
    }

    /// A store that is kept fresh from this server, every ten minutes.
    fn kept(server: &Server, from: KeySource) -> (Arc<KeyStore>, Clock, tokio::task::JoinHandle<()>) {
        let store = KeyStore::new(FetchedKeys { from, refresh: 600 * SECOND, cooldown: 5 * SECOND });
        let clock = Clock::starting_at(Duration::ZERO);
        let (store, task) = keep(server, store, &clock);
        (store, clock, task)
    }

    /// Keeps a store fresh from this server.
    fn keep(server: &Server, store: KeyStore, clock: &Clock) -> (Arc<KeyStore>, tokio::task::JoinHandle<()>) {
        let store = Arc::new(store);
        assert!(store.claim());
        let client = Asked(server.clone(), clock.clone(), clock.now());
        let keeper = Keeper { provider: "main".into(), clock: clock.clone(), events: Arc::default(), client };
        let task = tokio::spawn(keeper.keep(Arc::downgrade(&store)));
        (store, task)
    }

    /// Lets so much time go by.
    async fn pass(time: Duration) {
        // virtual time
        tokio::time::sleep(time).await;
    }

    fn at(url: &str) -> KeySource {
        KeySource::Url(url.into())
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_again_before_they_grow_old_as_their_server_says() {
        let server = Server::default();
        server.says("http://k", KEYS, Some(100 * SECOND));
        let (store, _, _task) = kept(&server, at("http://k"));
        pass(200 * SECOND).await;
        assert_eq!(server.asked(), [0, 90, 180]);
        assert!(store.keys().is_some() && !store.is_failing());
    }

    #[tokio::test(start_paused = true)]
    async fn members_of_keys_in_another_order_are_no_other_keys() {
        let server = Server::default();
        let number = |turned: bool| {
            let (kid, x) = (r#""kid":"k1""#, r#""x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#);
            let all = if turned { format!("{x},{kid}") } else { format!("{kid},{x}") };
            server.says("http://k", &format!(r#"{{"keys":[{{{all},"kty":"OKP","crv":"Ed25519"}}]}}"#), None);
        };
        number(false);
        let (store, _, _task) = kept(&server, at("http://k"));
        pass(SECOND).await;
        let (before, keys) = (store.number(), store.keys().unwrap());
        number(true);
        pass(600 * SECOND).await;
        assert_eq!((server.asked(), store.number()), (vec![0, 600], before), "what it signed holds on");
        let now = store.keys().unwrap();
        assert!(now.at > keys.at && now.jwks == keys.jwks, "and nobody is told of a rotation");
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_says_where_its_keys_are() {
        let server = Server::default();
        let document = r#"{"issuer":"http://127.0.0.1:9","jwks_uri":"http://127.0.0.1:9/keys"}"#;
        server.says("http://127.0.0.1:9/.well-known/openid-configuration", document, None);
        server.says("http://127.0.0.1:9/keys", KEYS, None);
        let (store, _, _task) = kept(&server, KeySource::Discovery("http://127.0.0.1:9".into()));
        pass(SECOND).await;
        assert_eq!((server.asked(), store.keys().is_some()), (vec![0, 0], true));
    }

    #[tokio::test(start_paused = true)]
    async fn h10_keys_are_used_on_for_a_day_while_their_server_is_gone_and_it_is_asked_each_minute() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        let (store, _, _task) = kept(&server, at("http://k"));
        pass(SECOND).await;
        server.is_gone();
        pass(1_000 * SECOND).await;
        assert_eq!(server.asked()[..9], [0, 600, 601, 603, 607, 615, 631, 663, 723]);
        assert!(store.keys().is_some() && store.is_failing());
        pass(MAX_STALE).await;
        assert!(store.keys().is_none(), "keys that nobody vouches for any more");
        server.says("http://k", KEYS, None);
        pass(61 * SECOND).await;
        assert!(store.keys().is_some() && !store.is_failing(), "and found again");
    }

    #[tokio::test(start_paused = true)]
    async fn h10_keys_that_are_fetched_once_a_day_outlive_a_fetch_that_fails() {
        let (server, clock) = (Server::default(), Clock::starting_at(Duration::ZERO));
        server.says("http://k", KEYS, None);
        let source = FetchedKeys { from: at("http://k"), refresh: MAX_STALE, cooldown: 5 * SECOND };
        let (store, _task) = keep(&server, KeyStore::new(source), &clock);
        pass(SECOND).await;
        server.is_gone();
        pass(2 * MAX_STALE - 60 * SECOND).await;
        assert!(store.keys().is_some() && store.is_failing(), "they were due a day ago, and not longer");
        pass(180 * SECOND).await;
        assert!(store.keys().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn h10_other_times_of_the_same_source_take_no_keys_away_and_make_them_no_younger() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        let (before, clock, _ended) = kept(&server, at("http://k"));
        pass(SECOND).await;
        server.is_gone();
        pass(600 * SECOND).await;
        let source = FetchedKeys { from: at("http://k"), refresh: 60 * SECOND, cooldown: SECOND };
        let (store, _task) = keep(&server, KeyStore::after(&before, source), &clock);
        assert_eq!(store.keys().map(|keys| keys.at), before.keys().map(|keys| keys.at));
        assert!(store.is_failing(), "a key that is not among them may be good");
        pass(MAX_STALE).await;
        assert!(store.keys().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn h9_whoever_needs_unknown_keys_shares_one_fetch_a_cooldown() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        server.0.lock().unwrap().takes = SECOND / 2;
        let (store, clock, _task) = kept(&server, at("http://k"));
        pass(60 * SECOND).await;
        for round in 0..3 {
            let needs = |number: u32| {
                let (store, now) = (Arc::clone(&store), clock.now());
                async move { store.fetched_again(&(number % 5).to_be_bytes(), now).await }
            };
            let looked = futures_util::future::join_all((0..200).map(needs)).await;
            assert!(looked.iter().all(|one| matches!(one, Looked::Again { .. })), "{round}: {looked:?}");
        }
        assert_eq!(server.asked(), [0, 60, 65, 70], "one for all, and the next a cooldown later");
    }

    #[tokio::test(start_paused = true)]
    async fn h9_of_a_flood_of_invented_names_hardly_any_waits_for_the_next_fetch() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        let (store, clock, _task) = kept(&server, at("http://k"));
        pass(60 * SECOND).await;
        let needs = |name: u32| {
            let (store, clock) = (&store, &clock);
            async move {
                let began = clock.now();
                (store.fetched_again(&name.to_be_bytes(), began).await, clock.now() - began)
            }
        };
        assert!(matches!(needs(0).await, (Looked::Again { .. }, _)), "the first one is looked for at once");
        let looked = futures_util::future::join_all((1..=200).map(needs)).await;
        let waited = looked.iter().filter(|(looked, _)| matches!(looked, Looked::Again { .. })).count();
        assert_eq!(waited, 8, "{looked:?}");
        let at_once = |(looked, took): &&(Looked, Duration)| *looked == Looked::Unable && took.is_zero();
        assert_eq!(looked.iter().filter(at_once).count(), 192, "{looked:?}");
        assert_eq!(server.asked(), [0, 60, 65]);
        assert!(matches!(needs(500).await, (Looked::Again { .. }, _)), "and others are, until the one after it");
    }

    #[tokio::test(start_paused = true)]
    async fn h9_the_fetch_at_the_start_keeps_no_token_waiting() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        let (store, clock, _task) = kept(&server, at("http://k"));
        pass(SECOND).await;
        let asked = clock.now();
        assert!(matches!(store.fetched_again(b"unknown", asked).await, Looked::Again { .. }));
        assert_eq!((clock.now() - asked, server.asked()), (Duration::ZERO, vec![0, 1]));
        assert!(matches!(store.fetched_again(b"another", asked).await, Looked::Again { .. }));
        assert_eq!(server.asked(), [0, 1, 6]);
    }

    #[tokio::test(start_paused = true)]
    async fn h10_nobody_waits_for_a_server_that_failed_a_moment_ago_and_it_is_asked_for_them_as_soon_as_it_may_be() {
        for takes in [Duration::ZERO, 5 * SECOND] {
            let server = Server::default();
            server.0.lock().unwrap().takes = takes;
            let (store, clock, _task) = kept(&server, at("http://k"));
            let began = clock.now();
            assert!(matches!(store.fetched_again(b"k1", began).await, Looked::Again { .. }), "the first one waits");
            assert_eq!(((clock.now() - began).as_secs(), store.is_failing()), (takes.as_secs(), true));
            // Its own next turns are 1, 3, 7, 15 seconds away and so on: by then it would not be asked for a minute.
            pass(200 * SECOND).await;
            server.says("http://k", KEYS, None);
            let asked = server.asked().len();
            let now = clock.now();
            for _ in 0..10 {
                assert_eq!(store.fetched_again(b"k1", now).await, Looked::Unable);
            }
            assert_eq!(clock.now(), now, "not one of them waited");
            pass(takes + SECOND).await;
            assert_eq!((server.asked().len(), store.is_failing()), (asked + 1, false), "and it was asked for them");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn h9_a_server_that_fails_is_asked_no_more_often_than_once_a_cooldown_however_many_want_keys() {
        let server = Server::default();
        let (store, clock, _task) = kept(&server, at("http://k"));
        pass(100 * SECOND).await;
        let before = server.asked().len();
        for _ in 0..200 {
            pass(SECOND / 10).await;
            assert_eq!(store.fetched_again(b"k1", clock.now()).await, Looked::Unable);
        }
        let times = server.asked();
        assert!(times.len() > before + 2, "{times:?}");
        assert!(times[before..].windows(2).all(|pair| pair[1] - pair[0] >= 5), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_keeper_ends_with_its_store() {
        let server = Server::default();
        server.says("http://k", KEYS, None);
        let (store, _, task) = kept(&server, at("http://k"));
        pass(SECOND).await;
        drop(store);
        task.await.unwrap();
        assert_eq!(server.asked(), [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_fails_is_told_with_where_it_went() {
        let (issuer, keys) = ("http://127.0.0.1:9", "http://127.0.0.1:9/keys");
        let configuration = format!("{issuer}/.well-known/openid-configuration");
        let document = format!("{{\"issuer\":\"{issuer}\",\"jwks_uri\":\"{keys}?secret=1\"}}");
        for (says, expected) in [
            (vec![(&*configuration, "<html>")], format!("{configuration}: the issuer's configuration is not JSON")),
            (vec![(&*configuration, &*document), ("http://127.0.0.1:9/keys?secret=1", "{}")], format!("{keys}: ")),
        ] {
            let server = Server::default();
            for (url, document) in says {
                server.says(url, document, None);
            }
            let (store, _, _task) = kept(&server, KeySource::Discovery(issuer.into()));
            pass(SECOND / 2).await;
            let why = store.failure().unwrap();
            assert!(why.starts_with(&expected) && !why.contains("secret"), "{why}");
        }
    }
}
