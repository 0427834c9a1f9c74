//! Which commit a program was built from, for `gateway --version`.
//!
//! `PORTCULLIS_COMMIT` says so where there is no repository (a container's build); otherwise git does. A debug build
//! does not ask: it would be built anew after each commit, and tells nobody anything.

use std::process::Command;

#[allow(clippy::disallowed_methods, reason = "this is what builds the gateway, and no part of it")]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PORTCULLIS_COMMIT");
    let told = std::env::var("PORTCULLIS_COMMIT").ok().filter(|commit| is_commit(commit));
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = told.or_else(|| if is_release { head() } else { None });
    println!("cargo:rustc-env=GATEWAY_COMMIT={}", commit.unwrap_or_default());
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
