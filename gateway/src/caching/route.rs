//! What one route's cache is, compiled; and which routes' answers live on over a reload.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderName;

use super::answer::GIVEN_A_TIME;
use super::freshness::Terms;
use crate::algorithms::criticality::Criticality;
use crate::config::settings::cache::Cache;
use crate::config::settings::header_edits::HeaderEdits;
use crate::config::settings::route::{EarlyHints, Retry};
use crate::config::settings::{Config, Route};

/// A route's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCache {
    /// Whose answers they are: another number for each configuration of a route that answers may hang on.
    pub tag: u64,
    /// For how long answers hold.
    terms: Terms,
    /// For how long those of some statuses do that say nothing of it, seconds.
    by_status: Box<[(u16, u32)]>,
    /// The largest body that is kept, bytes.
    pub(super) max_body: usize,
    /// So many answers to one URI, by what else they hang on.
    pub(super) variants: usize,
    /// What says that it is anybody's is given to all subjects.
    pub(super) shares: bool,
    /// Clients may want an answer to be confirmed.
    pub(super) obeys: bool,
    /// Headers of requests that the upstream never sees: no answer hangs on them.
    pub(super) unseen: Box<[HeaderName]>,
}

impl RouteCache {
    /// Compiles it, with the edits of the route's requests.
    pub fn new(settings: &Cache, edits: &HeaderEdits, tag: u64) -> Self {
        let seconds = |time: std::time::Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            tag,
            terms: Terms {
                default_ttl: seconds(settings.default_ttl),
                max_ttl: seconds(settings.max_ttl),
                while_revalidate: seconds(settings.stale_while_revalidate),
                if_error: seconds(settings.stale_if_error),
            },
            by_status: settings.status_ttl.iter().map(|(status, ttl)| (*status, seconds(*ttl))).collect(),
            max_body: settings.max_body,
            variants: settings.vary_limit,
            shares: settings.shared,
            obeys: !settings.ignore_client_directives,
            unseen: edits.names_gone().cloned().collect(),
        }
    }

    /// For how long an answer of this status holds.
    pub(super) fn terms_of(&self, status: u16) -> Terms {
        let own = self.by_status.iter().find(|(of, _)| *of == status).map(|(_, ttl)| *ttl);
        let shared = if GIVEN_A_TIME.contains(&status) { self.terms.default_ttl } else { 0 };
        Terms { default_ttl: own.unwrap_or(shared), ..self.terms }
    }
}

/// The tags of routes by their names.
#[derive(Debug, Default)]
pub struct Tags(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    last: u64,
    /// With what answers hang on.
    routes: HashMap<Arc<str>, (u64, String)>,
}

impl Tags {
    /// The tags of a configuration's routes: the same as before where nothing has changed that their answers hang on.
    pub fn apply(&self, config: &Config) -> HashMap<Arc<str>, u64> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut known.routes);
        let mut tags = HashMap::new();
        for route in config.routes.iter().filter(|route| route.cache.is_some()) {
            let what = hangs_on(route);
            let tag = match before.get(&route.name) {
                Some((tag, was)) if *was == what => *tag,
                _ => {
                    known.last += 1;
                    known.last
                }
            };
            known.routes.insert(Arc::clone(&route.name), (tag, what));
            tags.insert(Arc::clone(&route.name), tag);
        }
        tags
    }

    /// The tag of the route of this name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).routes.get(name).map(|(tag, _)| *tag)
    }

    /// Names and tags.
    pub fn all(&self) -> Vec<(Arc<str>, u64)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.routes.iter().map(|(name, (tag, _))| (Arc::clone(name), *tag)).collect()
    }
}

/// All of a route that its upstream's answers may hang on, as text: the rest says how the upstream is asked, who may
/// ask, and what becomes of an answer on its way out. Which of a split's upstreams was asked is in the key.
fn hangs_on(route: &Route) -> String {
    let mut route = route.clone();
    route.split = None;
    route.mirror = None;
    route.origin = None;
    route.rate_limits = Vec::new();
    (route.timeout, route.idle_timeout) = (None, None);
    route.websocket = false;
    route.max_in_flight = None;
    route.retry = Retry::default();
    route.criticality = Criticality::default();
    (route.breaker, route.hedge, route.fallback) = (None, None, None);
    route.intercept = None;
    (route.max_body, route.buffer_request) = (None, None);
    (route.problems, route.cors, route.compress, route.openapi) = (None, None, None, None);
    route.coalesce = false;
    route.early_hints = EarlyHints::Off;
    route.response_headers = HeaderEdits::default();
    format!("{route:?}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Purpose, load_text};

    const ROUTE: &str = "[upstreams.a]\nendpoints = ['10.0.0.1:80']\n\
                         [rate_limits.few]\nkey = 'client_ip'\nrate = '1/s'\nburst = 1\n\
                         [[routes]]\nname = 'r'\npath = '/x'\nupstream = 'a'\ncache = true\n";

    /// Whether what is kept of the route outlives a reload that adds these lines.
    fn lives_on(lines: &str) -> bool {
        let config = |text: &str| load_text(text, Path::new("a.toml"), Purpose::Check).unwrap().config;
        let tags = Tags::default();
        let before = tags.apply(&config(ROUTE));
        before == tags.apply(&config(&format!("{ROUTE}{lines}\n")))
    }

    #[test]
    fn a_reload_leaves_what_hangs_on_nothing_that_it_changes() {
        for lines in [
            "max_in_flight = 200",
            "retry = { attempts = 3 }",
            "retry = { on = ['502'] }",
            "retry = { methods = ['GET'] }",
            "retry = { buffer = '1KiB' }",
            "retry = { backoff = '30ms', max_backoff = '1s' }",
            "retry = { per_try_timeout = '1s' }",
            "intercept = ['500']",
            "timeout = '1s'",
            "idle_timeout = '1s'",
            "breaker = { consecutive_failures = 4 }",
            "hedge = { after = '50ms' }",
            "fallback = { status = 200 }",
            "rate_limits = ['few']",
            "criticality = 'critical'",
            "compress = true",
            "response_headers = { set = { x-a = '1' } }",
            "max_body = '1KiB'",
        ] {
            assert!(lives_on(lines), "{lines}");
        }
    }

    #[test]
    fn a_reload_takes_away_what_hangs_on_what_it_changes() {
        for lines in ["host = 'upstream'", "request_headers = { set = { x-a = '1' } }", "rewrite = { path = '/y' }"] {
            assert!(!lives_on(lines), "{lines}");
        }
    }
}
