//! `cargo xtask bench-counts`: instructions of the hot paths under valgrind, against committed budgets.
//!
//! A count is the same on every run of one build. Each bench reads its own budget and fails above it; this brings what
//! they need, runs them and shows the counts. Skipped, with the reason, where valgrind cannot be had or there are none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::install::install_tool;
use crate::failure::{Failure, refuse_unknown};
use crate::machine::{Need, ensure};
use crate::process::{cargo, find, output, version_of};
use crate::workspace::{locked_version, root};

const VALGRIND: Need = Need {
    purpose: "instruction counts",
    programs: &["valgrind"],
    apt: &["valgrind", "libc6-dbg"],
    dnf: &["valgrind"],
    apk: &["valgrind"],
    pacman: &["valgrind"],
    brew: &["valgrind"],
};

/// Instructions by bench.
type Counts = BTreeMap<String, u64>;

/// Runs the benches that count; one that is above its budget fails.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &[])?;
    let benches = counting_benches();
    if benches.is_empty() {
        println!("skipped: no bench in benches/benches names gungraun");
        return Ok(());
    }
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let Some(version) = locked_version(&lock, "gungraun") else {
        println!("skipped: Cargo.lock names no gungraun");
        return Ok(());
    };
    if let Err(failure) = ensure(&[VALGRIND]) {
        println!("skipped: no valgrind: {}", failure.message);
        return Ok(());
    }
    let runner = runner(&version)?;
    let mut counts = Counts::new();
    for bench in benches {
        counts.append(&mut count(&bench, &runner)?);
    }
    println!("{} counts within their budgets", counts.len());
    Ok(())
}

/// The benches that count instructions, by name.
fn counting_benches() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("benches/benches")).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let counting = files.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("gungraun")));
    let mut names: Vec<String> = counting.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}

/// The runner of exactly the library's version: they speak a private protocol.
fn runner(version: &str) -> Result<PathBuf, Failure> {
    let name = "gungraun-runner";
    let fits = |path: &PathBuf| version_of(path, "--version").split_whitespace().last() == Some(version);
    if let Some(found) = find(name).filter(fits) {
        return Ok(found);
    }
    install_tool(name, Some(version))?;
    let installed = crate::workspace::tools_dir().join("bin").join(name);
    Some(installed).filter(|path| path.is_file()).ok_or_else(|| Failure::cannot_run(format!("no {name} after install")))
}

fn count(bench: &str, runner: &PathBuf) -> Result<Counts, Failure> {
    println!("$ cargo bench --package benches --bench {bench}");
    let mut command = cargo(&["bench", "--package", "benches", "--bench", bench]);
    command.env("GUNGRAUN_RUNNER", runner).env("GUNGRAUN_COLOR", "never").env("CARGO_TERM_COLOR", "never");
    let output = output(&mut command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(Failure::check(format!("{text}{}", String::from_utf8_lossy(&output.stderr))));
    }
    let counts = parse_output(&text);
    for (name, instructions) in &counts {
        println!("{instructions:>12}  {name}");
    }
    let nothing = || Failure::check(format!("bench {bench} printed no instruction counts:\n{text}"));
    Some(counts).filter(|counts| !counts.is_empty()).ok_or_else(nothing)
}

/// Reads the runner's report: a line that names the bench (`file::group::function id:arguments`), then indented
/// figures.
fn parse_output(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut name = String::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            name = bench_name(line);
        } else if let Some(figure) = line.trim().strip_prefix("Instructions:") {
            let new = figure.trim().split('|').next().unwrap_or("");
            if let Ok(instructions) = new.trim().parse() {
                counts.insert(name.clone(), instructions);
            }
        }
    }
    counts
}

/// A bench's name without its arguments, which may be long.
fn bench_name(line: &str) -> String {
    match line.split_once(' ') {
        None => line.to_owned(),
        Some((path, id)) => format!("{path} {}", id.split(':').next().unwrap_or(id)).trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn the_runners_report_is_read() {
        let report = "counts::matching::find routes_100:(table(100))\n\
                      \x20 Instructions:                 12345|12000                (+2.87500%) [+1.02875x]\n\
                      \x20 L1 Hits:                      99999|N/A                  (*********)\n\
                      counts::ring::home\n  Instructions:    77|N/A   (*********)\n\nGungraun result: Ok. 2 without\n";
        let expected = counts(&[("counts::matching::find routes_100", 12345), ("counts::ring::home", 77)]);
        assert_eq!(parse_output(report), expected);
    }
}
