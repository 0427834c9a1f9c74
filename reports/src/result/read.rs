//! Reading and writing result files.
//!
//! The version is looked at before anything else, so that a file of another version is told as such and not as a
//! missing field. Fields that are not known are passed over.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{ResultFile, SCHEMA_VERSION, json_text};

/// Why a file is no result that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no result.
    #[error("{path}: not a result file: {source}")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("{path}: schema version {found}, and this program reads {SCHEMA_VERSION}; {advice}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// What to do.
        advice: &'static str,
    },
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    schema_version: u64,
}

impl ResultFile {
    /// Reads a result file.
    ///
    /// # Errors
    /// When it cannot be read, is no result, or has another version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = std::fs::read_to_string(path).map_err(|source| ReadError::File { path: path.into(), source })?;
        Self::parse(&text, path)
    }

    /// Reads a result from its text; `path` is for errors alone.
    ///
    /// # Errors
    /// When it is no result, or has another version.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ReadError> {
        let form = |source| ReadError::Form { path: path.into(), source };
        let found = serde_json::from_str::<Versioned>(text).map_err(form)?.schema_version;
        if found != u64::from(SCHEMA_VERSION) {
            let is_newer = found > u64::from(SCHEMA_VERSION);
            let advice = if is_newer { "use the program that wrote it, or a newer one" } else { "measure again" };
            return Err(ReadError::Version { path: path.into(), found, advice });
        }
        serde_json::from_str(text).map_err(form)
    }

    /// The file's text, with a line end at its end.
    #[must_use]
    pub fn to_json(&self) -> String {
        json_text(self)
    }
}
