//! The gateway and the mocks as processes of their own, out of this very binary.
//!
//! Cargo builds only `sim` for `cargo run --bin sim`, so `sim __gateway …` and `sim __mocks …` run the same code as the
//! `gateway` and `mocks` binaries. Such a process ends itself when its standard input ends, which the system brings
//! about however its parent ends. A gateway takes one order there, `clock MICROSECONDS`, which puts its wall clock
//! wrong by so much; the program `gateway` reads no orders, so nothing can put its clock wrong.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::ExitCode;

/// The first argument that makes this binary the gateway.
pub(crate) const GATEWAY: &str = "__gateway";
/// The first argument that makes this binary the mocks.
pub(crate) const MOCKS: &str = "__mocks";

/// Bytes of orders in all: a parent that sends more than this is none of ours.
const MOST_ORDERED: u64 = 1 << 20;

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

/// The order that puts a gateway's wall clock wrong by so many microseconds.
pub(crate) fn clock_order(off_us: i64) -> String {
    format!("clock {off_us}\n")
}

/// Obeys the orders of the parent, and ends with it.
fn end_with_parent() {
    std::thread::spawn(|| {
        for line in BufReader::new(std::io::stdin().take(MOST_ORDERED)).lines().map_while(Result::ok) {
            if let Some(off_us) = line.strip_prefix("clock ").and_then(|us| us.parse().ok()) {
                gateway::clock::be_off_by(off_us);
            }
        }
        std::process::exit(0);
    });
}
