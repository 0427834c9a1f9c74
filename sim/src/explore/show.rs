//! What `sim explore` prints and writes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use loadgen::clock::{rfc3339, unix_seconds};
use loadgen::environment::{CpuTicks, Environment};
use reports::result::{Kind, ResultFile, SCHEMA_VERSION, Validity, Verdict};
use serde_json::{Map, json};

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
    match summary.failures.len() {
        0 => text.push_str("everything held\n"),
        count => {
            let worlds: Vec<&str> = summary.failures.iter().map(|failure| failure.world.as_str()).collect();
            let _ = writeln!(text, "{count} FAILED: {}", worlds.join(", "));
        }
    }
    text
}

/// The result file.
pub(super) fn result(options: &Options, summary: &Summary) -> ResultFile {
    let failures: Vec<_> = summary
        .failures
        .iter()
        .map(|failure| {
            let violations: Vec<_> =
                failure.violations.iter().map(|one| json!({ "kind": one.kind, "detail": one.detail })).collect();
            let scenario = failure.scenario.as_ref().map(|(path, tried)| json!({ "path": path, "tried": tried }));
            json!({ "world": failure.world, "violations": violations, "scenario": scenario })
        })
        .collect();
    let explore = json!({
        "worlds": summary.worlds,
        "requests": summary.requests,
        "virtual_seconds": summary.virtual_ns as f64 / 1e9,
        "wall_seconds": summary.wall().as_secs_f64(),
        "times_faster_than_life": summary.speed(),
        "trace": format!("{:016x}", summary.trace),
        "failures": failures,
    });
    let other: Map<String, serde_json::Value> = [("explore".to_owned(), explore)].into_iter().collect();
    ResultFile {
        schema_version: SCHEMA_VERSION,
        kind: Kind::Explore,
        name: "explore".to_owned(),
        seed: options.seed,
        commit: String::new(),
        started_at: rfc3339(unix_seconds()),
        command: options.command.clone(),
        environment: same(&Environment::read(&CpuTicks::read())),
        validity: Validity { valid: true, ..Validity::default() },
        load: Default::default(),
        gateway: Default::default(),
        balance: Default::default(),
        peers: Default::default(),
        timeline: Vec::new(),
        expectations: Vec::new(),
        verdict: if summary.failures.is_empty() { Verdict::Pass } else { Verdict::Fail },
        other,
    }
}
