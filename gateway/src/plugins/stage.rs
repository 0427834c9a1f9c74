//! Stages: what looks at a route's requests before they are sent on, and at the answers before they are given.

use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method};

use super::guard::{Lost, guarded};
use super::request::RequestInfo;
use crate::config::editable_header;
use crate::context::{HeaderRules, names};
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::shard::Shared;
use crate::timer::{Deadlines, Wait};

/// A stage of the program's own, for the routes that name it among their `stages`.
///
/// It sees a request when it is known who asks and that they may: behind limits, identity and `forward_auth`, before an
/// upstream is chosen or a handler asked. It sees the answers of upstreams and handlers as they come, before the
/// gateway adds its own headers; what the gateway answers itself (problems, redirects, fixed answers) it does not see.
/// Both methods do nothing where they are not written; `async fn` implements them:
///
/// ```
/// use std::ops::ControlFlow;
///
/// use axum::response::{IntoResponse, Response};
/// use gateway::prelude::{RequestInfo, Stage, StageRequest};
/// use http::{HeaderName, HeaderValue, StatusCode};
///
/// struct Maintenance;
///
/// impl Stage for Maintenance {
///     async fn request(&self, request: &mut StageRequest<'_>) -> ControlFlow<Response> {
///         if request.path().starts_with("/admin") {
///             return ControlFlow::Break((StatusCode::SERVICE_UNAVAILABLE, "later").into_response());
///         }
///         ControlFlow::Continue(())
///     }
///
///     async fn response(&self, _request: &RequestInfo, mut response: Response) -> Response {
///         response.headers_mut().insert(HeaderName::from_static("x-served"), HeaderValue::from_static("yes"));
///         response
///     }
/// }
/// # let _ = gateway::gateway::Gateway::builder().stage("maintenance", Maintenance);
/// ```
pub trait Stage: Send + Sync + 'static {
    /// Lets a request pass, perhaps with other headers, or answers it. It has the route's `timeout` for that.
    fn request(&self, request: &mut StageRequest<'_>) -> impl Future<Output = ControlFlow<Response>> + Send {
        let _ = request;
        async { ControlFlow::Continue(()) }
    }

    /// The answer in place of this one. Its body streams: who reads it says how much of it at most
    /// ([`axum::body::to_bytes`]), and has the route's `timeout` for that.
    fn response(&self, request: &RequestInfo, response: Response) -> impl Future<Output = Response> + Send {
        let _ = request;
        async { response }
    }
}

/// A request, as a stage sees it: all of it but its body, which nobody has asked for yet.
pub struct StageRequest<'a> {
    info: &'a RequestInfo,
    method: &'a Method,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a mut HeaderMap,
    extensions: &'a mut Extensions,
    rules: &'a HeaderRules,
}

/// A header that no stage sets or removes: it frames the message, belongs to one connection, is the `host`, is one that
/// the gateway writes of each request (ids, forwarding, times), or says who asks, which is proven by identity providers
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEditable(pub HeaderName);

impl fmt::Display for NotEditable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set by the gateway alone", self.0)
    }
}

impl std::error::Error for NotEditable {}

impl StageRequest<'_> {
    /// What the gateway knows of it.
    pub fn info(&self) -> &RequestInfo {
        self.info
    }

    /// The method.
    pub fn method(&self) -> &Method {
        self.method
    }

    /// The path in the one form in which it was matched.
    pub fn path(&self) -> &str {
        self.path
    }

    /// The query, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query
    }

    /// The client's headers, less those that a client cannot set and the credential that was looked at.
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// What layers of the program around the gateway have put beside the request, and stages before this one. No client
    /// can, and no upstream is sent any of it.
    pub fn extensions(&self) -> &Extensions {
        self.extensions
    }

    /// The same, to put something there: for the stages behind this one, for the `response` of each
    /// ([`RequestInfo::extension`]), and for the handler, whose extractors find it (`Extension<T>`).
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions
    }

    /// Sets a header of what is sent on, in place of all of this name.
    ///
    /// # Errors
    /// It is no stage's to set.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), NotEditable> {
        self.may_edit(&name)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// Removes a header.
    ///
    /// # Errors
    /// It is no stage's to remove.
    pub fn remove_header(&mut self, name: &HeaderName) -> Result<(), NotEditable> {
        self.may_edit(name)?;
        self.headers.remove(name);
        Ok(())
    }

    fn may_edit(&self, name: &HeaderName) -> Result<(), NotEditable> {
        if editable_header(name.as_str()).is_err() || self.rules.is_identity(name.as_str()) || names::is_own(name) {
            return Err(NotEditable(name.clone()));
        }
        Ok(())
    }
}

/// A stage without its type.
pub(crate) trait AnyStage: Send + Sync {
    fn request<'a>(&'a self, request: &'a mut StageRequest<'_>) -> Boxed<'a, ControlFlow<Response>>;
    fn response<'a>(&'a self, request: &'a RequestInfo, response: Response) -> Boxed<'a, Response>;
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl<S: Stage> AnyStage for S {
    fn request<'a>(&'a self, request: &'a mut StageRequest<'_>) -> Boxed<'a, ControlFlow<Response>> {
        Box::pin(Stage::request(self, request))
    }

    fn response<'a>(&'a self, request: &'a RequestInfo, response: Response) -> Boxed<'a, Response> {
        Box::pin(Stage::response(self, request, response))
    }
}

/// The stages that have let a request pass, and are to see its answer.
pub(crate) struct Seen {
    stages: Arc<[Arc<dyn AnyStage>]>,
    /// So many of them have.
    passed: usize,
    info: RequestInfo,
}

/// Shows a request to the stages of its route. What answers it in place of all that is behind, if one does.
///
/// # Errors
/// 500 after a panic, 504 where there is no time left.
pub(crate) async fn before<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut HeaderMap,
    info: RequestInfo,
) -> Result<Option<Response>, GatewayError> {
    let Some(stages) = exchange.route().and_then(|route| route.stages.clone()) else { return Ok(None) };
    let mut seen = Seen { stages, passed: 0, info };
    let mut answered = None;
    let mut extensions = std::mem::take(&mut exchange.extensions);
    {
        let (method, path, query) = (&exchange.method, exchange.path(), exchange.uri.query());
        let rules = &exchange.snapshot.header_rules;
        let extensions = &mut extensions;
        let mut request = StageRequest { info: &seen.info, method, path, query, headers, extensions, rules };
        let deadlines = &exchange.connection.deadlines;
        for stage in seen.stages.iter() {
            let looking = stage.request(&mut request);
            match guarded(&exchange.shard.shared, looking, || late(deadlines)).await.map_err(failed)? {
                ControlFlow::Continue(()) => seen.passed += 1,
                ControlFlow::Break(response) => {
                    answered = Some(response);
                    break;
                }
            }
        }
    }
    // A handler gets what is there; who sees its answer gets it too.
    seen.info.beside = (!extensions.is_empty()).then(|| Arc::new(extensions.clone()));
    exchange.extensions = extensions;
    exchange.seen = Some(Box::new(seen));
    Ok(answered)
}

impl Seen {
    /// Shows an answer to those that let its request pass, the last one first.
    ///
    /// # Errors
    /// As [`before`].
    pub(crate) async fn after<N: Network>(
        self,
        shared: &Shared<N>,
        deadlines: &Deadlines,
        mut response: Response,
    ) -> Result<Response, GatewayError> {
        for stage in self.stages[..self.passed].iter().rev() {
            let looking = stage.response(&self.info, response);
            response = guarded(shared, looking, || late(deadlines)).await.map_err(failed)?;
        }
        Ok(response)
    }
}

fn late(deadlines: &Deadlines) -> Option<()> {
    deadlines.has_expired(Wait::Exchange).then_some(())
}

fn failed(lost: Lost<()>) -> GatewayError {
    match lost {
        Lost::Panicked => GatewayError::new(Code::Internal, "A stage failed."),
        Lost::Stopped(()) => GatewayError::new(Code::UpstreamTimeout, "A stage did not come to its end in time."),
    }
}
