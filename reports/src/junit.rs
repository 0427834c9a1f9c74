//! A result as JUnit XML, the form that CI systems show: one test case for each thing that was judged.
//!
//! Expectations, metrics of a gate, scenarios of a suite and seeds of an exploration are test cases. A measurement that
//! is not valid is an error, never a failure and never a pass, and nothing else is judged but the scenarios of a suite,
//! each of which is a measurement of its own; what could not be decided is skipped, with its reason.

use std::fmt::Write as _;

pub use crate::plot::escape;
use crate::quantity::digits;
use crate::result::{ResultFile, Verdict};
use crate::story::{self, is_invalid};

/// The group of a suite's scenarios.
const SCENARIO: &str = "scenario";

/// What came of a test case.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
    Error(String),
}

struct Case {
    group: &'static str,
    name: String,
    outcome: Outcome,
    /// Seconds.
    took: f64,
}

/// The result as JUnit XML, with a line end at its end.
#[must_use]
pub fn render(result: &ResultFile) -> String {
    let mut cases = vec![validity(result)];
    cases.extend(expectations(result));
    cases.extend(metrics(result));
    cases.extend(scenarios(result));
    cases.extend(seeds(result));
    if is_invalid(result) {
        for case in cases[1..].iter_mut().filter(|case| case.group != SCENARIO) {
            case.outcome = Outcome::Skipped("not judged: the measurement is not valid".to_owned());
        }
    } else if result.verdict == Verdict::Fail && !cases.iter().any(|case| matches!(case.outcome, Outcome::Failed(_))) {
        let outcome = Outcome::Failed(story::of(result).headline);
        cases.push(Case { group: "run", name: "verdict".to_owned(), outcome, took: 0.0 });
    }
    document(result, result.shared_seed(), &cases)
}

/// The same where there is no result: one error, that `command` was not done, and why.
pub(crate) fn trouble(command: &str, why: &str) -> String {
    let outcome = Outcome::Error(why.to_owned());
    let case = Case { group: "run", name: "it could be run".to_owned(), outcome, took: 0.0 };
    let nothing = ResultFile { name: "sim".to_owned(), command: command.to_owned(), ..ResultFile::default() };
    document(&nothing, None, &[case])
}

fn document(result: &ResultFile, seed: Option<u64>, cases: &[Case]) -> String {
    let number = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        cases.len(),
        number(|outcome| matches!(outcome, Outcome::Failed(_))),
        number(|outcome| matches!(outcome, Outcome::Error(_))),
        number(|outcome| matches!(outcome, Outcome::Skipped(_)))
    );
    let (name, time) = (escape(&result.name), escape(result.started_at.trim_end_matches('Z')));
    let took = result.seconds.unwrap_or_else(|| cases.iter().map(|case| case.took).sum());
    let time = if time.is_empty() { String::new() } else { format!(" timestamp=\"{time}\"") };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string does not fail.
    let _ = writeln!(text, "<testsuites {counts} time=\"{took:.3}\">");
    let _ = writeln!(text, "  <testsuite name=\"{name}\" {counts} time=\"{took:.3}\"{time}>");
    let _ = writeln!(text, "    <properties>");
    let seed = seed.map(|seed| ("seed", seed.to_string()));
    let others = [("commit", result.commit.clone()), ("command", result.command.clone())];
    for (property, value) in seed.into_iter().chain(others) {
        let _ = writeln!(text, "      <property name=\"{property}\" value=\"{}\"/>", escape(&value));
    }
    let _ = writeln!(text, "    </properties>");
    for case in cases {
        let _ = write!(
            text,
            "    <testcase classname=\"{name}.{}\" name=\"{}\" time=\"{:.3}\"",
            case.group,
            escape(&case.name),
            case.took
        );
        let _ = match &case.outcome {
            Outcome::Passed => writeln!(text, "/>"),
            Outcome::Failed(why) => writeln!(text, "><failure message=\"{}\"/></testcase>", escape(why)),
            Outcome::Skipped(why) => writeln!(text, "><skipped message=\"{}\"/></testcase>", escape(why)),
            Outcome::Error(why) => writeln!(text, "><error message=\"{}\"/></testcase>", escape(why)),
        };
    }
    text + "  </testsuite>\n</testsuites>\n"
}

fn validity(result: &ResultFile) -> Case {
    // A suite that fails may hold measurements that are not valid, too.
    let outcome = if is_invalid(result) || !result.validity.valid {
        let reasons = result.validity.reasons.join("; ");
        Outcome::Error(if reasons.is_empty() { "the run calls itself not valid".to_owned() } else { reasons })
    } else {
        Outcome::Passed
    };
    // All was measured at once, so that no expectation has a time of its own. A suite's scenarios have theirs.
    let of_all = result.seconds.filter(|_| result.scenarios.is_empty());
    let took = of_all.or_else(|| result.explore.as_ref().map(|explore| explore.wall_seconds)).unwrap_or(0.0);
    Case { group: "run", name: "the measurement is valid".to_owned(), outcome, took }
}

fn expectations(result: &ResultFile) -> impl Iterator<Item = Case> + '_ {
    result.expectations.iter().map(|expectation| Case {
        group: "expectation",
        name: format!("{} {}", expectation.figure, expectation.bound),
        outcome: if expectation.holds { Outcome::Passed } else { Outcome::Failed(story::missed(expectation)) },
        took: 0.0,
    })
}

fn metrics(result: &ResultFile) -> impl Iterator<Item = Case> + '_ {
    result.metrics.iter().map(|(name, metric)| Case {
        group: "gate",
        name: format!("{name} within {} %", digits(metric.tolerance_pct)),
        outcome: judged(metric.verdict, story::judged(name, metric)),
        took: 0.0,
    })
}

fn scenarios(result: &ResultFile) -> impl Iterator<Item = Case> + '_ {
    result.scenarios.iter().map(|scenario| Case {
        group: SCENARIO,
        name: scenario.name.clone(),
        outcome: judged(scenario.verdict, scenario.reasons.join("; ")),
        took: scenario.seconds,
    })
}

fn judged(verdict: Verdict, why: String) -> Outcome {
    match verdict {
        Verdict::Pass => Outcome::Passed,
        Verdict::Fail => Outcome::Failed(why),
        Verdict::Inconclusive => Outcome::Skipped(why),
        Verdict::Invalid => Outcome::Error(why),
    }
}

fn seeds(result: &ResultFile) -> impl Iterator<Item = Case> + '_ {
    let explore = result.explore.iter();
    let broken = |invariant: &str| {
        let failed = result.explore.iter().flat_map(|explore| &explore.failed);
        failed
            .filter(|one| one.invariant == invariant)
            .map(|one| format!("seed {}: {}", one.seed, one.detail))
            .collect::<Vec<_>>()
    };
    explore.flat_map(|explore| explore.checks.keys()).map(move |invariant| {
        let found = broken(invariant);
        let outcome = if found.is_empty() { Outcome::Passed } else { Outcome::Failed(found.join("; ")) };
        Case { group: "invariant", name: invariant.clone(), outcome, took: 0.0 }
    })
}
