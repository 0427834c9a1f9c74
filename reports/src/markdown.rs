//! A result as Markdown: for a pull request's comment, and readable as it is on a terminal.
//!
//! Text from the result is escaped, so that a hostile name is no markup, no link and no table of its own.

mod article;

use std::fmt::Write as _;

use crate::compared;
use crate::quantity::{change, count, digits, duration, exact, gate_interval, mebibytes, percent, verdict};
use crate::result::{Limiter, Phase, ResultFile, Verdict, ratio_title};
use crate::story::{self, is_invalid};

/// The result as Markdown, with a line end at its end.
#[must_use]
pub fn render(result: &ResultFile) -> String {
    let story = story::of(result);
    let verdict_word = if is_invalid(result) { "invalid" } else { verdict(result.verdict) };
    let mut text = match result.claims.is_empty() {
        true => format!("## {} {}: {}\n\n", sign(result), plain(&result.name), verdict_word),
        // Claims have verdicts of their own.
        false => format!("## {}\n\n", plain(&result.name)),
    };
    line(&mut text, &format!("**{}**", plain(&story.headline)));
    text.push('\n');
    for sentence in &story.sentences {
        line(&mut text, &format!("- {}", plain(sentence)));
    }
    article::claims(result, &mut text);
    expectations(result, &mut text);
    gate(result, &mut text);
    rates(result, &mut text);
    peers(result, &mut text);
    compare(result, &mut text);
    scenarios(result, &mut text);
    phases(result, &mut text);
    limiters(result, &mut text);
    breakers(result, &mut text);
    foot(result, &mut text);
    text
}

/// What stands in the place of a result that there is not: what was asked for, and why it was not done.
pub(crate) fn trouble(command: &str, why: &str) -> String {
    // Within the fence only its own mark could end it.
    let harmless = |letter: char| letter == '\n' || !(letter.is_control() || letter == '`');
    let why: String = why.chars().map(|letter| if harmless(letter) { letter } else { '\'' }).collect();
    format!("## ❌ could not be run\n\n{}\n\n```\n{}\n```\n", code(command), why.trim_end())
}

fn sign(result: &ResultFile) -> &'static str {
    match (is_invalid(result), result.verdict) {
        (true, _) => "⚠️",
        (false, Verdict::Pass) => "✅",
        (false, Verdict::Fail) => "❌",
        (false, _) => "❔",
    }
}

/// Text between marks: what could be markup is not, and nobody is called by it.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Nothing is seen of it, and `@all` notifies nobody.
            '@' => escaped.push_str("@\u{200b}"),
            '|' | '*' | '`' | '[' | ']' | '\\' | '#' | '!' | '~' => escaped.extend(['\\', letter]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A name as code, where nothing is markup but the mark's own end and a table's border.
fn code(text: &str) -> String {
    let inner: String =
        text.chars().map(|letter| if letter == '`' || letter.is_control() { '\'' } else { letter }).collect();
    format!("`{}`", inner.replace('|', "\\|"))
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}

/// A table; the first column is aligned left, the others right. Cells are escaped already.
fn table(text: &mut String, head: &[&str], rows: &[Vec<String>]) {
    let border: Vec<&str> = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
    text.push('\n');
    // Writing to a string does not fail.
    let _ = writeln!(text, "| {} |\n| {} |", head.join(" | "), border.join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

fn expectations(result: &ResultFile, text: &mut String) {
    if result.expectations.is_empty() {
        return;
    }
    let invalid = is_invalid(result);
    let row = |expectation: &crate::result::Expectation| {
        let holds = match (invalid, expectation.holds) {
            (true, _) => "not judged",
            (false, true) => "✅",
            (false, false) => "❌",
        };
        let value = expectation.value.map_or_else(|| "none".to_owned(), exact);
        vec![code(&expectation.figure), plain(&expectation.bound), value, holds.to_owned()]
    };
    table(
        text,
        &["expected of", "bound", "measured", "holds"],
        &result.expectations.iter().map(row).collect::<Vec<_>>(),
    );
}

fn gate(result: &ResultFile, text: &mut String) {
    if result.metrics.is_empty() {
        return;
    }
    let row = |(name, metric): (&String, &crate::result::GateMetric)| {
        vec![
            code(name),
            change(metric.estimate_pct),
            gate_interval(metric),
            format!("{} %", digits(metric.tolerance_pct)),
            metric.least_found().map_or_else(|| "–".to_owned(), |least| format!("{} %", digits(least))),
            metric.rounds.to_string(),
            verdict(metric.verdict).to_owned(),
        ]
    };
    let head = ["metric", "change", "interval", "tolerance", "would be found", "rounds", "verdict"];
    table(text, &head, &result.metrics.iter().map(row).collect::<Vec<_>>());
}

fn rates(result: &ResultFile, text: &mut String) {
    let Some(self_test) = &result.self_test else { return };
    let row = |case: &crate::result::SelfTestCase| {
        let interval = format!("{} to {}", percent(case.fail_rate.ci_low), percent(case.fail_rate.ci_high));
        let bound = if case.slow_down_pct > 0.0 { "at least" } else { "at most" };
        let goal = case.goal.map_or_else(String::new, |goal| format!("{bound} {}", percent(goal)));
        vec![plain(&case.name), percent(case.fail_rate.estimate), interval, goal]
    };
    let rows: Vec<Vec<String>> = self_test.cases.iter().map(row).collect();
    table(text, &["change", "says fail", "95 % interval", "asked for"], &rows);
}

fn peers(result: &ResultFile, text: &mut String) {
    if result.peers.is_empty() {
        return;
    }
    let row = |(name, peer): (&String, &crate::result::Peer)| {
        let ratio = peer.ratio_to_ours.map_or_else(String::new, |ratio| {
            format!("{} ({} to {})", digits(ratio.estimate), digits(ratio.ci_low), digits(ratio.ci_high))
        });
        vec![
            plain(name),
            digits(peer.requests_per_second),
            duration(peer.cpu_us_per_request),
            duration(peer.latency_us.p99),
            mebibytes(peer.rss_bytes),
            ratio,
            plain(&peer.version),
        ]
    };
    let ratio = ratio_title(result.peers.values());
    let head = ["gateway", "requests/s", "CPU a request", "p99 full", "memory", &ratio, "version"];
    table(text, &head, &result.peers.iter().map(row).collect::<Vec<_>>());
    text.push('\n');
    line(text, crate::text::FULL_LOAD);
}

fn compare(result: &ResultFile, text: &mut String) {
    let Some(lines) = compared::lines(result) else { return };
    let names: Vec<String> = lines.gateways.iter().map(|(name, _)| plain(name)).collect();
    let head: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
    let cell = |cell: &Option<String>| cell.as_deref().map_or_else(|| "–".to_owned(), plain);
    let row = |(name, cells): &(String, Vec<Option<String>>)| {
        std::iter::once(plain(name)).chain(cells.iter().map(cell)).collect()
    };
    table(text, &head, &lines.rows.iter().map(row).collect::<Vec<_>>());
    text.push('\n');
    for (name, one) in lines.gateways.iter().filter(|(_, one)| !one.lacks.is_empty()) {
        line(
            text,
            &format!("- {} cannot be told, or is told otherwise: {}", plain(name), plain(&one.lacks.join("; "))),
        );
    }
}

fn scenarios(result: &ResultFile, text: &mut String) {
    if result.scenarios.is_empty() {
        return;
    }
    let row = |scenario: &crate::result::SuiteScenario| {
        vec![plain(&scenario.name), verdict(scenario.verdict).to_owned(), plain(&scenario.remarks().join("; "))]
    };
    let scenarios = result.scenarios_worst_first();
    table(text, &["scenario", "verdict", "why"], &scenarios.iter().copied().map(row).collect::<Vec<_>>());
    // No links: where a pull request or a job shows this, the folders are not beside it.
    if let Some(folder) = scenarios.iter().find_map(|scenario| scenario.folder.as_ref()) {
        let page = code(&format!("{folder}/{}", crate::files::PAGE));
        line(text, &format!("\nEach has a page of its own beside the suite's, as {page}."));
    }
}

fn phases(result: &ResultFile, text: &mut String) {
    for (load_name, load) in &result.load {
        let row = |(name, phase): (&str, &Phase)| {
            let added = phase.added_us.map_or_else(String::new, |added| duration(added.p50));
            let latency = phase.latency().map(|all| [all.p50, all.p99, all.p999].map(duration));
            let mut row = vec![plain(name)];
            row.extend(latency.unwrap_or_default());
            row.extend([added, phase.success().map_or_else(String::new, percent), plain(&phase.answers())]);
            row
        };
        let rows: Vec<Vec<String>> = load.phases_in_order().into_iter().map(row).collect();
        let head = format!("load {}", plain(load_name));
        table(text, &[head.as_str(), "p50", "p99", "p99.9", "added p50", "as expected", "answers"], &rows);
    }
}

/// What each rate limit let through, beside what an exact one would have.
fn limiters(result: &ResultFile, text: &mut String) {
    if result.limiters.is_empty() {
        return;
    }
    let known = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), count);
    let row =
        |(rule, limiter): (&String, &Limiter)| std::iter::once(code(rule)).chain(limiter.counts().map(known)).collect();
    let head: Vec<&str> = std::iter::once("limit").chain(Limiter::COUNTS).collect();
    table(text, &head, &result.limiters.iter().map(row).collect::<Vec<_>>());
}

fn breakers(result: &ResultFile, text: &mut String) {
    let tripped: Vec<_> = result.breakers.iter().filter(|(_, breaker)| breaker.trips > 0).collect();
    if tripped.is_empty() {
        return;
    }
    let ms = |value: Option<f64>| value.map_or_else(String::new, |ms| duration(ms * 1e3));
    let row = |(name, breaker): &(&String, &crate::result::Breaker)| {
        vec![
            code(name),
            count(breaker.trips),
            ms(breaker.trip_ms),
            breaker.trip_error.map_or_else(String::new, |error| format!("{error:+}")),
            count(breaker.leaked_attempts),
            breaker.never_closed.map_or_else(|| ms(breaker.recovery_ms), |_| "never closed".to_owned()),
            ms(breaker.recovery_oracle_ms),
        ]
    };
    let head = ["breaker", "trips", "trip time", "attempts above oracle", "leaked", "recovery", "oracle"];
    table(text, &head, &tripped.iter().map(row).collect::<Vec<_>>());
}

fn foot(result: &ResultFile, text: &mut String) {
    let machine = &result.environment;
    let noise =
        machine.noise_aa.map_or_else(String::new, |noise| format!(", two equal builds differ by {}", percent(noise)));
    let seed = result.shared_seed().map_or_else(String::new, |seed| format!("; seed {seed}"));
    let commit = if result.commit.is_empty() { String::new() } else { format!(", commit {}", code(&result.commit)) };
    let _ = writeln!(
        text,
        "\nMeasured {} on {}, {} cores, kernel {}{noise}{seed}{commit}. {}",
        plain(&result.started_at),
        plain(&machine.cpu),
        machine.cores,
        plain(&machine.kernel),
        if result.validity.valid { "The run calls itself valid." } else { "The run calls itself not valid." }
    );
    let reasons = result.validity.reasons.iter().filter(|_| result.validity.valid);
    for note in reasons.chain(&result.validity.notes) {
        line(text, &format!("- note: {}", plain(note)));
    }
}
