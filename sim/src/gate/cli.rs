//! The command line of `sim gate`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use loadgen::units::parse_duration;

use super::{GateError, Inconclusive, Options, gate, self_test};
use crate::children::Programs;

/// Shown below the options.
pub const HELP: &str = "\
Examples:
  sim gate --base v0.1.0 --head HEAD              two revisions, built under target/gate
  sim gate --base old/gateway --head new/gateway  two programs
  sim gate --base main --head HEAD --rounds 60 --max-time 10m
  sim gate --self-test --out /tmp/self-test       how often the gate errs: half an hour, in sittings

Both run in turns on this machine, round after round, until it is clear for each metric whether head is worse, or the rounds \
or the time are used up. result.json, report.html, gate.md (for a pull request), junit.xml and logs are in --out.

Exit codes: 0 head is not slower, 1 it is, counts more, or is broken, 2 usage, 3 could not run, 4 inconclusive (see \
--inconclusive) or not valid.";

/// Compare two builds of the gateway: is head slower than base?
#[derive(Debug, Args)]
pub struct GateArguments {
    /// What to compare with: a git revision, or a gateway's program
    #[arg(long, value_name = "REV|BINARY", required_unless_present = "self_test", conflicts_with = "self_test")]
    base: Option<String>,
    /// What may be slower: a git revision, or a gateway's program
    #[arg(long, value_name = "REV|BINARY", required_unless_present = "self_test", conflicts_with = "self_test")]
    head: Option<String>,
    /// Most rounds (as many as the settings plan when absent); with --self-test, rounds of each case (60)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// How long each side's turns in a round are together, seconds
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = parse_seconds)]
    seconds: Duration,
    /// The longest time for all rounds, as in 10m (3m when absent; no bound with --self-test); building does not count
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    max_time: Option<Duration>,
    /// Count instructions and heap allocations of both revisions too; takes minutes more
    #[arg(long, conflicts_with = "self_test")]
    counts: bool,
    /// The exit code where the rounds do not suffice to tell whether head is slower
    #[arg(long, value_enum, default_value_t = Inconclusive::Open)]
    inconclusive: Inconclusive,
    /// How much slower head may be in each metric, and how seldom the gate may err (sim/gate.toml when absent)
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// A scenario, whose gateway configuration, mocks and first load's requests are compared in place of one plain
    /// route
    #[arg(long, value_name = "FILE", conflicts_with = "self_test")]
    scenario: Option<PathBuf>,
    /// The profile of Cargo with which revisions are built
    #[arg(long, default_value = "dist", value_name = "NAME")]
    profile: String,
    /// Measure how often the gate itself errs, with pairs of builds of known difference; goes on with what is in --out
    #[arg(long)]
    self_test: bool,
    /// With --self-test: the gateway as it is, instead of a build of the working tree
    #[arg(long, value_name = "BINARY", requires = "self_test", conflicts_with_all = ["base", "head"])]
    plain: Option<PathBuf>,
    /// With --self-test: the same code in another layout
    #[arg(long, value_name = "BINARY", requires = "self_test", conflicts_with_all = ["base", "head"])]
    shuffled: Option<PathBuf>,
    /// With --self-test: the same with the feature `slow-down`
    #[arg(long, value_name = "BINARY", requires = "self_test", conflicts_with_all = ["base", "head"])]
    slowed: Option<PathBuf>,
    /// A mocks binary to use instead of the one built in
    #[arg(long, value_name = "PATH")]
    mocks_bin: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// A folder for everything that is written (a new one among the temporary files when absent)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
}

/// Most time of a gate.
const MAX_TIME: Duration = Duration::from_secs(180);
/// Pairs of each case of a self-test.
const PAIRS: usize = 60;

impl GateArguments {
    /// The folder that was named for a result; a self-test goes on with what is there.
    pub(crate) fn out(&self) -> Option<PathBuf> {
        self.out.clone().filter(|_| !self.self_test)
    }

    /// A gate between two sides; `None` for a self-test.
    fn options(&self, command: String) -> Option<Options> {
        let (base, head) = self.base.clone().zip(self.head.clone())?;
        Some(Options {
            base,
            head,
            rounds: self.rounds.map(|rounds| rounds as usize),
            seconds: self.seconds,
            max_time: self.max_time.unwrap_or(MAX_TIME),
            counts: self.counts,
            inconclusive: self.inconclusive,
            settings: self.settings.clone(),
            scenario: self.scenario.clone(),
            profile: self.profile.clone(),
            programs: self.programs(),
            seed: self.seed,
            json: self.json,
            out: self.out.clone(),
            command,
        })
    }

    fn programs(&self) -> Programs {
        Programs { mocks: self.mocks_bin.clone(), ..Programs::default() }
    }

    /// Does what they say.
    ///
    /// # Errors
    /// What the gate or its self-test fail with.
    pub fn run(self, command: String) -> Result<ExitCode, GateError> {
        if let Some(options) = self.options(command.clone()) {
            return gate(&options);
        }
        let programs = self.programs();
        self_test::self_test(&self_test::Options {
            pairs: self.rounds.map_or(PAIRS, |rounds| rounds as usize),
            builds: self_test::Builds { plain: self.plain, shuffled: self.shuffled, slowed: self.slowed },
            seconds: self.seconds,
            max_time: self.max_time,
            settings: self.settings,
            profile: self.profile,
            programs,
            seed: self.seed,
            json: self.json,
            out: self.out,
            command,
        })
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    let in_range = (0.1..=60.0).contains(&seconds);
    in_range.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| "between 0.1 and 60".to_owned())
}

fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
