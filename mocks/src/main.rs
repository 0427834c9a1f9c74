//! The `mocks` command. All it does is in the library; see `mocks --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mocks::cli::main()
}
