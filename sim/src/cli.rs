//! The command line of `sim`.
//!
//! Exit codes: 0 done, 1 what was asked about is bad, 2 usage, 3 it could not run, 4 the measurement is not valid.

mod shared;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use loadgen::units::{parse_duration, parse_rate};
pub(crate) use shared::ScenarioArguments;
use shared::StartArguments;

use crate::compare::cli::CompareArguments;
use crate::gate::cli::GateArguments;
use crate::report::{ReportArguments, report};
use crate::study::Study;
use crate::study::cli::StudyArguments;
use crate::{compare, demo, explore, folder, gate, own, peers, run, study, suite};

// Clap breaks lines at the terminal's width: a paragraph is one line here, and examples are short ones.
const HELP: &str = "\
Examples:
  sim demo                             begin here: ten seconds, one failing endpoint, a summary
  sim run sim/scenarios/steady.toml    one scenario, from warm-up to verdict
  sim suite --list                     which scenarios there are
  sim compare sim/scenarios/slow-endpoint.toml    what other gateways do in the same scenario
  sim peers --with nginx,haproxy       what a request costs here and there
  sim gate --base main --head HEAD     is HEAD slower than main?
  sim article --quick                  every claim of the article (docs/article.md), measured
  sim growth --quick                   what a request costs when there is more of everything
  sim explore --seeds 1000             look for worlds in which something breaks
  sim report /tmp/x                    show a result again, and write its page

What measures prints a summary, and writes result.json and report.html into --out. Build in release (cargo run --release \
--bin sim -- …), and leave the machine alone meanwhile: a measurement that was disturbed says so, and is not valid.

Exit codes: 0 good, 1 bad (an expectation does not hold, head is slower, a file has a mistake), 2 usage, 3 could not run, \
4 the measurement is not valid. `sim COMMAND --help` says what each means there.";

const DEMO_HELP: &str = "\
Examples:
  sim demo                        ten seconds of 2,000 requests a second
  sim demo --stay                 the same, kept running to look around until Ctrl-C

Exit codes: 0 nothing failed but what it injected, 1 something else failed, 2 usage, 3 could not run, 4 the measurement is \
not valid (the output says why; a busy machine is reason enough).";

const RUN_HELP: &str = "\
Examples:
  sim run sim/scenarios/slow-endpoint.toml
  sim run sim/scenarios/slow-endpoint.toml --out /tmp/x --seed 7
  sim run --check my-scenario.toml            every problem in it, nothing started

docs/simulation.md says what a scenario may hold.

Exit codes: 0 all that it expects holds, 1 something does not, or the file has a mistake, 2 usage, 3 could not run, 4 the \
measurement is not valid (the output says why).";

const SUITE_HELP: &str = "\
Examples:
  sim suite --quick                    what is tagged as quick, within ten minutes
  sim suite --only resilience          what has this tag, or this name
  sim suite --list                     which there are

Exit codes: 0 all pass, 1 one fails, 2 usage, 3 could not run, 4 one is not valid.";

const PEERS_HELP: &str = "\
Examples:
  sim peers                                   all peers that are found
  sim peers --with nginx --rounds 15          one peer, a narrower interval
  sim peers --chain full --with nginx,envoy   every policy on, as near as each can be
  sim peers --chain grpc --with nginx,envoy   unary calls of gRPC
  sim peers --bin envoy=/opt/envoy            a program that is not on the PATH

`cargo xtask peers` installs what it can.

Exit codes: 0 measured, whoever is faster, 2 usage, 3 could not run, 4 the measurement is not valid.";

const REPORT_HELP: &str = "\
Examples:
  sim report out                              text here; report.html, report.md and junit.xml in out
  sim report out --format markdown            for a pull request; writes nothing
  sim report out --keep reports/history       keep the run
  sim report --trend reports/history          what changed over the runs kept

Exit codes: 0 rendered, whatever the result says, 2 usage, 3 could not read or write.";

const EXPLORE_HELP: &str = "\
Examples:
  sim explore --seeds 1000                    a thousand drawn worlds, in virtual time
  sim explore --seed 42 --seeds 1 --twice     one of them, and whether it is the same twice
  sim explore explored/seed-42.toml           a scenario that was found

What fails is printed with its seed, shrunk, and written as a scenario into --out (./explored when absent).

Exit codes: 0 everything held, 1 something did not, 2 usage, 3 could not run, 4 interrupted.";

/// Scenarios, demonstration and comparisons that prove what the gateway does.
#[derive(Debug, Parser)]
#[command(name = "sim", version = gateway::build::version(), about, after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the gateway at work: traffic through it, an endpoint that fails, and what came of it
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArguments),
    /// Run a scenario, a file with services, load, faults and expectations, and say whether they hold
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Run the committed scenarios one after another, with one table at the end
    #[command(after_help = SUITE_HELP)]
    Suite(SuiteArguments),
    /// Measure what a request costs here and in other gateways, at full speed and in interleaved rounds
    #[command(after_help = PEERS_HELP)]
    Peers(PeersArguments),
    #[command(after_help = compare::cli::HELP)]
    Compare(CompareArguments),
    #[command(after_help = gate::cli::HELP)]
    Gate(GateArguments),
    /// Hold every claim of the article that the gateway is built after (docs/article.md) against an experiment
    #[command(after_help = study::cli::ARTICLE_HELP)]
    Article(StudyArguments),
    /// Draw what a request costs against the number of routes, connections, upstreams, keys or bytes
    #[command(after_help = study::cli::GROWTH_HELP)]
    Growth(StudyArguments),
    /// Draw worlds from seeds, run the gateway in them in virtual time, and look for what must not happen
    #[command(after_help = EXPLORE_HELP)]
    Explore(ExploreArguments),
    /// Show results again: text here, a page, Markdown and JUnit XML beside them; keep runs and show their trend
    #[command(after_help = REPORT_HELP)]
    Report(ReportArguments),
}

#[derive(Debug, Args)]
struct CommonArguments {
    #[command(flatten)]
    start: StartArguments,
    /// Seed of everything random: the same seed draws the same requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// Requests a second
    #[arg(long, value_parser = parse_rate, default_value = "2000/s")]
    rate: f64,
    /// How long the traffic lasts
    #[arg(long, value_parser = parse_demo_duration, default_value = "10s")]
    duration: Duration,
    /// Keep everything running until Ctrl-C
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// The scenario's file, such as sim/scenarios/steady.toml
    scenario: PathBuf,
    /// Only look for mistakes in the file; nothing is started
    #[arg(long, conflicts_with = "json")]
    check: bool,
    #[command(flatten)]
    shared: ScenarioArguments,
}

#[derive(Debug, Args)]
struct SuiteArguments {
    /// Only scenarios with one of these tags or names, as in resilience,steady
    #[arg(long, value_delimiter = ',', value_name = "WORDS")]
    only: Vec<String>,
    /// Only what is tagged as quick: within ten minutes in all
    #[arg(long)]
    quick: bool,
    /// Only list the scenarios
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// How often a scenario whose measurement was not valid is measured again, after all others
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10))]
    again: u32,
    /// The folder of the scenarios
    #[arg(long, value_name = "DIR", default_value = suite::FOLDER)]
    scenarios: PathBuf,
    #[command(flatten)]
    shared: ScenarioArguments,
}

#[derive(Debug, Args)]
struct PeersArguments {
    /// Gateways to compare with, as in nginx,haproxy (all proxies that are found when absent; the reference gateways in
    /// Python and Node, fastapi-httpx, fastapi-aiohttp, flask and node, only when named)
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    with: Vec<String>,
    /// Where a peer's program is, as in envoy=/opt/envoy; may be repeated
    #[arg(long, value_parser = parse_bin, value_name = "NAME=PATH")]
    bin: Vec<(String, PathBuf)>,
    /// Rounds, in each of which every gateway has a turn; six at least for a 95 % interval
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each gateway's turn in a round is, seconds
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: Duration,
    /// What the gateways do for a request
    #[arg(long, value_enum, default_value = "bare")]
    chain: peers::Chain,
    /// Bytes of each answer
    #[arg(long, default_value_t = 512, value_name = "BYTES")]
    body: u64,
    /// Client connections; over HTTP/2, requests at once, eight on a connection
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Measure the gateway with this many workers, on all cores, beside that with one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1024))]
    workers: Option<u32>,
    /// Measure the memory of this many idle connections too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    idle: Option<u32>,
    /// Print the configurations of all gateways and do nothing else
    #[arg(long, conflicts_with = "json")]
    show_configs: bool,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct ExploreArguments {
    /// Scenarios to run instead of drawn worlds, such as one that was found before
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many worlds: one for each seed, from --seed on
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Run each world twice, and fail where the two differ
    #[arg(long)]
    twice: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// A folder for what is found, and for the result (without it: ./explored for what is found, and no result)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command line `arguments`, its first being the program's name.
pub fn main_from(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = own::dispatch(&arguments) {
        return code;
    }
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A closed standard output is no reason to fail.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let out = parsed.command.out();
    done(parsed.command, out.as_deref(), words.join(" ")).unwrap_or_else(|(code, message)| {
        // Problems of a file begin with its name, as those of a compiler do.
        let name = if code == 1 { "" } else { "sim: " };
        let _ = writeln!(std::io::stderr(), "{name}{message}");
        // Wrong usage is for who wrote the command, and nobody's result.
        if let Some(out) = out.filter(|_| code != 2) {
            folder::report_trouble(&out, &words.join(" "), &message);
        }
        ExitCode::from(code)
    })
}

/// Does what was asked for, where that makes sense: a slip of the pen costs nobody an earlier result.
fn done(asked: Command, out: Option<&Path>, command: String) -> Result<ExitCode, (u8, String)> {
    asked.check().map_err(|usage| (2, usage))?;
    // A gate reads its files once, since each may be a pipe, and clears when it knows whether it was asked rightly.
    let cleared_here = out.filter(|_| !matches!(asked, Command::Gate(_)));
    let cleared = cleared_here.map_or(Ok(()), |out| folder::take(out).and_then(|()| folder::clear(out)));
    cleared.map_err(|(path, error)| (3, format!("{}: {error}", path.display())))?;
    execute(asked, command)
}

impl Command {
    /// Whether it is asked rightly, as far as that can be told before anything starts.
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Peers(arguments) if !arguments.show_configs => arguments.check(),
            Self::Compare(arguments) => arguments.check(),
            _ => Ok(()),
        }
    }

    /// The folder that was named for a result, which takes the place of what is there. A study goes on with what it
    /// finds, and whoever only looks writes nothing.
    fn out(&self) -> Option<PathBuf> {
        match self {
            Self::Demo(arguments) => arguments.common.start.out.clone(),
            Self::Run(arguments) if !arguments.check => arguments.shared.start.out.clone(),
            Self::Suite(arguments) if !arguments.list => arguments.shared.start.out.clone(),
            Self::Peers(arguments) if !arguments.show_configs => arguments.common.start.out.clone(),
            Self::Compare(arguments) => arguments.out(),
            Self::Gate(arguments) => arguments.out(),
            Self::Explore(arguments) => arguments.out.clone(),
            _ => None,
        }
    }
}

/// Does what was asked for. An error has its exit code.
fn execute(asked: Command, command: String) -> Result<ExitCode, (u8, String)> {
    match asked {
        Command::Demo(arguments) => demo::demo(&arguments.options(command)).map_err(|error| (3, error.to_string())),
        Command::Run(arguments) => {
            run::run(&arguments.options(command)).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Suite(arguments) => {
            suite::suite(&arguments.options(command)).map_err(|error| (error.exit_code(), error.to_string()))
        }
        Command::Peers(arguments) => peers_side_by_side(arguments, command),
        Command::Compare(arguments) => arguments.run(command),
        Command::Gate(arguments) => arguments.run(command).map_err(|error| (error.exit_code(), error.to_string())),
        Command::Article(arguments) => arguments.run(Study::Article, command),
        Command::Growth(arguments) => arguments.run(Study::Growth, command),
        Command::Explore(arguments) => {
            explore::explore(&arguments.options(command)).map_err(|error| (3, error.to_string()))
        }
        Command::Report(arguments) => report(&arguments),
    }
}

fn peers_side_by_side(arguments: PeersArguments, command: String) -> Result<ExitCode, (u8, String)> {
    if arguments.show_configs {
        let text: String =
            peers::all_configs().iter().map(|(name, text)| format!("# --- {name} ---\n{text}\n")).collect();
        let cannot = |error| (3, format!("{}: {error}", loadgen::stdout::NAME));
        return loadgen::stdout::print(&text).map(|()| ExitCode::SUCCESS).map_err(cannot);
    }
    peers::peers(&arguments.options(command)).map_err(|error| (3, error.to_string()))
}

impl DemoArguments {
    fn options(self, command: String) -> demo::Options {
        demo::Options {
            programs: self.common.start.programs(),
            rate: self.rate,
            duration: self.duration,
            seed: self.common.seed,
            stay: self.stay,
            json: self.common.start.json,
            out: self.common.start.out,
            command,
        }
    }
}

impl RunArguments {
    fn options(self, command: String) -> run::Options {
        run::Options {
            programs: self.shared.programs(),
            scenario: self.scenario,
            check: self.check,
            seed: self.shared.seed,
            json: self.shared.start.json,
            out: self.shared.start.out,
            command,
        }
    }
}

impl SuiteArguments {
    fn options(self, command: String) -> suite::Options {
        suite::Options {
            programs: self.shared.programs(),
            scenarios: self.scenarios,
            only: self.only,
            quick: self.quick,
            list: self.list,
            again: self.again,
            seed: self.shared.seed,
            json: self.shared.start.json,
            out: self.shared.start.out,
            command,
        }
    }
}

impl ExploreArguments {
    fn options(self, command: String) -> explore::Options {
        let Self { files, seeds, seed, twice, json, out } = self;
        explore::Options { seed, seeds, files, twice, json, out, command, stop: Default::default() }
    }
}

impl PeersArguments {
    /// Whether there are such peers, and they can do what is asked.
    fn check(&self) -> Result<(), String> {
        let known = peers::known_names();
        let named = self.with.iter().chain(self.bin.iter().map(|(name, _)| name));
        if let Some(name) = named.into_iter().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("no peer is called `{name}`; there are {}", known.join(", ")));
        }
        let able: Vec<_> = known.into_iter().filter(|name| peers::is_able(name, self.chain)).collect();
        if let Some(name) = self.with.iter().find(|name| !able.contains(&name.as_str())) {
            return Err(format!("{name} has no configuration for this chain here; {} have one", able.join(", ")));
        }
        match self.idle.is_some() && self.chain.is_http2() {
            true => Err("--idle counts connections of HTTP/1.1: ask for it with --chain bare or full".to_owned()),
            false => Ok(()),
        }
    }

    fn options(self, command: String) -> peers::Options {
        peers::Options {
            programs: self.common.start.programs(),
            with: self.with,
            bins: self.bin.into_iter().collect::<BTreeMap<_, _>>(),
            rounds: self.rounds,
            turn: self.seconds,
            chain: self.chain,
            body: self.body,
            connections: self.connections as usize,
            workers: self.workers.map(|workers| workers as usize),
            idle: self.idle.map(|idle| idle as usize),
            seed: self.common.seed,
            json: self.common.start.json,
            out: self.common.start.out,
            command,
        }
    }
}

/// Shorter than a second, there is nothing to see.
fn parse_demo_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) { Err("a second at least".to_owned()) } else { Ok(duration) }
}

pub(crate) fn parse_bin(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or_else(|| "write NAME=PATH".to_owned())?;
    Ok((name.to_owned(), PathBuf::from(path)))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if (0.1..=3_600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("between 0.1 and 3600".to_owned())
    }
}
