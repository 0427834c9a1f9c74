//! `cargo xtask test`: sets up what tests need, builds the binaries that they start, and runs every test.

use crate::failure::Failure;
use crate::machine::{Need, ensure};
use crate::process::{self, cargo, succeeds};

/// What tests need beside cargo.
const NEEDS: &[Need] = &[
    Need {
        purpose: "building: the linker and the C code of some libraries",
        programs: &["cc", "gcc", "clang"],
        apt: &["gcc", "libc6-dev"],
        dnf: &["gcc"],
        apk: &["gcc", "musl-dev"],
        pacman: &["gcc"],
        brew: &["gcc"],
    },
    Need {
        purpose: "tests of what gateways share",
        programs: &["redis-server", "valkey-server"],
        apt: &["redis-server"],
        dnf: &["redis"],
        apk: &["redis"],
        pacman: &["valkey"],
        brew: &["redis"],
    },
];

/// What some tests can do without: they say that they were skipped.
const WISHES: &[Need] = &[Need {
    purpose: "tests that look at the admin page in a browser",
    programs: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    apt: &["chromium"],
    dnf: &["chromium"],
    apk: &["chromium"],
    pacman: &["chromium"],
    brew: &["chromium"],
}];

/// Runs all tests. What follows `--` goes to the runner.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let extra: Vec<&str> = match args.split_first() {
        None => Vec::new(),
        Some((first, rest)) if first == "--" => rest.iter().map(String::as_str).collect(),
        Some((first, _)) => {
            return Err(Failure::usage(format!("unknown option `{first}`; the runner's go after `--`")));
        }
    };
    ensure(NEEDS)?;
    if let Err(failure) = ensure(WISHES) {
        println!("{}\nwithout it these tests are skipped", failure.message);
    }
    // Tests of one crate start the binaries of others. Built together with the tests: by themselves they would get
    // libraries without the features that tests ask for, and each library would be built twice.
    run_cargo(&["build", "--workspace", "--bins", "--tests", "--examples"], &[])?;
    // Every test runs, whatever failed before it: who waits for CI learns of all that is broken at once.
    if succeeds(&mut cargo(&["nextest", "--version"])) {
        run_cargo(&["nextest", "run", "--workspace", "--no-fail-fast"], &extra)?;
        // With a choice of tests given, examples in the documentation are not what was asked for.
        if extra.is_empty() {
            run_cargo(&["test", "--doc", "--workspace"], &[])?;
        }
    } else {
        println!("cargo-nextest is not there; `cargo test` does, more slowly (see https://nexte.st)");
        run_cargo(&["test", "--workspace", "--no-fail-fast"], &extra)?;
    }
    println!("all tests passed");
    Ok(())
}

fn run_cargo(args: &[&str], extra: &[&str]) -> Result<(), Failure> {
    process::run(cargo(args).args(extra))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_option_is_refused_before_anything_runs() {
        let failure = run(&["--release".to_owned()]).unwrap_err();
        assert_eq!(failure.code, 2);
    }

    #[test]
    fn every_need_names_a_package_for_every_manager() {
        for need in NEEDS.iter().chain(WISHES) {
            for packages in [need.apt, need.dnf, need.apk, need.pacman, need.brew] {
                assert!(!packages.is_empty(), "{}", need.purpose);
            }
        }
    }
}
