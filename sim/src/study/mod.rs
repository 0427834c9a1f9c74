//! Studies: claims, each held against an experiment. `sim article` has those of the article that the gateway was built
//! after, `sim growth` its own: what a request costs when there is more of something.
//!
//! - [`experiment`]: what an experiment is; [`article`], [`growth`]: all of them, as data; `here/`: what is computed in
//!   this process;
//! - `written`, `perform`, `turns`: arms are written, run, and have their turns;
//! - `validity`, [`figure`], [`verdict`]: which turns count, figures out of samples, and what follows: pure;
//! - `record`: a claim as it stands in the result; `cli`: the command line.
//!
//! Invariants: no figure of the result is written in the code; a claim that could not be measured says why; what was
//! measured is in the result file before the next claim begins.

pub mod article;
pub(crate) mod cli;
pub mod experiment;
pub mod figure;
pub mod growth;
mod here;
mod perform;
mod record;
mod turns;
mod validity;
pub mod verdict;
mod written;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use loadgen::clock::{Clock, rfc3339, unix_seconds};
use loadgen::environment::{CpuTicks, Environment};
use loadgen::stdout;
use reports::result::{Capacity, Claim as Recorded, Kind, ResultFile, Validity, Verdict};

use crate::children::Programs;
use crate::demo::findings::same;
use crate::folder::Folder;
use crate::rounds::progress::{Progress, rest, roughly};
use crate::suite;
use experiment::Claim;
use perform::Shop;

/// The result's file.
const FILE: &str = "result.json";

/// Claims that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Study {
    /// Those of the article.
    Article,
    /// How cost grows.
    Growth,
}

impl Study {
    /// Its claims, in order.
    #[must_use]
    pub fn claims(self) -> &'static [&'static Claim] {
        match self {
            Self::Article => &article::CLAIMS,
            Self::Growth => &growth::CLAIMS,
        }
    }

    /// Its name, which its command and its result have.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Growth => "growth",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Article => Kind::Article,
            Self::Growth => Kind::Growth,
        }
    }
}

/// What claims are held against with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose claims.
    pub study: Study,
    /// Which programs to start.
    pub programs: Programs,
    /// The scenarios' folder.
    pub scenarios: PathBuf,
    /// Only these claims, by id; empty means all.
    pub only: Vec<String>,
    /// Fewer and shorter rounds: less than twenty minutes in all.
    pub quick: bool,
    /// Only say which there are.
    pub list: bool,
    /// Rounds of each arm, in place of the claims' own.
    pub rounds: Option<u32>,
    /// The seed of everything random.
    pub seed: u64,
    /// Print the result as JSON.
    pub json: bool,
    /// Where everything is written; a new folder among the temporary files when `None`.
    pub out: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// A claim was asked for that is not there.
    #[error("no claim is called `{0}`; --list shows them")]
    NoClaim(String),
    /// The scenarios are not there.
    #[error("{0}: no scenarios there; run it in the repository, or name their folder with --scenarios")]
    NoScenarios(PathBuf),
    /// The folder holds another result, which would be lost.
    #[error("{path}: this is no result of `sim {study}`; name another folder with --out", path = path.display())]
    OtherResult {
        /// Its file.
        path: PathBuf,
        /// What would have been written there.
        study: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StudyError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::NoClaim(_)) { 2 } else { 3 }
    }
}

/// Holds the claims against their experiments, one after the other. What a folder holds of an earlier run is kept where
/// it is not measured again.
///
/// # Errors
/// When a claim is asked for that is not there, or a file cannot be read or written.
pub fn study(options: &Options) -> Result<ExitCode, StudyError> {
    let chosen = chosen(options.study, &options.only)?;
    if options.list {
        print(&record::list(&chosen))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !options.scenarios.is_dir() {
        return Err(StudyError::NoScenarios(options.scenarios.clone()));
    }
    let stop = Arc::new(AtomicBool::new(false));
    loadgen::interrupt::end_on_interrupt(&stop);
    let folder = Folder::make(options.out.as_deref(), options.study.name());
    let folder = folder.map_err(|(path, source)| StudyError::File { path, source })?.path().to_path_buf();
    let mut result = earlier(options.study, &folder)?;
    let left_before = left_of(&result, options.study);
    let ticks = CpuTicks::read();
    let progress = Progress::of_lines(options.json);
    let tell = |text: &str| progress.say(text);
    let shop = Shop {
        programs: &options.programs,
        scenarios: &options.scenarios,
        stop: &stop,
        seed: options.seed,
        is_quick: options.quick,
        rounds: options.rounds,
        command: &options.command,
        tell: &tell,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let begun = Clock::start();
    for (number, claim) in chosen.iter().enumerate() {
        if shop.is_over() {
            break;
        }
        let left = rest(number, chosen.len(), Duration::from_nanos(begun.now_ns()));
        let left = left.map(|left| format!("  (about {} left)", roughly(left))).unwrap_or_default();
        tell(&format!("{} of {}{left}  {}  {}", number + 1, chosen.len(), claim.id, claim.claim));
        let clock = Clock::start();
        let done = shop.perform(claim, &folder.join(claim.id));
        // Half a claim says nothing, and would take the place of a whole one of an earlier run.
        if shop.is_over() {
            break;
        }
        let seconds = clock.now_ns() as f64 / 1e9;
        let told = record::of(claim, &done, seconds, options);
        if !options.json {
            progress.aside(|| print(&format!("{}\n\n", reports::text::claim(&told).join("\n"))))?;
        }
        replace(&mut result, told, done.capacity);
        result.environment = done.environment.unwrap_or_else(|| machine(&ticks, cores));
        let left: Vec<&Claim> = left_before.iter().chain(&chosen[number + 1..]).copied().collect();
        finish(&mut result, options, &left);
        write(&result, &folder)?;
    }
    drop(progress);
    let summary = format!("{}\npage     {}\n", record::table(&result), folder.join(reports::files::PAGE).display());
    print(&if options.json { result.to_json() } else { summary })?;
    Ok(if stop.load(std::sync::atomic::Ordering::Relaxed) { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

/// The claims that are asked for, in their order.
fn chosen(study: Study, only: &[String]) -> Result<Vec<&'static Claim>, StudyError> {
    let is_known = |name: &String| study.claims().iter().any(|claim| claim.id.eq_ignore_ascii_case(name));
    if let Some(name) = only.iter().find(|name| !is_known(name)) {
        return Err(StudyError::NoClaim(name.clone()));
    }
    let is_asked = |claim: &&&Claim| only.is_empty() || only.iter().any(|name| claim.id.eq_ignore_ascii_case(name));
    Ok(study.claims().iter().filter(is_asked).copied().collect())
}

/// Puts a claim, and the capacity that was found for it, in the place of what an earlier run found: where this one
/// found none, that one's is no part of it.
fn replace(result: &mut ResultFile, claim: Recorded, capacity: Option<Capacity>) {
    result.claims.retain(|one| one.id != claim.id);
    result.capacity.remove(&claim.id);
    result.capacity.extend(capacity.map(|capacity| (claim.id.clone(), capacity)));
    result.claims.push(claim);
}

/// What the folder holds of an earlier run.
fn earlier(study: Study, folder: &Path) -> Result<ResultFile, StudyError> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(ResultFile { kind: study.kind(), name: study.name().to_owned(), ..ResultFile::default() });
    }
    match ResultFile::read(&path) {
        Ok(result) if result.kind == study.kind() => Ok(result),
        _ => Err(StudyError::OtherResult { path, study: study.name() }),
    }
}

/// The claims that an earlier run was to measure and did not, as its result says.
fn left_of(result: &ResultFile, study: Study) -> Vec<&'static Claim> {
    let reasons = result.validity.reasons.iter();
    let words: Vec<&str> = reasons.flat_map(|reason| reason.split(|c: char| !c.is_ascii_alphanumeric())).collect();
    study.claims().iter().copied().filter(|claim| words.contains(&claim.id)).collect()
}

fn machine(ticks: &CpuTicks, cores: usize) -> reports::result::Environment {
    same(&Environment { cores, ..Environment::read(ticks) })
}

/// What is said of all claims together. None of them is a failure of the run: whether a claim holds is what it finds
/// out. A result that is written before all that was asked for is measured says what is `left`: should nothing follow,
/// nobody takes it for the whole.
fn finish(result: &mut ResultFile, options: &Options, left: &[&Claim]) {
    let place = |id: &str| options.study.claims().iter().position(|claim| claim.id == id).unwrap_or(usize::MAX);
    result.claims.sort_by_key(|claim| place(&claim.id));
    result.seed = options.seed;
    result.started_at = rfc3339(unix_seconds());
    result.command.clone_from(&options.command);
    gateway::build::COMMIT.clone_into(&mut result.commit);
    (result.validity, result.verdict) = whole(&missing(&result.claims, left));
}

/// Those of the claims that are `left` of which the result has nothing, each once.
fn missing<'a>(measured: &[Recorded], left: &[&'a Claim]) -> Vec<&'a Claim> {
    let mut missing: Vec<&Claim> = Vec::new();
    for &claim in left {
        if !measured.iter().any(|one| one.id == claim.id) && !missing.iter().any(|one| one.id == claim.id) {
            missing.push(claim);
        }
    }
    missing
}

/// Whether a result is whole of which these claims are left.
fn whole(left: &[&Claim]) -> (Validity, Verdict) {
    let valid = Validity { valid: true, achieved_over_offered: 1.0, ..Validity::default() };
    if left.is_empty() {
        return (valid, Verdict::Pass);
    }
    let names: Vec<&str> = left.iter().map(|claim| claim.id).collect();
    let were = if left.len() == 1 { "was" } else { "were" };
    let reasons = vec![format!("interrupted: {} {were} not measured", names.join(", "))];
    (Validity { valid: false, reasons, ..valid }, Verdict::Invalid)
}

fn write(result: &ResultFile, folder: &Path) -> Result<(), StudyError> {
    let path = folder.join(FILE);
    // One that is stopped here leaves the file as it was.
    reports::files::write_whole(&path, &result.to_json())
        .and_then(|()| reports::files::write(result, folder, folder))
        .map_err(|source| StudyError::File { path, source })
}

fn print(text: &str) -> Result<(), StudyError> {
    stdout::print(text).map_err(|source| StudyError::File { path: stdout::NAME.into(), source })
}

/// Where scenarios are, seen from the repository.
pub(crate) const FOLDER: &str = suite::FOLDER;

#[cfg(test)]
mod tests;
