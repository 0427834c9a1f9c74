//! Tools and toolchain components that checks need, brought by rustup and cargo where they are missing.

use crate::failure::Failure;
use crate::process::{cargo, command, find, run, succeeds};
use crate::workspace::tools_dir;

/// Builds a program from its published source into the cache of tools, at a version if one is given.
pub(super) fn install_tool(package: &str, version: Option<&str>) -> Result<(), Failure> {
    println!("{package} is not there; building it into {}", tools_dir().display());
    let mut install = cargo(&["install", "--locked", "--root"]);
    install.arg(tools_dir()).arg(package);
    if let Some(version) = version {
        install.args(["--version", version]);
    }
    // It runs for seconds: the time to build it is what is waited for.
    for (setting, value) in [("OPT_LEVEL", "1"), ("LTO", "off"), ("CODEGEN_UNITS", "16"), ("DEBUG", "false")] {
        install.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    // Not into this workspace's target directory: its features and flags are none of the tool's business.
    run(install.env("CARGO_TARGET_DIR", tools_dir().join("build")))
}

/// Makes sure that a component of the toolchain (`rustfmt`, `clippy`) is there; rustup's minimal profile lacks both.
pub(super) fn ensure_component(component: &str, subcommand: &str) -> Result<(), Failure> {
    if succeeds(cargo(&[subcommand, "--version"]).env("CARGO_TERM_COLOR", "never")) {
        return Ok(());
    }
    if find("rustup").is_none() {
        return Err(Failure::cannot_run(format!("{component} is missing; install it beside your cargo")));
    }
    run(command("rustup").args(["component", "add", component]))
}
