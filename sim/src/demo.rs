//! `sim demo`: the first thing that a new user runs.
//!
//! It starts three mock services and the real gateway, drives ten seconds of mixed traffic, lets one endpoint fail half
//! way, and shows what came of it. It passes when every request was answered and nothing failed but what it injected,
//! and the machine was quiet enough for that to be a measurement.

pub(crate) mod findings;
mod refusals;
mod show;
mod topology;
mod traffic;
mod watch;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns, rfc3339, unix_seconds};
use loadgen::control::{ControlError, call};
use loadgen::engine::{Model, RunError, Settings, run};
use loadgen::environment::{CpuTicks, Environment};
use loadgen::plan::{Arrivals, Plan};
use loadgen::recorder::Recorder;
use loadgen::request::{Mix, TemplateError};
use loadgen::result::Offered;
use loadgen::sample::Totals;
use loadgen::stdout;
use loadgen::target::Target;
use reports::result::Verdict;

use crate::children::{Child, ChildError, MockService, Programs};
use crate::folder::Folder;
use crate::paint::Paint;
use crate::process::Usage;
use crate::run::exit_code;
use findings::Findings;
use refusals::Refusals;
use topology::{BILLING, Endpoints, FAILING, ORDERS, USERS, gateway_config};
use watch::{InjectedAt, Watch, Watched};

/// What the failing endpoint answers.
const INJECTED_STATUS: u16 = 503;
/// Connections to the gateway that are opened before the start.
const CONNECTIONS: usize = 32;
/// Most requests in flight.
const MAX_IN_FLIGHT: usize = 512;

/// What a demo is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which programs to start.
    pub programs: Programs,
    /// Requests a second.
    pub rate: f64,
    /// How long the traffic lasts.
    pub duration: Duration,
    /// The seed of traffic.
    pub seed: u64,
    /// Keep everything running until Ctrl-C.
    pub stay: bool,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Why there was no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A child does not serve.
    #[error("{0}")]
    Child(#[from] ChildError),
    /// The load did not start.
    #[error("{0}")]
    Run(#[from] RunError),
    /// The traffic cannot be sent.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A mock's control port did not do its part.
    #[error("the mock's control port: {0}")]
    Control(String),
    /// A file cannot be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The running world.
#[derive(Debug)]
struct World {
    // In the order in which they are dropped: the gateway first, so that it never sees its upstreams die.
    gateway: Child,
    mocks: Vec<Child>,
    endpoints: Endpoints,
}

/// Runs the demo.
///
/// # Errors
/// When a program cannot be started, or a file not be written.
pub fn demo(options: &Options) -> Result<ExitCode, DemoError> {
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let folder =
        Folder::make(options.out.as_deref(), "demo").map_err(|(path, source)| DemoError::File { path, source })?;
    let (held, verdict) = match run_and_show(options, &folder, &stop) {
        Ok(shown) => shown,
        Err(error) => {
            say(&format!("What was written is in {}", folder.path().display()));
            return Err(error);
        }
    };
    // What went as it should is not worth a look, and nobody asked for it.
    if held && !options.stay {
        folder.remove_if_temporary();
    }
    Ok(exit_code(verdict))
}

/// Runs the world from its start to its end, and shows it; whether it went as it should, and the result's verdict.
fn run_and_show(options: &Options, folder: &Folder, stop: &Arc<AtomicBool>) -> Result<(bool, Verdict), DemoError> {
    let paint = if options.json { Paint::plain() } else { Paint::for_stdout() };
    let started_at = rfc3339(unix_seconds());
    let world = World::start(options, folder.path())?;
    if !options.json {
        print(&show::opening(options, &world, paint))?;
    }
    let findings = world.drive(options, stop)?;
    let result = findings::result_file(options, &world, &findings, started_at);
    let path = folder.path().join("result.json");
    reports::files::write_whole(&path, &result.to_json())
        .map_err(|source| DemoError::File { path: path.clone(), source })?;
    let path = folder.path().join("main.hlog");
    findings.watch.recorder.write_hdr_log(&path).map_err(|source| DemoError::File { path, source })?;
    let path = folder.path();
    reports::files::write(&result, path, path).map_err(|source| DemoError::File { path: path.into(), source })?;
    if options.json {
        print(&result.to_json())?;
    } else {
        print(&show::findings(options, &world, folder, &findings, paint))?;
    }
    if options.stay && !stop.load(Ordering::Relaxed) {
        say(&paint.bold("Everything keeps running. Ctrl-C ends it."));
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok((findings.holds(), result.verdict))
}

impl World {
    fn start(options: &Options, folder: &Path) -> Result<Self, DemoError> {
        let file = |path: &Path, source| DemoError::File { path: path.to_path_buf(), source };
        let mut mocks = Vec::new();
        for service in [ORDERS, USERS, BILLING] {
            let log = folder.join(format!("{}.log", service.name));
            mocks.push(options.programs.start_mock(&service, &log, &[])?);
        }
        let listeners = |index: usize| mocks[index].ready.listeners.clone();
        let endpoints = Endpoints { orders: listeners(0), users: listeners(1), billing: listeners(2) };
        let config = folder.join("gateway.toml");
        std::fs::write(&config, gateway_config(&endpoints, &folder.join("access.log")))
            .map_err(|source| file(&config, source))?;
        let gateway = options.programs.start_gateway(&config, &folder.join("gateway.log"), &[])?;
        if gateway.ready.listeners.is_empty() || gateway.ready.control.is_none() {
            let line = format!("{:?}", gateway.ready);
            return Err(ChildError::Ready { name: "gateway".to_owned(), line }.into());
        }
        Ok(Self { gateway, mocks, endpoints })
    }

    /// The traffic, with the fault half way.
    fn drive(&self, options: &Options, stop: &Arc<AtomicBool>) -> Result<Findings, DemoError> {
        let templates = traffic::mix(self.gateway.ready.listeners[0]);
        let names = templates.iter().map(|template| template.name.clone()).collect();
        let length_ns = duration_ns(options.duration);
        let plan = Plan::new(Arrivals::Poisson, options.rate, length_ns, options.seed);
        let summary = plan.summary();
        let rate = summary.arrivals as f64 * 1e9 / length_ns.max(1) as f64;
        let offered = Offered { arrivals: summary.arrivals, rate, length_ns: Some(length_ns), hash: summary.hash };
        let settings = Settings {
            mix: Mix::new(&templates, options.seed)?,
            model: Model::Open(plan),
            connections: CONNECTIONS,
            max_in_flight: MAX_IN_FLIGHT,
            timeout: Duration::from_secs(5),
            stop: Arc::clone(stop),
        };
        let (steal_before, usage_before) = (CpuTicks::read(), self.gateway.process.usage());
        let clock = Clock::start();
        let half_ns = length_ns / 2;
        let mut recorder = Recorder::new("before", 0);
        recorder.begin_phase("fault_1", half_ns);
        let injected_at = InjectedAt::never_yet();
        let watched = Watched {
            recorder,
            names,
            start_ns: 0,
            length_ms: length_ns / 1_000_000,
            failing_port: self.endpoints.failing().port(),
            injected_status: INJECTED_STATUS,
            injected_at: injected_at.clone(),
        };
        let mut watch = Watch::new(watched);
        let (done, is_done) = mpsc::sync_channel(0);
        let (driven, injection) = std::thread::scope(|scope| {
            let driver = scope.spawn(|| {
                let totals = run(settings, clock, &mut watch);
                // Whoever waits for the half-way point need not wait any longer.
                drop(done);
                totals
            });
            let injection = self.inject_half_way(&clock, half_ns, &injected_at, &is_done);
            (driver.join(), injection)
        });
        watch.end_progress();
        let totals = driven.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let injected_at_mock = match injection? {
            Some(recorded_before) => Some(self.injected_at_mock(recorded_before)?),
            None => None,
        };
        let (connections_at_mocks, requests_at_mocks) = self.counted_at_mocks()?;
        let breaker = self.failing_breaker();
        let usage = (usage_before, self.gateway.process.usage());
        let environment = Environment::read(&steal_before);
        Ok(Findings {
            watch,
            totals,
            offered,
            injected_at_mock,
            breaker,
            refusals: self.refusals(),
            connections_at_mocks,
            requests_at_mocks,
            usage,
            environment,
        })
    }

    /// Waits for the half-way point and lets the endpoint fail; the number of journal entries before, or `None` when
    /// the traffic ended earlier.
    fn inject_half_way(
        &self,
        clock: &Clock,
        half_ns: u64,
        injected_at: &InjectedAt,
        is_done: &mpsc::Receiver<()>,
    ) -> Result<Option<u64>, DemoError> {
        let wait = Duration::from_nanos(half_ns.saturating_sub(clock.now_ns()));
        if is_done.recv_timeout(wait) != Err(mpsc::RecvTimeoutError::Timeout) {
            return Ok(None);
        }
        let counters = self.control(&USERS, "GET", "/counters", "")?;
        let counters: serde_json::Value =
            serde_json::from_slice(&counters).map_err(|error| DemoError::Control(error.to_string()))?;
        let recorded = counters["journal"]["recorded"].as_u64().unwrap_or(0);
        let rule = format!(
            r#"{{"rules":[{{"match":{{"service":"users","endpoint":{FAILING}}},"act":{{"status":{INJECTED_STATUS}}}}}]}}"#
        );
        injected_at.set(clock.now_ns());
        self.control(&USERS, "PUT", "/faults", &rule)?;
        Ok(Some(recorded))
    }

    /// How many requests the mock answered by the injected rule, from its journal.
    fn injected_at_mock(&self, recorded_before: u64) -> Result<u64, DemoError> {
        let journal = self.control(&USERS, "GET", &format!("/journal?since={recorded_before}"), "")?;
        let entries = String::from_utf8_lossy(&journal);
        let hits = entries.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        Ok(hits.filter(|entry| !entry["rule"].is_null()).count() as u64)
    }

    /// What the gateway says of the failing endpoint's breaker: its state, and how often it tripped.
    fn failing_breaker(&self) -> Option<(String, u64)> {
        let address = self.gateway.ready.control?;
        let target = Target::plain(address, "/breakers");
        let answer: serde_json::Value = serde_json::from_slice(&call(&target, "GET", b"").ok()?.body).ok()?;
        let endpoints = answer["breakers"].as_array()?.iter().filter_map(|one| one["endpoints"].as_array()).flatten();
        let failing = self.endpoints.failing().to_string();
        let breaker = endpoints.into_iter().find(|one| one["endpoint"] == failing.as_str())?;
        Some((breaker["state"].as_str()?.replace('_', "-"), breaker["trips"].as_u64()?))
    }

    /// What the gateway itself answered with the injected status; nothing where it does not say.
    fn refusals(&self) -> Refusals {
        let target = self.gateway.ready.control.map(|address| Target::plain(address, "/metrics"));
        let answer = target.and_then(|target| call(&target, "GET", b"").ok());
        let page = answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        Refusals::read(page.as_deref().unwrap_or_default(), INJECTED_STATUS)
    }

    /// Connections that all mocks accepted, and requests that came on them.
    fn counted_at_mocks(&self) -> Result<(u64, u64), DemoError> {
        let (mut accepts, mut requests) = (0, 0);
        for service in [ORDERS, USERS, BILLING] {
            let counters = self.control(&service, "GET", "/counters", "")?;
            let counters: serde_json::Value =
                serde_json::from_slice(&counters).map_err(|error| DemoError::Control(error.to_string()))?;
            let endpoints = counters["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
            let sum = |name: &str| endpoints.iter().filter_map(|endpoint| endpoint[name].as_u64()).sum::<u64>();
            accepts += sum("accepts");
            requests += sum("requests");
        }
        Ok((accepts, requests))
    }

    fn control(&self, service: &MockService, method: &str, path: &str, body: &str) -> Result<Vec<u8>, DemoError> {
        let index = [ORDERS, USERS, BILLING].iter().position(|one| one.name == service.name).unwrap_or(0);
        let control = self.mocks[index].ready.control;
        let address = control.ok_or_else(|| DemoError::Control("there is none".to_owned()))?;
        let target = Target::plain(address, path);
        let answer = call(&target, method, body.as_bytes())
            .map_err(|error: ControlError| DemoError::Control(format!("{method} {path}: {error}")))?;
        if answer.status != 200 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            return Err(DemoError::Control(format!("{method} {path}: {} {text}", answer.status)));
        }
        Ok(answer.body)
    }
}

fn print(text: &str) -> Result<(), DemoError> {
    stdout::print(text).map_err(|source| DemoError::File { path: stdout::NAME.into(), source })
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Usage of the gateway before and after the traffic.
type UsagePair = (Usage, Usage);
/// Totals of the load.
type LoadTotals = Totals;
