//! `[[routes]]`: what is matched, and what happens then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use regex::Regex;
use serde_json::Value;

use super::aggregate::Aggregate;
use super::api_document::ApiDocument;
use super::batch::Batch;
use super::cache::Cache;
use super::clients::Clients;
use super::compress::Compress;
use super::cors::Cors;
use super::forward_auth::ForwardAuth;
use super::header_edits::HeaderEdits;
use super::identity::Auth;
use super::intercept::Intercept;
use super::mirror::Mirror;
use super::own_answer::{Origin, OwnAnswer};
use super::problems::Problems;
use super::query_edits::QueryEdits;
use super::split::Split;
use super::target;
use super::upstream::{Breaker, Failures};
use crate::algorithms::criticality::Criticality;

/// One `[[routes]]`.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs and metrics; the path when absent.
    pub name: Arc<str>,
    /// What is matched.
    pub matches: RouteMatch,
    /// The name of an upstream in the same configuration; empty where there are several, or the gateway answers itself.
    pub upstream: Arc<str>,
    /// Several upstreams by weight, in place of one.
    pub split: Option<Arc<Split>>,
    /// A copy of some of its requests, for another upstream.
    pub mirror: Option<Arc<Mirror>>,
    /// What the gateway answers itself, without an upstream.
    pub own_answer: Option<Box<OwnAnswer>>,
    /// What it asks of where a request comes from; `None` = nothing.
    pub origin: Option<Box<Origin>>,
    /// What the upstream is sent instead of the path, or where a redirect leads.
    pub rewrite: Option<Rewrite>,
    /// A variable filled in some of what is sent instead: people are not shown the path.
    pub hides_path: bool,
    /// Edits of the request's headers, after hop-by-hop and identity headers went.
    pub request_headers: HeaderEdits,
    /// Edits of the response's headers.
    pub response_headers: HeaderEdits,
    /// Edits of the query that the upstream or the handler is sent; nothing where the gateway answers itself.
    pub request_query: QueryEdits,
    /// Who may use it; `None` = everybody.
    pub auth: Option<Auth>,
    /// Names of the program's own stages, in the order in which they see its requests.
    pub stages: Box<[Arc<str>]>,
    /// Who is asked whether a request may pass.
    pub forward_auth: Option<Arc<ForwardAuth>>,
    /// Names of the limits that hold, each once; each exists.
    pub rate_limits: Vec<Arc<str>>,
    /// Requests of it at once, to the last byte of each answer; `None` = no limit.
    pub max_in_flight: Option<u32>,
    /// Until response headers, retries included; `None` = no limit.
    pub timeout: Option<Duration>,
    /// Silence in a response body, an event stream or a tunnel; `None` = no limit.
    pub idle_timeout: Option<Duration>,
    /// The `host` that the upstream is sent.
    pub host: HostPolicy,
    /// Whether `Upgrade: websocket` passes.
    pub websocket: bool,
    /// What is tried again.
    pub retry: Retry,
    /// How much its requests matter under overload.
    pub criticality: Criticality,
    /// A breaker for this route alone.
    pub breaker: Option<Breaker>,
    /// A request body's size: `None` = as `[server]` says, `Some(None)` = no limit.
    pub max_body: Option<Option<u64>>,
    /// A request body up to this size is there before an endpoint is picked; `None` = it streams.
    pub buffer_request: Option<usize>,
    /// A second attempt beside a slow first one; `None` = off.
    pub hedge: Option<Hedge>,
    /// What is answered where the upstream cannot; `None` = a problem document.
    pub fallback: Option<Fallback>,
    /// Bodies in place of problem documents; `None` = as `[server]` says.
    pub problems: Option<Arc<Problems>>,
    /// Statuses of its upstream of which nothing else is passed on; `None` where everything is.
    pub intercept: Option<Intercept>,
    /// Which pages of other origins may use it; `None` = the gateway says nothing of it.
    pub cors: Option<Box<Cors>>,
    /// Calls of web pages (gRPC-Web) are calls of gRPC to the upstream, which speaks HTTP/2.
    pub grpc_web: bool,
    /// Identical concurrent GETs share one call.
    pub coalesce: bool,
    /// Whose clients get its upstream's early hints.
    pub early_hints: EarlyHints,
    /// The calls that its answer is put together of; `None` = it is a route of `[[routes]]`.
    pub aggregate: Option<Arc<Aggregate>>,
    /// How its requests become one call; `None` = each is forwarded.
    pub batch: Option<Arc<Batch>>,
    /// Which answers are compressed; `None` = none is.
    pub compress: Option<Box<Compress>>,
    /// Which answers are kept; `None` = none is.
    pub cache: Option<Box<Cache>>,
    /// Where the document of its service is; `None` = nobody says.
    pub openapi: Option<ApiDocument>,
}

/// `early_hints`: to whom an upstream's 103 Early Hints (RFC 8297) are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EarlyHints {
    /// To nobody.
    #[default]
    Off,
    /// To clients of HTTP/2.
    Http2,
    /// To those of HTTP/1.1 as well.
    All,
}

impl EarlyHints {
    /// To whom, in words; `None` where to nobody.
    pub fn told(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Http2 => Some("to clients of HTTP/2"),
            Self::All => Some("to clients of HTTP/1.1 and HTTP/2"),
        }
    }
}

/// `hedge`: a second attempt beside a slow first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// When it begins.
    pub after: HedgeAfter,
    /// Attempts beside the first; at least 1.
    pub max: u32,
}

/// `after` of a hedge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After this time; above zero.
    Fixed(Duration),
    /// After the time that so many percent of requests do not pass; 50 to 99.
    Percentile(u8),
}

impl std::fmt::Display for Hedge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.after {
            HedgeAfter::Fixed(after) => write!(f, "after {after:?}")?,
            HedgeAfter::Percentile(percent) => write!(f, "after p{percent}")?,
        }
        write!(f, ", at most {}", self.max)
    }
}

/// `fallback`: what is answered where the upstream cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// `{ status, body, content_type }`
    Answer(FixedAnswer),
    /// `{ upstream = "cache" }`: the name of another upstream in the same configuration.
    Upstream(Arc<str>),
}

impl Fallback {
    /// The upstream that stands in.
    pub fn upstream(&self) -> Option<&str> {
        match self {
            Self::Answer(_) => None,
            Self::Upstream(name) => Some(name),
        }
    }
}

impl std::fmt::Display for Fallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answer(answer) => answer.fmt(f),
            Self::Upstream(name) => write!(f, "upstream {name}"),
        }
    }
}

/// An answer that is always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedAnswer {
    /// 200 to 599.
    pub status: StatusCode,
    /// What the body is; `None` = there is none.
    pub content_type: Option<HeaderValue>,
    /// Empty where the status has no body.
    pub body: Bytes,
}

impl std::fmt::Display for FixedAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {} bytes", self.status.as_u16(), self.body.len())?;
        match self.content_type.as_ref().and_then(|kind| kind.to_str().ok()) {
            Some(kind) => write!(f, " of {kind}"),
            None => Ok(()),
        }
    }
}

/// `retry`. By default nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retry {
    /// Attempts, the first one counted; at least 1.
    pub attempts: u32,
    /// One attempt; `None` = as long as the route gives.
    pub per_try_timeout: Option<Duration>,
    /// What is tried again.
    pub on: Failures,
    /// Methods that may be sent twice.
    pub methods: Box<[Method]>,
    /// The largest body that is kept to be sent again, bytes.
    pub buffer: usize,
    /// The longest wait before the second attempt.
    pub backoff: Duration,
    /// The longest wait before any attempt.
    pub max_backoff: Duration,
}

/// The matching part of a route.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    /// Listeners by which requests come, by name; empty = any.
    pub listeners: Vec<Arc<str>>,
    /// Empty = any host.
    pub hosts: Vec<HostPattern>,
    /// The path pattern as written: exact, with `{param}` segments, and perhaps a last `{*rest}`.
    pub path: Arc<str>,
    /// What the whole path has to look like, beside its pattern.
    pub path_regex: Option<PathRegex>,
    /// Empty = any method. `GET` answers `HEAD` too.
    pub methods: Vec<Method>,
    /// All must hold, each in every line of its header.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// All must hold.
    pub query: Vec<(String, ValueMatch)>,
    /// Where the client is, as trusted proxies tell it.
    pub clients: Clients,
    /// All must hold.
    pub body: Vec<BodyMatch>,
    /// The largest body in which they can hold, bytes.
    pub body_limit: usize,
    /// The higher first among routes that match; then the more specific.
    pub priority: i64,
}

impl RouteMatch {
    /// Whether requests of its listeners, hosts, path pattern and methods have to meet something more to be its own.
    pub fn is_conditional(&self) -> bool {
        let Self { path_regex, headers, query, clients, body, .. } = self;
        let asks_nothing = headers.is_empty() && query.is_empty() && clients.is_empty() && body.is_empty();
        path_regex.is_some() || !asks_nothing
    }
}

/// A host in a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// `api.example`, lower case, without port.
    Exact(String),
    /// `*.example.com`: held as `example.com`; matches one label or more before it.
    Wildcard(String),
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Wildcard(suffix) => write!(f, "*.{suffix}"),
        }
    }
}

/// `path_regex`: a regular expression of the whole path.
#[derive(Debug, Clone)]
pub struct PathRegex {
    /// Anchored already.
    pub regex: Regex,
    /// As it is written, where variables stand by their names: people are shown this.
    pub written: Arc<str>,
}

impl PathRegex {
    /// The names of its groups: parameters, as those of the path's pattern, behind which they come.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }
}

/// What a header's or a query parameter's value must be.
#[derive(Debug, Clone)]
pub enum ValueMatch {
    /// `"*"`: present.
    Present,
    /// The whole value.
    Exact(String),
    /// `"~REGEX"`: the whole value matches; the pattern is anchored already.
    Pattern(Regex),
    /// One of the others that a variable filled in: who knows it is let in, so nobody is shown it.
    Hidden(Box<ValueMatch>),
}

/// What a place in a body must be.
#[derive(Debug, Clone)]
pub struct BodyMatch {
    /// A JSON pointer (RFC 6901).
    pub pointer: Box<str>,
    /// The string, number or boolean that it has to lead to.
    pub value: Value,
    /// A variable filled it in.
    pub is_hidden: bool,
}

impl BodyMatch {
    /// Whether nobody is shown what is wanted.
    pub fn may_be_secret(&self) -> bool {
        self.is_hidden || target::may_be_secret(&self.pointer)
    }
}

/// `rewrite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// `strip_prefix = "/api"`: removed where the path begins with it at a segment boundary.
    StripPrefix(String),
    /// `path = "/v2/{rest}"`: pieces in order. Every parameter named exists in the route's path.
    Path(Vec<RewritePiece>),
}

/// A piece of a rewritten path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewritePiece {
    /// Copied as it is.
    Literal(String),
    /// The value of this parameter of the route's path (`rest` for `{*rest}`).
    Param(String),
}

/// `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the client sent.
    Client,
    /// The endpoint's address as written.
    Upstream,
    /// A fixed name.
    Fixed(HeaderValue),
}
