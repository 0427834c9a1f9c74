//! A scenario in virtual time: the gateway's data plane, services and clients in one thread, on a simulated network and
//! clock (turmoil), from a seed.
//!
//! The same scenario gives the same run, byte for byte, and [`Observed::trace`] says so. A second passes as fast as
//! what happens in it can be worked out. Clocks move by whole milliseconds, the grain of tokio's timers; what has to be
//! exact below that is tested on the pure algorithms.
//!
//! - `gateway_host`, `mock`, `load`: the three hosts; `network`: the gateway's seam;
//! - `exchange`, `request`, `answer`, `fate`, `faults`: a mock's connection; `client`, `texts`: a client's;
//! - `journal`, `records`, `events`, `names`, `panics`, `trace`: what happened.
//!
//! Deliberately absent: Redis, several gateways, skewed clocks. A scenario that needs them is refused.

mod answer;
mod client;
mod events;
mod exchange;
mod fate;
mod faults;
mod gateway_host;
mod journal;
mod load;
mod mock;
mod names;
mod network;
mod panics;
mod records;
mod request;
mod texts;
mod trace;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway::config::Config;
use gateway::config::settings::Route;
use gateway::config::settings::route::Rewrite;
use loadgen::request::KeyError;

use crate::history::limit::requests;
use crate::history::{History, Phase};
use crate::oracle::policy::{BreakerPolicy, Tolerance};
use crate::run::RunKeys;
use crate::scenario::Scenario;
use crate::scenario::gateway::{Filling, SOME_KEYS};
use crate::scenario::model::EventAct;
use faults::{Faults, nanos};
use gateway_host::{Handle, Setting};
use journal::{HEAD_START, Journal};
use names::Names;

pub use journal::Anomaly;
pub(crate) use load::plan;

/// The gateway's port.
const PORT: u16 = 8080;
/// After the last answer: time for what was given up to be cleared away.
const SETTLE: Duration = Duration::from_millis(500);
/// The clock's step, and with it the network's.
const TICK: Duration = Duration::from_millis(1);

/// The way to a mock takes some steps of the network, a new connection's first; the gateway's own stamps are exact.
pub(crate) const TOLERANCE: Tolerance = Tolerance { transit_ns: 10_000_000, stamp_ns: 0 };

/// Events of the gateway that its world did not hear, as an anomaly.
pub(crate) const MISSED: &str = "events_missed";
/// What must not happen in any world, whatever is sent and configured; `sim explore` knows more of the worlds that it
/// draws itself.
const NEVER: &[&str] = &["still_held", "access_log", "bytes_beyond_answer", "ambiguous_request", MISSED];

/// Where clients come from: turmoil's own network.
const CLIENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

/// How a world is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Requests carry what mocks hold them against: forged identity, target and length. For configurations whose routes
    /// only strip prefixes, and that trust their clients' request ids.
    pub examine: bool,
    /// How long a connection may be idle; a gateway that closes one earlier, under a request, is wrong.
    pub idle_timeout_ns: u64,
    /// Everything is kept that a run's result is made of ([`Kept`]), endpoints are called as the gateway's upstreams
    /// have them in what it tells, and the world lasts at least as long as the scenario says.
    pub for_result: bool,
}

impl Options {
    /// Whether requests may be [examined](Self::examine) with this configuration of the gateway.
    #[must_use]
    pub fn may_examine(config: &Config) -> bool {
        let trusts = config.server.trusted_proxies.iter().any(|network| network.contains(&CLIENTS));
        let strips = |route: &Route| matches!(route.rewrite, None | Some(Rewrite::StripPrefix(_)));
        trusts && config.routes.iter().all(|route| strips(route))
    }
}

/// What was seen of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// Everything that happened, in order.
    pub history: History,
    /// A number that two equal runs share.
    pub trace: u64,
    /// What must never happen, and did.
    pub anomalies: Vec<Anomaly>,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// It was ended before its time.
    pub interrupted: bool,
    /// What else a result is made of, where that was asked for.
    pub kept: Kept,
}

/// What is kept of a world for a run's result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The gateway's access log.
    pub log: Vec<u8>,
    /// Its page of metrics at the end; empty where the world was ended before.
    pub metrics: String,
    /// Connections that the mocks accepted.
    pub connections: u64,
}

/// Why a scenario cannot be simulated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SimulateError {
    /// It needs something that the simulated world lacks.
    #[error("the virtual runtime has no {0}; run it with runtime = \"sockets\"")]
    Lacks(&'static str),
    /// Its clients have tokens, and where worlds are explored every identity that comes to a mock is a forged one.
    #[error("in what is explored nobody has a token; leave {{token(...)}} out, or run it with: sim run")]
    Explored,
    /// The tokens of its requests cannot be signed.
    #[error("tokens: {0}")]
    Tokens(#[from] KeyError),
    /// The world came to no end, or a part of it failed.
    #[error("the simulated world broke: {0}")]
    Broke(String),
}

/// Runs a scenario to its end.
///
/// # Errors
/// It needs what a simulated world lacks, or the world broke.
pub fn run(scenario: &Scenario, options: Options) -> Result<Observed, SimulateError> {
    run_until(scenario, options, &AtomicBool::new(false))
}

/// Runs a scenario to its end, or until it is stopped.
///
/// # Errors
/// As [`run`].
pub fn run_until(scenario: &Scenario, options: Options, stop: &AtomicBool) -> Result<Observed, SimulateError> {
    check(scenario, options)?;
    let panicked = panics::Watch::begin();
    let keys = keys(scenario)?;
    let texts = texts::of(scenario, keys.as_ref())?;
    let scenario = Rc::new(scenario.clone());
    let (journal, handle) = (Journal::default(), Handle::default());
    let faults = Rc::new(Faults::of(&scenario));
    let places = mock::places(&scenario);
    let phases = Rc::new(phases(&scenario));
    journal.with(|pages| {
        pages.history.faults = faults.windows();
        pages.history.phases = phases.to_vec();
        pages.log = options.for_result.then(Vec::new);
        pages.kinds = options.for_result.then_some(NEVER);
    });
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(scenario.seed)
        .tick_duration(TICK)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::ZERO)
        .tcp_capacity(1024)
        .simulation_duration(longest(&scenario));
    let mut world = builder.build();
    let at_mocks = world.lookup(mock::HOST);
    let at_gateway = world.lookup(gateway_host::HOST);
    let text = scenario.gateway.template.fill(&filling(&places, at_mocks, at_gateway, keys.as_ref()));
    let name = |place: &Rc<mock::Place>| (SocketAddr::new(at_mocks, place.port), place.endpoint.clone());
    let mut names = Names::of_mocks(places.iter().map(name));
    if options.for_result {
        let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints());
        names = names.of_upstreams(&checked.map_err(SimulateError::Broke)?);
    }
    let doors = network::Doors::default();
    let setting =
        Setting { doors: doors.clone(), text, port: PORT, seed: scenario.seed, events: scenario.events.clone(), names };
    {
        let (places, faults, journal) = (places.clone(), Rc::clone(&faults), journal.clone());
        world.host(mock::HOST, move || {
            mock::serve(places.clone(), Rc::clone(&faults), (journal.clone(), doors.clone()))
        });
    }
    {
        let (handle, journal) = (handle.clone(), journal.clone());
        world.host(gateway_host::HOST, move || gateway_host::serve(setting.clone(), handle.clone(), journal.clone()));
    }
    {
        let (handle, journal) = (handle.clone(), journal.clone());
        let gateway = SocketAddr::new(at_gateway, PORT);
        world.client("load", async move {
            load::drive(scenario, texts, gateway, phases, options, journal.clone()).await;
            settle(&handle, &journal, options).await;
            Ok(())
        });
    }
    let mut interrupted = false;
    while !interrupted && !world.step().map_err(|error| SimulateError::Broke(error.to_string()))? {
        interrupted = stop.load(Ordering::Relaxed);
    }
    let elapsed = world.elapsed();
    handle.collect(&journal);
    // The hosts hold the journal too.
    drop(world);
    let connections = places.iter().map(|place| place.connections.get()).sum();
    let kept = if options.for_result { kept(&journal, connections) } else { Kept::default() };
    Ok(Observed { interrupted, kept, ..observed(&journal, elapsed, panicked) })
}

/// When nobody asks any more: the gateway ends what it has, and must hold nothing after that.
async fn settle(handle: &Handle, journal: &Journal, options: Options) {
    handle.drain();
    // Virtual time: it passes as soon as nobody has anything else to do.
    tokio::time::sleep(SETTLE).await;
    if options.for_result {
        let metrics = handle.metrics();
        journal.with(|pages| pages.metrics = metrics);
    }
    let held = handle.held();
    if held != gateway_host::Held::default() {
        journal.anomaly("still_held", format!("{held:?}"));
    }
}

fn kept(journal: &Journal, connections: u64) -> Kept {
    journal.with(|pages| {
        let (log, metrics) = (pages.log.take(), std::mem::take(&mut pages.metrics));
        Kept { log: log.unwrap_or_default(), metrics, connections }
    })
}

fn observed(journal: &Journal, elapsed: Duration, panicked: panics::Watch) -> Observed {
    journal.with(|pages| {
        let mut history = std::mem::take(&mut pages.history);
        history.events.extend(requests(std::mem::take(&mut pages.decided)));
        history.sort();
        let mut anomalies = std::mem::take(&mut pages.anomalies);
        if pages.unreadable_records > 0 {
            let detail = format!("{} lines of the access log are no records", pages.unreadable_records);
            anomalies.push(Anomaly { kind: "access_log", at_ns: nanos(elapsed), detail });
        }
        let panicked = panicked.end().into_iter();
        anomalies.extend(panicked.map(|detail| Anomaly { kind: "panic", at_ns: nanos(elapsed), detail }));
        let (interrupted, kept) = (false, Kept::default());
        Observed { history, trace: pages.trace.finish(), anomalies, elapsed, interrupted, kept }
    })
}

/// The keys of its tokens, where it has some. They are issued when the world begins.
fn keys(scenario: &Scenario) -> Result<Option<RunKeys>, SimulateError> {
    let made = texts::hold_tokens(scenario).then(|| RunKeys::make_at(&scenario.tokens, gateway_host::EPOCH.as_secs()));
    Ok(made.transpose()?)
}

/// Refuses what is not there.
fn check(scenario: &Scenario, options: Options) -> Result<(), SimulateError> {
    if !options.for_result && texts::hold_tokens(scenario) {
        return Err(SimulateError::Explored);
    }
    if scenario.redis {
        return Err(SimulateError::Lacks("Redis"));
    }
    if scenario.gateway.instances > 1 {
        return Err(SimulateError::Lacks("second gateway"));
    }
    if scenario.mocks.iter().any(|mock| !mock.calls.is_empty()) {
        return Err(SimulateError::Lacks("service that calls others"));
    }
    match scenario.events.iter().find(|event| !matches!(event.act, EventAct::Reload(_))) {
        Some(_) => Err(SimulateError::Lacks("event but `reload`")),
        None => Ok(()),
    }
}

fn filling(places: &[Rc<mock::Place>], mocks: IpAddr, gateway: IpAddr, keys: Option<&RunKeys>) -> Filling {
    let endpoint = |place: &Rc<mock::Place>| (place.endpoint.to_string(), SocketAddr::new(mocks, place.port));
    Filling {
        endpoints: places.iter().map(endpoint).collect::<BTreeMap<_, _>>(),
        listeners: vec![SocketAddr::new(gateway, PORT)],
        access_log: "stdout".to_owned(),
        // Where nobody has a token, a configuration that asks for some holds all the same.
        key_set: keys.map_or(SOME_KEYS, RunKeys::set).to_owned(),
        ..Filling::default()
    }
}

/// A breaker's policy with its buckets as a world's gateway has them: they begin with the gateway, which is up before
/// t = 0 by the head start.
pub(crate) fn in_a_world(policy: BreakerPolicy) -> BreakerPolicy {
    let bucket_ns = policy.bucket_ns();
    BreakerPolicy { buckets_from_ns: bucket_ns - nanos(HEAD_START) % bucket_ns, ..policy }
}

fn phases(scenario: &Scenario) -> Vec<Phase> {
    let starts = scenario.phases();
    let ends = starts.iter().skip(1).map(|phase| phase.1).chain([scenario.length()]);
    let phase = |((name, from), until): (&(String, Duration), Duration)| Phase {
        name: name.as_str().into(),
        from_ns: nanos(*from),
        until_ns: nanos(until),
    };
    starts.iter().zip(ends).map(phase).collect()
}

/// No world lasts longer: every request has been given up by then.
fn longest(scenario: &Scenario) -> Duration {
    let patience = scenario.loads.iter().map(|load| load.timeout).max().unwrap_or_default();
    HEAD_START + scenario.length() + patience * 4 + SETTLE + Duration::from_secs(60)
}

#[cfg(test)]
mod tests;
