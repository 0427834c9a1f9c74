//! Which route a request would take under a configuration that need not be in force: the code of the request path, put
//! together once for many requests.

use std::net::IpAddr;

use http::{HeaderValue, Method};

use crate::config::settings::Config;
use crate::config::settings::server::EscapedSlash;
use crate::context::ClientAddress;
use crate::context::target::routing_host;
use crate::origin::Origin;
use crate::request_fields::RequestFields;
pub(crate) use crate::routing::conditions;
use crate::routing::explain::could_be_instead;
use crate::routing::{Ask, Body, CompiledRewrite, Found, Params, PathError, PathRules, RouteTable, normalise};

/// Decides under one configuration.
pub struct Judge<'a> {
    config: &'a Config,
    rules: PathRules,
    /// Finds routes.
    pub table: RouteTable,
    rewrites: Vec<Option<CompiledRewrite>>,
    origins: Vec<Option<Origin>>,
    /// Routes that look at the listener, the client, headers, query or body.
    by_content: Vec<usize>,
}

/// What is known of a request that is over.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// The method.
    pub method: &'a Method,
    /// The host as asked for; empty where there was none.
    pub host: &'a str,
    /// The path, without query.
    pub path: &'a str,
    /// What is known of the query, as it was sent.
    pub query: Option<&'a str>,
    /// The parameters that are known: of these, what is not in the query was not sent.
    pub known: &'a [Box<str>],
    /// The client, where that is known.
    pub client: Option<IpAddr>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// 400: its path has no one form.
    BadPath,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// This route does not let its client in: 403.
    Denied(usize),
    /// This route.
    Route(usize),
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where it goes, as far as host, path and method say.
    pub verdict: Verdict,
    /// What the upstream is sent in place of the path, or where a redirect leads.
    pub sent: Option<String>,
    /// Routes that would be taken instead if listener, headers, query or body are as they ask.
    pub instead: Vec<usize>,
}

impl<'a> Judge<'a> {
    /// Compiles what decides.
    pub fn new(config: &'a Config) -> Self {
        let rules = PathRules {
            keep_escaped_slash: config.server.escaped_slash == EscapedSlash::Keep,
            merge_slashes: config.server.merge_slashes,
        };
        let table = RouteTable::build(&config.routes);
        let rewrite = |(index, route): (usize, &std::sync::Arc<crate::config::settings::Route>)| {
            CompiledRewrite::new(route.rewrite.as_ref()?, table.pattern(index), rules).ok()
        };
        let asks = |matches: &crate::config::settings::route::RouteMatch| {
            let asks_nothing = matches.headers.is_empty() && matches.query.is_empty() && matches.body.is_empty();
            !asks_nothing || !matches.listeners.is_empty() || !matches.clients.is_empty()
        };
        let by_content = config.routes.iter().enumerate().filter(|(_, route)| asks(&route.matches));
        Self {
            rules,
            rewrites: config.routes.iter().enumerate().map(rewrite).collect(),
            origins: config.routes.iter().map(|route| route.origin.as_deref().map(Origin::new)).collect(),
            by_content: by_content.map(|(index, _)| index).collect(),
            table,
            config,
        }
    }

    /// The configuration.
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// A path in its one form.
    ///
    /// # Errors
    /// It has none.
    pub fn path(&self, raw: &str) -> Result<String, PathError> {
        normalise(if raw.is_empty() { "/" } else { raw }, self.rules).map(std::borrow::Cow::into_owned)
    }

    /// What the upstream is asked for, or where a redirect leads: path and query.
    pub fn sent(&self, index: usize, path: &str, params: &Params, query: Option<&str>) -> String {
        match self.rewrites[index].as_ref().map(|rewrite| rewrite.apply(path, params, query)) {
            Some(Ok(target)) => target.to_string(),
            Some(Err(error)) => format!("(refused: {error})"),
            None => query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")),
        }
    }

    /// Whether a route lets a client in; one whose address is not known may be any.
    pub fn lets_in(&self, index: usize, client: Option<IpAddr>) -> bool {
        client.is_none_or(|client| self.lets_in_as(index, &ClientAddress::known(client)))
    }

    /// The same of a client that is known, or hidden behind a proxy.
    pub(super) fn lets_in_as(&self, index: usize, client: &ClientAddress) -> bool {
        self.origins[index].as_ref().is_none_or(|origin| origin.lets_in(client))
    }

    /// Decides about a request that is over.
    pub fn look_back(&self, past: &Past<'_>) -> Decision {
        let Ok(path) = self.path(past.path) else {
            return Decision { verdict: Verdict::BadPath, sent: None, instead: Vec::new() };
        };
        let host = HeaderValue::from_str(past.host).unwrap_or(HeaderValue::from_static(""));
        let (host, headers) = (routing_host(&host), RequestFields::new());
        // What a listener decides is as unknown as what headers do.
        let (listener, query, client, body) = ("", past.query, past.client, Body::Absent);
        let (host, method) = (&*host, past.method);
        let ask = Ask { listener, host, method, path: &path, query, client, headers: &headers, body };
        let (verdict, sent) = match self.table.find(&ask) {
            Found::Route { index, params } => {
                let sent = self.sent(index, &path, &params, None);
                (
                    if self.lets_in(index, past.client) { Verdict::Route(index) } else { Verdict::Denied(index) },
                    Some(sent),
                )
            }
            Found::MethodNotAllowed { .. } => (Verdict::MethodNotAllowed, None),
            Found::None => (Verdict::NotFound, None),
        };
        let found = verdict.route();
        let known = (found, past.known);
        let instead =
            self.by_content.iter().copied().filter(|other| could_be_instead(&self.table, &ask, *other, known));
        Decision { verdict, sent, instead: instead.collect() }
    }
}

impl Verdict {
    /// The route, where there is one.
    pub fn route(self) -> Option<usize> {
        match self {
            Self::Denied(index) | Self::Route(index) => Some(index),
            Self::BadPath | Self::NotFound | Self::MethodNotAllowed => None,
        }
    }
}
