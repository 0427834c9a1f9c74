//! What `sim explore` prints and writes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use loadgen::clock::{rfc3339, unix_seconds};
use loadgen::environment::{CpuTicks, Environment};
use reports::result::{Explore, FailedSeed, Kind, ResultFile, Validity, Verdict};

use super::Options;
use super::check::Violation;
use super::swarm::Summary;
use crate::demo::findings::same;

/// Violations of one world that are printed; the first says most.
const SHOWN: usize = 3;
/// Of each, so much.
const DETAIL: usize = 600;

/// Says at once that something does not hold.
pub(super) fn found(world: &str, violations: &[Violation]) {
    let mut text = format!("{world} FAILED, {} violations\n", violations.len());
    for violation in violations.iter().take(SHOWN) {
        let detail: String = violation.detail.chars().take(DETAIL).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}: {detail}", violation.kind);
    }
    tell(&text);
}

/// Says where the small scenario is.
pub(super) fn shrunk(seed: u64, path: &Path, tried: usize) {
    let path = path.display();
    tell(&format!("seed {seed} shrunk in {tried} worlds to {path}\n  sim explore {path}\n"));
}

/// Says of a scenario for sockets what explore does not look at.
pub(super) fn unjudged(file: &Path, count: usize) {
    let file = file.display();
    tell(&format!("{file}: none of its {count} [[expect]] is judged here; `sim run {file}` does that\n"));
}

/// Findings go to standard error: they come as they are found, and never into a JSON result.
fn tell(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The end of it.
pub(super) fn summary(summary: &Summary) -> String {
    let seconds = summary.virtual_ns as f64 / 1e9;
    let mut text = format!(
        "{} worlds, {} requests, {seconds:.0} virtual seconds in {:.1} s ({:.0} times faster than life on each core)\n",
        summary.worlds,
        summary.requests,
        summary.wall().as_secs_f64(),
        summary.speed(),
    );
    let _ = writeln!(text, "trace {:016x}", summary.trace);
    if summary.interrupted {
        let _ = writeln!(text, "{}", interrupted(summary));
    }
    match summary.failures.len() {
        0 if summary.interrupted => text.push_str("so far everything held\n"),
        0 => text.push_str("everything held\n"),
        count => {
            let worlds: Vec<&str> = summary.failures.iter().map(|failure| failure.world.as_str()).collect();
            let _ = writeln!(text, "{count} FAILED: {}", worlds.join(", "));
        }
    }
    text
}

/// That it ended early.
fn interrupted(summary: &Summary) -> String {
    format!("it was interrupted after {} worlds", summary.worlds)
}

/// The result file.
pub(super) fn result(options: &Options, summary: &Summary) -> ResultFile {
    let failed = summary.failures.iter().map(|failure| FailedSeed {
        seed: failure.world.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or_default(),
        invariant: failure.violations.first().map(|one| one.kind.to_string()).unwrap_or_default(),
        detail: failure.violations.first().map(|one| one.detail.clone()).unwrap_or_default(),
        scenario: failure.scenario.as_ref().map(|(path, _)| path.display().to_string()),
    });
    let explore = Explore {
        seeds: summary.worlds,
        first_seed: options.seed,
        checks: Default::default(),
        failed: failed.collect(),
        virtual_seconds: summary.virtual_ns as f64 / 1e9,
        wall_seconds: summary.wall().as_secs_f64(),
        trace_hash: format!("{:016x}", summary.trace),
    };
    ResultFile {
        kind: Kind::Explore,
        name: "explore".to_owned(),
        seed: options.seed,
        started_at: rfc3339(unix_seconds()),
        command: options.command.clone(),
        environment: same(&Environment::read(&CpuTicks::read())),
        // What failed has failed, whatever else would have come.
        validity: Validity {
            valid: !summary.interrupted || !summary.failures.is_empty(),
            reasons: summary.interrupted.then(|| interrupted(summary)).into_iter().collect(),
            ..Validity::default()
        },
        verdict: match (summary.failures.is_empty(), summary.interrupted) {
            (false, _) => Verdict::Fail,
            (true, true) => Verdict::Invalid,
            (true, false) => Verdict::Pass,
        },
        explore: Some(explore),
        ..ResultFile::default()
    }
}
