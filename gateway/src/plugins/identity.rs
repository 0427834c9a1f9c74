//! Providers of identity of the program's own.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::exchange::Exchange;
use crate::network::Network;

/// Proves who asks by a credential of the program's own kind, for `[identity.providers.*]` with `kind = "custom"`.
///
/// The gateway finds the credential (a bearer token, or a header of its own), takes it out of what is sent on,
/// remembers what came of it, holds scopes and claims against what the route asks for, and tells upstreams. What is
/// left to do is to say whose it is:
///
/// ```
/// use gateway::prelude::{Denied, Granted, IdentityProvider};
///
/// struct Tickets;
///
/// impl IdentityProvider for Tickets {
///     async fn identify(&self, credential: &str) -> Result<Granted, Denied> {
///         match credential {
///             "a-ticket" => Ok(Granted::to("ada").scope("orders:read")),
///             _ => Err(Denied::Invalid),
///         }
///     }
/// }
/// # let _ = gateway::gateway::Gateway::builder().identity("tickets", Tickets);
/// ```
pub trait IdentityProvider: Send + Sync + 'static {
    /// Whose credential this is. It has the provider's `timeout` for that, or what is left of the request's own time
    /// where that is less, and is asked once more when what it said is not remembered any more (`cache`).
    fn identify(&self, credential: &str) -> impl Future<Output = Result<Granted, Denied>> + Send;

    /// The same, for a provider that logs on whose behalf it is asked, or hands the trace on to whom it asks. This is
    /// what the gateway calls; where it is not written, it is [`IdentityProvider::identify`]. What it says is
    /// remembered for all requests with this credential: nothing of this one request may decide it.
    fn identify_for(
        &self,
        credential: &str,
        request: &IdentityRequest<'_>,
    ) -> impl Future<Output = Result<Granted, Denied>> + Send {
        let _ = request;
        self.identify(credential)
    }
}

/// The request on whose behalf a provider is asked.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct IdentityRequest<'a> {
    /// Its id, as in its record.
    pub request_id: &'a str,
    /// The id of its trace, as in its record: 32 lower-case digits.
    pub trace_id: &'a str,
    /// The name of its route.
    pub route: &'a str,
}

impl<'a> IdentityRequest<'a> {
    pub(crate) fn of<N: Network>(exchange: &'a Exchange<N>) -> Self {
        Self {
            request_id: exchange.request_id.as_str(),
            trace_id: std::str::from_utf8(exchange.trace.trace_id_text()).unwrap_or_default(),
            route: exchange.route().map_or("", |route| &route.settings.name),
        }
    }

    /// The three of them.
    pub(crate) fn ids(&self) -> (&'a str, &'a str, &'a str) {
        (self.request_id, self.trace_id, self.route)
    }
}

/// What a credential proves.
#[derive(Debug, Clone, PartialEq)]
pub struct Granted {
    pub(crate) subject: Option<Box<str>>,
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) good_for: Option<Duration>,
}

impl Granted {
    /// That it is somebody of this name.
    #[must_use]
    pub fn to(subject: impl Into<String>) -> Self {
        let subject = subject.into();
        let claims = Map::from_iter([("sub".to_owned(), Value::from(subject.clone()))]);
        Self { subject: Some(subject.into()), scopes: Vec::new(), claims, good_for: None }
    }

    /// Grants a scope as well.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into().into());
        self
    }

    /// Says something more of who it is: what routes may ask for, limits count by, and upstreams are told.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Holds for so long; never longer than the provider's `cache` says.
    #[must_use]
    pub fn good_for(mut self, time: Duration) -> Self {
        self.good_for = Some(time);
        self
    }
}

/// Why a credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// It does not hold: 401.
    Invalid,
    /// Whoever could say so is not there: 503. A panic and a timeout are that too.
    Unavailable,
}

/// A provider without its type.
pub(crate) trait AnyIdentityProvider: Send + Sync {
    fn identify<'a>(&'a self, credential: &'a str, request: &'a IdentityRequest<'a>) -> Identifying<'a>;
}

pub(crate) type Identifying<'a> = Pin<Box<dyn Future<Output = Result<Granted, Denied>> + Send + 'a>>;

impl<P: IdentityProvider> AnyIdentityProvider for P {
    fn identify<'a>(&'a self, credential: &'a str, request: &'a IdentityRequest<'a>) -> Identifying<'a> {
        Box::pin(self.identify_for(credential, request))
    }
}
