//! `cargo xtask fuzz`: the fuzz targets, each for a bounded time.
//!
//! With cargo-fuzz they are built so that libFuzzer sees which code each input reaches, and what it finds worth keeping
//! goes to `fuzz/corpus`. Without it, or with `--plain`, the same properties are held against mutants of the committed
//! seeds, blindly, by a test of the gateway that is built anyway: that takes no second build of everything, so CI does
//! it, beside its other checks and at a lower priority than they have.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::failure::Failure;
use crate::process::{cargo, find, line, run as run_command, yielding};
use crate::workspace::{root, target_dir};

/// How long each target is run where nobody says.
const SECONDS: u32 = 60;
/// The longest input, bytes: above every limit that a target sets.
const LONGEST: u32 = 4_200;
/// Where what is printed beside other checks is kept, among what cargo builds.
const LOG_NAME: &str = "fuzz.log";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    seconds: u32,
    plain: bool,
    only: Vec<String>,
}

/// Runs the targets.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let targets = targets(&manifest()?);
    let options = options(args, &targets)?;
    let chosen: Vec<&String> =
        targets.iter().filter(|target| options.only.is_empty() || options.only.contains(target)).collect();
    if options.plain || find("cargo-fuzz").is_none() {
        if !options.plain {
            println!("cargo-fuzz is not installed (`cargo install cargo-fuzz`), so nobody watches the code:");
        }
        println!("mutants of the seeds, blindly, for {} seconds a target", options.seconds);
        return plain(&options);
    }
    run_command(&mut cargo(&["fuzz", "build", "-s", "none"]))?;
    for target in chosen {
        watched(target, options.seconds)?;
    }
    Ok(())
}

/// The targets at work, one after the other, beside whatever else is done.
#[derive(Debug)]
pub(crate) struct Begun {
    child: Child,
    /// The command, as a person would type it.
    line: String,
}

/// What CI waits for at its end: each target for a minute, one at a time, so that one core at most is taken, and that
/// one only while nothing else wants it.
pub(crate) fn begin() -> Result<Begun, Failure> {
    let mut command = yielding(plain_command(&Options { seconds: SECONDS, plain: true, only: Vec::new() }));
    command.arg("--test-threads=1");
    let line = line(&command);
    let path = log_path();
    let told = path.display();
    println!("$ {line}\nbeside the checks that follow; what it prints comes at the end, and until then is in {told}");
    let log = log(&path).and_then(|log| Ok((log.try_clone()?, log)));
    let (out, err) = log.map_err(|error| Failure::cannot_run(format!("cannot write {told}: {error}")))?;
    let child = command.stdout(out).stderr(err).spawn();
    let child = child.map_err(|error| Failure::cannot_run(format!("cannot start `{line}`: {error}")))?;
    Ok(Begun { child, line })
}

impl Begun {
    /// Waits for the targets, and shows what they printed.
    pub(crate) fn end(mut self) -> Result<(), Failure> {
        let cannot = |error| Failure::cannot_run(format!("cannot wait for `{}`: {error}", self.line));
        let status = self.child.wait().map_err(cannot)?;
        let path = log_path();
        let cannot = |error| Failure::cannot_run(format!("cannot read {}: {error}", path.display()));
        let printed = std::fs::read(&path).map_err(cannot)?;
        println!("{}", String::from_utf8_lossy(&printed).trim());
        if status.success() { Ok(()) } else { Err(Failure::check(format!("`{}` failed ({status})", self.line))) }
    }
}

fn log_path() -> PathBuf {
    target_dir().join(LOG_NAME)
}

fn log(path: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(target_dir())?;
    File::create(path)
}

/// Mutants of the seeds, by a test of the gateway.
fn plain(options: &Options) -> Result<(), Failure> {
    run_command(&mut plain_command(options))
}

fn plain_command(options: &Options) -> Command {
    // Of the workspace, for which it is built already: for the gateway alone, libraries would be built with fewer
    // features.
    let mut args = vec!["test", "--locked", "--workspace", "--test", "fuzz_targets", "--", "--nocapture"];
    if !options.only.is_empty() {
        args.push("--exact");
        args.extend(options.only.iter().map(String::as_str));
    }
    let mut command = cargo(&args);
    command.env("FUZZ_SECONDS", options.seconds.to_string());
    command
}

/// One target under libFuzzer, from the seeds and from what it has found before.
fn watched(target: &str, seconds: u32) -> Result<(), Failure> {
    let corpus = root().join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .map_err(|error| Failure::cannot_run(format!("cannot make {}: {error}", corpus.display())))?;
    let (found, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    let (longest, time) = (format!("-max_len={LONGEST}"), format!("-max_total_time={seconds}"));
    let words = "-dict=fuzz/http1.dict";
    let args = ["fuzz", "run", "-s", "none", target, &found, &seeds, "--", &longest, &time, words, "-verbosity=0"];
    run_command(&mut cargo(&[&args[..], &["-print_final_stats=1"]].concat()))
}

fn manifest() -> Result<String, Failure> {
    let path = root().join("fuzz/Cargo.toml");
    std::fs::read_to_string(&path)
        .map_err(|error| Failure::cannot_run(format!("cannot read {}: {error}", path.display())))
}

/// The names of the targets, as fuzz/Cargo.toml has them.
fn targets(manifest: &str) -> Vec<String> {
    let bins = manifest.split("[[bin]]").skip(1);
    let name =
        |bin: &str| bin.lines().find_map(|line| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned()));
    bins.filter_map(name).collect()
}

fn options(args: &[String], targets: &[String]) -> Result<Options, Failure> {
    let mut options = Options { seconds: SECONDS, plain: false, only: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--plain" => options.plain = true,
            "--seconds" => {
                let seconds =
                    args.next().and_then(|text| text.parse().ok()).filter(|seconds| (1..=86_400).contains(seconds));
                options.seconds = seconds.ok_or_else(|| Failure::usage("--seconds needs a number from 1 to 86400"))?;
            }
            "--only" => {
                let name = args.next().filter(|name| targets.contains(name));
                let message = || format!("--only needs a target: {}", targets.join(", "));
                options.only.push(name.ok_or_else(|| Failure::usage(message()))?.clone());
            }
            _ => {
                let known = "--seconds N, --plain, --only TARGET";
                return Err(Failure::usage(format!("unknown option `{arg}`; known: {known}")));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<Options, Failure> {
        let targets = ["path".to_owned(), "token".to_owned()];
        options(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), &targets)
    }

    #[test]
    fn the_targets_are_those_of_the_manifest_and_each_has_seeds() {
        let targets = targets(&manifest().unwrap());
        assert!(targets.contains(&"request".to_owned()) && targets.len() >= 10, "{targets:?}");
        for target in targets {
            assert!(root().join("fuzz/seeds").join(&target).is_dir(), "{target} has no seeds");
            assert!(root().join(format!("fuzz/src/{target}.rs")).is_file(), "{target} has no property");
        }
    }

    #[test]
    fn options_are_read_and_wrong_ones_are_usage_errors() {
        let all = asked(&["--seconds", "5", "--plain", "--only", "path"]).unwrap();
        assert_eq!(all, Options { seconds: 5, plain: true, only: vec!["path".to_owned()] });
        assert_eq!(asked(&[]).unwrap().seconds, SECONDS);
        for args in [&["--seconds"][..], &["--seconds", "0"], &["--only", "paths"], &["--fast"]] {
            assert_eq!(asked(args).unwrap_err().code, 2, "{args:?}");
        }
    }
}
