//! What several commands take.

use std::path::PathBuf;

use clap::Args;

use crate::children::Programs;

/// What every command takes that starts programs.
#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// A folder for everything that is written (a new one among the temporary files when absent)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A gateway binary to use instead of the one built in
    #[arg(long, value_name = "PATH")]
    gateway_bin: Option<PathBuf>,
    /// A mocks binary to use instead of the one built in
    #[arg(long, value_name = "PATH")]
    mocks_bin: Option<PathBuf>,
}

impl StartArguments {
    /// Which programs to start.
    pub(crate) fn programs(&self) -> Programs {
        Programs { gateway: self.gateway_bin.clone(), mocks: self.mocks_bin.clone(), journeys: None }
    }
}

/// What every command takes that runs scenarios.
#[derive(Debug, Args)]
pub(crate) struct ScenarioArguments {
    #[command(flatten)]
    pub(crate) start: StartArguments,
    /// Seed of everything random, instead of the file's
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The program that holds the users of journeys [default: journeys, beside this one]
    #[arg(long, value_name = "PATH")]
    journeys_bin: Option<PathBuf>,
}

impl ScenarioArguments {
    /// Which programs to start.
    pub(crate) fn programs(&self) -> Programs {
        Programs { journeys: self.journeys_bin.clone(), ..self.start.programs() }
    }
}
