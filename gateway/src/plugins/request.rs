//! What the gateway knows of a request, for the program's own code.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, Method};

use super::answer_body::Room;
use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::network::Network;

/// The 32 digits of a trace's id.
#[derive(Clone)]
struct TraceId([u8; 32]);

impl TraceId {
    fn of<N: Network>(exchange: &Exchange<N>) -> Self {
        Self(exchange.trace.trace_id_text().try_into().unwrap_or([b'0'; 32]))
    }

    fn as_str(&self) -> &str {
        // They are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    /// Its trace's id.
    trace: TraceId,
    /// It is HEAD: its answer has no body.
    pub(super) is_head: bool,
    /// What bodies may hold that its stages read.
    pub(super) room: Option<Room>,
    /// What stands beside the request, for stages that see its answer and its end.
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
            trace: TraceId::of(exchange),
            is_head: exchange.method == Method::HEAD,
            room: None,
            beside: None,
        }
    }

    /// One of no request, for tests.
    #[cfg(test)]
    pub(super) fn of_nothing() -> Self {
        Self {
            request_id: Arc::default(),
            route: Arc::default(),
            client: IpAddr::from([192, 0, 2, 1]),
            secure: false,
            identity: None,
            parameters: Arc::default(),
            trace: TraceId([b'0'; 32]),
            is_head: false,
            room: None,
            beside: None,
        }
    }

    /// The id of its trace (W3C Trace Context), 32 lower-case digits, as in its record and in the `traceparent` that an
    /// upstream is told: the client's where the gateway continues its trace, else a new one. A request has one whether
    /// its spans are kept or not.
    pub fn trace_id(&self) -> &str {
        self.trace.as_str()
    }

    /// For `response` and `ended` of a stage: what the program's layers and the route's stages have put beside the
    /// request, as it was when the last of them let it pass. Elsewhere it is `None`: a handler finds it among the
    /// extensions of its request, and `request` of a stage in
    /// [`StageRequest::extensions`](super::StageRequest::extensions).
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
