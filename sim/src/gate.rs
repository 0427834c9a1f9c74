//! `sim gate`: two builds of the gateway on one host, and whether head is slower than base.
//!
//! Both are up at once. A round is two new processes that take short turns in a mirrored, seeded order, so that what
//! the machine does to one it does to the other; the log-ratio of a round is one observation. The rounds go on until
//! the metrics that matter are decided, at looks that share out the chance of a false alarm (see [`judge`]).
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`settings`] | `sim/gate.toml` |
//! | [`binaries`] | base and head: programs, or revisions that are built |
//! | [`round`] | one round |
//! | [`measure`] | rounds until they decide |
//! | [`metric`], [`judge`] | what is compared, and what follows: pure |
//! | [`faults`] | what is wrong with head beside its speed: pure |
//! | [`task`] | what both sides are configured with, and what is asked of them |
//! | [`counts`] | instructions and allocations of revisions |
//! | [`recording`] | rounds on disk |
//! | [`self_test`] | how often the gate errs, by its own measurement |
//! | [`report`] | result.json, table, Markdown, JUnit |

pub mod binaries;
pub mod cli;
pub mod counts;
pub mod faults;
pub mod judge;
pub mod measure;
pub mod metric;
pub mod recording;
pub mod report;
pub mod round;
pub mod self_test;
pub mod settings;
pub mod task;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadgen::clock::{rfc3339, unix_seconds};
use loadgen::environment::{CpuTicks, Environment};
use reports::result::Verdict;

use crate::children::{Child, ChildError, Programs};
use crate::folder::Folder;
use crate::rounds::Cores;
use crate::rounds::turn::{Road, TurnError};
use crate::scenario::LoadError;
use binaries::{Binary, Workshop};
use counts::Counted;
use judge::Looks;
pub use measure::Recording;
use report::Report;
use round::{Side, Track};
use settings::{Settings, SettingsError};
use task::Task;

/// The least open load, requests a second.
const LEAST_RATE: f64 = 100.0;

/// What a gate is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// A revision, or a program.
    pub base: String,
    /// A revision, or a program.
    pub head: String,
    /// Most rounds; as many as the settings say when `None`.
    pub rounds: Option<usize>,
    /// Turns of each side in a round last this long together.
    pub seconds: Duration,
    /// No round begins that would end later than this after the first.
    pub max_time: Duration,
    /// Compare instructions and allocations too; both sides must be revisions.
    pub counts: bool,
    /// What an inconclusive run is for the exit code.
    pub inconclusive: Inconclusive,
    /// The settings' file; the committed one when `None`.
    pub settings: Option<PathBuf>,
    /// A scenario whose configuration and requests are compared; one route and one upstream when `None`.
    pub scenario: Option<PathBuf>,
    /// Cargo's profile that revisions are built with.
    pub profile: String,
    /// The mocks to start.
    pub programs: Programs,
    /// The seed of every order.
    pub seed: u64,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// What an inconclusive run is for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Inconclusive {
    /// 1, as a regression.
    Fail,
    /// 0, as no regression.
    Pass,
    /// 4: neither.
    Open,
}

/// Why there was no gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Neither a program nor a revision.
    #[error("`{side}` is neither a program nor a git revision")]
    NoSuchSide {
        /// What was given.
        side: String,
    },
    /// No program, and nothing that could know it as a revision.
    #[error("`{side}` is no program, and there is no git repository here in which it could be a revision")]
    NoRepository {
        /// What was given.
        side: String,
    },
    /// A command that builds failed.
    #[error("{command} failed:\n{why}")]
    Command {
        /// Which.
        command: String,
        /// Its last words.
        why: String,
    },
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The scenario cannot be read, or is not right.
    #[error("{0}")]
    Scenario(#[from] LoadError),
    /// The scenario needs what a gate has not.
    #[error("{file}: {why}")]
    Unfit {
        /// Its file.
        file: PathBuf,
        /// What.
        why: String,
    },
    /// A side takes no connections.
    #[error("{name} does not say where it serves; see {log}")]
    NotServing {
        /// Which.
        name: &'static str,
        /// Its output.
        log: PathBuf,
    },
    /// A side or the mock does not serve.
    #[error("{0}")]
    Child(#[from] ChildError),
    /// A turn did not happen.
    #[error("{0}")]
    Turn(#[from] TurnError),
    /// A side has ended, or gives other answers than the mock. Of head it is what the gate was to find.
    #[error("{side} {why}")]
    Broken {
        /// Which.
        side: &'static str,
        /// What it did.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The driver could not be pinned.
    #[error("{0}")]
    Machine(io::Error),
    /// A folder has a recording of other builds.
    #[error("{folder} has a recording of other builds; choose another --out")]
    OtherRecording {
        /// The folder.
        folder: PathBuf,
    },
    /// Counts of a program.
    #[error("--counts needs two revisions: a program cannot be counted without its benches")]
    NothingToCount,
    /// The slow-down does nothing.
    #[error("the slowed build is not slower: was it built with the feature `slow-down`?")]
    NoSlowDown,
}

impl GateError {
    /// The exit code: 1 for a scenario that is not right, 2 for what was asked wrongly, 3 for what could not run or is
    /// not there.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(SettingsError::File { .. }) => 3,
            // With a slash it is taken for a program's path.
            Self::NoSuchSide { side } if side.contains('/') => 3,
            Self::NoSuchSide { .. } | Self::NothingToCount | Self::Settings(_) | Self::Unfit { .. } => 2,
            Self::Scenario(LoadError::Invalid(_)) => 1,
            _ => 3,
        }
    }
}

/// What a gate goes by. Both sides are found before either is built: that takes minutes.
struct Plan<'a> {
    settings: Settings,
    task: Task,
    base: Found<'a>,
    head: Found<'a>,
}

impl<'a> Plan<'a> {
    fn of(options: &'a Options) -> Result<Self, GateError> {
        let settings = Settings::load(options.settings.as_deref())?;
        if options.counts && [&options.base, &options.head].iter().any(|side| Path::new(side).is_file()) {
            return Err(GateError::NothingToCount);
        }
        let task = Task::of(options.scenario.as_deref())?;
        let (base, head) = (side(&options.base, options)?, side(&options.head, options)?);
        Ok(Self { settings, task, base, head })
    }
}

/// Makes the folder that was named ready for this gate's result, or its trouble. Who asked wrongly has neither, and
/// leaves what is there.
fn clear(options: &Options, plan: &Result<Plan<'_>, GateError>) -> Result<(), GateError> {
    let is_wrong_usage = plan.as_ref().is_err_and(|error| error.exit_code() == 2);
    let out = options.out.as_deref().filter(|_| !is_wrong_usage);
    let cleared = out.map_or(Ok(()), |out| crate::folder::take(out).and_then(|()| crate::folder::clear(out)));
    cleared.map_err(|(path, source)| GateError::File { path, source })
}

/// Runs the gate. What an earlier command reported where its result goes is gone, unless it was asked wrongly.
///
/// # Errors
/// When a side cannot be built or started, base is broken, or a file cannot be written.
pub fn gate(options: &Options) -> Result<ExitCode, GateError> {
    let started_at = rfc3339(unix_seconds());
    // Files are read once: each may be a pipe.
    let plan = Plan::of(options);
    clear(options, &plan)?;
    let Plan { settings, task, base, head } = plan?;
    let folder = folder(options.out.as_deref())?;
    let task_name = task.name().map(str::to_owned);
    let (base, head) = (base.built(options)?, head.built(options)?);
    let most = options.rounds.unwrap_or_else(|| settings.promise.looks.last().copied().unwrap_or(1));
    let looks = Looks::new(&settings, most);
    let sides = [(round::BASE, &base), (round::HEAD, &head)].map(|(name, binary)| Side {
        name,
        program: binary.path.clone(),
        arguments: Vec::new(),
    });
    let recording = measure::record(options, task, (&settings, looks), &sides, &folder)?;
    // Counting builds for minutes, and may fail: what was measured is on disk by then.
    recording::save(&recording.rounds, &folder.join("rounds.jsonl"))?;
    let counted = match options.counts && !recording.interrupted {
        true => count(&base, &head, options, &settings),
        false => Ok((Vec::new(), Vec::new())),
    };
    let uncounted = counted.as_ref().err().map(ToString::to_string);
    let (counts, gone) = counted.unwrap_or_default();
    let report = Report {
        options,
        settings: &settings,
        recording: &recording,
        counts: &counts,
        gone: &gone,
        uncounted: uncounted.as_deref(),
        base: &base,
        head: &head,
        task: task_name.as_deref(),
        started_at: &started_at,
    };
    report.write(&folder)?;
    Ok(ExitCode::from(exit_code(report.verdict(), options.inconclusive)))
}

/// What is said of each count, and the names of those that head has no longer.
type Counts = (Vec<Counted>, Vec<String>);

/// What both revisions count.
fn count(base: &Binary, head: &Binary, options: &Options, settings: &Settings) -> Result<Counts, GateError> {
    let workshop = Workshop::here(&options.profile)?;
    let of = |binary: &Binary| {
        let commit = binary.commit.as_deref().ok_or(GateError::NothingToCount)?;
        if !options.json {
            say(&format!("counting {}", binaries::short(commit)));
        }
        counts::count(&workshop, commit)
    };
    let (base, head) = (of(base)?, of(head)?);
    Ok((counts::compare(&base, &head, &settings.counts), counts::gone(&base, &head, &settings.counts)))
}

/// The exit codes of every command that measures, with the caller's word on what is undecided.
fn exit_code(verdict: Verdict, inconclusive: Inconclusive) -> u8 {
    match (verdict, inconclusive) {
        (Verdict::Pass, _) | (Verdict::Inconclusive, Inconclusive::Pass) => 0,
        (Verdict::Fail, _) | (Verdict::Inconclusive, Inconclusive::Fail) => 1,
        (Verdict::Inconclusive, Inconclusive::Open) | (Verdict::Invalid, _) => 4,
    }
}

fn folder(out: Option<&Path>) -> Result<PathBuf, GateError> {
    let folder = Folder::make(out, "gate").map_err(|(path, source)| GateError::File { path, source })?;
    Ok(folder.path().to_path_buf())
}

/// A side of the comparison that has been found.
enum Found<'a> {
    /// A program.
    Program(Binary),
    /// A revision by this name, and its commit.
    Revision(&'a str, Workshop, String),
}

/// A program if there is one of that name, a revision otherwise.
fn side<'a>(text: &'a str, options: &Options) -> Result<Found<'a>, GateError> {
    if Path::new(text).is_file() {
        return Binary::given(Path::new(text)).map(Found::Program);
    }
    let no_repository = |_| GateError::NoRepository { side: text.to_owned() };
    let workshop = Workshop::here(&options.profile).map_err(no_repository)?;
    let commit = workshop.commit(text)?;
    Ok(Found::Revision(text, workshop, commit))
}

impl Found<'_> {
    /// Its program, which is built where there is none yet.
    fn built(self, options: &Options) -> Result<Binary, GateError> {
        match self {
            Self::Program(binary) => Ok(binary),
            Self::Revision(text, workshop, commit) => {
                if !options.json {
                    say(&format!("building {text} ({})", binaries::short(&commit)));
                }
                workshop.build(&commit)
            }
        }
    }
}

/// The mocks, and who runs where.
#[derive(Debug)]
struct World {
    mock: Child,
    task: Task,
    /// The configuration of both sides.
    config: String,
    cores: Cores,
    seed: u64,
    stop: Arc<AtomicBool>,
    steal_before: CpuTicks,
}

impl World {
    /// Starts the mocks, and makes the calling thread the driver.
    fn start(programs: &Programs, task: Task, folder: &Path, seed: u64) -> Result<Self, GateError> {
        let stop = Arc::new(AtomicBool::new(false));
        loadgen::interrupt::end_on_interrupt(&stop);
        let cores = Cores::find();
        let steal_before = CpuTicks::read();
        let mock = task.start_mocks(programs, folder, seed, &cores.load())?;
        cores.pin_driver().map_err(GateError::Machine)?;
        let config = task.config(&mock.ready.listeners);
        Ok(Self { mock, task, config, cores, seed, stop, steal_before })
    }

    /// Where rounds of these sides can be run; each has shown that it gives what the mock gives.
    fn track<'a>(
        &'a self,
        settings: &'a Settings,
        seconds: Duration,
        folder: &'a Path,
        sides: [&Side; 2],
    ) -> Result<Track<'a>, GateError> {
        let work = &settings.work;
        let road = Road {
            mock: &self.mock,
            body: work.body_bytes,
            connections: work.connections,
            seed: self.seed,
            luggage: &self.task.luggage,
            stop: &self.stop,
        };
        let config = &self.config;
        let mut track = Track { road, cores: self.cores, folder, config, work, seconds, open_rate: 0.0 };
        track.open_rate = (track.try_out(sides)? * work.latency_load).max(LEAST_RATE);
        Ok(track)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The machine, as it was since the start.
    fn environment(&self) -> Environment {
        let mut environment = Environment::read(&self.steal_before);
        (environment.pinning, environment.cores) = (self.cores.pinning(), self.cores.count);
        environment
    }
}

/// Writes a file whole, or leaves it as it was: a recording is hours of rounds, and is written anew after each.
fn write(path: &Path, text: &str) -> Result<(), GateError> {
    reports::files::write_whole(path, text).map_err(|source| GateError::File { path: path.to_path_buf(), source })
}

fn say(text: &str) {
    use io::Write;
    // With standard error closed there is no one to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_every_measuring_command() {
        for (verdict, codes) in [
            (Verdict::Pass, [0, 0, 0]),
            (Verdict::Fail, [1, 1, 1]),
            (Verdict::Inconclusive, [1, 0, 4]),
            (Verdict::Invalid, [4, 4, 4]),
        ] {
            let found = [Inconclusive::Fail, Inconclusive::Pass, Inconclusive::Open]
                .map(|inconclusive| exit_code(verdict, inconclusive));
            assert_eq!(found, codes, "{verdict:?}");
        }
    }
}
