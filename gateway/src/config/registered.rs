//! What the program that loads a configuration has registered in code: the names that the configuration may use for it;
//! and whether it is the program that listens.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::problem::{did_you_mean, quoted};
use super::settings::Config;
use super::settings::identity::ProviderKind;
use super::settings::own_answer::OwnAnswer;
use super::settings::rate_limit::LimitKey;
use super::settings::upstream::Balance;

/// What can be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PluginKind {
    /// Answers in place of an upstream: `handler` of a route.
    Handler,
    /// Looks at requests and answers: `stages` of a route.
    Stage,
    /// Proves who asks: `[identity.providers.*]` with `kind = "custom"`.
    IdentityProvider,
    /// Picks endpoints: `balance = { policy = "custom" }` of an upstream.
    Balancer,
    /// Says what requests are counted by: `key = "custom:NAME"` of a rate limit.
    LimitKey,
}

impl PluginKind {
    /// As it is called in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Stage => "stage",
            Self::IdentityProvider => "identity provider",
            Self::Balancer => "balancer",
            Self::LimitKey => "limit key",
        }
    }

    /// What a configuration writes that uses one.
    fn used_by(self) -> &'static str {
        match self {
            Self::Handler => "no route has `handler`",
            Self::Stage => "no route has it among its `stages`",
            Self::IdentityProvider => "no provider with `kind = \"custom\"` has it as its `name`",
            Self::Balancer => "no `balance` with `policy = \"custom\"` has it as its `name`",
            Self::LimitKey => "no rate limit has it as its `key`",
        }
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How requests come to the gateway that the program builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doors {
    /// By listeners of its own, as to `gateway run`.
    #[default]
    Own,
    /// Through the program's server, which says no more of a connection than whose it is, if that.
    Mounted,
    /// Through the program's server, which says of each request how it came.
    Told,
    /// By its own listeners where some are written; else as if it were mounted.
    Unsaid,
}

/// The names of all that is registered.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    /// `None`: this program registers nothing at all, as the gateway's own does.
    names: Option<BTreeSet<(PluginKind, Arc<str>)>>,
    doors: Doors,
}

impl Registered {
    /// These, by a program that can register more.
    pub fn new(names: impl IntoIterator<Item = (PluginKind, Arc<str>)>) -> Self {
        Self { names: Some(names.into_iter().collect()), doors: Doors::default() }
    }

    /// The same, and requests come so.
    #[must_use]
    pub fn reached_by(self, doors: Doors) -> Self {
        Self { doors, ..self }
    }

    /// Whether it is the program that listens, and whose standard output is no place for a log.
    pub(super) fn is_mounted(&self) -> bool {
        matches!(self.doors, Doors::Mounted | Doors::Told)
    }

    /// How requests come.
    pub(super) fn doors(&self) -> Doors {
        self.doors
    }

    /// Whether the program can register anything.
    pub(super) fn is_open(&self) -> bool {
        self.names.is_some()
    }

    /// What is wrong with a name, and what to do about it; `None` where it is registered.
    pub(super) fn lacks(&self, kind: PluginKind, name: &str) -> Option<(String, String)> {
        let Some(names) = &self.names else {
            let message = format!("the {kind} {} is registered in code, and this program registers none", quoted(name));
            return Some((message, "it needs a program that embeds the gateway: docs/embedding.md".to_owned()));
        };
        let known: Vec<&str> = names.iter().filter(|(of, _)| *of == kind).map(|(_, name)| &**name).collect();
        if known.contains(&name) {
            return None;
        }
        let all = known.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let nearest = did_you_mean(name, known.iter().copied()).map(|nearest| nearest + " ").unwrap_or_default();
        let help = if known.is_empty() {
            format!("the program registers no {kind}")
        } else {
            format!("{nearest}registered are: {all}")
        };
        Some((format!("no {kind} {} is registered", quoted(name)), help))
    }

    /// A sentence for each that this configuration does not use.
    pub(super) fn unused(&self, config: &Config) -> Vec<String> {
        let used = used(config);
        let names = self.names.iter().flatten().filter(|(kind, name)| !used.contains(&(*kind, &**name)));
        let told = |(kind, name): &(PluginKind, Arc<str>)| {
            format!("the program registers the {kind} {}, and {}", quoted(name), kind.used_by())
        };
        names.map(told).collect()
    }
}

/// What a configuration uses.
fn used(config: &Config) -> BTreeSet<(PluginKind, &str)> {
    let mut used = BTreeSet::new();
    for route in &config.routes {
        if let Some(OwnAnswer::Handler(name)) = route.own_answer.as_deref() {
            used.insert((PluginKind::Handler, &**name));
        }
        used.extend(route.stages.iter().map(|name| (PluginKind::Stage, &**name)));
    }
    for provider in &config.providers {
        if let ProviderKind::Custom(custom) = &provider.kind {
            used.insert((PluginKind::IdentityProvider, &*custom.name));
        }
    }
    for upstream in &config.upstreams {
        if let Balance::Custom(name) = &upstream.balance {
            used.insert((PluginKind::Balancer, &**name));
        }
    }
    let keys = config.rate_limits.iter().map(|limit| &limit.key);
    for key in keys.chain(config.in_flight_limits.iter().map(|limit| &limit.key)) {
        if let LimitKey::Custom(name) = key {
            used.insert((PluginKind::LimitKey, &**name));
        }
    }
    used
}
