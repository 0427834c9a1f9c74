//! `[upstreams.NAME]`: a named service and how its endpoints are used.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, StatusCode};

use super::affinity::Affinity;
use super::upstream_tls::UpstreamTls;
use crate::algorithms::breaker::Policy;
use crate::algorithms::criticality::Criticality;
use crate::algorithms::ejection::Bounds;
use crate::algorithms::health::Thresholds;
use crate::algorithms::retry_budget::Allowance;

/// One `[upstreams.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name; state (in-flight counts, pools, breakers) is kept by it over reloads.
    pub name: Arc<str>,
    /// Where its endpoints come from.
    pub endpoints: Endpoints,
    /// What they speak.
    pub protocol: Protocol,
    /// How connections are secured; `None` = they are in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    /// How an endpoint is picked.
    pub balance: Balance,
    /// Who comes back gets the endpoint that answered before; `None` = off.
    pub affinity: Option<Affinity>,
    /// How connections are kept.
    pub pool: Pool,
    /// When an endpoint is left alone.
    pub breaker: Breaker,
    /// The same for routes that have a breaker of their own.
    pub route_breakers: Vec<RouteBreaker>,
    /// How many endpoints may be out of balancing.
    pub ejection: Bounds,
    /// Active checks; `None` = off.
    pub health: Option<Health>,
    /// A new endpoint's share grows over this time; zero = it takes all of it at once.
    pub slow_start: Duration,
    /// How many retries there may be.
    pub retry_budget: Allowance,
    /// How many requests may be in flight.
    pub concurrency: Concurrency,
}

impl Upstream {
    /// Whether any of its endpoints is a backup.
    pub fn has_backups(&self) -> bool {
        matches!(&self.endpoints, Endpoints::Static(all) if all.iter().any(|endpoint| endpoint.backup))
    }
}

/// `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1, a connection for each request that is under way.
    #[default]
    Http1,
    /// HTTP/2, on connections that requests share: by ALPN over TLS, by prior knowledge in the clear.
    Http2,
}

impl Protocol {
    /// As a sentence names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// `concurrency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concurrency {
    /// Over all endpoints; `None` = no limit.
    pub max_in_flight: Option<u32>,
    /// Each endpoint has a limit that follows its latency.
    pub adaptive: bool,
    /// The most critical of the routes that lead here: for those above it nothing is kept free.
    pub highest: Criticality,
}

impl Concurrency {
    /// Whether there is any limit.
    #[inline]
    pub fn limits_something(&self) -> bool {
        self.max_in_flight.is_some() || self.adaptive
    }
}

/// The path of a check that asks gRPC, in its own way (`grpc.health.v1.Health`).
pub const GRPC_CHECK: &str = "/grpc.health.v1.Health/Check";

/// `health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked for: a path, and perhaps a query.
    pub path: PathAndQuery,
    /// The host that is asked for; `None` = the endpoint's address.
    pub host: Option<HeaderValue>,
    /// Good statuses, of what is not asked in gRPC's own way; never empty.
    pub statuses: Box<[RangeInclusive<u16>]>,
    /// Between two checks of an endpoint.
    pub interval: Duration,
    /// The longest wait for an answer's head.
    pub timeout: Duration,
    /// How many checks decide.
    pub thresholds: Thresholds,
}

impl Health {
    /// Whether it asks in gRPC's own way: then gRPC is what the upstream speaks.
    pub fn asks_grpc(&self) -> bool {
        self.path.path() == GRPC_CHECK
    }

    /// # Errors
    /// What is wrong with an answer of this status.
    pub fn judge(&self, status: StatusCode) -> Result<(), Arc<str>> {
        let status = status.as_u16();
        let is_good = self.statuses.iter().any(|statuses| statuses.contains(&status));
        if is_good { Ok(()) } else { Err(format!("status {status}").into()) }
    }
}

/// `breaker`, of an upstream or of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// What counts as a failure.
    pub failures: Failures,
    /// An answer whose head takes this long is slow; `None` = none is.
    pub slow_call: Option<Duration>,
    /// When it trips, and how it recovers.
    pub policy: Policy,
}

/// A route's breaker, for each endpoint of its upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteBreaker {
    /// The route's name.
    pub route: Arc<str>,
    /// The breaker.
    pub breaker: Breaker,
}

/// `failures` of a breaker, `on` of retries: ways in which an attempt fails.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failures {
    /// No connection, or none in time.
    pub connect: bool,
    /// The connection broke, or what came was no answer.
    pub reset: bool,
    /// No answer in time.
    pub timeout: bool,
    /// Statuses.
    pub statuses: Box<[u16]>,
}

/// Where endpoints come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Endpoints {
    /// Written in the configuration; never empty.
    Static(Vec<Endpoint>),
    /// `discovery = { dns = "host:port", refresh = "10s" }`
    Dns(DnsDiscovery),
}

/// One address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As written; this is the endpoint's name in admin, logs and metrics.
    pub address: Arc<str>,
    /// Where to connect.
    pub target: Target,
    /// Its share; at least 1, or 0 for an endpoint that gets no new requests.
    pub weight: u32,
    /// It gets requests only where no other endpoint that is none takes them.
    pub backup: bool,
}

/// What an address means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An IP address and port.
    Socket(SocketAddr),
    /// A host name and port, resolved when a connection is opened; where that fails its last addresses serve.
    Name(Arc<str>, u16),
}

/// `discovery = { dns, refresh }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsDiscovery {
    /// The name to resolve.
    pub host: Arc<str>,
    /// The port of each address.
    pub port: u16,
    /// How often.
    pub refresh: Duration,
}

/// `balance`.
#[derive(Debug, Clone, PartialEq)]
pub enum Balance {
    /// Smooth weighted round robin, exact over the process.
    RoundRobin,
    /// Weighted power of two choices on requests in flight.
    LeastRequest,
    /// The same on latency and failures as well.
    PeakEwma,
    /// By weight.
    Random,
    /// A ring with bounded load.
    ConsistentHash(ConsistentHash),
    /// What the program has registered under this name.
    Custom(Arc<str>),
}

/// `balance = { policy = "consistent_hash", … }`
#[derive(Debug, Clone, PartialEq)]
pub struct ConsistentHash {
    /// What is hashed.
    pub key: HashKey,
    /// An endpoint above `bound` times the mean in flight is full; at least 1.0.
    pub bound: f64,
    /// An endpoint below this many in flight is never full.
    pub bound_min: u32,
}

/// `key` of a consistent hash: `client_ip`, `header:NAME`, `cookie:NAME`, `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address.
    ClientIp,
    /// A request header; the client's address where it is absent.
    Header(HeaderName),
    /// A cookie; the client's address where it is absent.
    Cookie(String),
    /// The normalised path.
    Path,
}

/// `pool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Opening a connection; 504 `connect_timeout` beyond.
    pub connect_timeout: Duration,
    /// An idle connection is closed after this long.
    pub idle_timeout: Duration,
    /// Idle connections for an endpoint on a worker; those beyond are closed when nobody has needed them for a second.
    pub max_idle_per_worker: usize,
    /// A connection older than this is closed when it falls idle.
    pub max_lifetime: Duration,
    /// Open connections to an endpoint, over the process; `None` = no limit. Beyond: 503 `overloaded`.
    pub max_connections: Option<usize>,
}
