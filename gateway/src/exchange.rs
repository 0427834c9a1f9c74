//! One request and its answer: what the stages know of it, and the one record that it leaves.
//!
//! Stages share state through this alone. Whatever ends a request (an answer, a refusal, a client that left, a panic),
//! dropping the exchange writes its access record and counts it, exactly once.

mod ended;
mod heads;
mod page;
mod part;
mod present;
mod recorded;
mod time;
mod traced;

pub use page::Page;
pub use part::{Missing, Parts};

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use http::{Extensions, HeaderMap, Method, StatusCode, Version};

use ended::Delivery;
use heads::Heads;

use crate::algorithms::criticality::Criticality;
use crate::algorithms::grpc_web::Web;
use crate::caching::Caching;
use crate::client::ClientConnection;
use crate::clock::{Moment, Since};
use crate::compression::Accepted;
use crate::context::{AskedHost, ClientAddress, Passes, RequestId, TraceContext};
use crate::error::{Code, GatewayError};
use crate::header_edits::{Made, MadeValue};
use crate::http1::WireNames;
use crate::identity::Identity;
use crate::network::Network;
use crate::plugins::Seen;
use crate::rate_limit;
use crate::request_body::BodyProgress;
use crate::request_target::RequestTarget;
use crate::roll_call::Present;
use crate::shard::{Local, Shard};
use crate::snapshot::CompiledRoute;
use crate::telemetry::metrics::{AuthResult, ShedReason};
use crate::telemetry::record::Ended;
use crate::telemetry::recorder::{Calls, Notes};
use crate::telemetry::tracing::{Link, Track};
use crate::upstream::in_flight::Permit;
use crate::upstream::{Endpoint, Upstream};

/// nginx's status for a client that left before it was answered; never sent, only recorded.
const CLIENT_LEFT_STATUS: u16 = 499;

/// One request and its answer.
pub struct Exchange<N: Network> {
    /// The worker that serves it.
    pub shard: Arc<Shard<N>>,
    /// The client's connection.
    pub connection: Arc<ClientConnection>,
    /// The configuration that it began under, and ends under.
    pub snapshot: Arc<Local<N>>,
    /// When its head had arrived.
    pub started: Instant,
    /// The same as the clock counts: what is told of that time in other forms is made of it.
    pub since: Since,
    /// Its id.
    pub request_id: RequestId,
    /// Its trace.
    pub trace: TraceContext,
    /// The client, as trusted proxies tell it.
    pub client: ClientAddress,
    /// The peer is a trusted proxy.
    pub peer_trusted: bool,
    /// The client's own connection is encrypted, as trusted proxies tell it.
    pub secure: bool,
    /// How often it has come by this gateway before.
    pub passes: Passes,
    /// It came by more often than is likely, and nobody who is believed says so: it may be made up. What becomes of it
    /// is told to its client alone: it says nothing of who is asked, and nothing of it is shared or kept.
    pub is_doubtful: bool,
    /// The method.
    pub method: Method,
    /// The target as received.
    pub uri: RequestTarget,
    /// What the program around the gateway has put beside it, and its stages have: for handlers and limit keys.
    pub extensions: Extensions,
    /// The client sent a trace context of its own.
    pub traced: bool,
    /// The client says how much time it has.
    pub timed: bool,
    /// It is gRPC.
    pub is_grpc: bool,
    /// How its caller speaks, where that is one of gRPC.
    pub speech: Speech,
    /// Its client gave it less time than the route, or little is left: what comes of that says nothing of who is asked.
    pub hurried: bool,
    /// What a client of gRPC gives its whole call, from its start; `timeout` is until response headers.
    pub call_timeout: Option<Duration>,
    /// The time until response headers, from its start, retries included; `None` = no limit.
    pub timeout: Option<Duration>,
    /// The path in its one form, where that differs from the target's.
    pub path: Option<Box<str>>,
    /// The host.
    pub asked_host: Option<AskedHost>,
    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Index of the route that matched.
    pub route: Option<usize>,
    /// Who asks, where the route wants to know and it was proven.
    pub identity: Option<Arc<Identity>>,
    /// How the client wrote the names of its fields, where they are kept.
    pub names: Option<WireNames>,
    /// The passport for the upstream, a whole field.
    pub passport: Option<Arc<[u8]>>,
    /// Why its credential was refused.
    pub refused: Option<AuthResult>,
    /// The status that was answered.
    pub status: Option<StatusCode>,
    /// The problem that was answered.
    pub code: Option<Code>,
    /// The status of gRPC that its caller was told.
    pub grpc_status: Option<u8>,
    /// What the route's limits came to, where it has some.
    pub limits: Option<Box<rate_limit::Applied>>,
    /// Its places among the requests of its route and its client, where their number is limited.
    pub held: Option<Box<rate_limit::Holding>>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<Arc<Endpoint<N>>>,
    /// The breaker's state that the last attempt met, or that refused it.
    pub breaker: Option<&'static str>,
    /// The parts that its answer is put together of; of a part's call, those that it is one of.
    pub parts: Option<Arc<Parts>>,
    /// Those that are not in it.
    missing: Option<Box<Missing>>,
    /// How many requests shared the call that it was answered by, where it was gathered with others.
    pub batch_size: Option<u32>,
    /// Attempts that were made, but for hedges.
    pub attempts: u32,
    /// Hedges that were sent. Counted where attempts are under way, which borrow the exchange.
    pub hedges: AtomicU32,
    /// One of several attempts has won: what is given up from now on, no client has left.
    pub is_decided: AtomicBool,
    /// The request body, where there is one.
    pub request_body: Option<Arc<BodyProgress>>,
    /// Time in which the client's body, or who says whether it may pass, was waited for before the upstream's turn.
    pub awaited: Duration,
    /// Bytes that a tunnel brought from the client.
    pub tunnelled_in: u64,
    /// Bytes of response body that were handed to the client's connection.
    pub bytes_out: u64,
    /// When the upstream was turned to.
    pub upstream_began: Option<Moment>,
    /// When its response head had arrived.
    pub upstream_head: Option<Moment>,
    /// When the response head was handed on.
    pub answered: Option<Instant>,
    /// Another upstream is asked in place of the route's own.
    pub stands_in: bool,
    /// It is being asked of another service whether the request may pass.
    pub consults: bool,
    /// What the service that let it pass says to the client.
    pub told_client: Option<Box<HeaderMap>>,
    /// The problem that a fallback is to cover, kept to be answered should the fallback fail too.
    pub covered: Option<Box<GatewayError>>,
    /// The page of another origin that asks, where the route allows it.
    pub page: Option<Box<Page>>,
    /// What its record is to tell of heads, where the configuration names headers.
    heads: Option<Box<Heads>>,
    /// What is written down of it on its way, where somebody wants to know.
    pub(crate) aside: Aside,
    /// The same of calls that are made for it, or that it shares; of a call, where it notes its own.
    pub(crate) calls: Option<Calls>,
    /// Its place in its trace, where it is traced.
    pub(crate) track: Option<Track>,
    /// Another one's call whose answer it has, in a trace of its own.
    pub(crate) shared: Option<Box<Link>>,
    /// The program's own stages that were asked about it, until they know its end.
    pub(crate) seen: Option<Box<Seen>>,
    /// The values of its route's edits that are its own.
    pub(crate) made: Option<Arc<Made>>,
    /// How it came by its answer, and what becomes of that, where its route keeps answers.
    pub(crate) cache: Option<Box<Caching>>,
    /// Its route is the best of those that it may take: until its body tells, or for good as it is a preflight.
    pub is_undecided: bool,
    /// What its client takes of the codings that the route offers.
    pub accepts: Accepted,
    /// Its place among the gateway's requests, while their number is limited, and the class in which it was taken.
    place: Option<(Permit, Criticality)>,
    /// Nothing is known of method and target: what came was no request.
    pub unread: bool,
    /// How its answer comes to its client.
    delivery: Delivery,
}

/// What is written down of an exchange on its way; mostly nothing.
#[derive(Debug, Default)]
pub(crate) struct Aside {
    /// What the flight recorder is to be told, where something was noted.
    pub(crate) notes: OnceLock<Box<Mutex<Notes>>>,
    /// What it has said of itself, where a drain wanted to know.
    present: OnceLock<Arc<Present>>,
    /// What it was turned away for.
    shed: OnceLock<ShedReason>,
    /// Its time until response headers is the client's own word.
    pub(crate) has_own_time: bool,
}

/// How a caller of gRPC speaks, and whether an answer is a stream.
#[derive(Debug, Default, Clone, Copy)]
pub struct Speech {
    /// As web pages do; whether that is translated is for the route to say.
    pub web: Option<Web>,
    /// What goes wrong behind its answer's head can be told in trailers.
    pub tells_behind: bool,
    /// Whether it has been told what the call came to, where the answer is one that has to tell it.
    pub is_told: Option<bool>,
    /// Its answer streams by its kind, and nothing says how long it is: that it is silent is no failure.
    pub streams: bool,
}

impl Speech {
    /// Nothing has been said of what the call came to, though its answer is one that has to say it.
    pub fn lacks_a_word(self) -> bool {
        self.is_told == Some(false)
    }
}

/// What an exchange begins with.
pub struct Arrival<N: Network> {
    /// The worker.
    pub shard: Arc<Shard<N>>,
    /// The connection.
    pub connection: Arc<ClientConnection>,
}

/// What the first stage found out about a request.
pub struct Named<N: Network> {
    /// The configuration in force.
    pub snapshot: Arc<Local<N>>,
    /// Its id.
    pub request_id: RequestId,
    /// Its trace.
    pub trace: TraceContext,
    /// Who sent it.
    pub client: ClientAddress,
    /// The peer is a trusted proxy.
    pub peer_trusted: bool,
    /// The client's own connection is encrypted, as trusted proxies tell it.
    pub secure: bool,
}

impl<N: Network> Exchange<N> {
    /// An exchange of which only the head is known.
    #[inline]
    pub fn new(arrival: Arrival<N>, line: (Method, RequestTarget, Version), named: Named<N>) -> Self {
        let clock = &arrival.shard.shared.clock;
        let started = clock.now();
        Self::begun((started, clock.since(started)), arrival, line, named)
    }

    /// The same at this time, which the clock counts so.
    #[inline]
    fn begun(
        (started, since): (Instant, Since),
        arrival: Arrival<N>,
        (method, uri, version): (Method, RequestTarget, Version),
        named: Named<N>,
    ) -> Self {
        Self {
            snapshot: named.snapshot,
            started,
            since,
            request_id: named.request_id,
            trace: named.trace,
            client: named.client,
            peer_trusted: named.peer_trusted,
            secure: named.secure,
            passes: Passes::default(),
            is_doubtful: false,
            shard: arrival.shard,
            connection: arrival.connection,
            method,
            uri,
            extensions: Extensions::new(),
            version,
            traced: false,
            timed: false,
            is_grpc: false,
            speech: Speech::default(),
            hurried: false,
            call_timeout: None,
            timeout: None,
            path: None,
            asked_host: None,
            route: None,
            identity: None,
            names: None,
            passport: None,
            refused: None,
            status: None,
            code: None,
            grpc_status: None,
            limits: None,
            held: None,
            endpoint: None,
            breaker: None,
            parts: None,
            missing: None,
            batch_size: None,
            attempts: 0,
            hedges: AtomicU32::new(0),
            is_decided: AtomicBool::new(false),
            request_body: None,
            awaited: Duration::ZERO,
            tunnelled_in: 0,
            bytes_out: 0,
            upstream_began: None,
            upstream_head: None,
            answered: None,
            stands_in: false,
            consults: false,
            told_client: None,
            covered: None,
            page: None,
            heads: None,
            aside: Aside::default(),
            calls: None,
            track: None,
            shared: None,
            seen: None,
            made: None,
            cache: None,
            is_undecided: false,
            accepts: Accepted::default(),
            place: None,
            unread: false,
            delivery: Delivery::default(),
        }
    }

    /// The route that matched.
    pub fn route(&self) -> Option<&CompiledRoute<N>> {
        self.route.map(|index| &self.snapshot.routes[index])
    }

    /// The upstream that is asked: the route's own, or the one that stands in for it.
    #[inline]
    pub fn upstream(&self) -> Option<&Arc<Upstream<N>>> {
        let route = self.route()?;
        if self.stands_in || self.consults {
            return self.other_upstream();
        }
        route.upstream.as_ref()
    }

    #[cold]
    fn other_upstream(&self) -> Option<&Arc<Upstream<N>>> {
        let route = self.route()?;
        if self.consults { route.authority.as_ref().map(|asked| &asked.upstream) } else { route.stand_in.as_ref() }
    }

    /// The values of its own that the route's edits write for the upstream.
    pub fn made_for_upstream(&self) -> &[MadeValue] {
        self.made.as_ref().map_or(&[], |made| &made.request)
    }

    /// The same for the client.
    pub fn made_for_client(&self) -> &[MadeValue] {
        self.made.as_ref().map_or(&[], |made| &made.response)
    }

    /// The path in its one form: what was matched, and what is sent.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or_else(|| self.uri.path())
    }

    /// Nobody says where its client is: an address stands for it that is in no list. A trusted proxy may have told.
    pub fn is_client_unknown(&self) -> bool {
        let peer = &self.connection.peer;
        peer.is_unknown && self.client.ip == peer.ip
    }

    /// Monotonic time.
    pub fn now(&self) -> Instant {
        self.shard.shared.clock.now()
    }

    /// Passes the worker's gate, and takes a place among the gateway's requests.
    ///
    /// # Errors
    /// 503 `overloaded` while the gateway protects itself, and at `max_in_flight`.
    #[inline]
    pub fn enter(&mut self) -> Result<(), GatewayError> {
        if !self.shard.gate.is_open() {
            self.pass_gate()?;
        }
        match self.snapshot.config.server.max_in_flight {
            None => Ok(()),
            Some(max) => self.take_place(max),
        }
    }

    #[cold]
    fn pass_gate(&self) -> Result<(), GatewayError> {
        match self.shard.gate.refuses(self.criticality(), self.shard.random()) {
            None => Ok(()),
            Some(reason) => Err(GatewayError::shed(reason, "The gateway has more to do than it can.")),
        }
    }

    fn take_place(&mut self, max: usize) -> Result<(), GatewayError> {
        let class = self.criticality();
        // Of a request whose body was read before its route was known: that was taken as if for the one that matters
        // most of those that it might take.
        if let Some((_, before)) = &self.place {
            if class >= *before {
                return Ok(());
            }
            self.place = None;
        }
        let places = class.places(u32::try_from(max).unwrap_or(u32::MAX), self.snapshot.highest);
        self.place = self.shard.shared.in_flight.try_enter(places).map(|place| (place, class));
        if self.place.is_some() {
            return Ok(());
        }
        Err(GatewayError::shed(ShedReason::InFlight, "The gateway serves as many requests as it may."))
    }

    /// How much it matters.
    pub fn criticality(&self) -> Criticality {
        self.route().map(|route| route.settings.criticality).unwrap_or_default()
    }

    /// Counts that it was turned away, once, where it was.
    #[cold]
    pub fn count_shed(&self, error: &mut GatewayError) {
        if let Some(reason) = error.shed.take() {
            self.shed(reason);
        }
    }

    /// It is turned away: counts it, and tells where turning away begins.
    #[cold]
    pub fn shed(&self, reason: ShedReason) {
        let _ = self.aside.shed.set(reason);
        match self.route().filter(|_| reason.is_of_upstream()).and_then(|route| route.upstream.as_ref()) {
            Some(upstream) => self.shard.shared.shed_for(upstream, reason),
            None => self.shard.shared.shed(reason),
        }
    }

    /// Counts and records the exchange. Later calls, and the drop, do nothing more.
    pub fn finish(&mut self, ended: Ended) {
        if !self.delivery.is_recorded {
            self.finish_at(ended, self.now());
        }
    }

    /// The same, for who has just looked at the clock.
    pub fn finish_at(&mut self, ended: Ended, now: Instant) {
        if std::mem::replace(&mut self.delivery.is_recorded, true) {
            return;
        }
        let since = self.shard.shared.clock.since(now);
        self.connection.rest(since);
        let ended = self.who_left(ended);
        let total = since.after(self.since);
        let overhead = self.overhead(total);
        let status = self.status.map_or(CLIENT_LEFT_STATUS, |status| status.as_u16());
        let series = self.route().map_or(&self.snapshot.unrouted, |route| &route.series);
        series.record(self.shard.index, status, self.code, total, Some(overhead));
        self.count_beside(series, (status, ended));
        self.keep_if_of_note((status, ended), (now, total));
        self.end_track((status, ended), now, overhead);
        let log = &self.shard.shared.log;
        // What a fallback covered, and what broke off, is a failure all the same, whatever its status.
        let failed = self.has_failed() || !matches!(ended, Ended::Complete | Ended::ClientLeft);
        if log.is_on() && (failed || log.wants(status, self.shard.random())) {
            log.submit(self.shard.index, &self.record(status, ended, total, overhead));
        }
        self.place = None;
        self.held = None;
        // Last: a request's places are not kept for what the program's own code does.
        if self.seen.is_some() {
            self.tell_stages((status, ended), total, overhead);
        }
    }
}
