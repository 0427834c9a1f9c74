//! What a program that embeds the gateway adds to it in code: small traits, and the names by which a configuration uses
//! what implements them.
//!
//! | what | how it is written | what is registered | what a configuration writes |
//! |---|---|---|---|
//! | a handler answers in place of an upstream | any axum `MethodRouter`, `Router` or tower `Service` | [`Builder::handler`] | `handler = "NAME"` in `[[routes]]` |
//! | a stage looks at requests and answers | [`Stage`] | [`Builder::stage`] | `stages = ["NAME"]` in `[[routes]]` |
//!
//! All of it is `Send + Sync`: each thread that serves requests calls it. What it does is on the way of a request that
//! somebody waits for, and on a thread that others' requests wait for: it never blocks. A panic costs one request.
//! Routes that use none of it pay nothing for it.
//!
//! [`Builder::handler`]: crate::builder::Builder::handler
//! [`Builder::stage`]: crate::builder::Builder::stage

mod guard;
mod handler;
mod request;
mod stage;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::config::{PluginKind, Registered};

pub use handler::Handler;
pub use request::RequestInfo;
pub use stage::{NotEditable, Stage, StageRequest};

pub(crate) use guard::{Lost, guarded};
pub(crate) use stage::{AnyStage, Seen, before};

/// All that a program has registered, by name.
#[derive(Default)]
pub struct Plugins {
    /// The program registers nothing, and could not.
    closed: bool,
    handlers: HashMap<Arc<str>, Handler>,
    stages: HashMap<Arc<str>, Arc<dyn AnyStage>>,
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

    /// A handler; false where there is one of this name.
    pub(crate) fn add_handler(&mut self, name: Arc<str>, handler: Handler) -> bool {
        self.handlers.insert(name, handler).is_none()
    }

    /// A stage; false where there is one of this name.
    pub(crate) fn add_stage(&mut self, name: Arc<str>, stage: impl Stage) -> bool {
        self.stages.insert(name, Arc::new(stage)).is_none()
    }

    /// The handler of this name.
    pub(crate) fn handler(&self, name: &str) -> Option<Handler> {
        self.handlers.get(name).cloned()
    }

    /// The stages of these names, in this order.
    pub(crate) fn stages(&self, names: &[Arc<str>]) -> Option<Arc<[Arc<dyn AnyStage>]>> {
        // A configuration is in force only if all its names are registered.
        let stages: Arc<[_]> = names.iter().filter_map(|name| self.stages.get(name).cloned()).collect();
        (!stages.is_empty()).then_some(stages)
    }

    fn names(&self) -> impl Iterator<Item = (PluginKind, &Arc<str>)> {
        let handlers = self.handlers.keys().map(|name| (PluginKind::Handler, name));
        handlers.chain(self.stages.keys().map(|name| (PluginKind::Stage, name)))
    }

    /// The names that a configuration may use.
    pub(crate) fn registered(&self) -> Registered {
        if self.closed {
            return Registered::default();
        }
        Registered::new(self.names().map(|(kind, name)| (kind, Arc::clone(name))))
    }
}
