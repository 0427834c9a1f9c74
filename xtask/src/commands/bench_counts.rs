//! `cargo xtask bench-counts`: instructions of the hot paths under valgrind, against committed budgets.
//!
//! A count is the same on every run of one build, so a budget is a number and a tolerance for what compilers and
//! libraries change. Skipped, with the reason, where valgrind cannot be had or there are no such benches.

use std::collections::BTreeMap;
use std::fmt::Write as _;
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

const BUDGETS: &str = "benches/budgets.toml";
/// A compiler's minor release moves counts by about this much.
const TOLERANCE_PCT: f64 = 2.0;

/// Instructions by bench.
type Counts = BTreeMap<String, u64>;

/// Runs the benches and compares their counts, or with `--write` makes them the budgets.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &["--write"])?;
    let is_write = !args.is_empty();
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
    let budgets = root().join(BUDGETS);
    if is_write {
        std::fs::write(&budgets, render(&counts)).map_err(|e| Failure::cannot_run(format!("{BUDGETS}: {e}")))?;
        println!("wrote {} budgets to {BUDGETS}", counts.len());
        return Ok(());
    }
    let text = std::fs::read_to_string(&budgets).map_err(|e| Failure::check(format!("{BUDGETS}: {e}; use --write")))?;
    let problems = compare(&counts, &parse_budgets(&text)?);
    if problems.is_empty() {
        println!("{} counts within their budgets", counts.len());
        return Ok(());
    }
    Err(Failure::check(format!("{}\nexplain the change in its commit, and `--write` new budgets", problems.join("\n"))))
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

/// The budgets and how far a count may be above one.
#[derive(Debug, PartialEq)]
struct Budgets {
    tolerance_pct: f64,
    instructions: Counts,
}

fn render(counts: &Counts) -> String {
    let mut text = String::from(
        "# Instructions of the hot paths, one run each under valgrind: `cargo xtask bench-counts`.\n\
         # A count above its budget by more than the tolerance fails. New budgets: `--write`, and say why.\n\n",
    );
    let _ = writeln!(text, "tolerance_pct = {TOLERANCE_PCT:.1}\n\n[instructions]");
    for (name, instructions) in counts {
        let _ = writeln!(text, "\"{name}\" = {instructions}");
    }
    text
}

/// Reads what `render` writes; of TOML it knows no more than that.
fn parse_budgets(text: &str) -> Result<Budgets, Failure> {
    let mut budgets = Budgets { tolerance_pct: TOLERANCE_PCT, instructions: Counts::new() };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line.starts_with('[') {
            continue;
        }
        let bad = || Failure::check(format!("{BUDGETS}:{}: not `\"name\" = number`", index + 1));
        let (name, value) = line.rsplit_once('=').ok_or_else(bad)?;
        let (name, value) = (name.trim().trim_matches('"'), value.trim().replace('_', ""));
        if name == "tolerance_pct" {
            budgets.tolerance_pct = value.parse().map_err(|_| bad())?;
        } else {
            budgets.instructions.insert(name.to_owned(), value.parse().map_err(|_| bad())?);
        }
    }
    Ok(budgets)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52, and this is a percentage")]
fn compare(counts: &Counts, budgets: &Budgets) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, &new) in counts {
        let Some(&budget) = budgets.instructions.get(name) else {
            problems.push(format!("{name}: {new} instructions, no budget"));
            continue;
        };
        let change_pct = (new as f64 / budget.max(1) as f64 - 1.0) * 100.0;
        let slack = (budget as f64 * budgets.tolerance_pct / 100.0).round();
        if new as f64 > budget as f64 + slack {
            problems.push(format!("{name}: {new} instructions, budget {budget} ({change_pct:+.1} %)"));
        } else if (new as f64) < budget as f64 - slack {
            println!("{name}: {new} instructions, budget {budget} ({change_pct:+.1} %): lower the budget with --write");
        }
    }
    let gone = budgets.instructions.keys().filter(|name| !counts.contains_key(*name));
    problems.extend(gone.map(|name| format!("{name}: has a budget, but did not run")));
    problems
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

    #[test]
    fn what_is_written_is_read_again() {
        let counts = counts(&[("a::b c", 1), ("a::d", 2_000_000)]);
        let budgets = parse_budgets(&render(&counts)).unwrap();
        assert_eq!(budgets, Budgets { tolerance_pct: TOLERANCE_PCT, instructions: counts });
        assert!(parse_budgets("\"a\" = many").unwrap_err().message.contains("budgets.toml:1"));
    }

    #[test]
    fn a_count_is_held_to_its_budget() {
        let budgets = Budgets { tolerance_pct: 2.0, instructions: counts(&[("a", 1000), ("b", 1000)]) };
        assert!(compare(&counts(&[("a", 1020), ("b", 100)]), &budgets).is_empty());
        let problems = compare(&counts(&[("a", 1021), ("c", 5)]), &budgets);
        let expected = [
            "a: 1021 instructions, budget 1000 (+2.1 %)",
            "c: 5 instructions, no budget",
            "b: has a budget, but did not run",
        ];
        assert_eq!(problems, expected);
    }
}
