//! Entry point of the `sim` binary; everything is in `sim::cli`.

use std::process::ExitCode;

/// The gateway's own allocator, since this binary is the gateway when it starts itself as one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sim::main_from(std::env::args_os())
}
