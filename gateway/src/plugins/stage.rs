//! Stages: what looks at a route's requests before they are sent on, at the answers before they are given, and at how
//! it all ended.
//!
//! A stage that was asked about a request is told its end, once, whatever the end was.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::response::Response;
use http::{Extensions, HeaderMap};

use super::answer_body::{Refusal, Room};
use super::ended::EndedRequest;
use super::guard::{Lost, guarded};
use super::request::RequestInfo;
use super::span::{Around, What};
use super::stage_body::{Carried, Halted, OfBody};
use super::stage_request::StageRequest;
use crate::error::{Code, GatewayError};
use crate::exchange::Exchange;
use crate::network::Network;
use crate::request_body::RequestBody;
use crate::request_fields::RequestFields;
use crate::shard::Shared;
use crate::timer::{Deadlines, Wait};

/// A stage of the program's own, for the routes that name it among their `stages`.
///
/// It sees a request when it is known who asks and that they may: behind limits, identity and `forward_auth`, before an
/// upstream is chosen or a handler asked. It sees the answers of upstreams and handlers as they come, before the
/// gateway adds its own headers; what the gateway answers itself (problems, redirects, fixed answers) it does not see.
/// All methods do nothing where they are not written; `async fn` implements those that wait:
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
    /// ([`RequestInfo::read`]), and has the route's `timeout` for that.
    fn response(&self, request: &RequestInfo, response: Response) -> impl Future<Output = Response> + Send {
        let _ = request;
        async { response }
    }

    /// It is over: what became of a request on which `request` of this stage began. Called once for each, whoever
    /// answered it and however it ended: also where another stage refused it, the upstream failed, the client left, or
    /// this very stage panicked. For audits, bills and metrics of one's own:
    ///
    /// ```
    /// use std::sync::mpsc::SyncSender;
    ///
    /// use gateway::prelude::{EndedRequest, RequestInfo, Stage};
    ///
    /// struct Bills(SyncSender<(String, u64)>);
    ///
    /// impl Stage for Bills {
    ///     fn ended(&self, request: &RequestInfo, ended: &EndedRequest) {
    ///         let customer = request.subject().unwrap_or("nobody").to_owned();
    ///         // What writes it down is elsewhere, and is not waited for.
    ///         let _ = self.0.try_send((customer, ended.bytes_in + ended.bytes_out));
    ///     }
    /// }
    /// # let _ = gateway::gateway::Gateway::builder().stage("bills", Bills(std::sync::mpsc::sync_channel(1).0));
    /// ```
    ///
    /// It runs where requests are served, and others wait for it: it counts, or hands over, and does not block. The
    /// client has its answer by then. The stages of a route are told in the other order of their list. A panic costs
    /// this one call, and is counted (`gateway_panics_total`).
    fn ended(&self, request: &RequestInfo, ended: &EndedRequest) {
        let _ = (request, ended);
    }
}

/// A stage without its type, under its name.
pub(crate) trait AnyStage: Send + Sync {
    fn name(&self) -> &str;
    fn request<'a>(&'a self, request: &'a mut StageRequest<'_>) -> Boxed<'a, ControlFlow<Response>>;
    fn response<'a>(&'a self, request: &'a RequestInfo, response: Response) -> Boxed<'a, Response>;
    fn ended(&self, request: &RequestInfo, ended: &EndedRequest);
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stage and its name.
pub(super) struct Named<S>(pub(super) Arc<str>, pub(super) S);

impl<S: Stage> AnyStage for Named<S> {
    fn name(&self) -> &str {
        &self.0
    }

    fn request<'a>(&'a self, request: &'a mut StageRequest<'_>) -> Boxed<'a, ControlFlow<Response>> {
        Box::pin(self.1.request(request))
    }

    fn response<'a>(&'a self, request: &'a RequestInfo, response: Response) -> Boxed<'a, Response> {
        Box::pin(self.1.response(request, response))
    }

    fn ended(&self, request: &RequestInfo, ended: &EndedRequest) {
        self.1.ended(request, ended);
    }
}

/// The stages of a request's route, from the first that was asked about it until all of them know its end.
#[derive(Clone)]
pub(crate) struct Seen {
    stages: Arc<[Arc<dyn AnyStage>]>,
    /// So many of them were asked about the request.
    began: usize,
    /// So many of them have let it pass, and are to see its answer.
    passed: usize,
    info: RequestInfo,
    /// An answer of an upstream is in their hands: whoever ends the exchange holds a lock that they may want.
    is_lent: bool,
    /// How it ended, until they are told.
    ended: Option<Box<EndedRequest>>,
}

/// Shows a request to the stages of its route; `body` is `None` where it takes none. What answers it in place of all
/// that is behind, if one does.
///
/// # Errors
/// 500 after a panic, 504 where there is no time left; what a client is told whose body a stage wanted and did not get.
pub(crate) async fn before<N: Network>(
    exchange: &mut Exchange<N>,
    fields: &mut RequestFields,
    info: RequestInfo,
    body: Option<&mut RequestBody>,
) -> Result<Option<Response>, Halted> {
    let Some(stages) = exchange.route().and_then(|route| route.stages.clone()) else { return Ok(None) };
    // They see a map, as all programs know it.
    let mut headers = fields.to_map();
    let answered = shown(exchange, stages, &mut headers, info, body).await;
    *fields = headers.into();
    answered
}

async fn shown<N: Network>(
    exchange: &mut Exchange<N>,
    stages: Arc<[Arc<dyn AnyStage>]>,
    headers: &mut HeaderMap,
    mut info: RequestInfo,
    body: Option<&mut RequestBody>,
) -> Result<Option<Response>, Halted> {
    // All of it stays with the exchange: whoever gives this up midway has them told all the same.
    let Exchange { seen, extensions, method, uri, path, snapshot, connection, shard, awaited, .. } = exchange;
    let room = Room { held: Arc::clone(&shard.held), most: snapshot.config.server.body_match_memory };
    info.room = Some(room.clone());
    let seen = seen.insert(Box::new(Seen { stages, began: 0, passed: 0, info, is_lent: false, ended: None }));
    let Seen { stages, began, passed, info, .. } = &mut **seen;
    let mut answered = None;
    {
        let (info, extensions) = (&*info, &mut *extensions);
        let path = path.as_deref().unwrap_or_else(|| uri.path());
        let (query, rules) = (uri.query(), &snapshot.header_rules);
        let (deadlines, clock) = (&connection.deadlines, &shard.shared.clock);
        let body = Carried { body: Mutex::new(body), room: &room, deadlines, clock, rules, awaited, refused: None };
        let mut request = StageRequest { info, method, path, query, headers, extensions, rules, body };
        for stage in stages.iter() {
            *began += 1;
            let looking = Around::of(What::Request, stage.name(), info).future(stage.request(&mut request));
            match guarded(&shard.shared, looking, || late(&connection.deadlines)).await.map_err(failed)? {
                ControlFlow::Continue(()) => *passed += 1,
                ControlFlow::Break(response) => {
                    if response.extensions().get::<OfBody>().is_some()
                        && let Some(why) = request.body.refused.take()
                    {
                        return Err(why.into());
                    }
                    answered = Some(response);
                    break;
                }
            }
        }
    }
    // A handler gets what is there; who sees its answer gets it too.
    info.beside = kept(extensions);
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
            let around = Around::of(What::Response, stage.name(), &self.info);
            let looking = around.future(stage.response(&self.info, response));
            response = guarded(shared, looking, || late(deadlines)).await.map_err(failed)?;
            if let Some(Refusal(error)) = response.extensions().get() {
                return Err(error.again());
            }
        }
        Ok(response)
    }

    /// An upstream's answer goes through their hands from here on.
    pub(crate) fn lend(&mut self) {
        self.is_lent = true;
    }

    /// It has ended so. Whether they can be told right here; if not, whoever gives the lock back tells them.
    pub(crate) fn ends(&mut self, ended: EndedRequest, beside: &Extensions) -> bool {
        // Where it was given up before the last of them let it pass, what they have put there is still there.
        if self.info.beside.is_none() {
            self.info.beside = kept(beside);
        }
        self.ended = Some(Box::new(ended));
        !self.is_lent
    }

    /// Whether they are still to be told how it ended.
    pub(crate) fn knows_end(&self) -> bool {
        self.ended.is_some()
    }

    /// Tells all that were asked about the request how it ended, the last one first.
    pub(crate) fn tell<N: Network>(self, shared: &Shared<N>) {
        let Some(ended) = &self.ended else { return };
        for stage in self.stages[..self.began].iter().rev() {
            let telling = || Around::of(What::Ended, stage.name(), &self.info).call(|| stage.ended(&self.info, ended));
            if catch_unwind(AssertUnwindSafe(telling)).is_err() {
                shared.metrics.gateway().panicked();
            }
        }
    }
}

/// A copy of what stands beside a request, where something does.
fn kept(extensions: &Extensions) -> Option<Arc<Extensions>> {
    (!extensions.is_empty()).then(|| Arc::new(extensions.clone()))
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
