//! What commands print. Results go to standard output, problems to standard error.
//!
//! A reader that goes away (`gateway defaults | head`) is no failure of the command.

use std::io::{ErrorKind, IsTerminal, Write};

use super::{BAD, COULD_NOT_RUN};
use crate::config::LoadError;

/// Prints a result.
pub fn result(text: &str) {
    // The reader has what it wanted.
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end_matches('\n'));
}

/// Prints what is wrong.
pub fn problem(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'));
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

/// Whether problems may have colour: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub fn problems_have_colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
