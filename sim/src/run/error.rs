//! Why a scenario could not be run.

use std::io;
use std::path::{Path, PathBuf};

use loadgen::control::ControlError;
use loadgen::journey::UsersError;
use loadgen::request::{KeyError, TemplateError};

use crate::children::ChildError;
use crate::scenario::{LoadError, Problems};
use crate::virtual_time::SimulateError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario is not right, or cannot be read.
    #[error("{0}")]
    Scenario(#[from] LoadError),
    /// A file in a suite's folder is no scenario.
    #[error(
        "{problems}\n\n{} was read as a scenario, as every .toml file in {} is; to be left out, its name must end in \
         gateway.toml or journey.toml, or a scenario must name it",
        file.display(), folder.display()
    )]
    NoScenario {
        /// The file.
        file: PathBuf,
        /// The suite's folder.
        folder: PathBuf,
        /// What is wrong with it as a scenario.
        problems: Problems,
    },
    /// The folder of a suite's scenarios cannot be read.
    #[error("{}: {source}; --scenarios names the folder of the scenarios", folder.display())]
    Scenarios {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two scenarios of a suite would write to one folder.
    #[error("{} and {} have one name, `{name}`; give one of them another", files[0].display(), files[1].display())]
    SameName {
        /// The name.
        name: String,
        /// Both files.
        files: [PathBuf; 2],
    },
    /// It runs elsewhere.
    #[error("{0} is a scenario for virtual time, where only our gateway can be; run it with: sim run {0}")]
    Virtual(PathBuf),
    /// It cannot be simulated.
    #[error("{file}: {source}")]
    Simulate {
        /// The scenario's file.
        file: PathBuf,
        /// What the simulated world lacks, or how it broke.
        source: SimulateError,
    },
    /// A program does not serve.
    #[error("{0}")]
    Child(#[from] ChildError),
    /// The load did not start.
    #[error("{0}")]
    Load(#[from] loadgen::engine::RunError),
    /// The users of journeys did not do their part.
    #[error("{0}")]
    Users(#[from] UsersError),
    /// A request cannot be sent.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// No tokens can be signed.
    #[error("tokens: {0}")]
    Key(#[from] KeyError),
    /// A control port did not do its part.
    #[error("{what}: {why}")]
    Control {
        /// What was asked.
        what: String,
        /// What came of it.
        why: String,
    },
    /// A configuration that the user brings for another gateway is not right.
    #[error("{}: {why}", file.display())]
    PeerConfig {
        /// The file, as the user named it.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be written or read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Redis does not serve.
    #[error("redis-server: {0}")]
    Redis(io::Error),
}

impl RunError {
    /// The exit code: 1 when the scenario, or another file of the user's, is wrong, 3 when it could not be run.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Scenario(LoadError::Invalid(_))
            | Self::NoScenario { .. }
            | Self::SameName { .. }
            | Self::Template(_)
            | Self::PeerConfig { .. }
            | Self::Simulate { source: SimulateError::Tokens(_), .. } => 1,
            _ => 3,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }

    pub(super) fn control(what: &str) -> impl FnOnce(ControlError) -> Self {
        let what = what.to_owned();
        move |error| Self::Control { what, why: error.to_string() }
    }
}
