//! Entry point of the `loadgen` binary; everything is in [`loadgen::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::cli::main_from(std::env::args_os())
}
