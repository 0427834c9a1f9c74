//! Many runs in one result: suites and explorations.

use maud::{Markup, html};

use super::{cell, section as page_section, sign, table, table_of};
use crate::files::PAGE;
use crate::quantity::{count, digits};
use crate::result::{Explore, FailedSeed, ResultFile, SuiteScenario};

/// The scenarios of a suite, or the seeds of an exploration.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    let suite = (!result.scenarios.is_empty()).then(|| suite(&result.scenarios_worst_first()));
    let explore = result.explore.as_ref().map(explore);
    (suite.is_some() || explore.is_some())
        .then(|| html! { @for part in [suite, explore].into_iter().flatten() { (part) } })
}

fn suite(scenarios: &[&SuiteScenario]) -> Markup {
    let row = |scenario: &&SuiteScenario| {
        vec![
            name(scenario),
            sign(scenario.verdict),
            // The table's head is not there on a phone.
            html! { (count(scenario.expectations)) span.phone { " expectations" } },
            cell(format!("{} s", digits(scenario.seconds))),
            cell(scenario.remarks().join("; ")),
        ]
    };
    let rows: Vec<Vec<Markup>> = scenarios.iter().map(row).collect();
    page_section("Scenarios", &table_of("words lines", &["scenario", "verdict", "expectations", "took", "why"], &rows))
}

/// Its name, as a link to its own page where there is one beside this.
fn name(scenario: &SuiteScenario) -> Markup {
    match scenario.folder.as_deref().and_then(link) {
        Some(link) => html! { a href=(link) { (scenario.name) } },
        None => cell(&scenario.name),
    }
}

/// The address of a page in a folder beside this one. The name comes from a file, so every letter that could make
/// another address of it (a colon, a slash) is written as a number (RFC 3986, section 2.1), and none leads upwards.
fn link(folder: &str) -> Option<String> {
    if ["", ".", ".."].contains(&folder) {
        return None;
    }
    let written = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    let folder: String = folder.bytes().map(written).collect();
    Some(format!("{folder}/{PAGE}"))
}

fn explore(explore: &Explore) -> Markup {
    let last = explore.first_seed + explore.seeds.saturating_sub(1);
    let failed = |one: &FailedSeed| {
        let scenario = one.scenario.clone().unwrap_or_else(|| "–".to_owned());
        vec![
            cell(one.seed.to_string()),
            html! { code { (one.invariant) } },
            cell(&one.detail),
            html! { code { (scenario) } },
        ]
    };
    let failed: Vec<Vec<Markup>> = explore.failed.iter().map(failed).collect();
    let checks: Vec<Vec<Markup>> =
        explore.checks.iter().map(|(name, number)| vec![html! { code { (name) } }, cell(count(*number))]).collect();
    page_section(
        "Seeds",
        &html! {
            p.note {
                "Seeds " (explore.first_seed) " to " (last) ": " (digits(explore.virtual_seconds)) " s of virtual time in "
                (digits(explore.wall_seconds)) " s."
                @if !explore.trace_hash.is_empty() { " Traces: " code { (explore.trace_hash) } "." }
            }
            @if !failed.is_empty() { (table(&["seed", "broke", "what was seen", "shrunk scenario"], &failed)) }
            @if !checks.is_empty() { (table(&["invariant", "checks"], &checks)) }
        },
    )
}
