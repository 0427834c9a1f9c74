//! The command lines of `sim article` and `sim growth`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{FOLDER, Options, Study, study};
use crate::cli::ScenarioArguments;

pub(crate) const ARTICLE_HELP: &str = "\
Examples:
  sim article --quick --out article        all claims, within twenty minutes
  sim article --only A10,A16 --out article two of them; what the folder holds of the others stays
  sim article --list                       which there are, and what is done for each

The article is the one that the gateway is built after; docs/article.md names it and tells what came out. Each claim \
gets a figure with its interval, the configuration, and a verdict: holds, holds in part, does not hold, or not measured and \
why. All of them are in DIR/report.html and DIR/report.md, and in DIR/result.json after each. `cargo xtask peers` brings the \
gateways that A1 and A26 compare with. Run it in the repository, built in release.

Exit codes: 0 done, whatever the verdicts say, 2 usage, 3 could not run, 4 interrupted.";

pub(crate) const GROWTH_HELP: &str = "\
Examples:
  sim growth --quick --out growth          all curves, in some minutes
  sim growth --only G2,G5 --out growth     two of them; what the folder holds of the others stays
  sim growth --list                        which there are, and what is done for each

Each curve is what a request costs against how many routes, connections, upstreams, keys or bytes there are, beside nginx \
where that is on the machine (`cargo xtask peers`), and a verdict on what is promised of it. All of them are in \
DIR/report.html and DIR/report.md, and in DIR/result.json after each. Run it in the repository, built in release.

Exit codes: 0 done, whatever the verdicts say, 2 usage, 3 could not run, 4 interrupted.";

/// Which claims are held against their experiments, and how thoroughly.
#[derive(Debug, Args)]
pub(crate) struct StudyArguments {
    /// Only these, by the ids that --list shows, as in A10,A16 or G2
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    only: Vec<String>,
    /// Fewer and shorter rounds: minutes in all
    #[arg(long)]
    quick: bool,
    /// Only list them, with what is done for each
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Rounds of each variant that is compared, in place of those that each experiment plans
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// The folder of the scenarios
    #[arg(long, value_name = "DIR", default_value = FOLDER)]
    scenarios: PathBuf,
    #[command(flatten)]
    shared: ScenarioArguments,
}

impl StudyArguments {
    /// Runs it; the exit code and the message where that cannot be.
    pub(crate) fn run(self, of: Study, command: String) -> Result<ExitCode, (u8, String)> {
        let options = Options {
            study: of,
            programs: self.shared.programs(),
            scenarios: self.scenarios,
            only: self.only,
            quick: self.quick,
            list: self.list,
            rounds: self.rounds,
            seed: self.shared.seed.unwrap_or(1),
            json: self.shared.start.json,
            out: self.shared.start.out,
            command,
        };
        study(&options).map_err(|error| (error.exit_code(), error.to_string()))
    }
}
