//! What would happen to a request, without sending it: the route, each policy, the upstream, and why the others did not
//! match. `gateway explain` and the admin's `/explain` give the same answer.

mod forms;
mod handshake;
pub mod judge;
mod kept;
mod limited;
mod look_back;
mod problems;
mod proxied;
mod queried;
mod question;
mod screened;
pub mod sending;
pub mod told;
mod trace;
mod unanswered;
mod way;

use std::sync::Arc;

use http::Method;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::settings::split::{Split, StickyKey};
use crate::config::settings::{Config, Route};
use crate::context::survey::is_grpc;
use crate::error::{Code, GatewayError};
use crate::identity::{Registry, RouteAuth, Trial};
pub use crate::routing::explain::Explanation;
use crate::routing::{Ask, Body, Found, Params, Preflight, RouteTable, refused_preflight};
use crate::telemetry::metrics::Registry as Metrics;
use crate::upstream::split::{Shown, hash};
pub use look_back::look_back;

pub use problems::OwnProblem;
pub use question::Question;

use forms::{compress, grpc_web};
use judge::Judge;
pub use limited::Limited;
use limited::limits;
use screened::Screened;
use sending::Sending;
use way::Way;

/// The answer.
#[derive(Debug, Default, Serialize)]
pub struct Answer {
    /// The path that is matched and sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Over TLS or in the clear, and by which listener; absent where there is one way, in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub came: Option<String>,
    /// What of the URL never comes to a server, and what becomes of who sends it all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_sent: Option<String>,
    /// Of which client a trusted proxy tells, or that it hides it; absent where no such proxy asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// What browsers are told of later requests to this host, by answers over TLS (`hsts`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hsts: Option<String>,
    /// Why it is refused before any route is looked for, or by the route that it takes, for where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The status of that refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code of that refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Headers that are taken from a client that is no trusted proxy, before anything looks at them; each with why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Which route, and why not the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<Explanation>,
    /// What the route does with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Policies>,
    /// Bodies of the operator's own that it could be told in place of problem documents. Callers of gRPC get none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<OwnProblem>,
    /// Whether it would be traced, where spans are sent or it brings a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

/// Compiled `auth` of routes, by the name of the route.
pub type Judges<'a> = &'a dyn Fn(&Route) -> Option<Arc<RouteAuth>>;

/// What a route does with a request.
#[derive(Debug, Serialize)]
pub struct Policies {
    /// The limits that hold, in their order.
    pub rate_limits: Vec<Limited>,
    /// What the gateway answers itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_answer: Option<String>,
    /// What the route makes of where the request comes from: over TLS or not, and who may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// It came in the clear and is sent to https, before its route looks at anything else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub to_https: bool,
    /// Who is asked whether a request may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_auth: Option<String>,
    /// The calls that the answer is put together of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// The upstreams that share its requests, and how.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub split: Vec<String>,
    /// Why the request goes to the upstream that is named, where several share the route's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// What is copied of its requests, and where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<String>,
    /// How it becomes one call with others; empty where it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub batch: Vec<String>,
    /// The upstream's name; empty where the gateway answers itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    /// What its endpoints speak.
    pub protocol: &'static str,
    /// How its endpoints have to prove who they are; absent where they are spoken to in the clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// What the upstream is asked for; of a redirect the whole URL that it leads to.
    pub target: String,
    /// Endpoints that may get it.
    pub endpoints: Vec<String>,
    /// How one is picked.
    pub balance: &'static str,
    /// How it is sent on, and again.
    #[serde(flatten)]
    pub sending: Sending,
    /// Until response headers, milliseconds.
    pub timeout_ms: Option<u64>,
    /// The largest request body, bytes.
    pub max_body: Option<u64>,
    /// How much it matters under overload.
    pub criticality: &'static str,
    /// How many such requests may be in flight in the whole gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<u32>,
    /// How many requests of the route may be in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_places: Option<u32>,
    /// How many such requests may be in flight to the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_places: Option<u32>,
    /// Each endpoint has a limit that follows its latency.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub adaptive: bool,
    /// Whether a WebSocket may begin.
    pub websocket: bool,
    /// Which pages may open one by what browsers send by themselves, and whether the one that the request names may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_pages: Option<String>,
    /// Calls of web pages are gRPC to the upstream; what becomes of this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_web: Option<String>,
    /// Identical concurrent GETs share one call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub coalesce: bool,
    /// To whom the upstream's early hints are passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_hints: Option<&'static str>,
    /// Errors of the upstream of which nothing but the status is passed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intercept: Option<String>,
    /// When a second attempt begins beside a slow first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<String>,
    /// Who may use it, and what becomes of the credential that the request presents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Trial>,
    /// What is answered where the upstream cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Which pages of other origins may use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<String>,
    /// Which answers are compressed, and what this request's client takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<String>,
    /// Which answers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// What becomes of this request's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The request is a preflight, which the gateway answers before it asks for an identity, counts it by limits, or
    /// asks another service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub preflight: bool,
    /// The request is a preflight that no `cors` answers: what becomes of it, where its route asks who asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered_preflight: Option<String>,
}

/// Explains a request under a configuration that is not in force. Credentials are judged now, with what the
/// configuration has: keys that would have to be fetched are not there.
pub fn answer(config: &Config, question: &Question) -> Answer {
    let clock = Clock::system();
    let registry = Registry::new(Arc::new(Metrics::new(1)), clock.clone(), 1);
    let providers = registry.apply(&config.providers, &config.identity);
    let judge = |route: &Route| {
        let compile = |auth| Arc::new(RouteAuth::new(auth, |name| providers.get(name).cloned(), |_| None));
        route.auth.as_ref().map(compile)
    };
    let mut answer = answer_with(config, question, &judge, clock.unix_seconds(clock.now()));
    if let Some(policies) = &mut answer.policies {
        policies.auth = policies.auth.take().map(Trial::where_nothing_is_fetched);
    }
    answer
}

/// Explains a request under a configuration; credentials are judged at `now`, seconds since the Unix epoch.
pub fn answer_with(config: &Config, question: &Question, judges: Judges<'_>, now: i64) -> Answer {
    let question = &proxied::seen(config, question);
    let mut answer = decided(config, question, judges, now);
    answer.client = question.told.as_ref().and_then(proxied::Told::client_in_words);
    answer.not_sent = question.fragment_in_words();
    let kind = question.headers.get(&http::header::CONTENT_TYPE);
    if question.method != Method::POST || !kind.is_some_and(|kind| is_grpc(kind.as_bytes())) {
        let took = answer.routing.as_ref().and_then(|routing| routing.route.as_deref());
        let route = config.routes.iter().find(|route| Some(&*route.name) == took);
        answer.problems = problems::of(config, route.map(|route| &**route));
    }
    answer
}

/// The same of a question as the gateway sees it, but for the words in which it could be refused.
fn decided(config: &Config, question: &Question, judges: Judges<'_>, now: i64) -> Answer {
    let Screened { headers, removed } = match screened::screen(config, question) {
        Ok(screened) => screened,
        Err(error) => return Answer::refused(&error),
    };
    let judge = Judge::new(config);
    let path = match judge.path(question.uri.path()) {
        Ok(path) => path,
        Err(error) => return Answer::refused(&GatewayError::new(Code::BadRequest, error.to_string())),
    };
    let host = question.host();
    let query = question.uri.query();
    let body = question.body.as_ref().map_or(Body::Absent, |(value, length)| Body::Json(value, *length));
    let way = match Way::of(config, question) {
        Ok(way) => way,
        Err(why) => return Answer { refused: Some(why), ..Answer::default() },
    };
    let ask = Ask {
        listener: way.listener,
        host: &host,
        method: &question.method,
        path: &path,
        query,
        client: question.client,
        headers: &headers,
        body,
    };
    if let Some(answer) = preflight(config, &judge.table, &ask) {
        return Answer { removed, came: way.told, ..answer };
    }
    let (policies, denied) = match judge.table.find(&ask) {
        Found::Route { index, params } => {
            let auth = judges(&config.routes[index]);
            let asked = Asked { config, question, judge: &judge, way: &way, ask: &ask };
            let (policies, refused) = asked.taken((index, &params), auth.as_deref(), now);
            (Some(policies), refused.as_ref().map(Answer::refused).unwrap_or_default())
        }
        Found::MethodNotAllowed { .. } | Found::None => (None, Answer::default()),
    };
    let routing = Some(crate::routing::explain::explain(&judge.table, &ask));
    // A trace is continued before headers are looked at.
    let trace = trace::told(&config.telemetry.tracing, &question.headers);
    let hsts = way.hsts(config);
    Answer { path: Some(path), came: way.told, hsts, removed, routing, policies, trace, ..denied }
}

/// A question, as far as it is answered before its route is known.
struct Asked<'a> {
    config: &'a Config,
    question: &'a Question,
    judge: &'a Judge<'a>,
    way: &'a Way<'a>,
    ask: &'a Ask<'a>,
}

impl Asked<'_> {
    /// What the route does that is taken, and the refusal, where it comes to one before anybody is asked for identity.
    fn taken(
        &self,
        (index, params): (usize, &Params),
        auth: Option<&RouteAuth>,
        now: i64,
    ) -> (Policies, Option<GatewayError>) {
        let Self { config, question, judge, way, ask } = *self;
        let (route, headers) = (&config.routes[index], ask.headers);
        let as_asked = ask.query.map_or_else(|| ask.path.to_owned(), |query| format!("{}?{query}", ask.path));
        let told = question.told.as_ref();
        let lets_in =
            told.map_or_else(|| judge.lets_in(index, question.client), |told| judge.lets_in_as(index, &told.client));
        let verdict = route.origin.as_deref();
        let verdict = verdict.map(|origin| way.verdict((config, question), (origin, lets_in), &as_asked));
        let (websocket_pages, page) = handshake::told((route, auth), (question, headers), way.secure);
        let page = page.filter(|_| verdict.as_ref().is_none_or(|verdict| verdict.passes));
        let (origin, refused) = verdict.map(|verdict| (verdict.told, verdict.refused)).unzip();
        let sent = judge.sent(index, ask.path, params, ask.query);
        let sent = queried::target(route, question, (ask.path, params), sent);
        let target = way.target(route, question, sent);
        let refused = refused.flatten();
        let to_https = refused.is_none() && way.is_sent_to_https(route);
        let trial = auth.map(|auth| crate::identity::explain(auth, headers, question.certificate.as_ref(), now));
        let cache = kept::kept(route, (ask.method, headers), auth.zip(trial.as_ref()));
        let limits = limits(config, route, headers);
        let reads = route.cors.as_ref().zip(headers.get(&http::header::ORIGIN)).map(|(cors, origin)| {
            if cors.allows(&origin.to_header_value()).is_some() {
                "may read the answer"
            } else {
                "may not read the answer"
            }
            .to_owned()
        });
        let told = match route.split.as_deref() {
            None => policies(config, (route, ask.method), target, limits),
            Some(split) => {
                let subject = trial.as_ref().and_then(|trial| trial.subject.as_deref());
                let shown = Shown { client: question.counted_as(), subject, claims: None, headers };
                shared(config, (route, split, ask.method), (target, limits), &shown)
            }
        };
        let (compress, grpc_web) = (compress(route, headers), grpc_web(route, (ask.method, headers)));
        let told = Policies { auth: trial, page: reads, compress, origin, cache, to_https, ..told };
        let unanswered_preflight = unanswered::told(route, (ask.method, headers));
        (Policies { grpc_web, websocket_pages, unanswered_preflight, ..told }, refused.or(page))
    }
}

impl Answer {
    /// What no route is looked for.
    fn refused(error: &GatewayError) -> Self {
        let (status, code) = (Some(error.status().as_u16()), Some(error.code.as_str()));
        Self { refused: Some(error.detail.to_string()), status, code, ..Self::default() }
    }
}

/// What a route with several upstreams does with a request: what the one does that gets it, or else the one that gets
/// most.
fn shared(
    config: &Config,
    (route, split, method): (&Route, &Split, &Method),
    (target, limits): (String, Vec<Limited>),
    shown: &Shown<'_>,
) -> Policies {
    let choice = split.choice();
    let (kept, why) = match &split.key {
        None => (None, "by chance, each request anew".to_owned()),
        Some(key @ StickyKey::Claim(_)) => (None, format!("by {key}, which hangs on the token")),
        Some(key) => match hash(key, shown) {
            None => (None, format!("by {key}, for which the client's address stands, and none is given")),
            Some(hash) => match choice.kept(hash) {
                Some(kept) => (Some(kept), format!("by {key}, always the same")),
                None => (None, format!("by {key} to one that keeps no clients: by chance, each request anew")),
            },
        },
    };
    let most = split.shares.iter().enumerate().max_by_key(|(at, share)| (share.weight, std::cmp::Reverse(*at)));
    let Some(share) = kept.or(most.map(|(at, _)| at)).and_then(|at| split.shares.get(at)) else {
        return policies(config, (route, method), target, limits);
    };
    let chosen = if kept.is_some() { why } else { format!("not known here: {why}; shown is the one that gets most") };
    let whole = policies(config, (route, method), String::new(), Vec::new());
    Policies {
        split: split.described(),
        chosen: Some(chosen),
        origin: whole.origin,
        forward_auth: whole.forward_auth,
        ..policies(config, (&share.route, method), target, limits)
    }
}

/// What becomes of a preflight that a route answers; its routing is that of the request that is to follow.
fn preflight(config: &Config, table: &RouteTable, ask: &Ask<'_>) -> Option<Answer> {
    let preflight = Preflight::of(ask.method, ask.headers)?;
    let asked = table.find_asked(ask, &preflight)?;
    let route = &config.routes[asked.speaker];
    let origin = preflight.origin.to_header_value();
    let allows = |index: &usize| config.routes[*index].cors.as_ref()?.allows(&origin);
    let refusing = asked.refusing(&preflight, |index| config.routes[index].cors.as_deref());
    let page = match refusing {
        None => "may ask: the gateway answers this preflight with 204".to_owned(),
        Some(other) if allows(&asked.speaker).is_some() => {
            let why = match allows(&other) {
                Some(_) => "does not allow its method, or one of its headers",
                None if config.routes[other].cors.is_some() => "does not allow it",
                None => "has no `cors`",
            };
            let other = &config.routes[other];
            format!(
                "may not ask: the gateway answers this preflight with 403, since the request may take the route {:?}, \
                 which {why}",
                other.name
            )
        }
        Some(_) => "may not ask: the gateway answers this preflight with 403".to_owned(),
    };
    let denied = refusing.map(|_| Answer::refused(&refused_preflight())).unwrap_or_default();
    let target = "(nothing: the gateway answers)".to_owned();
    let about = Ask { method: &preflight.method, ..*ask };
    let routing = crate::routing::explain::explain_asked(table, &about, &asked);
    let told = policies(config, (route, &preflight.method), target, Vec::new());
    // It is answered before all that other requests of the route meet.
    let sending = Sending::default();
    let policies = Policies { page: Some(page), preflight: true, origin: None, forward_auth: None, sending, ..told };
    let (path, routing) = (Some(ask.path.to_owned()), Some(routing));
    Some(Answer { path, routing, policies: Some(policies), ..denied })
}

fn policies(
    config: &Config,
    (route, method): (&Route, &Method),
    target: String,
    rate_limits: Vec<Limited>,
) -> Policies {
    use crate::config::settings::upstream::{Balance, Endpoint, Endpoints};
    let told = |Endpoint { address, backup, .. }: &Endpoint| {
        if *backup { format!("{address} (backup)") } else { address.to_string() }
    };
    let upstream = config.upstreams.iter().find(|upstream| upstream.name == route.upstream);
    let endpoints = upstream.map(|upstream| match &upstream.endpoints {
        Endpoints::Static(endpoints) => endpoints.iter().map(told).collect(),
        Endpoints::Dns(dns) => vec![format!("{}:{} (discovered)", dns.host, dns.port)],
    });
    let balance = upstream.map_or("", |upstream| match upstream.balance {
        Balance::RoundRobin => "round_robin",
        Balance::LeastRequest => "least_request",
        Balance::PeakEwma => "peak_ewma",
        Balance::Random => "random",
        Balance::ConsistentHash(_) => "consistent_hash",
        Balance::Custom(_) => "custom",
    });
    let highest = config.routes.iter().map(|route| route.criticality).max().unwrap_or_default();
    let concurrency = upstream.map(|upstream| upstream.concurrency).unwrap_or_default();
    Policies {
        rate_limits,
        own_answer: route.own_answer.as_ref().map(ToString::to_string),
        origin: route.origin.as_ref().map(ToString::to_string),
        to_https: false,
        forward_auth: route.forward_auth.as_ref().map(ToString::to_string),
        parts: route.aggregate.as_ref().map(|aggregate| aggregate.described()).unwrap_or_default(),
        split: Vec::new(),
        chosen: None,
        mirror: route.mirror.as_ref().map(ToString::to_string),
        batch: route.batch.as_ref().map(|batch| batch.described()).unwrap_or_default(),
        upstream: route.upstream.to_string(),
        protocol: upstream.map_or("", |upstream| upstream.protocol.name()),
        tls: upstream.and_then(|upstream| upstream.tls.as_ref()).map(ToString::to_string),
        target,
        endpoints: endpoints.unwrap_or_default(),
        balance,
        sending: Sending::of(route, method),
        timeout_ms: route.timeout.map(sending::milliseconds),
        max_body: route.max_body.unwrap_or(config.server.max_body),
        criticality: route.criticality.as_str(),
        places: config
            .server
            .max_in_flight
            .map(|max| route.criticality.places(u32::try_from(max).unwrap_or(u32::MAX), highest)),
        route_places: route.max_in_flight,
        upstream_places: concurrency.max_in_flight.map(|max| route.criticality.places(max, concurrency.highest)),
        adaptive: concurrency.adaptive,
        websocket: route.websocket,
        websocket_pages: None,
        grpc_web: None,
        coalesce: route.coalesce,
        early_hints: route.early_hints.told(),
        intercept: route.intercept.as_ref().map(ToString::to_string),
        hedge: route.hedge.as_ref().map(ToString::to_string),
        auth: None,
        fallback: route.fallback.as_ref().map(ToString::to_string),
        cors: route.cors.as_ref().map(ToString::to_string),
        compress: None,
        cache: route.cache.as_ref().map(ToString::to_string),
        page: None,
        preflight: false,
        unanswered_preflight: None,
    }
}
