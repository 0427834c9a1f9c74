//! What commands print. Results go to standard output, problems to standard error.
//!
//! A reader that goes away (`gateway defaults | head`) is no failure of the command; a full disk is one, as who comes
//! next would take a torn result for a whole one.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::{BAD, COULD_NOT_RUN, DONE};
use crate::config::LoadError;

/// Prints a result; the exit code that says whether that could be, [`DONE`] or [`COULD_NOT_RUN`].
#[must_use]
pub fn result(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()))
}

/// The exit code of what was written to standard output; where it could not be, that is told.
#[must_use]
pub fn written(outcome: io::Result<()>) -> u8 {
    match outcome {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            problem(&format!("error: cannot write to standard output: {error}"));
            COULD_NOT_RUN
        }
        // A reader that went away has what it wanted.
        _ => DONE,
    }
}

/// Prints what is wrong.
pub fn problem(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints why there is no configuration to work with; the exit code that says the same.
pub fn unusable(error: &LoadError) -> u8 {
    match error {
        LoadError::Invalid(problems) => {
            problem(&problems.render(problems_have_colour()));
            BAD
        }
        LoadError::Unreadable { .. } => {
            unreadable(error);
            COULD_NOT_RUN
        }
    }
}

fn unreadable(error: &LoadError) {
    let help = match error {
        LoadError::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound => {
            "; `gateway init` writes a first one"
        }
        LoadError::Unreadable { .. } | LoadError::Invalid(_) => "",
    };
    problem(&format!("error: {error}{help}"));
}

/// Whether problems may have colour: on a terminal that knows colours, unless `NO_COLOR` is set (no-color.org).
pub fn problems_have_colour() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !is_dumb && !is_unwanted
}
