//! A request's whole way, on one screen.
//!
//! Stages run in this order because each relies on the one before: nothing is decided about a request whose framing is
//! in doubt; no identity header of a client lives past `context`; what routing matched is what the upstream is sent;
//! and the record is written when the exchange is dropped, so telemetry sees every answer, refusals too.

mod behind;
mod cached;
mod given;
mod unbegun;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http::request::Parts;

use self::given::give;
use crate::compose::Turn;
use crate::error::{Code, GatewayError};
use crate::exchange::{Arrival, Exchange};
use crate::forward::Failure;
use crate::forward::upgrade::Upgraded;
use crate::http1::ResponseHead;
use crate::http1::spare::keep_request_fields;
use crate::identity::stage::Unproven;
use crate::last_call::{self, LastCall};
use crate::network::Network;
use crate::origin::Verdict;
use crate::plugins::{Handler, RequestInfo};
use crate::rate_limit::Phase;
use crate::reply::Reply;
use crate::request_body::{RequestBody, Source};
use crate::request_fields::RequestFields;
use crate::request_parts::RequestParts;
use crate::request_target::PathQuery;
use crate::response_body::{Answer, Behind, Document};
use crate::routing::{Body, Params};
use crate::shard::{Local, Shared};
use crate::snapshot::Steps;
use crate::upstream::Selected;
use crate::{compose, context, forward, identity, origin, plugins, rate_limit, response, routing, upstream};

pub use crate::forward::tunnel::run as tunnel;
pub use unbegun::{refuse, turn_away};

/// What the stages came to.
enum Outcome<N: Network> {
    /// An upstream's answer.
    Relay(Answer<N>),
    /// An answer that is put together of several.
    Composed(Box<Document<N>>),
    /// An item of a call for many.
    Item(Bytes),
    /// An answer that several get.
    Given(Box<(ResponseHead, Bytes)>),
    /// An upstream's answer of whose body some has been read.
    Taken(Box<(Answer<N>, Behind)>),
    /// A switch to WebSocket.
    Switch(Answer<N>),
    /// `OPTIONS *`: about the gateway, not about a resource (RFC 9110, section 9.3.7); OPTIONS that goes no further.
    Options,
    /// A browser asks whether a page of another origin may send a request (Fetch, "CORS-preflight request").
    Preflight,
    /// The gateway's own answer; where a redirect leads.
    Own(Box<PathQuery>),
    /// The same URL over TLS.
    ToHttps(Box<PathQuery>),
    /// What the program's own code answers: a handler, or a stage.
    Handled(Box<axum::response::Response>),
    /// Another service's answer to a request that may not pass.
    Refused(Box<forward::Refused>),
}

impl<N: Network> From<Upgraded<N>> for Outcome<N> {
    fn from(upgraded: Upgraded<N>) -> Self {
        match upgraded {
            Upgraded::Switched(answer) => Self::Switch(answer),
            Upgraded::Refused(answer) => Self::Relay(answer),
        }
    }
}

async fn stages<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    mut source: Source,
) -> Result<Outcome<N>, Failure> {
    // context: is this one request, what is it about, and which of its headers may be believed?
    let admitted = context::stage::admit(exchange, headers)?;
    if exchange.uri.path() == "*" || admitted.goes_no_further {
        return Ok(Outcome::Options);
    }
    // routing: the path in its one form; then by host, path, content.
    let may_decide = !admitted.websocket && forward::body::may_decide(exchange, admitted.declared_length, &source);
    let body = if may_decide { Body::Unread } else { Body::Absent };
    let params = match routing::stage::find(exchange, headers, body)? {
        Some(params) => params,
        None => match Box::pin(by_body(exchange, headers, (&mut source, admitted.declared_length))).await? {
            Some(params) => params,
            None => return Ok(Outcome::ToHttps(Box::new(routing::stage::same_target(exchange)?))),
        },
    };
    if exchange.page.as_ref().is_some_and(|page| page.asks) {
        return Ok(Outcome::Preflight);
    }
    let Steps { origin, limits, identity, has_last_words, .. } = exchange.steps();
    // origin: where the client asks from, where the route wants to know.
    if origin && origin::judge(exchange)? == Verdict::ToHttps {
        return Ok(Outcome::ToHttps(Box::new(routing::stage::same_target(exchange)?)));
    }
    // the gateway's own limit of requests, now that it is known whose request this is.
    exchange.enter()?;
    // limits that need no identity, so that a flood buys nothing dearer than this.
    if limits && let Some(asking) = rate_limit::stage::admit(exchange, headers, Phase::Edge)? {
        asking.await?;
    }
    // identity: who asks, where the route wants to know. No other site's page asks for a WebSocket in its user's name.
    if admitted.websocket {
        identity::page::admit(exchange, headers)?;
    }
    if identity && let Some(unproven) = identity::stage::recall(exchange, headers)? {
        Box::pin(proven(exchange, headers, unproven)).await?;
    }
    // limits that count by who asks.
    if limits && let Some(asking) = rate_limit::stage::admit(exchange, headers, Phase::Proven)? {
        asking.await?;
    }
    #[cfg(feature = "slow-down")]
    crate::slow_down::burn();
    // last words, where the route has some: another service's, the use of a token that holds once, the program's own
    // stages.
    if has_last_words
        && let Some(outcome) = Box::pin(last_words(exchange, headers, (&params, &admitted), &mut source)).await?
    {
        return Ok(outcome);
    }
    // split: one upstream of several. A route without any ends here.
    if exchange.upstream().is_none() && !splits(exchange, headers) {
        return Box::pin(without_upstream(exchange, headers, &params, (source, admitted.declared_length))).await;
    }
    // Those of the upstream that the split has chosen, where there is one.
    let Steps { sharing, whole_body, mirror, compression, .. } = exchange.steps();
    // the body's limit, before a byte of it is read or asked for.
    let mut body = forward::body::prepare(exchange, admitted.declared_length, source)?;
    let target = routing::stage::target(exchange, &params)?;
    // cache, coalesce, batch: what is kept is not asked for; what others ask for at this moment too is asked for once.
    if sharing
        && let Some(outcome) =
            Box::pin(shared(exchange, headers, (&params, &target), (&mut body, admitted.websocket))).await?
    {
        return Ok(outcome);
    }
    // the whole body, where the route wants it before anybody is asked.
    if whole_body && !admitted.websocket {
        Box::pin(forward::body::hold(exchange, &mut body)).await?;
    }
    // upstream: one endpoint, by the balancer; where there is none, what the route gives in its place.
    let selected = select(exchange, headers)?;
    // mirror: a copy of some requests, for another upstream.
    if mirror && !admitted.websocket {
        mirrored(exchange, headers, &target, &mut body);
    }
    // response: what its client takes, where the route compresses.
    if compression {
        response::note_accepted(exchange, headers);
    }
    // forward: what the upstream is asked, and what it answers.
    let mut request = forward::head::build(exchange, &selected, std::mem::take(headers), target, body);
    if admitted.websocket && exchange.route().is_some_and(|route| route.settings.websocket) {
        return Box::pin(forward::upgrade::upgrade(exchange, selected, request)).await.map(Outcome::from);
    }
    if exchange.connection.websocket_key.is_some() {
        return Err(GatewayError::no_websocket().into());
    }
    forward::forward(exchange, selected, &mut request).await.map(Outcome::Relay)
}

/// identity: what has to be found out, which takes none but the request's own time.
async fn proven<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    unproven: Box<Unproven>,
) -> Result<(), GatewayError> {
    forward::deadline::begin(exchange, headers);
    identity::stage::prove(exchange, headers, unproven).await
}

/// split: one of the route's upstreams, and what proves to that one who asks. False where the route has none.
#[cold]
fn splits<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) -> bool {
    let has_chosen = upstream::split::choose(exchange, headers);
    if has_chosen {
        exchange.renew_passport();
    }
    has_chosen
}

/// upstream: an endpoint, or what the route gives where there is none.
#[inline]
fn select<N: Network>(exchange: &mut Exchange<N>, headers: &RequestFields) -> Result<Selected<N>, Failure> {
    match upstream::stage::select(exchange, headers) {
        Ok(selected) => Ok(selected),
        Err(problem) => forward::fallback::instead(exchange, headers, problem),
    }
}

/// mirror: sends a copy of the request, where one is made, by a task of its own.
#[cold]
fn mirrored<N: Network>(exchange: &Exchange<N>, headers: &RequestFields, target: &PathQuery, body: &mut RequestBody) {
    if let Some(copy) = forward::mirror::copy(exchange, headers, target, body) {
        tokio::spawn(forward::mirror::send(copy));
    }
}

/// Another service, then the program's own stages: whether the request passes, and what it is answered if not. Between
/// them a token that holds once is used up: what the service refuses has not used it, and a stage may answer itself.
#[cold]
async fn last_words<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    (params, admitted): (&Params, &context::stage::Admitted),
    source: &mut Source,
) -> Result<Option<Outcome<N>>, Failure> {
    forward::body::refuse_declared(exchange, admitted.declared_length)?;
    if exchange.route().is_some_and(|route| route.authority.is_some())
        && let Some(refused) = forward::consult(exchange, headers).await?
    {
        return Ok(Some(Outcome::Refused(refused)));
    }
    if exchange.identity.is_some() {
        forward::deadline::begin(exchange, headers);
        identity::stage::use_up(exchange).await?;
    }
    if exchange.route().is_none_or(|route| route.stages.is_none()) {
        return Ok(None);
    }
    forward::deadline::begin(exchange, headers);
    let info = RequestInfo::of(exchange, routing::stage::parameters(exchange, params));
    let is_tunnel = admitted.websocket || exchange.connection.websocket_key.is_some();
    let mut body = if is_tunnel { None } else { Some(forward::body::lend(exchange, source)) };
    let answered = plugins::before(exchange, headers, info, body.as_mut()).await;
    if let Some(body) = body {
        forward::body::take_back(exchange, source, body);
    }
    let answered = answered.map_err(|halted| match halted {
        plugins::Halted::Problem(error) => error.into(),
        plugins::Halted::Body(fault) => forward::body_failure(fault),
    })?;
    Ok(answered.map(|response| Outcome::Handled(Box::new(response))))
}

/// handler: the program's own code answers, with the body and the time that an upstream would have.
#[cold]
async fn handled<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    params: &Params,
    (source, declared_length): (Source, Option<u64>),
    handler: &Handler,
) -> Result<Outcome<N>, Failure> {
    let body = forward::body::prepare(exchange, declared_length, source)?;
    let target = routing::stage::target(exchange, params)?;
    let info = RequestInfo::of(exchange, routing::stage::parameters(exchange, params));
    let parts = forward::head::for_handler(exchange, std::mem::take(headers), &target);
    let response = forward::handler::ask(exchange, handler, (parts, info), body).await?;
    Ok(Outcome::Handled(Box::new(response)))
}

/// What the gateway or its program answers itself, or what is put together of several answers.
#[cold]
async fn without_upstream<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    params: &Params,
    body: (Source, Option<u64>),
) -> Result<Outcome<N>, Failure> {
    if exchange.connection.websocket_key.is_some() {
        // Any 2xx would open a tunnel (RFC 8441, section 5), and nobody is at its other end.
        return Err(GatewayError::no_websocket().into());
    }
    if let Some(handler) = exchange.route().and_then(|route| route.handler.clone()) {
        return handled(exchange, headers, params, body, &handler).await;
    }
    if exchange.route().is_none_or(|route| route.aggregate.is_none()) {
        return Ok(Outcome::Own(Box::new(routing::stage::target(exchange, params)?)));
    }
    exchange.passes.check_growth()?;
    let body = forward::body::prepare(exchange, body.1, body.0)?;
    forward::body::refuse(exchange, body).await?;
    composed(exchange, std::mem::take(headers), params).await
}

/// compose: several calls, each forwarded as any request is.
#[cold]
async fn composed<N: Network>(
    exchange: &mut Exchange<N>,
    mut headers: RequestFields,
    params: &Params,
) -> Result<Outcome<N>, Failure> {
    forward::deadline::begin(exchange, &mut headers);
    response::note_accepted(exchange, &headers);
    let document = compose::stage::gather(exchange, headers, params, part).await.map_err(Failure::Problem)?;
    Ok(Outcome::Composed(Box::new(document)))
}

fn is_empty(body: &RequestBody) -> bool {
    matches!(body, RequestBody::Empty)
}

/// A call that others may share: of the same thing, or of many. `None`: the request asks for itself.
#[cold]
async fn shared<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    (params, target): (&Params, &PathQuery),
    (body, is_websocket): (&mut RequestBody, bool),
) -> Result<Option<Outcome<N>>, Failure> {
    if exchange.route().is_some_and(|route| route.batch.is_some()) {
        let body = std::mem::replace(body, RequestBody::Empty);
        return batched(exchange, headers, params, body).await.map(Some);
    }
    let is_switch = is_websocket || exchange.connection.websocket_key.is_some();
    let is_plain = is_empty(body) && matches!(exchange.method, Method::GET | Method::HEAD);
    if is_switch || !is_plain || exchange.is_doubtful {
        return Ok(None);
    }
    if exchange.route().is_some_and(|route| route.cache.is_some()) {
        return cached::cached(exchange, headers, target).await.map(Some);
    }
    coalesced(exchange, headers, target).await
}

/// batch: an item of a call for many.
async fn batched<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    params: &Params,
    body: RequestBody,
) -> Result<Outcome<N>, Failure> {
    if exchange.connection.websocket_key.is_some() {
        return Err(GatewayError::no_websocket().into());
    }
    exchange.passes.check_growth()?;
    forward::body::refuse(exchange, body).await?;
    forward::deadline::begin(exchange, headers);
    compose::gather(exchange, headers, params, part).await.map(Outcome::Item).map_err(Failure::Problem)
}

/// coalesce: a call that several requests may share. `None`: the request asks for itself.
async fn coalesced<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &mut RequestFields,
    target: &PathQuery,
) -> Result<Option<Outcome<N>>, Failure> {
    forward::deadline::begin(exchange, headers);
    match compose::share(exchange, headers, target, part).await {
        Turn::Alone => Ok(None),
        Turn::Given(head, body) => Ok(Some(Outcome::Given(Box::new((head, body))))),
        Turn::Taken(taken) => Ok(Some(Outcome::Taken(taken))),
        Turn::Late => Err(forward::fallback::late(exchange)),
        Turn::Failed(problem, true) => Err(Failure::Covered(problem)),
        Turn::Failed(problem, false) => Err(Failure::Problem(problem)),
    }
}

/// A call of an aggregate, or one that several requests share.
async fn part<N: Network>(call: compose::Call<N>) -> compose::Called<N> {
    let compose::Call { mut exchange, headers, target, mut body } = call;
    let sent = async {
        exchange.renew_passport();
        let selected = select(&mut exchange, &headers)?;
        if exchange.route().is_some_and(|route| route.mirror.is_some()) {
            mirrored(&exchange, &headers, &target, &mut body);
        }
        let mut request = forward::head::build(&mut exchange, &selected, headers, target, body);
        forward::forward(&mut exchange, selected, &mut request).await
    };
    let answer = sent.await;
    let covered = matches!(answer, Err(Failure::Covered(_)));
    let answer = answer.map_err(|failure| match failure {
        Failure::Problem(problem) | Failure::Covered(problem) => problem,
        Failure::ClientLeft => Box::new(GatewayError::new(Code::Internal, "It was given up.")),
    });
    compose::Called { exchange, answer, covered }
}

/// Reads the body first, since its route hangs on it. Its request counts among the gateway's from here on; one that
/// shows nothing which any of its routes could take for a credential is refused before a byte of it is asked for, and
/// one that all of them send to TLS is sent there (`None`).
#[cold]
async fn by_body<N: Network>(
    exchange: &mut Exchange<N>,
    headers: &RequestFields,
    body: (&mut Source, Option<u64>),
) -> Result<Option<Params>, Failure> {
    // First: also what is refused from here on may be read by a page that any of its routes lets in.
    let undecided = routing::stage::undecided(exchange, headers);
    exchange.enter()?;
    if origin::look(exchange, &undecided.routes)? == Verdict::ToHttps {
        return Ok(None);
    }
    identity::stage::look(exchange, headers, &undecided.routes)?;
    let read = forward::body::read(exchange, body, undecided.body_limit).await?;
    let body = read.as_ref().map_or(Body::Absent, |(value, length)| Body::Json(value, *length));
    Ok(Some(routing::stage::find_by_body(exchange, headers, body)?))
}

async fn answer<N: Network>(
    mut exchange: Box<Exchange<N>>,
    mut headers: RequestFields,
    source: Source,
    call: Option<&LastCall>,
) -> Reply<N> {
    let mut outcome = last_call::or_told(call, pin!(stages(&mut exchange, &mut headers, source))).await;
    // cache: what is kept of a URL goes once something may have changed there, by whichever route.
    if exchange.snapshot.keeps_answers && !exchange.method.is_safe() {
        cached::changed(&exchange, &outcome);
    }
    if exchange.route().is_some_and(|route| route.settings.intercept.is_some())
        && let Some(error) = behind::intercepted(&exchange, &outcome)
    {
        let unheard = std::mem::replace(&mut outcome, Err(error.into()));
        Box::pin(behind::unheard(&mut exchange, unheard)).await;
    }
    if exchange.seen.is_some() {
        return Box::pin(behind::shown(exchange, &headers, outcome)).await;
    }
    let reply = give(exchange, &headers, outcome);
    // Of a request that went nowhere they are still here.
    keep_request_fields(headers);
    reply
}

/// A request whose exchange has begun.
pub struct Begun<N: Network>(Box<Exchange<N>>, RequestFields);

/// Begins the exchange of a request whose head has come, and takes from its parts what is in them. From here on it
/// leaves a record, also where its client closes before anybody looks at it.
#[inline]
pub fn begin<N: Network>(
    snapshot: std::sync::Arc<Local<N>>,
    arrival: Arrival<N>,
    parts: &mut RequestParts,
) -> Begun<N> {
    arrival.connection.begin();
    let (exchange, headers) = context::stage::begin(snapshot, arrival, parts);
    Begun(exchange, headers)
}

impl<N: Network> Begun<N> {
    /// Serves it: to be polled by `poll`, so that a panic costs this request alone. It waits no longer
    /// than until the last call comes, where it is one of those who hear that.
    #[inline]
    pub fn serve(self, source: Source, call: Option<&LastCall>) -> impl Future<Output = Reply<N>> + Send {
        answer(self.0, self.1, source, call)
    }
}

/// Begins one request, at the call and not at the first poll, and serves it: as `begin` and `Begun::serve`.
pub fn serve<N: Network>(
    arrival: Arrival<N>,
    parts: Parts,
    source: Source,
    call: Option<&LastCall>,
) -> impl Future<Output = Reply<N>> + Send {
    begin(arrival.shard.snapshot(), arrival, &mut parts.into()).serve(source, call)
}

/// Polls a request that is being served; after a panic, which is a bug and is counted, it is answered with 500.
pub fn poll<N: Network>(
    shared: &Shared<N>,
    serving: Pin<&mut impl Future<Output = Reply<N>>>,
    cx: &mut Context<'_>,
) -> Poll<Reply<N>> {
    std::panic::catch_unwind(AssertUnwindSafe(|| serving.poll(cx))).unwrap_or_else(|_panic| {
        shared.metrics.gateway().panicked();
        Poll::Ready(response::problem::after_panic())
    })
}
