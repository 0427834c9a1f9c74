//! `cargo xtask bench-counts`: instructions and heap allocations of the hot paths, against committed budgets.
//!
//! A count is the same on every run of one build, give or take a few that hang on the time of day. The bench
//! `instructions` runs under valgrind, and is skipped, with the reason, where that cannot be had; `allocations` needs
//! nothing. Both know their budgets themselves; this brings what they need, compares every count with its budget, and
//! says which one is above it. A count without a budget is a mistake, and so is a budget that nothing counts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

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

/// Counts, and budgets, are for so many operations.
const OPERATIONS: u64 = 100;
/// So the names of counts begin that are allocations,
const ALLOCATIONS: &str = "allocations_";
/// and of those in bytes, each by itself. All others are instructions.
const BYTES: &str = "bytes_";

/// Pairs of counts that may be so many parts of a thousand apart at most, and what lies between them.
const APART: [(&str, &str, u64, &str); 1] =
    [("pipeline_log_off", "unguarded_pipeline_log_off", 12, "what breakers cost where nothing fails")];

/// Counts, or budgets, by name.
type Counts = BTreeMap<String, u64>;

/// Runs the benches that count, and compares.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    refuse_unknown(args, &[])?;
    let mut counts = count("allocations", &mut bench("allocations"), parse_lines)?;
    let mut budgets = parse_lines(&budgets_file()?);
    match runner()? {
        Ok(runner) => {
            let mut command = bench("instructions");
            command.env("GUNGRAUN_RUNNER", runner).env("GUNGRAUN_COLOR", "never");
            counts.append(&mut count("instructions", &mut command, parse_report)?);
        }
        Err(why) => {
            println!("instructions: skipped: {why}");
            budgets.retain(|name, _| name.starts_with(ALLOCATIONS) || name.starts_with(BYTES));
        }
    }
    print!("{}", table(&counts, &budgets));
    let wrong = compare(&counts, &budgets);
    if wrong.is_empty() {
        println!("{} counts within their budgets", counts.len());
        return Ok(());
    }
    let advice = "benches/budgets.toml says how to find out why, and when to raise a budget";
    Err(Failure::check(format!("{}\n{advice}", wrong.join("\n"))))
}

fn budgets_file() -> Result<String, Failure> {
    let path = root().join("benches/budgets.toml");
    std::fs::read_to_string(&path).map_err(|e| Failure::cannot_run(format!("cannot read {}: {e}", path.display())))
}

/// Every count beside its budget.
fn table(counts: &Counts, budgets: &Counts) -> String {
    let mut table = format!("{:>12} {:>12} {:>7} {:>12}  of\n", "count", "budget", "used", "each");
    for (name, count) in counts {
        let budget = budgets.get(name).copied().unwrap_or(0);
        let used = if budget == 0 { "-".to_owned() } else { format!("{:.1}%", *count as f64 * 100.0 / budget as f64) };
        let each = *count as f64 / if name.starts_with(BYTES) { 1.0 } else { OPERATIONS as f64 };
        table.push_str(&format!("{count:>12} {budget:>12} {used:>7} {each:>12.1}  {name}\n"));
    }
    table
}

/// What is above its budget, and what lacks its other half.
fn compare(counts: &Counts, budgets: &Counts) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, count) in counts {
        let what = match name.as_str() {
            name if name.starts_with(BYTES) => "bytes".to_owned(),
            name if name.starts_with(ALLOCATIONS) => format!("allocations for {OPERATIONS} operations"),
            _ => format!("instructions for {OPERATIONS} operations"),
        };
        match budgets.get(name) {
            Some(budget) if count <= budget => {}
            Some(budget) => wrong.push(format!(
                "{name}: {count} {what}, above its budget of {budget} by {:.1} %",
                (*count as f64 / *budget as f64 - 1.0) * 100.0
            )),
            None => wrong.push(format!("{name}: {count} {what}, but benches/budgets.toml has no budget for it")),
        }
    }
    for (more, less, allowed, what) in APART {
        if let (Some(more_count), Some(less_count)) = (counts.get(more), counts.get(less))
            && more_count * 1_000 > less_count * (1_000 + allowed)
        {
            let apart = (*more_count as f64 / *less_count as f64 - 1.0) * 100.0;
            wrong.push(format!("{more}: {apart:.2} % above {less}, more than {:.1} %: {what}", allowed as f64 / 10.0));
        }
    }
    let unused = budgets.keys().filter(|name| !counts.contains_key(*name));
    wrong.extend(unused.map(|name| format!("{name}: benches/budgets.toml has a budget, but nothing counts it")));
    wrong
}

/// The runner of exactly the library's version, since they speak a private protocol; or why there is none.
fn runner() -> Result<Result<PathBuf, String>, Failure> {
    let name = "gungraun-runner";
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let Some(version) = locked_version(&lock, "gungraun") else {
        return Ok(Err("Cargo.lock names no gungraun".to_owned()));
    };
    if let Err(failure) = ensure(&[VALGRIND]) {
        return Ok(Err(format!("no valgrind: {}", failure.message)));
    }
    let fits = |path: &PathBuf| version_of(path, "--version").split_whitespace().last() == Some(version.as_str());
    if let Some(found) = find(name).filter(fits) {
        return Ok(Ok(found));
    }
    install_tool(name, Some(&version))?;
    let installed = crate::workspace::tools_dir().join("bin").join(name);
    let missing = || Failure::cannot_run(format!("no {name} after install"));
    Some(installed).filter(|path| path.is_file()).map(Ok).ok_or_else(missing)
}

fn bench(name: &str) -> Command {
    println!("$ cargo bench --package benches --bench {name}");
    let mut command = cargo(&["bench", "--locked", "--package", "benches", "--bench", name]);
    command.env("CARGO_TERM_COLOR", "never");
    command
}

/// Runs a bench and reads its counts. One that fails, but for being above a budget, fails here.
fn count(bench: &str, command: &mut Command, parse: fn(&str) -> Counts) -> Result<Counts, Failure> {
    let output = output(command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counts = parse(&text);
    let failed = !output.status.success();
    let errors = String::from_utf8_lossy(&output.stderr);
    if counts.is_empty() || (failed && !says_above(&text) && !says_above(&errors)) {
        return Err(Failure::check(format!("bench {bench} gave no counts ({}):\n{text}{errors}", output.status)));
    }
    Ok(counts)
}

/// How both benches tell that a count is above its budget.
fn says_above(text: &str) -> bool {
    text.contains("exceeds limit") || text.contains("above its budget")
}

/// Reads `name = number` lines; what follows a `#` is for people.
fn parse_lines(text: &str) -> Counts {
    let entries = text.lines().filter_map(|line| line.split('#').next()?.split_once('='));
    let parsed = entries.filter_map(|(name, count)| {
        let name = name.trim();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        is_name.then_some(())?;
        Some((name.to_owned(), count.trim().replace('_', "").parse().ok()?))
    });
    parsed.collect()
}

/// Reads the runner's report: a line that names the bench (`file::group::function id:arguments`), then indented
/// figures. The count is named as its budget is: `function_id`.
fn parse_report(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut name = String::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            name = budget_name(line);
        } else if let Some(figure) = line.trim().strip_prefix("Instructions:") {
            let new = figure.trim().split('|').next().unwrap_or("");
            if let Ok(instructions) = new.trim().parse() {
                counts.insert(name.clone(), instructions);
            }
        }
    }
    counts
}

fn budget_name(line: &str) -> String {
    let (path, id) = line.split_once(' ').unwrap_or((line, ""));
    let function = path.rsplit("::").next().unwrap_or(path);
    let id = id.split(':').next().unwrap_or(id);
    if id.is_empty() { function.to_owned() } else { format!("{function}_{id}") }
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
        assert_eq!(parse_report(report), counts(&[("find_routes_100", 12345), ("home", 77)]));
    }

    #[test]
    fn breakers_cost_twelve_parts_in_a_thousand_at_most() {
        let budgets = counts(&[("pipeline_log_off", 9_999), ("unguarded_pipeline_log_off", 9_999)]);
        let wrong = |guarded| {
            compare(&counts(&[("pipeline_log_off", guarded), ("unguarded_pipeline_log_off", 1_000)]), &budgets)
        };
        assert!(wrong(1_012).is_empty());
        assert_eq!(wrong(1_013).len(), 1);
        assert!(wrong(1_013)[0].contains("1.30 %"), "{:?}", wrong(1_013));
    }

    #[test]
    fn lines_of_counts_and_of_budgets_are_read() {
        let text = "# of a hundred\nallocations_a = 1_329   # 20 bytes\nb = 7\nnot a name = 8\nc = many\n";
        assert_eq!(parse_lines(text), counts(&[("allocations_a", 1329), ("b", 7)]));
    }

    #[test]
    fn a_count_above_its_budget_is_named_with_both_figures() {
        let budgets = counts(&[("find", 100), ("allocations_a", 10)]);
        assert_eq!(compare(&budgets, &budgets), Vec::<String>::new(), "a budget may be used up");
        let wrong = compare(&counts(&[("find", 150), ("allocations_a", 11)]), &budgets);
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].starts_with("allocations_a: 11 allocations for 100 operations, above its budget of 10"));
        assert!(wrong[1].starts_with("find: 150 instructions") && wrong[1].contains("of 100 by 50.0 %"));
    }

    #[test]
    fn budgets_and_counts_go_in_pairs() {
        let wrong = compare(&counts(&[("new", 1)]), &counts(&[("old", 1)]));
        assert!(wrong[0].contains("no budget") && wrong[1].contains("nothing counts it"), "{wrong:?}");
    }

    #[test]
    fn only_a_budget_excuses_a_bench_that_fails() {
        assert!(says_above("Callgrind: Instructions (75519): 75519 exceeds limit of 0 by 75519"));
        assert!(says_above("a: 11 allocations, above its budget of 10"));
        assert!(!says_above("thread 'main' panicked"));
    }
}
