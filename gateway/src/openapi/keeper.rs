//! Keeps the documents of services, on the control runtime: asked for at the start, at a reload and now and then, never
//! on a request's way. While a service cannot be asked, its last document stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::merge::{Given, Wanted, merged};
use super::servers::Listening;
use super::source::{MAX_DOCUMENT_BYTES, Source};
use crate::config::settings::Config;
use crate::config::settings::api_document::{ApiDocument, Key};
use crate::gateway::Gateway;
use crate::locked::lock;
use crate::network::Network;
use crate::telemetry::{notice, timestamp};
use crate::threads::off_the_loop;
use crate::upstream::document::fetch;

/// How long one document may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a service is asked again.
const REFRESH: Duration = Duration::from_secs(300);
/// The longest wait after failures; the first is a second, and each further one doubles it.
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Services that are asked at once.
const AT_ONCE: usize = 4;
/// Services that are asked at all.
const MAX_DOCUMENTS: usize = 256;
/// What all documents may take together, bytes.
const MAX_TOTAL_BYTES: usize = 32 << 20;
/// The longest that somebody waits for documents that have not been asked for yet.
const FIRST_LOOK: Duration = Duration::from_secs(3);

/// What one merged document was made of.
type Stamp = (u64, u64, Asked);

/// What somebody wants of the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Only what a client finds that asks for this host, in lower case.
    pub host: Option<String>,
    /// Only what a client finds that comes by the listener of this name.
    pub listener: Option<String>,
}

/// Keeps documents for one gateway.
pub struct Keeper<N: Network> {
    gateway: Arc<Gateway<N>>,
    listeners: Vec<Listening>,
    known: Mutex<Known>,
    /// The version of the configuration whose documents have all been asked for.
    asked: watch::Sender<u64>,
    /// The last document that was put together; one at a time is.
    made: Arc<tokio::sync::Mutex<Option<(Stamp, Bytes)>>>,
}

#[derive(Debug, Default)]
struct Known {
    documents: BTreeMap<Key, Kept>,
    /// Grows with each change.
    revision: u64,
}

#[derive(Debug, Default)]
struct Kept {
    given: Given,
    /// What is asked for, as people are shown it.
    shown: Box<str>,
    /// When the last one came.
    came: Option<Instant>,
    failures: u32,
    /// When it is asked for again; `None` = now.
    next: Option<Instant>,
}

impl<N: Network> Keeper<N> {
    /// For a gateway whose clients connect there.
    pub fn new(gateway: Arc<Gateway<N>>, listeners: Vec<Listening>) -> Arc<Self> {
        let (known, asked) = (Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { gateway, listeners, known, asked, made: Arc::default() })
    }

    /// Where clients connect who come by the listener of this name; nowhere, if none is called so.
    pub fn listeners_named(&self, name: &str) -> Vec<Listening> {
        let snapshot = self.gateway.snapshot();
        let listeners = self.listeners.iter().enumerate();
        listeners
            .filter(|(at, _)| snapshot.listener_name(u16::try_from(*at).ok()) == name)
            .map(|(_, listening)| *listening)
            .collect()
    }

    /// Where clients connect.
    pub fn listeners(&self) -> &[Listening] {
        &self.listeners
    }

    /// Asks for documents until nobody wants them any more.
    pub async fn keep(keeper: Weak<Self>) {
        let Some(mut versions) = keeper.upgrade().map(|keeper| keeper.gateway.versions()) else { return };
        loop {
            let version = *versions.borrow_and_update();
            let Some(strong) = keeper.upgrade() else { return };
            let is_new = version != *strong.asked.borrow();
            for (key, shown, failed) in strong.ask(is_new).await {
                if let Key::Upstream(upstream, _) = &key {
                    let voice = strong.gateway.shared().events.voice();
                    notice::document(voice, upstream, &shown, failed.as_deref());
                }
            }
            strong.asked.send_replace(version);
            let next = strong.known().documents.values().filter_map(|kept| kept.next).min();
            drop(strong);
            match next {
                Some(next) => {
                    // Either way it looks again.
                    let _ = tokio::time::timeout_at(next.into(), versions.changed()).await;
                }
                None => {
                    if versions.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Asks for every document that is due, or for all; those that cannot be had any more, and why, or can be again,
    /// each with what people are shown of where it is.
    pub async fn ask(&self, all: bool) -> Vec<(Key, Box<str>, Option<String>)> {
        let config = Arc::clone(&self.gateway.snapshot().config);
        let wanted = wanted(&config);
        let now = self.gateway.shared().clock.now();
        let due: Vec<(Key, (PathAndQuery, Box<str>))> = {
            let mut known = self.known();
            let before = known.documents.len();
            known.documents.retain(|key, _| wanted.contains_key(key));
            known.revision += u64::from(known.documents.len() != before);
            let is_due = |key: &Key| known.documents.get(key).and_then(|kept| kept.next).is_none_or(|next| next <= now);
            wanted.into_iter().filter(|(key, _)| all || is_due(key)).collect()
        };
        let asked = stream::iter(due).map(|(key, (path, shown))| async move {
            let got = self.fetch(&key, &path).await;
            (key, shown, got)
        });
        let mut asked = std::pin::pin!(asked.buffer_unordered(AT_ONCE));
        let mut changed = Vec::new();
        while let Some((key, shown, got)) = asked.next().await {
            changed.extend(self.put(key, shown, got));
        }
        changed
    }

    async fn fetch(&self, key: &Key, path: &PathAndQuery) -> Result<Arc<[u8]>, String> {
        let Key::Upstream(name, _) = key else { return Err("it is a file".to_owned()) };
        let upstream = self.gateway.upstreams().into_iter().find(|upstream| upstream.name == *name);
        let upstream = upstream.ok_or("there is no such upstream")?;
        let asking = fetch(&self.gateway.shared().network, &upstream, path, MAX_DOCUMENT_BYTES);
        let text = tokio::time::timeout(FETCH_TIMEOUT, asking).await.map_err(|_| "no answer in time")??;
        // What is no document must not take the place of one. Large ones take a while to read.
        let text: Arc<[u8]> = text.into();
        let read = {
            let text = Arc::clone(&text);
            off_the_loop(move || Source::read(&text).map(drop))
        };
        read.await.map_err(|error| error.to_string())??;
        Ok(text)
    }

    /// Keeps what came; whether that is another end than the last time's.
    fn put(
        &self,
        key: Key,
        shown: Box<str>,
        got: Result<Arc<[u8]>, String>,
    ) -> Option<(Key, Box<str>, Option<String>)> {
        let now = self.gateway.shared().clock.now();
        let mut known = self.known();
        let others: usize =
            known.documents.iter().filter(|(other, _)| **other != key).map(|(_, kept)| kept.bytes()).sum();
        let got = got.and_then(|text| {
            let fits = others + text.len() <= MAX_TOTAL_BYTES;
            if fits {
                Ok(text)
            } else {
                Err(format!("all documents together are larger than {} MiB", MAX_TOTAL_BYTES >> 20))
            }
        });
        let kept = known.documents.entry(key.clone()).or_default();
        let was = kept.given.failed.is_some();
        kept.shown.clone_from(&shown);
        match got {
            Ok(text) => {
                kept.given = Given { text: Some(text), failed: None };
                (kept.came, kept.failures, kept.next) = (Some(now), 0, Some(now + REFRESH));
            }
            Err(why) => {
                let wait = Duration::from_secs(1) * 2_u32.pow(kept.failures.min(6));
                kept.given.failed = Some(why);
                (kept.failures, kept.next) = (kept.failures.saturating_add(1), Some(now + wait.min(LAST_RETRY)));
            }
        }
        let failed = kept.given.failed.clone();
        known.revision += 1;
        (was != failed.is_some()).then_some((key, shown, failed))
    }

    /// The documents as they are now.
    pub fn given(&self) -> BTreeMap<Key, Given> {
        self.known().documents.iter().map(|(key, kept)| (key.clone(), kept.given.clone())).collect()
    }

    /// The merged document as JSON, as it is asked for. Waits a moment for documents that nobody has asked for
    /// yet.
    pub async fn document(&self, asked: Asked) -> Bytes {
        let snapshot = self.gateway.snapshot();
        if !wanted(&snapshot.config).is_empty() {
            let mut versions = self.asked.subscribe();
            let _ = tokio::time::timeout(FIRST_LOOK, versions.wait_for(|version| *version >= snapshot.version)).await;
        }
        let stamp = (snapshot.version, self.known().revision, asked);
        let mut made = Arc::clone(&self.made).lock_owned().await;
        if let Some((known, text)) = &*made
            && *known == stamp
        {
            return text.clone();
        }
        let (given, asked) = (self.given(), stamp.2.clone());
        let listeners = match &asked.listener {
            Some(name) => self.listeners_named(name),
            None => self.listeners.clone(),
        };
        let config = Arc::clone(&snapshot.config);
        // The control runtime has more to do, health checks among it. Who asked may leave: it goes on, and one at a
        // time.
        let making = off_the_loop(move || {
            let (listener, host) = (asked.listener.as_deref(), asked.host.as_deref());
            let wanted = Wanted { listeners: &listeners, listener, host, given: &given };
            let text = Bytes::from(merged(&config, &wanted).to_string());
            *made = Some((stamp, text.clone()));
            text
        });
        making.await.unwrap_or_default()
    }

    /// What `/status` says of documents.
    pub fn told(&self) -> Vec<Value> {
        let clock = &self.gateway.shared().clock;
        let known = self.known();
        let one = |(key, kept): (&Key, &Kept)| {
            let Key::Upstream(upstream, _) = key else { return None };
            let came = kept.came.map(|came| timestamp::rfc3339(clock.unix_us(came)));
            Some(json!({
                "upstream": &**upstream, "path": &*kept.shown, "bytes": kept.bytes(), "came": came,
                "failed": kept.given.failed,
            }))
        };
        known.documents.iter().filter_map(one).collect()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        self.given.text.as_ref().map_or(0, |text| text.len())
    }
}

/// The documents that services are asked for: each by its path, and what people are shown of that.
fn wanted(config: &Config) -> BTreeMap<Key, (PathAndQuery, Box<str>)> {
    let asked = config.routes.iter().filter_map(|route| match &route.openapi {
        Some(document @ ApiDocument::Upstream { path, .. }) => {
            Some((document.key(route), (path.clone(), document.to_string().into_boxed_str())))
        }
        Some(ApiDocument::File(_)) | None => None,
    });
    let mut wanted = BTreeMap::new();
    for (key, place) in asked {
        // Many routes may be of one document.
        if wanted.len() < MAX_DOCUMENTS || wanted.contains_key(&key) {
            wanted.insert(key, place);
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    #[test]
    fn a_path_that_a_variable_writes_is_asked_for_and_not_shown() {
        let text = "[[routes]]\npath = '/{*rest}'\nupstream = 'http://127.0.0.1:1'\n\
                    openapi = '/${DOC_PLACE:-hunter2}/openapi.json'\n";
        let config = load_text(text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let (path, shown) = wanted(&config).into_values().next().unwrap();
        assert_eq!((path.as_str(), &*shown), ("/hunter2/openapi.json", "/${DOC_PLACE:-hunter2}/openapi.json"));
    }

    #[test]
    fn many_routes_of_one_service_leave_room_for_others() {
        let route = |number: usize, upstream: &str| {
            format!(
                "[[routes]]\npath = '/{number}/{{*rest}}'\nupstream = 'http://{upstream}'\nopenapi = '/openapi.json'\n"
            )
        };
        let text = (0..=MAX_DOCUMENTS).map(|number| route(number, "127.0.0.1:1")).collect::<String>();
        let text = text + &(1000..1300).map(|number| route(number, &format!("127.0.0.1:{number}"))).collect::<String>();
        let config = load_text(&text, Path::new("gateway.toml"), Purpose::Check).unwrap().config;
        let wanted = wanted(&config);
        assert_eq!(wanted.len(), MAX_DOCUMENTS);
        let is_asked = |name: &str| wanted.keys().any(|key| matches!(key, Key::Upstream(it, _) if **it == *name));
        assert!(is_asked("127.0.0.1:1") && is_asked("127.0.0.1:1000"));
    }
}
