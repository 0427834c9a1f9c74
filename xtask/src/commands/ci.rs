//! `cargo xtask ci`: every check, one after the other, with a summary at the end.
//!
//! A failing check does not keep the others from running: one run tells all that is wrong. Fuzzing takes its minutes
//! beside those that stand behind it.

use super::install::ensure_component;
use super::{bench_counts, contract, deny, fuzz, schema, test, tidy};
use crate::failure::Failure;
use crate::process::{cargo, run as run_command};

/// A check: its name and what it does.
type Check = (&'static str, Work);

/// What a check does.
enum Work {
    /// Here and now.
    InTurn(fn() -> Result<(), Failure>),
    /// From here on beside the others; it is waited for at the end.
    Beside(fn() -> Result<fuzz::Begun, Failure>),
}

use Work::{Beside, InTurn};

/// All checks, quick ones that need no build behind the tests, the slowest last.
const CHECKS: &[Check] = &[
    ("test", InTurn(|| test::run(&[]))),
    ("fuzz", Beside(fuzz::begin)),
    ("tidy", InTurn(|| tidy::run(&[]))),
    ("contract", InTurn(|| contract::run(&[]))),
    ("fmt", InTurn(fmt)),
    ("clippy", InTurn(clippy)),
    ("docs", InTurn(docs)),
    ("schema", InTurn(|| schema::run(&["--check".to_owned()]))),
    ("deny", InTurn(|| deny::run(&[]))),
    ("bench-counts", InTurn(|| bench_counts::run(&[]))),
];

fn fmt() -> Result<(), Failure> {
    ensure_component("rustfmt", "fmt")?;
    run_command(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<(), Failure> {
    ensure_component("clippy", "clippy")?;
    run_command(&mut cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn docs() -> Result<(), Failure> {
    let mut doc = cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Runs the chosen checks; fails with code 1 if one of them did.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if args == ["--list"] {
        CHECKS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let chosen = choose(args)?;
    let (mut failed, mut beside) = (Vec::new(), Vec::new());
    let mut tell = |name: &str, came_to: Result<(), Failure>| {
        if let Err(failure) = came_to {
            println!("{name}: FAILED: {}", failure.message);
            failed.push(format!("  {name}: {}", failure.message.lines().next().unwrap_or("")));
        }
    };
    for (name, work) in chosen {
        println!("\n== {name}");
        match work {
            InTurn(check) => tell(name, check()),
            Beside(begin) => match begin() {
                Ok(begun) => beside.push((name, begun)),
                Err(failure) => tell(name, Err(failure)),
            },
        }
    }
    for (name, begun) in beside {
        println!("\n== {name}, which ran beside the others");
        tell(name, begun.end());
    }
    if failed.is_empty() {
        println!("\nall checks passed");
        return Ok(());
    }
    Err(Failure::check(format!("{} checks failed:\n{}", failed.len(), failed.join("\n"))))
}

fn choose(args: &[String]) -> Result<Vec<&'static Check>, Failure> {
    let (mut only, mut skips_test) = (Vec::new(), false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--skip-test" => skips_test = true,
            "--only" => {
                let name = args.next().ok_or_else(|| Failure::usage("--only needs the name of a check"))?;
                let known = CHECKS.iter().any(|(check, _)| check == name);
                only.push(known.then_some(name.as_str()).ok_or_else(|| unknown_check(name))?);
            }
            _ => {
                let known = "--skip-test, --only NAME, --list";
                return Err(Failure::usage(format!("unknown option `{arg}`; known: {known}")));
            }
        }
    }
    let is_chosen = |name: &str| (only.is_empty() || only.contains(&name)) && !(skips_test && name == "test");
    Ok(CHECKS.iter().filter(|(name, _)| is_chosen(name)).collect())
}

fn unknown_check(name: &str) -> Failure {
    let names: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
    Failure::usage(format!("no check `{name}`; there are: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Vec<&'static str> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        choose(&args).unwrap().iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn checks_are_chosen_by_name() {
        assert_eq!(names(&[]).len(), CHECKS.len());
        assert_eq!(names(&["--only", "fmt", "--only", "tidy"]), ["tidy", "fmt"]);
        assert!(!names(&["--skip-test"]).contains(&"test"));
        assert_eq!(names(&["--skip-test"]).len(), CHECKS.len() - 1);
    }

    #[test]
    fn a_check_that_is_not_there_is_a_usage_error() {
        for args in [&["--only", "fnt"][..], &["--only"], &["--fast"]] {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(run(&args).unwrap_err().code, 2, "{args:?}");
        }
    }
}
