//! `sim run`: a scenario on the real programs, from warm-up to verdict.
//!
//! - `world`, `instance`, `cores`, `counted`, `mocks`, `redis`, `relay`, `other`: what is started, and how it is asked;
//!   `keys`: what signs tokens;
//! - `drive`: the loads; `crowd`: the users of journeys;
//! - `rules`: what happens to the mocks, and which keys their key server has;
//! - `warm_up`, `steady`: until latency is steady; `capacity`: what can be carried; `measure`, `watch`, `timeline`,
//!   `steps`: what happens from t = 0 on;
//! - `simulated`: all of that in virtual time, from the same code behind it;
//! - `events`, `gather`, `limits`, `policy`: what oracles are asked about; `account`, `score`, `beside`: figures;
//! - `validity`, `doubt`, `verdict`: whether they can be believed, what follows, and what follows even where they
//!   cannot.
//!
//! Invariants: what is started has ended when a run returns, on every way out; an interrupted run writes what it has
//! and never passes; all times are of one monotonic clock.

mod account;
mod alone;
mod beside;
mod capacity;
mod cores;
mod counted;
mod crowd;
mod doubt;
mod drive;
mod error;
mod events;
mod gather;
mod instance;
mod keys;
mod limits;
mod measure;
mod mocks;
mod other;
mod progress;
mod redis;
mod relay;
mod rules;
mod score;
mod simulated;
mod slowest;
mod steady;
mod steps;
mod timeline;
mod validity;
mod verdict;
mod warm_up;
mod watch;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, duration_ns, rfc3339, unix_seconds};
use loadgen::engine::Pacing;
use loadgen::journey::users::find_program;
use loadgen::plan::Plan;
use loadgen::recorder::Recorder;
use loadgen::stdout;
use reports::result::{ResultFile, Verdict};

pub use error::RunError;
pub(crate) use other::{Other, Place};
pub(crate) use timeline::Happened;
pub(crate) use verdict::figure as figure_of;

use crate::children::Programs;
use crate::folder::{self, Folder};
use crate::history::History;
use crate::oracle::policy::{Policies, Tolerance};
use crate::oracle::{self, Scores};
use crate::processors::Processors;
use crate::scenario::gateway::Checked;
use crate::scenario::model::{ExpectPart, LoadModel, Runtime};
use crate::scenario::{Scenario, load, warnings};
use cores::Cores;
use drive::Stretch;
use events::Follower;
use gather::{Told, Upstreams};
pub(crate) use keys::RunKeys;
use progress::Progress;
use score::{Findings, Scored};
use world::World;

/// Requests that the mocks' journal keeps at most: 400 MB.
const MOST_JOURNALED: u64 = 2_000_000;
/// What a closed load is taken to send a second, for the journal.
const CLOSED_RATE: f64 = 40_000.0;
/// How far journals of different processes may be apart: a wire on one host, and a scheduler's turn.
const TOLERANCE: Tolerance = Tolerance { transit_ns: 5_000_000, stamp_ns: 1_000_000 };
/// The warm-up draws from another seed than the measured part.
const WARM_UP_SEED: u64 = 0x7761_726d_5f75_7073;

/// What a run is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which programs to start.
    pub programs: Programs,
    /// The scenario's file.
    pub scenario: PathBuf,
    /// Only say whether it holds.
    pub check: bool,
    /// Another seed than the file's.
    pub seed: Option<u64>,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Runs a scenario.
///
/// # Errors
/// When the scenario is not right, or something cannot be started, asked or written.
pub fn run(options: &Options) -> Result<ExitCode, RunError> {
    let mut scenario = load(&options.scenario)?;
    if options.check {
        let warnings: String = warnings(&scenario).iter().map(|warning| format!("warning: {warning}\n")).collect();
        let length = scenario.length().as_secs_f64();
        print(&format!("{}: holds, {length:.0} s\n{warnings}", options.scenario.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    scenario.seed = options.seed.unwrap_or(scenario.seed);
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let folder = Folder::make(options.out.as_deref(), &format!("run-{}", scenario.name));
    let folder = folder.map_err(|(path, source)| RunError::File { path, source })?.path().to_path_buf();
    let bench = Bench { programs: &options.programs, stop: &stop, quiet: options.json, command: &options.command };
    let result = bench.run(&scenario, &folder)?;
    if options.json {
        print(&result.to_json())?;
    } else {
        print(&format!("{}\nwritten to {}\n", reports::text::render(&result), folder.display()))?;
    }
    Ok(exit_code(result.verdict))
}

/// The exit code of a verdict.
pub(crate) fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Pass => ExitCode::SUCCESS,
        Verdict::Fail => ExitCode::from(1),
        Verdict::Inconclusive | Verdict::Invalid => ExitCode::from(4),
    }
}

/// What the runs of one command share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    pub(crate) programs: &'a Programs,
    /// Set by an interrupt.
    pub(crate) stop: &'a Arc<AtomicBool>,
    /// No progress is shown.
    pub(crate) quiet: bool,
    /// The command line, for results.
    pub(crate) command: &'a str,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) result: ResultFile,
    /// What clients and mocks saw; `None` when that was too much to be looked at one by one.
    pub(crate) history: Option<History>,
    /// The events that were done.
    pub(crate) happened: Vec<Happened>,
}

impl Bench<'_> {
    /// Starts the world, warms it up, measures, and writes everything to the folder.
    pub(crate) fn run(&self, scenario: &Scenario, folder: &Path) -> Result<ResultFile, RunError> {
        Ok(self.measure(scenario, folder, None)?.result)
    }

    /// The same with another program in the place of the gateways, when there is one.
    pub(crate) fn measure(
        &self,
        scenario: &Scenario,
        folder: &Path,
        other: Option<&Arc<dyn Other>>,
    ) -> Result<Ran, RunError> {
        // In a suite's folder there may be a former run's report.
        folder::clear(folder).map_err(|(path, source)| RunError::File { path, source })?;
        let progress = Progress::new(self.quiet);
        match (scenario.runtime, other) {
            (Runtime::Sockets, _) => measure_scenario(self, scenario, folder, &progress, other),
            (Runtime::Virtual, None) => simulated::run(self, scenario, folder, &progress),
            // It is made for sockets.
            (Runtime::Virtual, Some(_)) => Err(RunError::Virtual(scenario.file.clone())),
        }
    }
}

/// Every request must be one that can be sent, before anything starts. The program of the users of journeys, where
/// there are some.
fn check_loads(scenario: &Scenario, programs: &Programs, keys: &RunKeys) -> Result<PathBuf, RunError> {
    for load in scenario.loads.iter().filter(|load| load.journey.is_none()) {
        drive::mix(load, &[std::net::SocketAddr::from(([127, 0, 0, 1], 1))], 0, &keys.signing)?;
    }
    match scenario.loads.iter().any(|load| load.journey.is_some()) {
        true => Ok(find_program(programs.journeys.as_deref())?),
        false => Ok(PathBuf::new()),
    }
}

fn measure_scenario(
    bench: &Bench<'_>,
    scenario: &Scenario,
    folder: &Path,
    progress: &Progress,
    other: Option<&Arc<dyn Other>>,
) -> Result<Ran, RunError> {
    let Bench { programs, stop, .. } = *bench;
    std::fs::create_dir_all(folder).map_err(RunError::file(folder))?;
    let folder = std::fs::canonicalize(folder).map_err(RunError::file(folder))?;
    let (begun, started_at) = (Clock::start(), rfc3339(unix_seconds()));
    let checked = scenario.gateway.template.check(&scenario.file, scenario.endpoints());
    let checked = checked.map_err(|why| RunError::Control { what: "the gateway's configuration".to_owned(), why })?;
    let processors = Processors::find();
    let (count, cores) = (processors.count(), Cores::divide(&processors));
    let keys = Arc::new(RunKeys::make(&scenario.tokens)?);
    let users = check_loads(scenario, programs, &keys)?;
    progress.say("starting");
    let world = World::start(scenario, programs, &cores, journal_size(scenario, &checked), &folder, keys.set(), other)?;
    let stretch = Stretch {
        listeners: world.all_listeners(),
        seed: scenario.seed,
        lasts: None,
        clock: Clock::start(),
        cores: cores.driver.clone(),
        // A driver that spins on a core that it shares with the mocks would keep them waiting.
        pacing: if cores.driver == cores.mocks { Pacing::Sleep } else { Pacing::Spin },
        stop: Arc::clone(stop),
        users,
        keys,
        mocks: world.mocks_here(),
    };
    // From before the warm-up on, since that is what drains the buckets of rate limits.
    let followers = world.follow(!checked.config.rate_limits.is_empty());
    progress.say("warming up");
    let warming =
        Stretch { seed: scenario.seed ^ WARM_UP_SEED, stop: Arc::new(AtomicBool::new(false)), ..stretch.clone() };
    let mut warmed_up = warm_up::warm_up(scenario, &warming, stop)?;
    progress.warmed_up(&warmed_up);
    let searched = capacity::search(scenario, &stretch, progress)?;
    if let Some(searched) = &searched {
        warmed_up.sent += searched.sent;
        warmed_up.answered += searched.answered;
        // The journal is for what comes now.
        world.ask_mocks("POST", "/reset", "")?;
    }
    let measured = measure::measure(scenario, &world, &stretch, progress)?;
    progress.say("scoring");
    followers.iter().for_each(Follower::end);
    world.end_gateways();
    let nested = scenario.mocks.iter().any(|mock| !mock.calls.is_empty());
    let records = account::count_records(&world.access_logs(), nested, scenario.hostile.len())?;
    let scores = judge(scenario, &checked, &world, &measured, &followers)?;
    let routes = times_of_routes(scenario, &world.access_logs(), scores.as_ref())?;
    let (names, zero_ns) = (world.names, measured.zero_ns);
    let (pinning, driver_cores) = (cores.describe(), if cores.driver.is_empty() { count } else { cores.driver.len() });
    let limited = limited(scenario, &checked, (zero_ns, scores.is_some()), (&followers, &measured.watches));
    let findings = Findings {
        scenario,
        checked: &checked,
        warmed_up,
        searched,
        measured,
        records,
        routes,
        limited,
        scores,
        names,
        pinning,
        driver_cores: driver_cores.max(1),
        other,
        simulated: None,
        took: Duration::from_nanos(begun.now_ns()),
    };
    finish(bench, findings, &folder, started_at)
}

/// Judges what was found, and writes everything.
fn finish(bench: &Bench<'_>, findings: Findings<'_>, folder: &Path, started_at: String) -> Result<Ran, RunError> {
    let result = findings.result(started_at, bench.command.to_owned(), bench.programs.commit());
    let path = folder.join("result.json");
    reports::files::write_whole(&path, &result.to_json()).map_err(RunError::file(&path))?;
    for (load, watch) in findings.scenario.loads.iter().zip(&findings.measured.watches) {
        write_histograms(folder, &load.name, &watch.recorder)?;
    }
    // After the histograms, since the page draws them.
    reports::files::write(&result, folder, folder).map_err(RunError::file(folder))?;
    let happened = timeline::happened(&findings.measured.events);
    Ok(Ran { result, history: findings.scores.map(|scored| scored.history), happened })
}

/// How long requests of each route took beyond what upstreams did, where that is expected.
fn times_of_routes(
    scenario: &Scenario,
    logs: &[Option<PathBuf>],
    scores: Option<&Scored>,
) -> Result<BTreeMap<String, serde_json::Value>, RunError> {
    let mut figures = scenario.expectations.iter().flat_map(ExpectPart::figures);
    match scores.filter(|_| figures.any(|figure| figure.starts_with("routes."))) {
        Some(scored) => slowest::over_slowest(logs, &scored.history.attempts),
        None => Ok(BTreeMap::new()),
    }
}

/// Asks the oracles; `None` when there is too much to be asked about one by one.
fn judge(
    scenario: &Scenario,
    checked: &Checked,
    world: &World,
    measured: &measure::Measured,
    followers: &[Follower],
) -> Result<Option<Scored>, RunError> {
    let upstreams = Upstreams::of(checked, &world.names);
    let (before, after) = &measured.counted;
    let told = gather::journal(world, &upstreams, before.recorded, after.recorded, measured.zero_ns)?;
    let Some(Told { attempts, fetches }) = told else { return Ok(None) };
    let mut events = Vec::new();
    for follower in followers {
        events.extend(follower.events(&upstreams, measured.zero_ns));
    }
    // Another program tells of no breaker.
    let scores_breakers = scenario.scores_breakers && !followers.is_empty();
    let history = gather::history(scenario, &upstreams, &measured.watches, measured.start_ns, attempts, events);
    let cooldown = checked.key_cooldown();
    let keys =
        cooldown.map(|cooldown| oracle::keys::judge(&fetches, duration_ns(cooldown), &history.phases, TOLERANCE));
    let scores = best_explained(&history, |alignment| gather::policies(checked, scores_breakers, alignment), TOLERANCE);
    Ok(Some(Scored { scores, names: upstreams.names(), keys, history }))
}

/// What the oracles say of a history, with the alignment of each breaker's window that explains it best.
fn best_explained(history: &History, policies: impl Fn(u64) -> Policies, tolerance: Tolerance) -> Scores {
    let mut scores = oracle::judge(history, &policies(0), tolerance);
    // Where a window's buckets begin is not seen from outside; the alignment that explains a breaker best counts.
    for alignment in 1..gather::ALIGNMENTS {
        if scores.breakers.values().all(|score| score.trip_error == 0) {
            break;
        }
        for (name, score) in oracle::breaker::judge(history, &policies(alignment), tolerance) {
            if scores.breakers.get(&name).is_some_and(|best| score.trip_error < best.trip_error) {
                scores.breakers.insert(name, score);
            }
        }
    }
    scores
}

/// What rate limits decided, however much that was, and what of the gateways' own account was lost, where anything is
/// `scored` by it.
fn limited(
    scenario: &Scenario,
    checked: &Checked,
    (zero_ns, scored): (u64, bool),
    (followers, watches): (&[Follower], &[watch::Watch]),
) -> limits::Limited {
    // Nobody has followed a gateway beyond its restart.
    let judged = !scenario.restarts() && !checked.config.rate_limits.is_empty();
    let events_missed = if judged || scored { followers.iter().map(Follower::missed).sum() } else { 0 };
    if !judged {
        return limits::Limited { events_missed, ..limits::Limited::default() };
    }
    let phases = gather::phases(scenario);
    let told = watches.iter().flat_map(|watch| watch.refusals.iter().copied());
    limits::Limited { events_missed, ..limits::judge(checked, followers, (phases, zero_ns), told, TOLERANCE) }
}

fn write_histograms(folder: &Path, load: &str, recorder: &Recorder) -> Result<(), RunError> {
    let path = folder.join(format!("{load}.hlog"));
    recorder.write_hdr_log(&path).map_err(RunError::file(&path))
}

/// Room in the journal for every request of the run, with retries, with what services ask of each other, and with the
/// parts that the gateway asks for.
fn journal_size(scenario: &Scenario, checked: &Checked) -> u64 {
    let warm_up = warm_up::most(scenario);
    let requests: f64 = scenario
        .loads
        .iter()
        .map(|load| {
            let rate = match load.model {
                LoadModel::Open { arrivals, rate } => Plan::new(arrivals, rate, 1, 0).peak_rate(),
                LoadModel::Closed | LoadModel::Journey => CLOSED_RATE,
            };
            rate * (load.duration + warm_up).as_secs_f64()
        })
        .sum();
    // A service that calls others does so for each request that it gets, and they in turn.
    let nested: f64 = scenario.mocks.iter().map(|mock| 1.0 + mock.calls.len() as f64).product();
    let parts = checked.config.routes.iter().filter_map(|route| Some(route.aggregate.as_ref()?.parts.len()));
    let nested = nested * parts.max().unwrap_or(1) as f64;
    ((requests * nested * 1.5) as u64).clamp(10_000, MOST_JOURNALED)
}

fn print(text: &str) -> Result<(), RunError> {
    stdout::print(text).map_err(RunError::file(Path::new(stdout::NAME)))
}
