//! A whole result as text: the same on a terminal and in a pipe.

use crate::compared;
use crate::quantity::{claim_interval, claim_value, verdict};
pub use crate::quantity::{mebibytes, micros};
use crate::result::{AddedQuantiles, Claim, Journey, Limiter, Peer, Phase, Quantiles, ResultFile, ratio_title};
use crate::table::{Table, bar};

/// What the percentiles in a table of peers are.
pub(crate) const FULL_LOAD: &str = "full: latency with every connection busy, over all rounds, each gateway at the rate \
    that it reaches itself; at one rate for all it is another.";

/// The result as text, with a line end at its end.
#[must_use]
pub fn render(result: &ResultFile) -> String {
    let kind = format!("{:?}", result.kind).to_lowercase();
    let seed = result.shared_seed().map_or_else(String::new, |seed| format!("seed {seed}  "));
    let mut lines = vec![format!("{kind} {}  {seed}{}", result.name, result.started_at)];
    let machine = &result.environment;
    lines.push(format!("{}, {} cores, Linux {}", machine.cpu, machine.cores, machine.kernel));
    loads(result, &mut lines);
    lines.extend(crate::story::wrong_headers(result));
    limiters(result, &mut lines);
    balance(result, &mut lines);
    scenarios(result, &mut lines);
    if !result.peers.is_empty() {
        lines.push(String::new());
        lines.extend(peers(result.peers.iter().map(|(name, peer)| (name.as_str(), peer))));
    }
    compare(result, &mut lines);
    claims(result, &mut lines);
    expectations(result, &mut lines);
    lines.push(String::new());
    lines.push(format!("verdict  {}", verdict(result.verdict)));
    let reasons = result.validity.reasons.iter();
    if !result.validity.valid {
        lines.push("the figures are not valid as a measurement:".to_owned());
    }
    lines.extend(reasons.map(|reason| format!("  - {reason}")));
    lines.extend(result.validity.notes.iter().map(|note| format!("note: {note}")));
    without_commands(&(lines.join("\n") + "\n"))
}

/// The same without control characters but line ends: names come from files and logs, and a terminal would obey them.
#[must_use]
pub fn without_commands(text: &str) -> String {
    let harmless = |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
    text.chars().map(harmless).collect()
}

/// The table of peers.
#[must_use]
pub fn peers<'a>(peers: impl Iterator<Item = (&'a str, &'a Peer)>) -> Vec<String> {
    let peers: Vec<(&str, &Peer)> = peers.collect();
    let ratio = ratio_title(peers.iter().map(|(_, peer)| *peer));
    let head = ["peer", "requests/s", "CPU us/req", "p50 full", "p99 full", "RSS", &ratio, "version"];
    let mut table = Table::new(head).left(7);
    for (name, peer) in peers {
        let ratio = peer.ratio_to_ours.map_or_else(String::new, |ratio| {
            format!("{:.3} [{:.3}, {:.3}]", ratio.estimate, ratio.ci_low, ratio.ci_high)
        });
        table.row([
            name.to_owned(),
            format!("{:.0}", peer.requests_per_second),
            format!("{:.2}", peer.cpu_us_per_request),
            micros(peer.latency_us.p50),
            micros(peer.latency_us.p99),
            mebibytes(peer.rss_bytes),
            ratio,
            peer.version.clone(),
        ]);
    }
    let mut lines = table.lines();
    lines.push(String::new());
    lines.push(FULL_LOAD.to_owned());
    lines
}

fn compare(result: &ResultFile, lines: &mut Vec<String>) {
    let Some(compared) = compared::lines(result) else { return };
    let names: Vec<&str> = std::iter::once("").chain(compared.gateways.iter().map(|(name, _)| *name)).collect();
    let mut table = Table::of(&names);
    // Versions are long, and have lines of their own.
    for (name, cells) in compared.rows.iter().filter(|(name, _)| name != "version") {
        let cells = cells.iter().map(|cell| cell.clone().unwrap_or_else(|| "-".to_owned()));
        table.row(std::iter::once(name.clone()).chain(cells));
    }
    lines.push(String::new());
    lines.extend(table.lines());
    lines.push(String::new());
    for (name, one) in &compared.gateways {
        lines.push(format!("{name}: {}", one.version));
        lines.extend(one.lacks.iter().map(|lack| format!("  - {lack}")));
    }
}

fn loads(result: &ResultFile, lines: &mut Vec<String>) {
    for (name, load) in &result.load {
        lines.push(String::new());
        lines.push(format!("load {name}: {} requests, {:.0}/s", load.requests, load.achieved_rps));
        let mut table = Table::new(["", "p50", "p90", "p99", "p99.9", "max", "ok", "answers"]).left(7);
        for (phase_name, phase) in load.phases_in_order() {
            let row = quantile_row(&format!("{phase_name} latency"), phase.latency(), share(phase));
            // What is expected may be a refusal: its status alone tells.
            table.row(row.into_iter().chain([phase.answers()]));
            if let Some(added) = &phase.added_us {
                // A refusal, which no service answered, is in the line above and not in this one.
                table.row(added_row(&format!("{phase_name} added, of services' answers"), added));
            }
        }
        lines.extend(table.lines());
        load.journeys.iter().for_each(|(name, journey)| journey_lines(name, journey, lines));
    }
}

/// What users saw of one journey: each of its requests, and pages with all of their parts.
fn journey_lines(name: &str, journey: &Journey, lines: &mut Vec<String>) {
    lines.push(format!("journey {name}: {} completed, {} abandoned", journey.completed, journey.abandoned));
    let mut table = Table::new(["", "p50", "p90", "p99", "p99.9", "max", "ok"]);
    for (step, phase) in &journey.steps {
        table.row(quantile_row(step, phase.latency(), share(phase)));
    }
    for (step, whole) in &journey.pages {
        table.row(quantile_row(&format!("{step}, whole page"), whole.some(), String::new()));
    }
    table.row(quantile_row("whole journey", journey.duration(), String::new()));
    lines.extend(table.lines());
}

/// The share that ended as expected, where there was anything.
fn share(phase: &Phase) -> String {
    phase.success().map_or_else(String::new, |share| format!("{:.3} %", share * 100.0))
}

/// What nobody came to has no times.
fn quantile_row(name: &str, quantiles: Option<&Quantiles>, last: String) -> [String; 7] {
    let told = |Quantiles { p50, p90, p99, p999, max }: &Quantiles| [*p50, *p90, *p99, *p999, *max].map(micros);
    let [p50, p90, p99, p999, max] = quantiles.map(told).unwrap_or_default();
    [name.to_owned(), p50, p90, p99, p999, max, last]
}

fn added_row(name: &str, added: &AddedQuantiles) -> [String; 7] {
    let optional = |quantile: Option<f64>| quantile.map_or_else(String::new, micros);
    let AddedQuantiles { p50, p90, p99, p999, max } = *added;
    [name.to_owned(), micros(p50), optional(p90), micros(p99), optional(p999), optional(max), String::new()]
}

/// What each rate limit let through, beside what an exact one would have.
fn limiters(result: &ResultFile, lines: &mut Vec<String>) {
    if result.limiters.is_empty() {
        return;
    }
    let head: Vec<&str> = std::iter::once("limit").chain(Limiter::COUNTS).collect();
    let mut table = Table::of(&head);
    for (rule, limiter) in &result.limiters {
        table.row(
            std::iter::once(rule.clone())
                .chain(limiter.counts().map(|count| count.map_or_else(|| "-".to_owned(), |count| count.to_string()))),
        );
    }
    lines.push(String::new());
    lines.extend(table.lines());
}

/// The scenarios of a suite, and below them why some did not pass.
fn scenarios(result: &ResultFile, lines: &mut Vec<String>) {
    let scenarios = result.scenarios_worst_first();
    if scenarios.is_empty() {
        return;
    }
    let mut table = Table::new(["scenario", "verdict", "expectations", "took"]).left(1);
    for scenario in &scenarios {
        table.row([
            scenario.name.clone(),
            verdict(scenario.verdict).to_owned(),
            scenario.expectations.to_string(),
            format!("{:.1} s", scenario.seconds),
        ]);
    }
    lines.push(String::new());
    lines.extend(table.lines());
    for scenario in scenarios.iter().filter(|scenario| !scenario.remarks().is_empty()) {
        lines.push(String::new());
        lines.push(scenario.name.clone());
        lines.extend(scenario.remarks().iter().map(|remark| format!("  - {remark}")));
    }
}

fn balance(result: &ResultFile, lines: &mut Vec<String>) {
    for (upstream, balance) in &result.balance {
        lines.push(String::new());
        lines.push(format!("balance {upstream}"));
        let mut table = Table::new(["endpoint", "share", ""]).left(2);
        for (endpoint, share) in &balance.share {
            table.row([endpoint.clone(), format!("{:.1} %", share * 100.0), bar(*share, 30)]);
        }
        lines.extend(table.lines());
    }
}

fn claims(result: &ResultFile, lines: &mut Vec<String>) {
    for one in &result.claims {
        lines.push(String::new());
        lines.extend(claim(one));
    }
}

/// A claim with its figures and its verdict.
#[must_use]
pub fn claim(claim: &Claim) -> Vec<String> {
    let section = if claim.section.is_empty() { String::new() } else { format!("section {}  ", claim.section) };
    let mut lines = vec![format!("{}  {section}{}", claim.id, claim.claim)];
    let mut table = Table::new(["figure", "value", "interval", "wanted", ""]).left(2).left(3).left(4);
    for figure in &claim.figures {
        let holds = figure.holds.map_or("", |holds| if holds { "holds" } else { "does not" });
        table.row([
            figure.name.clone(),
            claim_value(figure),
            claim_interval(figure),
            figure.wanted.clone(),
            holds.to_owned(),
        ]);
    }
    if !claim.figures.is_empty() {
        lines.extend(table.lines().into_iter().map(|line| format!("  {line}")));
    }
    lines.extend(claim.configuration.iter().map(|line| format!("  {line}")));
    lines.extend(claim.notes.iter().map(|note| format!("  note: {note}")));
    lines.push(format!("  {}: {}", claim.verdict.word().to_uppercase(), claim.why));
    lines
}

fn expectations(result: &ResultFile, lines: &mut Vec<String>) {
    if result.expectations.is_empty() {
        return;
    }
    lines.push(String::new());
    let mut table = Table::new(["expected", "bound", "value", "holds"]);
    for expectation in &result.expectations {
        let holds = if expectation.holds { "yes" } else { "no" };
        let value = expectation.value.map_or_else(|| "none".to_owned(), |value| value.to_string());
        table.row([expectation.figure.clone(), expectation.bound.clone(), value, holds.to_owned()]);
    }
    lines.extend(table.lines());
}
