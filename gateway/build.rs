//! Which commit a program was built from, for `--version` of the gateway, and of mocks and loadgen, which have this as
//! their build script too.
//!
//! `PORTCULLIS_COMMIT` says so where there is no repository (a container's build); otherwise git does. A debug build
//! does not ask: it would be built anew after each commit, and tells nobody anything.

use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "this is what builds the programs, and no part of them")]
fn main() {
    println!("cargo:rerun-if-env-changed=PORTCULLIS_COMMIT");
    let told = std::env::var("PORTCULLIS_COMMIT").ok().filter(|commit| is_commit(commit));
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = told.or_else(|| if is_release { head() } else { None });
    let commit = commit.unwrap_or_default();
    println!("cargo:rustc-env=BUILD_COMMIT={commit}");
    // As `--version` shows it, behind the version of the package.
    let shown = if commit.is_empty() { String::new() } else { format!(" ({})", &commit[..commit.len().min(12)]) };
    println!("cargo:rustc-env=BUILD_SHOWN={shown}");
}

/// What git calls HEAD, once more whenever that changes.
fn head() -> Option<String> {
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    git(&["rev-parse", "HEAD"]).filter(|commit| is_commit(commit))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Nothing else goes into a program.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
