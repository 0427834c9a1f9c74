//! Validated settings, one file a setting. A value of these types cannot hold nonsense: `config::validate` made it.
//!
//! Nothing here reads files or the environment, and nothing here is `Deserialize`: the written form is parsed in
//! `config::parse`, so that a problem is reported with its place in the file.

pub mod admin;
pub mod affinity;
pub mod aggregate;
pub mod api_document;
pub mod basic;
pub mod batch;
pub mod cache;
pub mod clients;
pub mod compress;
pub mod cors;
pub mod forward_auth;
pub mod header_edits;
pub mod identity;
pub mod intercept;
pub mod listener;
pub mod mirror;
pub mod own_answer;
pub mod problems;
pub mod query_edits;
pub mod rate_limit;
pub mod route;
pub mod server;
pub mod split;
pub mod store;
pub mod target;
pub mod telemetry;
pub mod token_place;
pub mod upstream;
pub mod upstream_tls;

use std::path::PathBuf;
use std::sync::Arc;

use api_document::ApiDocument;
use identity::{Keys, Passport, ProviderKind};

pub use admin::Admin;
pub use cache::Cache;
pub use compress::Compress;
pub use cors::Cors;
pub use identity::{IdentityHeaders, Provider};
pub use listener::Listener;
pub use rate_limit::{InFlightLimit, RateLimit};
pub use route::Route;
pub use server::Server;
pub use store::Store;
pub use telemetry::Telemetry;
pub use upstream::Upstream;

use super::written::Written;

/// Everything one configuration says, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[[listeners]]`; empty only of a gateway that is mounted in a program.
    pub listeners: Vec<Listener>,
    /// `[admin]`; `None` when its address is empty.
    pub admin: Option<Admin>,
    /// `[telemetry.*]`
    pub telemetry: Telemetry,
    /// `[identity]`: which headers are stripped, and what they are called.
    pub identity: IdentityHeaders,
    /// `[identity.providers.*]`. Names are unique.
    pub providers: Vec<Arc<Provider>>,
    /// `[identity] passport`
    pub passport: Option<Arc<Passport>>,
    /// `[stores.*]`. Names are unique.
    pub stores: Vec<Arc<Store>>,
    /// `[rate_limits.*]`. Names are unique.
    pub rate_limits: Vec<Arc<RateLimit>>,
    /// The `in_flight` of `[rate_limits.*]`. Names are unique, and may be those of rates too.
    pub in_flight_limits: Vec<Arc<InFlightLimit>>,
    /// `[upstreams.*]`, also those that a route wrote as a URL. Names are unique.
    pub upstreams: Vec<Arc<Upstream>>,
    /// `[[routes]]` in the order of the file, then `[[aggregates]]` and `[[batches]]` as routes that are answered
    /// with one. Names are unique; each upstream that a route names exists.
    pub routes: Vec<Arc<Route>>,
    /// What it was read from.
    pub written: Arc<Written>,
}

impl Config {
    /// The listener of this name.
    ///
    /// # Errors
    /// None is called so; the text names those that there are.
    pub fn listener(&self, name: &str) -> Result<&Listener, String> {
        let is_called = |listener: &&Listener| listener.name.as_deref() == Some(name);
        self.listeners.iter().find(is_called).ok_or_else(|| {
            let known: Vec<&str> = self.listeners.iter().filter_map(|listener| listener.name.as_deref()).collect();
            let known = if known.is_empty() { "none has a name".to_owned() } else { known.join(", ") };
            format!("no listener is called {name:?}: {known}")
        })
    }

    /// The routes that parts of aggregates are called by, in the order of the aggregates.
    pub fn parts(&self) -> impl Iterator<Item = &Arc<Route>> {
        let aggregates = self.routes.iter().filter_map(|route| route.aggregate.as_ref());
        aggregates.flat_map(|aggregate| aggregate.parts.iter().map(|part| &part.route))
    }

    /// The routes that the upstreams of splits are called by, with the place among `routes` of the one that each is of.
    pub fn shares(&self) -> impl Iterator<Item = (usize, &Arc<Route>)> {
        let splits = self.routes.iter().enumerate().filter_map(|(at, route)| Some((at, route.split.as_ref()?)));
        splits.flat_map(|(at, split)| split.shares.iter().map(move |share| (at, &share.route)))
    }

    /// The routes that copies are sent by, with the place among `routes` of the one whose requests are copied.
    pub fn copies(&self) -> impl Iterator<Item = (usize, &Arc<Route>)> {
        let mirrored = self.routes.iter().enumerate();
        mirrored.filter_map(|(at, route)| Some((at, &route.mirror.as_ref()?.route)))
    }

    /// Files with keys, certificates and documents, which are a part of the configuration though it is not written in
    /// them.
    pub(crate) fn key_files(&self) -> Vec<PathBuf> {
        let file = |provider: &Arc<Provider>| match &provider.kind {
            ProviderKind::Jwt(jwt) => match &jwt.keys {
                Some(Keys::Fixed(keys)) => keys.file.clone(),
                Some(Keys::Fetched(_)) | None => None,
            },
            ProviderKind::ApiKey(keys) => Some(keys.file.clone()),
            ProviderKind::Basic(basic) => Some(basic.file.clone()),
            ProviderKind::Mtls(mtls) => mtls.ca.as_ref().map(|ca| ca.file.clone()),
            ProviderKind::Introspection(_) | ProviderKind::Custom(_) => None,
        };
        let passport = self.passport.iter().map(|passport| passport.file.clone());
        let certificates = self.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let certificates = certificates.flat_map(|tls| tls.files.iter().cloned());
        let upstreams = self.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref());
        let collector =
            self.telemetry.tracing.export.iter().filter_map(|export| Some(export.ca.as_ref()?.file.clone()));
        let stores = self.stores.iter().filter_map(|store| Some(store.ca.as_ref()?.file.clone()));
        let document = |route: &Arc<Route>| match &route.openapi {
            Some(ApiDocument::File(file)) => Some(file.path.clone()),
            Some(ApiDocument::Upstream { .. }) | None => None,
        };
        let documents = self.routes.iter().filter_map(document);
        let problems = self.routes.iter().filter_map(|route| route.problems.as_ref()).chain(&self.server.problems);
        let documents = documents.chain(problems.flat_map(|problems| problems.files().cloned()));
        let own = self.providers.iter().filter_map(file).chain(passport).chain(certificates);
        let own = own.chain(collector).chain(stores).chain(documents);
        own.chain(upstreams.flat_map(|tls| tls.files.iter().cloned())).collect()
    }
}
