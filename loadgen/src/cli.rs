//! The command line of `loadgen`.
//!
//! Exit codes: 0 done, 1 a threshold was missed, 2 usage, 3 the target cannot be reached or a file not be read or
//! written, 4 the measurement is not valid. What is not valid is neither a pass nor a failure, whatever its thresholds
//! say: those that were missed are told.

mod arguments;
mod job;
mod journey;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;

pub use arguments::Arguments;
use job::{Job, Measured};
use journey::JourneyJob;

use crate::clock::{rfc3339, unix_seconds};
use crate::engine::RunError;
use crate::environment::{CpuTicks, Environment};
use crate::hold::hold;
use crate::interrupt::end_on_interrupt;
use crate::journey::{FileError, UsersError};
use crate::plan::TraceError;
use crate::recorder::WindowError;
use crate::request::{KeyError, TemplateError};
use crate::result::{Document, JourneyResult, Leeway, LoadResult, Moment, SCHEMA_VERSION, Validity};
use crate::stdout;
use crate::target::TargetError;
use crate::text;
use crate::threshold::{ThresholdError, taken_for_granted};
use crate::tls::TlsError;

/// The one load's name in the result.
const LOAD: &str = "main";
/// The files of a result: itself, and the histograms of the load.
const WRITTEN: [&str; 2] = ["result.json", "main.hlog"];
/// What others have made of an earlier result.
const OF_AN_EARLIER_RUN: &[&str] = &["report.html", "report.md", "junit.xml"];

/// Why the command could not do what was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("--token-key: {0}")]
    Key(#[from] KeyError),
    #[error("--phase: {0}")]
    Window(#[from] WindowError),
    #[error("--fail-if: {0}")]
    Threshold(#[from] ThresholdError),
    #[error("{path}: {source}")]
    Trace { path: PathBuf, source: TraceError },
    #[error("{0}")]
    Journeys(#[from] FileError),
    #[error("{0}")]
    Users(#[from] UsersError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error(
        "{wanted} connections at once are more than the {most} for which this machine gives open files: ask for fewer, \
         or raise the limit (ulimit -n)"
    )]
    Files { wanted: u64, most: u64 },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Target(TargetError::Resolve { .. })
            | Self::Run(_)
            | Self::File { .. }
            | Self::Files { .. }
            | Self::Users(_)
            | Self::Journeys(FileError::Unreadable { .. }) => 3,
            _ => 2,
        }
    }
}

/// Runs the command line `arguments`, its first being the program's name.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed standard output is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match execute(&parsed, command.join(" ")) {
        Ok(verdict) => ExitCode::from(verdict),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "loadgen: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Measures, judges, writes the result; the exit code.
fn execute(arguments: &Arguments, command: String) -> Result<u8, CommandError> {
    let stop = Arc::new(AtomicBool::new(false));
    let (steal_before, started_at);
    let (measured, validity);
    if let Some(path) = &arguments.journey {
        let job = JourneyJob::of(arguments, path)?;
        prepare(arguments)?;
        end_on_interrupt(&stop);
        (steal_before, started_at) = (CpuTicks::read(), rfc3339(unix_seconds()));
        let (seen, judged) = job.run(arguments, &stop)?;
        (measured, validity) = (seen, judged(CpuTicks::read().steal_since(&steal_before)));
    } else {
        let job = Job::of(arguments)?;
        prepare(arguments)?;
        end_on_interrupt(&stop);
        (steal_before, started_at) = (CpuTicks::read(), rfc3339(unix_seconds()));
        measured = job.run(arguments, &stop)?;
        validity = validity_of(arguments, &measured, CpuTicks::read().steal_since(&steal_before));
    }
    let environment = Environment::read(&steal_before);
    let document = judge(arguments, &measured, validity, environment, started_at, command);
    write_result(arguments, &document, &measured)?;
    Ok(match document.verdict.as_str() {
        "pass" => 0,
        "fail" => 1,
        _ => 4,
    })
}

fn validity_of(arguments: &Arguments, measured: &Measured, steal_ratio: f64) -> Validity {
    let Measured { recorder, totals, offered, interrupted, .. } = measured;
    let drops_are_judged = arguments.fail_if.iter().any(crate::threshold::Threshold::is_about_drops);
    let leeway = Leeway { drops_are_judged, interrupted: *interrupted };
    Validity::judge_with(recorder, totals, *offered, steal_ratio, leeway)
}

fn judge(
    arguments: &Arguments,
    measured: &Measured,
    validity: Validity,
    environment: Environment,
    started_at: String,
    command: String,
) -> Document {
    let Measured { recorder, totals, offered, book, .. } = measured;
    let mut load = LoadResult::of(recorder, totals, *offered);
    load.journeys = book.as_ref().map(JourneyResult::all_of).unwrap_or_default();
    let all = recorder.merged("all");
    let judged = arguments.fail_if.iter().map(|one| one.judge(LOAD, recorder.phases(), &all, load.achieved_rps));
    let granted = taken_for_granted(&arguments.fail_if, LOAD, recorder.phases(), &all);
    let expectations: Vec<_> = judged.chain(granted).collect();
    let verdict = match validity.valid {
        false => "invalid",
        true if expectations.iter().any(|expectation| !expectation.holds) => "fail",
        true => "pass",
    };
    Document {
        schema_version: SCHEMA_VERSION,
        kind: "load".to_owned(),
        name: "loadgen".to_owned(),
        seed: arguments.seed,
        commit: String::new(),
        started_at,
        command,
        environment,
        validity,
        load: [(LOAD.to_owned(), load)].into(),
        timeline: Moment::all_of(recorder, *offered),
        expectations,
        verdict: verdict.to_owned(),
    }
}

/// Makes the folder of the result before anything is measured: one that cannot be written would cost the whole run, and
/// what is there of an earlier one would be taken for this one's.
fn prepare(arguments: &Arguments) -> Result<(), CommandError> {
    let Some(folder) = &arguments.out else { return Ok(()) };
    let file = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CommandError::File { path, source }
    };
    std::fs::create_dir_all(folder).and_then(|()| hold(folder)).map_err(file(folder))?;
    for path in WRITTEN.iter().chain(OF_AN_EARLIER_RUN).map(|name| folder.join(name)) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(file(&path)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Prints what was measured and writes it: one is done though the other cannot be.
fn write_result(arguments: &Arguments, document: &Document, measured: &Measured) -> Result<(), CommandError> {
    let json = serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| unreachable!("a result is plain data and always JSON: {error}"));
    let written = arguments.out.as_ref().map_or(Ok(()), |folder| write_files(folder, &json, measured));
    let shown = if arguments.json { format!("{json}\n") } else { text::summary(document) };
    let printed = stdout::print(&shown).map_err(|source| CommandError::File { path: stdout::NAME.into(), source });
    written.and(printed)
}

fn write_files(folder: &Path, json: &str, measured: &Measured) -> Result<(), CommandError> {
    let file =
        |path: PathBuf, written: std::io::Result<()>| written.map_err(|source| CommandError::File { path, source });
    let [result, log] = WRITTEN.map(|name| folder.join(name));
    // Under another name first: a full disk leaves no half of it.
    let new = folder.join("result.json.new");
    let written = std::fs::write(&new, format!("{json}\n")).and_then(|()| std::fs::rename(&new, &result));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    file(result, written)?;
    file(log.clone(), measured.recorder.write_hdr_log(&log))
}
