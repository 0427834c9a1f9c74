//! What a reload came to, for who asked for it, and for who asks later.

use std::fmt;

use serde::Serialize;

use crate::config::{Problem, Severity};

/// What a reload came to; `/status` shows the last.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadReport {
    /// Whether the file is in force.
    pub ok: bool,
    /// The version in force.
    pub version: u64,
    /// Seconds since the Unix epoch.
    pub at_unix: i64,
    /// What asked for it: `signal`, `file`, `admin`, `program`.
    pub cause: &'static str,
    /// What is wrong with the files; of files that are in force, what is perhaps not meant.
    pub problems: Vec<Problem>,
    /// Why they could not be read or put in force, where that is not in the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is in force only after a restart, of the configuration that is in force otherwise: also where this reload
    /// was refused.
    pub needs_restart: Vec<&'static str>,
}

impl ReloadReport {
    /// The report, or an error where nothing has changed.
    ///
    /// # Errors
    /// The configuration is not in force.
    pub fn into_result(self) -> Result<Self, ReloadError> {
        if self.ok { Ok(self) } else { Err(ReloadError(Box::new(self))) }
    }
}

/// A reload that was refused: what was in force is so still.
#[derive(Debug)]
pub struct ReloadError(Box<ReloadReport>);

impl ReloadError {
    /// All of it: [`ReloadReport::problems`], each with its place, or [`ReloadReport::error`].
    pub fn report(&self) -> &ReloadReport {
        &self.0
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.problems.iter().filter(|problem| problem.severity == Severity::Error);
        let errors = errors.map(in_a_line).chain(self.0.error.clone()).collect::<Vec<_>>();
        f.write_str(&errors.join("\n"))
    }
}

impl std::error::Error for ReloadError {}

/// A problem as events have it.
pub(super) fn in_a_line(problem: &Problem) -> String {
    let Problem { file, line, column, message, .. } = problem;
    let kind = if problem.severity == Severity::Warning { "warning: " } else { "" };
    format!("{}:{line}:{column}: {kind}{message}", file.display())
}
