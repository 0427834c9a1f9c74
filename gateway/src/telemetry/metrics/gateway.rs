//! What is counted for the gateway as a whole, and for its listeners and workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::seldom::Seldom;
use super::shards::Shards;
use super::{HistogramTotals, OverheadHistogram};
use crate::labelled::labelled;

/// Of failed handshakes of a listener, one is told of in so many seconds: who scans ports fails often.
const TELL_EVERY: u64 = 5;

/// Why a connection or a request was turned away to protect the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShedReason {
    /// `max_connections`
    Connections,
    /// `max_connections_per_ip`
    ConnectionsPerIp,
    /// `max_in_flight` of the gateway
    InFlight,
    /// `shed_above_rss`
    Memory,
    /// A worker's loop is late.
    LoopDelay,
    /// Too many wait on a worker to have a token verified.
    Verification,
    /// `max_in_flight` of an upstream
    UpstreamInFlight,
    /// The adaptive limit of every endpoint that could take the request
    UpstreamLatency,
    /// `max_connections` of an upstream
    UpstreamConnections,
    /// The request's time ran out in the gateway, before an upstream was asked.
    Deadline,
    /// The gateway is draining.
    Draining,
    /// More resets or empty frames on a connection of HTTP/2 than a client may send.
    Http2Flood,
    /// `body_match_memory`
    RoutingBodies,
    /// The machine gave no socket for a connection, of a client or to an upstream: file descriptors or memory.
    Sockets,
    /// `max_in_flight` of a route
    RouteInFlight,
}

impl ShedReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connections,
        Self::ConnectionsPerIp,
        Self::InFlight,
        Self::Memory,
        Self::LoopDelay,
        Self::Verification,
        Self::UpstreamInFlight,
        Self::UpstreamLatency,
        Self::UpstreamConnections,
        Self::Deadline,
        Self::Draining,
        Self::Http2Flood,
        Self::RoutingBodies,
        Self::Sockets,
        Self::RouteInFlight,
    ];

    /// Whether it protects an upstream, and not the gateway.
    pub fn is_of_upstream(self) -> bool {
        matches!(self, Self::UpstreamInFlight | Self::UpstreamLatency | Self::UpstreamConnections)
    }

    /// As written in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerIp => "connections_per_ip",
            Self::InFlight => "in_flight",
            Self::Memory => "memory",
            Self::LoopDelay => "loop_delay",
            Self::Verification => "verification",
            Self::UpstreamInFlight => "upstream_in_flight",
            Self::UpstreamLatency => "upstream_latency",
            Self::UpstreamConnections => "upstream_connections",
            Self::Deadline => "deadline",
            Self::Draining => "draining",
            Self::Http2Flood => "h2_flood",
            Self::RoutingBodies => "routing_bodies",
            Self::Sockets => "sockets",
            Self::RouteInFlight => "route_in_flight",
        }
    }
}

/// Numbers of the whole process. Rare events: any thread may count.
#[derive(Debug)]
pub struct GatewaySeries {
    shed: [AtomicU64; ShedReason::ALL.len()],
    panics: AtomicU64,
    unbuffered: AtomicU64,
    config_version: AtomicU64,
    reload_failures: AtomicU64,
    loop_delay: Shards<OverheadHistogram>,
}

impl GatewaySeries {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            shed: Default::default(),
            panics: AtomicU64::new(0),
            unbuffered: AtomicU64::new(0),
            config_version: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
            loop_delay: Shards::new(workers),
        }
    }

    /// Something was turned away.
    pub fn shed(&self, reason: ShedReason) {
        self.shed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub fn shed_total(&self, reason: ShedReason) -> u64 {
        self.shed[reason as usize].load(Ordering::Relaxed)
    }

    /// A request met a bug and was answered with 500.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub fn panics_total(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// A request body was to be whole before it was sent, and streams since there was no room.
    pub fn unbuffered(&self) {
        self.unbuffered.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub fn unbuffered_total(&self) -> u64 {
        self.unbuffered.load(Ordering::Relaxed)
    }

    /// This version of the configuration is in force.
    pub fn set_config_version(&self, version: u64) {
        self.config_version.store(version, Ordering::Relaxed);
    }

    /// The version in force.
    pub fn config_version(&self) -> u64 {
        self.config_version.load(Ordering::Relaxed)
    }

    /// A reload was refused.
    pub fn reload_failed(&self) {
        self.reload_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that happened.
    pub fn reload_failures_total(&self) -> u64 {
        self.reload_failures.load(Ordering::Relaxed)
    }

    /// A worker's timer fired this much late.
    #[inline]
    pub fn loop_delay(&self, worker: usize, delay: Duration) {
        let (histogram, alone) = self.loop_delay.own(worker);
        histogram.record(delay, alone);
    }

    /// How late each worker's timers were.
    pub fn loop_delays(&self) -> Vec<(usize, HistogramTotals)> {
        let totals = |histogram: &OverheadHistogram| {
            let mut totals = HistogramTotals::default();
            histogram.add_to(&mut totals);
            totals
        };
        self.loop_delay.numbered().map(|(worker, histogram)| (worker, totals(histogram))).collect()
    }
}

labelled! {
    /// What a TLS handshake came to.
    pub enum HandshakeResult, "As in a label.";
    /// A connection.
    Ok = "ok";
    /// The client left, or what it sent or showed was refused for a reason that none of the others names.
    Failed = "failed";
    /// It did not come to an end in time.
    Timeout = "timeout";
    /// The client spoke HTTP in the clear.
    PlainHttp = "plain_http";
    /// The client showed no certificate where it has to.
    NoCertificate = "no_certificate";
    /// Its certificate has expired.
    Expired = "expired";
    /// Nobody that is trusted signed its certificate.
    UnknownCa = "unknown_ca";
    /// Whoever signed its certificate has taken it back.
    Revoked = "revoked";
    /// Nobody can say whether its certificate was taken back: a list is missing, has ended or is not its signer's.
    RevocationUnknown = "revocation_unknown";
    /// It refused, by an alert: often it does not believe the listener's certificate.
    ClientRefused = "client_refused";
    /// No version, cipher suite or group is spoken by both.
    Version = "version";
}

/// What was said of whose a connection is, where the PROXY protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// A client's address.
    Client = 0,
    /// That the client's address cannot be told.
    Unknown = 1,
    /// That the balancer speaks for itself.
    Local = 2,
    /// Nothing: the connection began with something else.
    Absent = 3,
    /// Something that is no header.
    Malformed = 4,
    /// Not enough in time.
    Timeout = 5,
    /// Not enough before the connection was closed.
    Closed = 6,
    /// Nothing that was read: the peer is no trusted proxy.
    Untrusted = 7,
}

impl Announcement {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Client,
        Self::Unknown,
        Self::Local,
        Self::Absent,
        Self::Malformed,
        Self::Timeout,
        Self::Closed,
        Self::Untrusted,
    ];

    /// As in a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Unknown => "unknown",
            Self::Local => "local",
            Self::Absent => "absent",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Open connections of one listener, their handshakes, and what was said of whose they are. Counted once a connection:
/// any thread may.
#[derive(Debug)]
pub struct ListenerSeries {
    name: Arc<str>,
    open: AtomicI64,
    announcements: [AtomicU64; Announcement::ALL.len()],
    handshakes: [AtomicU64; HandshakeResult::ALL.len()],
    failed: Seldom<TELL_EVERY>,
}

impl ListenerSeries {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            open: AtomicI64::new(0),
            announcements: Default::default(),
            handshakes: Default::default(),
            failed: Seldom::default(),
        }
    }

    /// The listener's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A connection was accepted.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is gone.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// A header of the PROXY protocol was read, or was not to be had.
    pub fn announced(&self, what: Announcement) {
        self.announcements[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections of which this was said.
    pub fn announcements(&self, what: Announcement) -> u64 {
        self.announcements[what as usize].load(Ordering::Relaxed)
    }

    /// A handshake is over.
    pub fn shook_hands(&self, result: HandshakeResult) {
        self.handshakes[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a handshake that failed in this second, from any moment, is to be told of: then how many were not since
    /// the last that was.
    pub fn may_tell(&self, second: u64) -> Option<u64> {
        self.failed.may_tell(second)
    }

    /// Handshakes that came to this.
    pub fn handshakes(&self, result: HandshakeResult) -> u64 {
        self.handshakes[result as usize].load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn open(&self) -> u64 {
        u64::try_from(self.open.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
