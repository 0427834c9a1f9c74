//! The users of journeys: goose, in a process of its own.
//!
//! `loadgen --journey` and `sim run` start this program and speak with it over its standard streams
//! (`loadgen::journey::wire`); people do not. Goose takes Ctrl-C and prints on standard output, which is why it has a
//! process to itself; and it is a crate to itself so that nobody who builds the gateway or the demo builds goose.
//!
//! - `job`: what the parent wants; `teller`: what it is told;
//! - `attack`: goose's users, and their end; `user`: what one of them does;
//! - `fetch`: one request, timed to its last byte.
//!
//! Invariants: the process ends when its standard input does, whatever goose does; no message is waited for, and those
//! that could not be told are counted.

mod attack;
mod fetch;
mod job;
mod teller;
mod user;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        let version = env!("CARGO_PKG_VERSION");
        let about = "the users of `loadgen --journey FILE` and of scenarios; those programs start it";
        // A reader that has gone away is no reason to fail.
        let _ = writeln!(std::io::stdout(), "journeys {version}: {about}");
        return ExitCode::from(if matches!(&*argument, "--version" | "-V" | "--help" | "-h") { 0 } else { 2 });
    }
    match attack::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error closed there is no one to tell.
            let _ = writeln!(std::io::stderr(), "journeys: {error}");
            ExitCode::from(3)
        }
    }
}
