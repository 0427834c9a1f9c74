//! A scenario that holds: what `sim run` does, with nothing left to be doubted.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use loadgen::announce::ProxyProtocol;
use loadgen::journey::Journeys;
use loadgen::plan::Arrivals;
use loadgen::request::{Expectation, ExpectedHeader, Protocol, Template};
use loadgen::target::Target;
use loadgen::tls::Tls;

use super::gateway;
use crate::hostile::Act;

/// Where a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The real binaries, over loopback.
    Sockets,
    /// The same code in one thread, on a simulated network and clock.
    Virtual,
}

/// One scenario. Times count from t = 0, which is the end of warm-up.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its file.
    pub file: PathBuf,
    /// Its name in results.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The seed of everything random.
    pub seed: u64,
    /// Where it runs.
    pub runtime: Runtime,
    /// What `sim suite --only` asks for.
    pub tags: Vec<String>,
    /// The least time of warm-up.
    pub warm_up: Duration,
    /// The gateways.
    pub gateway: GatewayPart,
    /// The mock services, in the order of the file.
    pub mocks: Vec<MockPart>,
    /// Whether there is a Redis.
    pub redis: bool,
    /// The loads, in the order of the file.
    pub loads: Vec<LoadPart>,
    /// Clients that are slow, broken or mean, in the order of the file.
    pub hostile: Vec<HostilePart>,
    /// How long nothing is sent before t = 0 and after the end, so that what gateways hold at rest can be compared.
    pub rest: Duration,
    /// Which load's rate is raised before t = 0 until its objective no longer holds.
    pub capacity: Option<CapacityPart>,
    /// The faults, by their time.
    pub faults: Vec<FaultPart>,
    /// The events, by their time.
    pub events: Vec<EventPart>,
    /// What the tokens of requests have in common.
    pub tokens: TokenPart,
    /// What is expected.
    pub expectations: Vec<ExpectPart>,
    /// Whether breakers are scored: there is one gateway whose breakers they are, and it is never restarted.
    pub scores_breakers: bool,
    /// Sentences about requests that no route takes.
    pub unrouted: Vec<String>,
}

/// `[gateway]`.
#[derive(Debug, Clone)]
pub struct GatewayPart {
    /// How many.
    pub instances: usize,
    /// Their configuration, with placeholders.
    pub template: gateway::Template,
}

/// The service of the mocks that serves the run's key sets: `mock://jwks`.
pub const KEY_SERVER: &str = "jwks";

/// `[tokens]`: what the tokens of `{token(...)}` have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPart {
    /// What they are signed with.
    pub algorithm: TokenAlgorithm,
    /// Their `iss`; that of the provider which has `mock://jwks` when none is written.
    pub issuer: Option<String>,
    /// Their `aud`; the first of that provider's when none is written.
    pub audience: Option<String>,
    /// From `iat` to `exp`.
    pub lifetime: Duration,
    /// The run's keys, of which the first signs where no other is named; where none is written, one of each algorithm.
    pub keys: Vec<KeyPart>,
}

/// One of `keys` in `[tokens]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// Its name in `{token(key=NAME, ...)}`, and its `kid`.
    pub name: String,
    /// What it signs with.
    pub algorithm: TokenAlgorithm,
    /// Since when it is in the key set; always when `None`.
    pub from: Option<Duration>,
    /// When it is taken out of it; never when `None`.
    pub until: Option<Duration>,
}

impl KeyPart {
    /// Whether it is in the key set at a time.
    #[must_use]
    pub fn is_published(&self, at: Duration) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256.
    Es256,
    /// RSA, PKCS #1 v1.5.
    Rs256,
}

/// `[mocks.NAME]`.
#[derive(Debug, Clone)]
pub struct MockPart {
    /// The service's name.
    pub name: String,
    /// How many endpoints it has.
    pub endpoints: usize,
    /// How long each request takes, as the mocks read it; `None` answers at once.
    pub service_time: Option<String>,
    /// How many requests an endpoint works on at once; 0 = all.
    pub servers: u64,
    /// Paths of the gateway that each of its requests calls, one after the other, before it answers.
    pub calls: Vec<String>,
    /// Header lines of those calls besides the request's context; `{name}` in a value is that header of the request.
    pub call_headers: Vec<(String, String)>,
    /// The files of its certificate and of the key, where it speaks TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// One `[[load]]`.
#[derive(Debug, Clone)]
pub struct LoadPart {
    /// Its name in results.
    pub name: String,
    /// When requests are sent.
    pub model: LoadModel,
    /// When it begins; one that begins later than t = 0 has no part in the warm-up.
    pub from: Duration,
    /// How long it lasts from then on.
    pub duration: Duration,
    /// What is sent, by weight.
    pub requests: Vec<RequestPart>,
    /// Connections opened at its start.
    pub connections: usize,
    /// Open model: most requests in flight.
    pub max_in_flight: usize,
    /// Longest time for one request.
    pub timeout: Duration,
    /// More is offered than can be served, on purpose: drops and lost rate are figures, no reason against the run.
    pub overload: bool,
    /// Of a load of journeys, who goes which.
    pub journey: Option<JourneyPart>,
    /// What its connections speak, and to which listener.
    pub way: WayPart,
}

/// How a load reaches its gateways.
#[derive(Debug, Clone)]
pub struct WayPart {
    /// The number of the listener in the gateway's configuration.
    pub listener: usize,
    /// What is spoken.
    pub protocol: Protocol,
    /// Over TLS.
    pub tls: Option<Tls>,
    /// Each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Default for WayPart {
    fn default() -> Self {
        Self { listener: 0, protocol: Protocol::Http1, tls: None, proxy_protocol: None }
    }
}

impl WayPart {
    /// HTTP/1.1 in the clear to the first listener: what every gateway and both runtimes have.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.listener == 0 && self.protocol == Protocol::Http1 && self.tls.is_none() && self.proxy_protocol.is_none()
    }
}

/// One `[[hostile]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostilePart {
    /// Its name in results.
    pub name: String,
    /// What is done.
    pub act: Act,
    /// The number of the listener in the gateway's configuration.
    pub listener: usize,
    /// Path and query of what is asked for.
    pub path: String,
    /// When it begins.
    pub from: Duration,
    /// How long it lasts from then on.
    pub duration: Duration,
    /// Connections at once.
    pub connections: usize,
    /// The pause between the end of a connection and the next in its place.
    pub every: Duration,
    /// How long a connection is held at most.
    pub hold: Duration,
}

/// The users of a load of journeys.
#[derive(Debug, Clone)]
pub struct JourneyPart {
    /// What they do.
    pub journeys: Journeys,
    /// The text of their file.
    pub text: String,
    /// How many there are at once.
    pub users: u32,
    /// How many of them begin a second; all at once when `None`.
    pub spawn_per_s: Option<f64>,
}

/// `[capacity]`: a load whose rate is raised until its objective no longer holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityPart {
    /// The number of the load.
    pub load: usize,
    /// The 99th percentile of latency that has to hold.
    pub p99: Duration,
    /// The share of its requests that has to succeed.
    pub success: f64,
    /// How long each rate lasts.
    pub step: Duration,
    /// How often the whole curve is measured.
    pub repeats: usize,
    /// The highest rate that is tried, requests a second.
    pub most_rps: f64,
}

/// When a load sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadModel {
    /// When the plan says, whatever the answers do.
    Open {
        /// How arrivals are spread.
        arrivals: Arrivals,
        /// Requests a second.
        rate: f64,
    },
    /// Each connection sends when it has its answer.
    Closed,
    /// Users go step by step ([`LoadPart::journey`]).
    Journey,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPart {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Header lines.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// Its share among the load's requests.
    pub weight: u32,
    /// Statuses that are right; empty means 200 to 399.
    pub expect: Vec<u16>,
    /// Headers of each answer whose status is right, and of the request as it reached a mock.
    pub expect_headers: Vec<ExpectedHeader>,
}

/// One `[[faults]]`.
#[derive(Debug, Clone)]
pub struct FaultPart {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts; to the end of the run when `None`.
    pub lasts: Option<Duration>,
    /// Which service.
    pub service: String,
    /// Which of its endpoints; all when `None`.
    pub endpoint: Option<usize>,
    /// What happens, as the mocks read it.
    pub act: serde_json::Value,
    /// The share of requests that it hits.
    pub share: Option<f64>,
}

/// One `[[events]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPart {
    /// When.
    pub at: Duration,
    /// What.
    pub act: EventAct,
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAct {
    /// A gateway (all when `None`) reads its configuration anew.
    Reload(Option<usize>),
    /// A gateway drains and ends.
    Sigterm(usize),
    /// A gateway drains, ends, and is started again on the same ports.
    Restart(usize),
    /// A gateway's wall clock is off by so many microseconds from now on.
    Skew(usize, i64),
    /// Redis stops working, its connections stay open.
    PauseRedis,
    /// Redis is killed.
    KillRedis,
    /// Redis is cut off from a gateway (from all when `None`): connections break, and it keeps what it knows.
    CutRedis(Option<usize>),
    /// Redis works again, after any of the above.
    HealRedis,
    /// The replica of Redis is the master from now on; the old one is gone.
    PromoteRedis,
}

impl EventAct {
    /// It is something that befalls Redis: an outage begins, if there is none.
    fn begins_outage(self) -> bool {
        matches!(self, Self::PauseRedis | Self::KillRedis | Self::CutRedis(_))
    }

    /// Redis is well from then on.
    fn ends_outage(self) -> bool {
        matches!(self, Self::HealRedis | Self::PromoteRedis)
    }
}

/// One `[[expect]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectPart {
    /// The figure's dotted name in the result.
    pub figure: String,
    /// The least that holds.
    pub min: Option<f64>,
    /// The most that holds.
    pub max: Option<f64>,
    /// Another figure: the bounds are for how far the figure is above it.
    pub above: Option<String>,
    /// Another figure: the bounds are for how often it is in the figure.
    pub per: Option<String>,
}

impl RequestPart {
    /// The request as it is sent to a gateway.
    #[must_use]
    pub fn template(&self, gateway: SocketAddr) -> Template {
        let (statuses, headers) = (self.expect.clone(), self.expect_headers.clone());
        Template {
            name: format!("{} {}", self.method, self.path),
            target: Target::plain(gateway, &self.path),
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: self.body.clone().into_bytes(),
            weight: self.weight,
            expect: Expectation { statuses, headers, body_bytes: None },
        }
    }
}

impl LoadPart {
    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Duration {
        self.from + self.duration
    }
}

impl FaultPart {
    /// What it is called in a timeline: `orders/1`, or `orders` for all endpoints.
    #[must_use]
    pub fn place(&self) -> String {
        match self.endpoint {
            Some(endpoint) => format!("{}/{endpoint}", self.service),
            None => self.service.clone(),
        }
    }

    /// When it ends in a run of this length.
    #[must_use]
    pub fn until(&self, length: Duration) -> Duration {
        self.lasts.map_or(length, |lasts| (self.at + lasts).min(length))
    }
}

impl Scenario {
    /// How long the loads last from t = 0.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.loads.iter().map(LoadPart::until).max().unwrap_or_default()
    }

    /// The loads that no other one, and no hostile client, runs beside.
    pub fn alone(&self) -> impl Iterator<Item = &LoadPart> {
        let apart = |one: &LoadPart, other: &LoadPart| other.until() <= one.from || one.until() <= other.from;
        let is_alone = move |one: &&LoadPart| {
            self.hostile.is_empty() && self.loads.iter().all(|other| std::ptr::eq(other, *one) || apart(one, other))
        };
        self.loads.iter().filter(is_alone)
    }

    /// Whether a gateway is restarted. Nobody is told what it decides from then on.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.events.iter().any(|event| matches!(event.act, EventAct::Restart(_)))
    }

    /// Whether one of the mocks serves the run's key sets.
    #[must_use]
    pub fn has_key_server(&self) -> bool {
        self.mocks.iter().any(|mock| mock.name == KEY_SERVER)
    }

    /// When Redis was not well: each time from the event that befell it to the one that healed it, or to the end.
    #[must_use]
    pub fn outages(&self) -> Vec<(Duration, Duration)> {
        let mut outages: Vec<(Duration, Duration)> = Vec::new();
        let mut since = None;
        for event in &self.events {
            if event.act.begins_outage() {
                since.get_or_insert(event.at);
            } else if event.act.ends_outage()
                && let Some(since) = since.take()
            {
                outages.push((since, event.at));
            }
        }
        outages.extend(since.map(|since| (since, self.length())));
        outages
    }

    /// The phases with their beginnings: `before`, `fault_1` to `fault_n`, `healed`.
    ///
    /// `fault_i` begins with the i-th fault and lasts to the next; faults that begin together are one, and an outage of
    /// Redis is one too. `healed` begins when the last fault has ended, if that is before the end of the run. A phase
    /// that would begin at 0 takes the place of `before`.
    #[must_use]
    pub fn phases(&self) -> Vec<(String, Duration)> {
        let outages = self.outages();
        let mut starts: Vec<Duration> = self.faults.iter().map(|fault| fault.at).collect();
        starts.extend(outages.iter().map(|(from, _)| *from));
        starts.sort_unstable();
        starts.dedup();
        let mut phases = Vec::new();
        if starts.first() != Some(&Duration::ZERO) {
            phases.push(("before".to_owned(), Duration::ZERO));
        }
        phases.extend(starts.into_iter().enumerate().map(|(index, at)| (format!("fault_{}", index + 1), at)));
        let length = self.length();
        let ends = self.faults.iter().map(|fault| fault.until(length));
        let healed = ends.chain(outages.into_iter().map(|(_, until)| until)).max();
        if let Some(at) = healed.filter(|at| *at < length) {
            phases.push(("healed".to_owned(), at));
        }
        phases
    }

    /// About how long a run of it takes: nothing in virtual time, and longer where the warm-up is not steady at once.
    #[must_use]
    pub fn takes(&self) -> Duration {
        if self.runtime == Runtime::Virtual {
            return Duration::ZERO;
        }
        // The search for the knee, and then the sweeps.
        let searched = self.capacity.map_or(Duration::ZERO, |part| part.step * (12 + 11 * part.repeats as u32));
        // Programs start, and what they did is scored.
        Duration::from_secs(3) + self.warm_up + searched + self.rest * 2 + self.length()
    }

    /// Endpoint names of all mocks: `orders/0`.
    pub fn endpoints(&self) -> impl Iterator<Item = String> + '_ {
        self.mocks.iter().flat_map(|mock| (0..mock.endpoints).map(move |index| format!("{}/{index}", mock.name)))
    }
}
