//! What a program that embeds the gateway adds to it in code: small traits, and the names by which a configuration uses
//! what implements them.
//!
//! | registered by | what it is | used by |
//! |---|---|---|
//! | [`Builder::handler`] | any axum `MethodRouter`, `Router` or tower `Service` | `handler = "NAME"` of a route |
//! | [`Builder::stage`] | a [`Stage`] | `stages = ["NAME"]` of a route |
//! | [`Builder::identity`] | an [`IdentityProvider`] | `kind = "custom"`, `name = "NAME"` of a provider |
//! | [`Builder::balancer`] | a [`BalancePolicy`] | `balance = { policy = "custom", name = "NAME" }` of an upstream |
//! | [`Builder::limit_key`] | a [`LimitKey`] | `key = "custom:NAME"` of a rate limit |
//!
//! All of it is `Send + Sync`: each thread that serves requests calls it. What it does is on the way of a request that
//! somebody waits for, and on a thread that others' requests wait for: it never blocks. A panic costs one request.
//! Routes that use none of it pay nothing for it.
//!
//! [`Builder::handler`]: crate::builder::Builder::handler
//! [`Builder::stage`]: crate::builder::Builder::stage
//! [`Builder::identity`]: crate::builder::Builder::identity
//! [`Builder::balancer`]: crate::builder::Builder::balancer
//! [`Builder::limit_key`]: crate::builder::Builder::limit_key

mod answer_body;
mod ended;
mod guard;
mod handler;
mod identity;
mod limit;
mod request;
mod span;
mod stage;
mod stage_body;
mod stage_request;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use stage::Named;

use crate::config::{Doors, PluginKind, Registered};
use crate::telemetry::told::{TakesEvents, TakesRecords, Voice};

pub use crate::algorithms::balancer::{BalancePolicy, Candidates};
pub use answer_body::Unread;
pub use ended::EndedRequest;
pub use handler::Handler;
pub use identity::{Denied, Granted, IdentityProvider, IdentityRequest};
pub use limit::{LimitKey, LimitRequest};
pub use request::RequestInfo;
pub use stage::Stage;
pub use stage_request::{NotEditable, StageRequest};

pub(crate) use guard::{Lost, guarded};
pub(crate) use identity::AnyIdentityProvider;
pub(crate) use span::{Around, What};
pub(crate) use stage::{AnyStage, Seen, before};
pub(crate) use stage_body::Halted;

/// All that a program has registered, by name.
#[derive(Default)]
pub struct Plugins {
    /// The program registers nothing, and could not.
    closed: bool,
    /// How requests come to the gateway.
    doors: Doors,
    handlers: HashMap<Arc<str>, Handler>,
    stages: HashMap<Arc<str>, Arc<dyn AnyStage>>,
    identities: HashMap<Arc<str>, Arc<dyn AnyIdentityProvider>>,
    balancers: HashMap<Arc<str>, Arc<dyn BalancePolicy>>,
    limit_keys: HashMap<Arc<str>, Arc<dyn LimitKey>>,
    /// Where goes what the gateway says of itself.
    voice: Voice,
    /// Who takes access records, in place of their output.
    records: Option<TakesRecords>,
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Plugins {
    /// Nothing, of a program that never registers anything.
    pub(crate) fn none() -> Self {
        Self { closed: true, ..Self::default() }
    }

    /// Events go to this, in place of standard error.
    pub(crate) fn tell_events(&mut self, takes: TakesEvents) {
        self.voice = Voice::Program(Some(takes));
    }

    /// Access records go to this, in place of their output.
    pub(crate) fn tell_records(&mut self, takes: TakesRecords) {
        self.records = Some(takes);
    }

    /// The gateway is to be mounted in the program, which listens itself, and requests come so. Nothing is said on its
    /// standard error.
    pub(crate) fn mount(&mut self, doors: Doors) {
        self.doors = doors;
        if matches!(self.voice, Voice::StandardError) {
            self.voice = Voice::Program(None);
        }
    }

    /// Whether the gateway is mounted in the program.
    pub(crate) fn is_mounted(&self) -> bool {
        matches!(self.doors, Doors::Mounted | Doors::Told)
    }

    /// Where goes what the gateway says of itself.
    pub(crate) fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Who takes access records, in place of their output.
    pub(crate) fn records(&self) -> Option<&TakesRecords> {
        self.records.as_ref()
    }

    /// A handler; false where there is one of this name.
    pub(crate) fn add_handler(&mut self, handler: Handler) -> bool {
        self.handlers.insert(Arc::clone(&handler.name), handler).is_none()
    }

    /// A stage; false where there is one of this name.
    pub(crate) fn add_stage(&mut self, name: Arc<str>, stage: impl Stage) -> bool {
        let named = Arc::new(Named(Arc::clone(&name), stage));
        self.stages.insert(name, named).is_none()
    }

    /// A provider of identity; false where there is one of this name.
    pub(crate) fn add_identity(&mut self, name: Arc<str>, provider: impl IdentityProvider) -> bool {
        self.identities.insert(name, Arc::new(provider)).is_none()
    }

    /// A policy of balancing; false where there is one of this name.
    pub(crate) fn add_balancer(&mut self, name: Arc<str>, policy: impl BalancePolicy) -> bool {
        self.balancers.insert(name, Arc::new(policy)).is_none()
    }

    /// What requests are counted by; false where there is one of this name.
    pub(crate) fn add_limit_key(&mut self, name: Arc<str>, key: impl LimitKey) -> bool {
        self.limit_keys.insert(name, Arc::new(key)).is_none()
    }

    /// The provider of identity of this name.
    pub(crate) fn identity(&self, name: &str) -> Option<Arc<dyn AnyIdentityProvider>> {
        self.identities.get(name).cloned()
    }

    /// The policy of balancing of this name.
    pub(crate) fn balancer(&self, name: &str) -> Option<Arc<dyn BalancePolicy>> {
        self.balancers.get(name).cloned()
    }

    /// What requests are counted by, of this name.
    pub(crate) fn limit_key(&self, name: &str) -> Option<&dyn LimitKey> {
        self.limit_keys.get(name).map(|key| &**key)
    }

    /// The handler of this name.
    pub(crate) fn handler(&self, name: &str) -> Option<Handler> {
        self.handlers.get(name).cloned()
    }

    /// The stages of these names, in this order.
    pub(crate) fn stages(&self, names: &[Arc<str>]) -> Option<Arc<[Arc<dyn AnyStage>]>> {
        let stages: Arc<[_]> = names.iter().filter_map(|name| self.stages.get(name).cloned()).collect();
        // Requests would pass without what one that is missing asks of them.
        assert_eq!(stages.len(), names.len(), "a configuration is in force only if all its names are registered");
        (!stages.is_empty()).then_some(stages)
    }

    fn names(&self) -> impl Iterator<Item = (PluginKind, &Arc<str>)> {
        fn of<T>(kind: PluginKind, map: &HashMap<Arc<str>, T>) -> impl Iterator<Item = (PluginKind, &Arc<str>)> {
            map.keys().map(move |name| (kind, name))
        }
        of(PluginKind::Handler, &self.handlers)
            .chain(of(PluginKind::Stage, &self.stages))
            .chain(of(PluginKind::IdentityProvider, &self.identities))
            .chain(of(PluginKind::Balancer, &self.balancers))
            .chain(of(PluginKind::LimitKey, &self.limit_keys))
    }

    /// The names that a configuration may use.
    pub(crate) fn registered(&self) -> Registered {
        if self.closed {
            return Registered::default();
        }
        Registered::new(self.names().map(|(kind, name)| (kind, Arc::clone(name)))).reached_by(self.doors)
    }
}
