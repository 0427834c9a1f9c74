//! Exact figures: instructions, heap allocations and bytes of the hot paths, which are the same on every run of one
//! build.
//!
//! `cargo xtask bench-counts` of each revision counts them. Head may not count more than base by the tolerance, nor
//! more than its own budgets (`benches/budgets.toml`) allow.

use std::collections::BTreeMap;

use reports::result::Verdict;

use super::GateError;
use super::binaries::Workshop;
use super::settings::CountTolerances;

/// So the names of counts begin that are allocations,
const ALLOCATIONS: &str = "allocations_";
/// and those of bytes of the heap. All others are instructions.
const BYTES: &str = "bytes_";
/// So `bench-counts` says that it counts no instructions, and why; the rest of it ends well even so.
const SKIPPED: &str = "instructions: skipped";

/// What a revision counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// For so many operations as the bench does.
    pub count: u64,
    /// The most that it may be.
    pub budget: u64,
}

/// What is said of one count.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// `instructions.NAME`, `allocations.NAME` or `bytes.NAME`.
    pub name: String,
    /// Base's count.
    pub base: u64,
    /// Head's.
    pub head: u64,
    /// Head's budget.
    pub budget: u64,
    /// Head may count more by this, percent.
    pub tolerance_pct: f64,
    /// Pass or fail.
    pub verdict: Verdict,
}

impl Counted {
    /// The change, percent.
    #[must_use]
    pub fn change_pct(&self) -> f64 {
        if self.base == self.head { 0.0 } else { (self.head as f64 / self.base.max(1) as f64 - 1.0) * 100.0 }
    }
}

/// Counts a revision's hot paths.
///
/// # Errors
/// When they cannot be built or run.
pub fn count(workshop: &Workshop, commit: &str) -> Result<BTreeMap<String, Count>, GateError> {
    let worktree = workshop.check_out(commit)?;
    let mut command = workshop.cargo_command(&worktree.path);
    command.args(["run", "--quiet", "--locked", "--package", "xtask", "--", "bench-counts"]);
    let failed = |why: String| GateError::Command { command: "cargo xtask bench-counts".to_owned(), why };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let table = String::from_utf8_lossy(&output.stdout);
    // It fails above a budget too, after it has printed all that was counted.
    read(&table).map_err(|why| failed(why.unwrap_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())))
}

/// What was counted; an error where that is not all, with the reason where the text has it.
fn read(text: &str) -> Result<BTreeMap<String, Count>, Option<String>> {
    // Allocations alone are not what was asked for, and nobody would see that the rest is missing.
    if let Some(why) = text.lines().find(|line| line.starts_with(SKIPPED)) {
        return Err(Some(why.to_owned()));
    }
    let counts = parse(text);
    if counts.is_empty() { Err(None) } else { Ok(counts) }
}

/// Compares what both revisions count; what one of them does not count is not compared (see [`gone`]).
#[must_use]
pub fn compare(
    base: &BTreeMap<String, Count>,
    head: &BTreeMap<String, Count>,
    tolerances: &CountTolerances,
) -> Vec<Counted> {
    let compared = head.iter().filter_map(|(name, head)| {
        let base = base.get(name)?;
        let (kind, tolerance_pct) = match (name.strip_prefix(ALLOCATIONS), name.strip_prefix(BYTES)) {
            (Some(rest), _) => (format!("allocations.{rest}"), tolerances.allocations_pct),
            (None, Some(rest)) => (format!("bytes.{rest}"), tolerances.allocations_pct),
            (None, None) => (format!("instructions.{name}"), tolerances.instructions_pct),
        };
        if tolerances.skip.contains(name) {
            return None;
        }
        let most = base.count as f64 * (1.0 + tolerance_pct / 100.0);
        let within = head.count as f64 <= most && head.count <= head.budget;
        let verdict = if within { Verdict::Pass } else { Verdict::Fail };
        let (base, budget, head) = (base.count, head.budget, head.count);
        Some(Counted { name: kind, base, head, budget, tolerance_pct, verdict })
    });
    compared.collect()
}

/// What base counts and head does no longer, by name: a bench that went takes its count out of the comparison.
#[must_use]
pub fn gone(
    base: &BTreeMap<String, Count>,
    head: &BTreeMap<String, Count>,
    tolerances: &CountTolerances,
) -> Vec<String> {
    base.keys().filter(|name| !head.contains_key(*name) && !tolerances.skip.contains(name)).cloned().collect()
}

/// Reads the table: count, budget, share used, count for each operation, name.
fn parse(text: &str) -> BTreeMap<String, Count> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [count, budget, used, _, name] = cells[..] else { return None };
        used.ends_with('%').then_some(())?;
        Some((name.to_owned(), Count { count: count.parse().ok()?, budget: budget.parse().ok()? }))
    };
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "$ cargo bench --package benches --bench allocations\n\
        \x20      count       budget    used         each  of\n\
        \x20       1040         1090   95.4%         10.4  allocations_pipeline_log_off\n\
        \x20        90          120   75.0%         90.0  bytes_a_limited_key\n\
        \x20     100000       105000   95.2%       1000.0  matching_routes_1\n\
        \x20      60900        60900  100.0%        609.0  network_alone\n\
        4 counts within their budgets\n";

    fn tolerances() -> CountTolerances {
        CountTolerances { instructions_pct: 2.0, allocations_pct: 0.0, skip: vec!["network_alone".to_owned()] }
    }

    fn verdicts(base: &str, head: &str) -> Vec<(String, Verdict)> {
        let compared = compare(&parse(base), &parse(head), &tolerances());
        compared.into_iter().map(|one| (one.name, one.verdict)).collect()
    }

    #[test]
    fn the_table_is_read() {
        let counts = parse(TABLE);
        assert_eq!(counts.len(), 4);
        assert_eq!(counts["matching_routes_1"], Count { count: 100_000, budget: 105_000 });
    }

    #[test]
    fn one_allocation_more_is_too_many_and_a_few_instructions_are_not() {
        let all_pass = [
            ("allocations.pipeline_log_off".to_owned(), Verdict::Pass),
            ("bytes.a_limited_key".to_owned(), Verdict::Pass),
            ("instructions.matching_routes_1".to_owned(), Verdict::Pass),
        ];
        assert_eq!(verdicts(TABLE, TABLE), all_pass);
        assert_eq!(verdicts(TABLE, &TABLE.replace("100000 ", "101900 ")), all_pass);
        assert_eq!(verdicts(TABLE, &TABLE.replace("60900  ", "99999  ")), all_pass, "it is skipped");
        assert_eq!(verdicts(TABLE, &TABLE.replace("1040 ", "1041 "))[0].1, Verdict::Fail);
        assert_eq!(verdicts(TABLE, &TABLE.replace("   90   ", "   91   "))[1].1, Verdict::Fail, "nor one byte more");
        assert_eq!(verdicts(TABLE, &TABLE.replace("100000 ", "102100 "))[2].1, Verdict::Fail);
        let above_budget = TABLE.replace("105000", "99999");
        assert_eq!(verdicts(TABLE, &above_budget)[2].1, Verdict::Fail, "above head's own budget");
        assert!(verdicts("", TABLE).is_empty());
    }

    #[test]
    fn a_table_without_instructions_is_not_what_was_asked_for() {
        assert_eq!(read(TABLE).map(|counts| counts.len()), Ok(4));
        let skipped = format!("instructions: skipped: valgrind is not here\n{TABLE}");
        assert_eq!(read(&skipped), Err(Some("instructions: skipped: valgrind is not here".to_owned())));
        assert_eq!(read("error: no such command\n"), Err(None), "it is told on standard error");
    }

    #[test]
    fn what_head_counts_no_longer_is_named() {
        let without = |name: &str| TABLE.lines().filter(|line| !line.ends_with(name)).collect::<Vec<_>>().join("\n");
        let gone = |head: &str| gone(&parse(TABLE), &parse(head), &tolerances());
        assert_eq!(gone(&without("matching_routes_1")), ["matching_routes_1"]);
        assert!(gone(TABLE).is_empty() && gone(&without("network_alone")).is_empty(), "what is skipped is not missed");
    }

    #[test]
    fn a_change_is_a_share_of_base() {
        let counted = |base, head| Counted {
            name: String::new(),
            base,
            head,
            budget: 0,
            tolerance_pct: 0.0,
            verdict: Verdict::Pass,
        };
        assert!((counted(200, 210).change_pct() - 5.0).abs() < 1e-9);
        assert_eq!(counted(0, 0).change_pct(), 0.0);
    }
}
