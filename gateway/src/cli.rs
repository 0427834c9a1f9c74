//! The command line. One file a command; `Command` is the list.
//!
//! Exit codes are stable: 0 done, 1 the thing asked about is bad, 2 usage, 3 could not run.

mod check;
mod completions;
mod defaults;
mod descriptors;
mod diff;
mod explain;
mod init;
mod man;
mod openapi;
pub mod output;
mod run;
mod schema;
mod status;
mod verify_jws;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What the program was asked for is done.
pub const DONE: u8 = 0;
/// The thing asked about is bad.
pub const BAD: u8 = 1;
/// The command line is not understood; clap's own code.
pub const USAGE: u8 = 2;
/// It could not run: a file is missing, a port is taken.
pub const COULD_NOT_RUN: u8 = 3;

/// An API gateway: routing, balancing, limits, identity, records.
#[derive(Debug, Parser)]
#[command(
    name = "gateway",
    version = crate::build::version(),
    after_help = "Examples:\n  gateway init --to http://127.0.0.1:9001   write a first gateway.toml\n  gateway check gateway.toml                find every problem in it\n\nExit codes: 0 done, 1 the configuration is bad or the question has a no for an answer (`diff`: they differ, `explain`: no route), 2 usage, 3 could not run."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Status(status::Status),
    Openapi(openapi::Openapi),
    Defaults(defaults::Defaults),
    Schema(schema::Schema),
    Init(init::Init),
    VerifyJws(verify_jws::VerifyJws),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    main_from(std::env::args_os())
}

/// Does what these arguments say, the program's name first; for programs that carry the gateway inside.
pub fn main_from<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(told) => return ExitCode::from(unparsed(&told)),
    };
    let code = match arguments.command {
        Command::Run(run) => run.run(),
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Diff(diff) => diff.run(),
        Command::Status(status) => status.run(),
        Command::Openapi(openapi) => openapi.run(),
        Command::Defaults(defaults) => defaults.run(),
        Command::Schema(schema) => schema.run(),
        Command::Init(init) => init.run(),
        Command::VerifyJws(verify) => verify.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    };
    ExitCode::from(code)
}

/// Prints what stands in place of a command: what is wrong with the line, or the help that it asks for.
fn unparsed(told: &clap::Error) -> u8 {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    if told.use_stderr() { USAGE } else { output::written(printed) }
}
