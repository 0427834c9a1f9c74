//! `cargo xtask deny`: which crates we let in, by licence, source and known holes (deny.toml).

use super::install::install_tool;
use crate::failure::{Failure, refuse_unknown};
use crate::process::{cargo, run as run_command, succeeds};

/// Checks bans, licences and sources, and advisories where their database can be fetched.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &[])?;
    if !succeeds(&mut cargo(&["deny", "--version"])) {
        install_tool("cargo-deny", None)?;
    }
    // Duplicates are listed by `cargo tree -d`; here they would bury what matters.
    run_command(&mut cargo(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    if succeeds(&mut cargo(&["deny", "fetch", "db"])) {
        return run_command(&mut cargo(&["deny", "--log-level", "error", "check", "advisories"]));
    }
    println!("skipped: advisories, since their database cannot be fetched from here");
    Ok(())
}
