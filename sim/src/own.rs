//! The gateway and the mocks as processes of their own, out of this very binary.
//!
//! Cargo builds only `sim` for `cargo run --bin sim`, so `sim __gateway …` and `sim __mocks …` run the same code as the
//! `gateway` and `mocks` binaries. Such a process ends itself when its standard input ends, which the system brings
//! about however its parent ends.

use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

/// The first argument that makes this binary the gateway.
pub(crate) const GATEWAY: &str = "__gateway";
/// The first argument that makes this binary the mocks.
pub(crate) const MOCKS: &str = "__mocks";

/// Runs the gateway or the mocks if the arguments (the first being the program's name) ask for it.
pub(crate) fn dispatch(arguments: &[OsString]) -> Option<ExitCode> {
    let word = arguments.get(1)?.to_str()?;
    let rest = arguments[2..].iter().cloned();
    match word {
        GATEWAY => {
            end_with_parent();
            Some(gateway::cli::main_from(std::iter::once(OsString::from("gateway")).chain(rest)))
        }
        MOCKS => {
            end_with_parent();
            Some(mocks::cli::main_with(std::iter::once(OsString::from("mocks")).chain(rest)))
        }
        _ => None,
    }
}

fn end_with_parent() {
    std::thread::spawn(|| {
        let mut byte = [0];
        // Nothing is ever written to it; a read returns when the parent is gone.
        while matches!(std::io::stdin().read(&mut byte), Ok(count) if count > 0) {}
        std::process::exit(0);
    });
}
