//! The command line of `loadgen`.
//!
//! Exit codes: 0 done, 2 usage, 3 the target cannot be reached or a file not be read or written, 4 the measurement is
//! not valid.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;

use crate::clock::{Clock, duration_ns, rfc3339, unix_seconds};
use crate::engine::{Model, RunError, Settings, run};
use crate::environment::{CpuTicks, Environment};
use crate::plan::{Arrivals, Plan};
use crate::progress::Shown;
use crate::recorder::Recorder;
use crate::request::{Expectation, Mix, Template, TemplateError};
use crate::result::{Document, LoadResult, Offered, SCHEMA_VERSION, Validity};
use crate::target::{Target, TargetError};
use crate::text;
use crate::units::{parse_duration, parse_rate};

const HELP: &str = "\
Examples:
  loadgen --url http://127.0.0.1:8080/ --rate 5000/s --duration 30s
  loadgen --url http://127.0.0.1:8080/ --requests 100000 --connections 32
  loadgen --url http://127.0.0.1:8080/ --rate 500/s --arrivals poisson --json

Exit codes: 0 measured, 2 usage, 3 the target cannot be reached or a file not be read or written,
4 the measurement is not valid (the output says why). Failed requests are figures, not failures.";

/// Sends load to an HTTP/1.1 server and measures from the intended send time.
///
/// With --rate the model is open: a seeded plan says when to send, whatever the answers do. Without it the model is
/// closed: each connection sends as soon as it has its answer.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, about, after_help = HELP)]
#[allow(clippy::struct_excessive_bools, reason = "these are command-line switches")]
pub struct Arguments {
    /// Where to send: http://HOST:PORT/PATH
    #[arg(long)]
    url: String,
    /// Open model: requests a second, as in 5000/s or 600/m
    #[arg(long, value_parser = parse_rate)]
    rate: Option<f64>,
    /// How long to send for, as in 30s or 2m
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Closed model: how many requests to send
    #[arg(long, conflicts_with = "rate")]
    requests: Option<u64>,
    /// How arrivals of the open model are spread
    #[arg(long, default_value = "constant")]
    arrivals: Arrivals,
    /// Connections to open; the open model opens more when all are busy
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Open model: most requests in flight; arrivals beyond it are dropped and counted
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max_in_flight: u32,
    /// A request header, as in -H 'accept: text/plain'; may be repeated
    #[arg(short = 'H', long = "header", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// The request method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A file whose content is the request body
    #[arg(long)]
    body: Option<PathBuf>,
    /// A status that is right; may be repeated (200 to 399 when absent)
    #[arg(long = "expect-status", value_parser = clap::value_parser!(u16).range(100..600))]
    expect_statuses: Vec<u16>,
    /// The length that each body must have, in bytes
    #[arg(long)]
    expect_length: Option<u64>,
    /// Time at the start that is left out of the result
    #[arg(long, value_parser = parse_duration, default_value = "0s")]
    warm_up: Duration,
    /// Longest time for one request
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    timeout: Duration,
    /// Seed of the plan
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// A folder for result.json and the HDR histogram log
    #[arg(long)]
    out: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
    /// Send to a host that is not this machine
    #[arg(long)]
    allow_remote: bool,
}

/// Why the command could not do what was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Target(TargetError::Resolve { .. }) | Self::Run(_) | Self::File { .. } => 3,
            Self::Target(_) | Self::Template(_) => 2,
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
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(4),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "loadgen: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Measures, writes the result; whether it is valid.
fn execute(arguments: &Arguments, command: String) -> Result<bool, CommandError> {
    let mix = Mix::new(&[template(arguments)?], arguments.seed)?;
    // Ten seconds unless told otherwise; a number of requests takes the time it takes.
    let default = arguments.requests.is_none().then_some(Duration::from_secs(10));
    let duration = arguments.duration.or(default).map(|duration| duration + arguments.warm_up);
    let warm_up_ns = duration_ns(arguments.warm_up);
    let (model, offered) = model(arguments, duration, warm_up_ns);
    let stop = Arc::new(AtomicBool::new(false));
    end_on_interrupt(&stop);
    let (steal_before, started_at) = (CpuTicks::read(), rfc3339(unix_seconds()));
    let connections = arguments.connections as usize;
    let max_in_flight = arguments.max_in_flight as usize;
    let settings = Settings { mix, model, connections, max_in_flight, timeout: arguments.timeout, stop };
    let clock = Clock::start();
    let mut recorder = Recorder::new("steady", clock.now_ns() + warm_up_ns);
    let quiet = arguments.quiet || arguments.json;
    let totals = run(settings, clock, &mut Shown::new(&mut recorder, duration, quiet))?;
    let environment = Environment::read(&steal_before);
    let validity = Validity::judge(&recorder, &totals, offered, environment.steal_ratio);
    let load = LoadResult::of(&recorder, &totals, offered);
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kind: "load".to_owned(),
        name: "loadgen".to_owned(),
        seed: arguments.seed,
        commit: String::new(),
        started_at,
        command,
        environment,
        verdict: if validity.valid { "pass" } else { "invalid" }.to_owned(),
        validity,
        load: [("main".to_owned(), load)].into(),
    };
    write_result(arguments, &document, &recorder)?;
    Ok(document.validity.valid)
}

fn template(arguments: &Arguments) -> Result<Template, CommandError> {
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| CommandError::File { path: path.clone(), source });
    Ok(Template {
        name: "main".to_owned(),
        target: Target::parse(&arguments.url, arguments.allow_remote)?,
        method: arguments.method.clone(),
        headers: arguments.headers.clone(),
        body: arguments.body.as_ref().map(read).transpose()?.unwrap_or_default(),
        weight: 1,
        expect: Expectation { statuses: arguments.expect_statuses.clone(), body_bytes: arguments.expect_length },
    })
}

/// The model, and in the open one what it offers after the warm-up.
fn model(arguments: &Arguments, duration: Option<Duration>, warm_up_ns: u64) -> (Model, Option<Offered>) {
    let Some(rate) = arguments.rate else {
        return (Model::Closed { requests: arguments.requests, duration }, None);
    };
    let length_ns = duration.map_or(0, duration_ns);
    let plan = Plan::new(arguments.arrivals, rate, length_ns, arguments.seed);
    let hash = plan.summary().hash;
    let arrivals = plan.clone().filter(|at_ns| *at_ns >= warm_up_ns).count() as u64;
    let planned_rate = arrivals as f64 * 1e9 / length_ns.saturating_sub(warm_up_ns).max(1) as f64;
    (Model::Open(plan), Some(Offered { arrivals, rate: planned_rate, hash }))
}

fn write_result(arguments: &Arguments, document: &Document, recorder: &Recorder) -> Result<(), CommandError> {
    let json = serde_json::to_string_pretty(document)
        .unwrap_or_else(|error| unreachable!("a result is plain data and always JSON: {error}"));
    if let Some(folder) = &arguments.out {
        let file =
            |path: PathBuf, written: std::io::Result<()>| written.map_err(|source| CommandError::File { path, source });
        file(folder.clone(), std::fs::create_dir_all(folder))?;
        let path = folder.join("result.json");
        file(path.clone(), std::fs::write(&path, format!("{json}\n")))?;
        let path = folder.join("main.hlog");
        file(path.clone(), recorder.write_hdr_log(&path))?;
    }
    let shown = if arguments.json { format!("{json}\n") } else { text::summary(document) };
    // A reader that has gone away is no reason to fail.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    Ok(())
}

/// Sets `stop` at the first Ctrl-C, so that the run ends and still tells what it has; the second ends the process.
pub fn end_on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Relaxed);
                let _ = tokio::signal::ctrl_c().await;
                std::process::exit(130);
            }
        });
    });
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| "write NAME: VALUE".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
