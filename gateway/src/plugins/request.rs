//! What the gateway knows of a request, for the program's own code.

use std::net::IpAddr;
use std::sync::Arc;

use http::Extensions;

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::network::Network;

/// What the gateway knows of a request. A handler finds it among the request's extensions:
///
/// ```
/// use axum::Extension;
/// use gateway::prelude::RequestInfo;
///
/// async fn who(Extension(request): Extension<RequestInfo>) -> String {
///     request.subject().unwrap_or("nobody that was proven").to_owned()
/// }
/// # let _ = who;
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestInfo {
    /// Its id, as in its record and in `x-request-id` of its answer.
    pub request_id: Arc<str>,
    /// The name of its route.
    pub route: Arc<str>,
    /// The client's address, as trusted proxies tell it.
    pub client: IpAddr,
    /// The client's own connection is encrypted, as trusted proxies tell it.
    pub secure: bool,
    /// Who asks, where the route wants to know and it was proven.
    pub identity: Option<Arc<Identity>>,
    /// The parameters of the route's path, in its order: name and value.
    pub parameters: Arc<[(Box<str>, Box<str>)]>,
    /// What stands beside the request, for stages that see its answer.
    pub(super) beside: Option<Arc<Extensions>>,
}

impl RequestInfo {
    /// Of an exchange whose route is known.
    pub(crate) fn of<N: Network>(exchange: &Exchange<N>, parameters: Vec<(Box<str>, Box<str>)>) -> Self {
        Self {
            request_id: exchange.request_id.as_str().into(),
            route: exchange.route().map(|route| Arc::clone(&route.settings.name)).unwrap_or_default(),
            client: exchange.client.ip,
            secure: exchange.secure,
            identity: exchange.identity.clone(),
            parameters: parameters.into(),
            beside: None,
        }
    }

    /// For the `response` of a stage: what the program's layers and the route's stages have put beside the request, as
    /// it was when the last of them let it pass. Elsewhere it is `None`: a handler finds it among the extensions of its
    /// request, and `request` of a stage in [`StageRequest::extensions`](super::StageRequest::extensions).
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.beside.as_ref()?.get()
    }

    /// Who asks, by name, where that was proven and has one.
    pub fn subject(&self) -> Option<&str> {
        self.identity.as_ref()?.subject.as_deref()
    }

    /// A parameter of the route's path: `id` of `/orders/{id}`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    }
}
