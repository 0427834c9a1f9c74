//! What a result says, in sentences. Every rendering begins with these, so all say the same.

use crate::metric::title;
use crate::quantity::{change, count, digits, duration, exact, percent};
use crate::result::{ClaimVerdict, Expectation, GateMetric, Kind, ResultFile, SuiteScenario, Verdict, weight};

/// So many scenarios that fail have a sentence of their own.
const FAILED_TOLD: usize = 5;

/// So the names of a gate's exact counts begin.
const COUNTS: [&str; 3] = ["instructions.", "allocations.", "bytes."];

/// A headline and the sentences that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// One sentence: what follows from the run.
    pub headline: String,
    /// What it follows from.
    pub sentences: Vec<String>,
}

/// A result in sentences. A run that is not valid says that and its reasons, and judges nothing.
#[must_use]
pub fn of(result: &ResultFile) -> Story {
    if is_invalid(result) {
        let told = result.validity.reasons.iter().chain(&result.validity.notes);
        let sentences = told.map(|one| sentence(one)).collect();
        let headline = "This measurement is not valid: its figures prove nothing, and nothing is judged by them.";
        return Story { headline: headline.to_owned(), sentences };
    }
    let mut sentences = Vec::new();
    sentences.extend(gate(result));
    sentences.extend(self_test(result));
    sentences.extend(explore(result));
    sentences.extend(suite(result));
    sentences.extend(peers(result));
    sentences.extend(claims(result));
    sentences.extend(capacity(result));
    sentences.extend(loads(result));
    sentences.extend(wrong_headers(result));
    sentences.extend(result.expectations.iter().filter(|one| !one.holds).map(missed));
    // What is judged all the same is not all that there is to say; and of a run there may be something to know.
    let is_run = matches!(result.kind, Kind::Run | Kind::Demo);
    let reasons = result.validity.reasons.iter().filter(|_| is_run || !result.validity.valid);
    let notes = result.validity.notes.iter().filter(|_| is_run);
    sentences.extend(reasons.chain(notes).map(|told| sentence(told)));
    Story { headline: headline(result), sentences }
}

/// Whether nothing may be judged by this result. Each scenario of a suite is believed or not by itself, and one that
/// fails decides, whatever the others are; so a suite's verdict alone says it. A run or a gate that fails though its
/// figures are not valid does so by what they say nothing of: a gateway that died.
#[must_use]
pub fn is_invalid(result: &ResultFile) -> bool {
    let by_its_verdict = match result.kind {
        Kind::Suite => true,
        Kind::Run | Kind::Gate => result.verdict == Verdict::Fail,
        _ => false,
    };
    result.verdict == Verdict::Invalid || !(result.validity.valid || by_its_verdict)
}

/// An expectation that does not hold, as a sentence.
#[must_use]
pub fn missed(expectation: &Expectation) -> String {
    let Expectation { figure, bound, value, .. } = expectation;
    match value {
        Some(value) => format!("{figure} is {}, expected {bound}.", exact(*value)),
        None => format!("{figure} has no value, expected {bound}."),
    }
}

/// A metric of a gate as a sentence.
#[must_use]
pub fn judged(name: &str, metric: &GateMetric) -> String {
    let GateMetric { estimate_pct, ci_low_pct, ci_high_pct, coverage, tolerance_pct, .. } = metric;
    let (name, low, high) = (title(name), change(*ci_low_pct), change(*ci_high_pct));
    let coverage = coverage.map_or_else(String::new, |coverage| percent(coverage) + " ");
    let interval = format!("{} ({coverage}interval {low} to {high})", change(*estimate_pct));
    let tolerance = digits(*tolerance_pct);
    match metric.verdict {
        Verdict::Fail => format!("{name} got worse: {interval}, tolerance {tolerance} %."),
        Verdict::Pass => format!("{name} held: {interval}, tolerance {tolerance} %."),
        Verdict::Inconclusive if metric.rounds == 0 => {
            format!("{name} is not decided: no round showed it, tolerance {tolerance} %.")
        }
        Verdict::Invalid => format!("{name} is not judged: its figures prove nothing."),
        Verdict::Inconclusive => {
            let more =
                metric.rounds_wanted.map_or_else(String::new, |rounds| format!("; about {rounds} rounds would decide"));
            let seen = metric.least_found().map_or_else(
                || "no change, however large, would be seen".to_owned(),
                |least| format!("a change of {} % would be seen", digits(least)),
            );
            format!("{name} is not decided: {interval}, tolerance {tolerance} %; {seen}{more}.")
        }
    }
}

fn headline(result: &ResultFile) -> String {
    let expectations = result.expectations.len();
    let missed = result.expectations.iter().filter(|expectation| !expectation.holds).count();
    match (result.kind, result.verdict) {
        (Kind::Gate, Verdict::Pass) => "Head is no worse than base.".to_owned(),
        (Kind::Gate, Verdict::Fail) if fails_by_counts(result) => {
            "Head's exact counts are above what they may be.".to_owned()
        }
        (Kind::Gate, Verdict::Fail) if !result.validity.valid => {
            "Head is broken: it ended, or its answers are wrong.".to_owned()
        }
        (Kind::Gate, Verdict::Fail) => "Head is worse than base.".to_owned(),
        (Kind::Gate, _) => "These rounds do not decide whether head is worse than base.".to_owned(),
        (_, Verdict::Fail) if missed > 0 => {
            format!("{missed} of {expectations} expectations {} not hold.", do_or_does(missed))
        }
        (Kind::Suite, Verdict::Fail) => "Not every scenario passes.".to_owned(),
        (Kind::Suite, Verdict::Pass) => "Every scenario passes.".to_owned(),
        (Kind::Explore, Verdict::Fail) => "An invariant broke.".to_owned(),
        (Kind::Explore, Verdict::Pass) => "No invariant broke.".to_owned(),
        (Kind::SelfTest, Verdict::Fail) => "The gate misses its own rates.".to_owned(),
        (Kind::SelfTest, Verdict::Pass) => "The gate keeps its own rates.".to_owned(),
        (_, Verdict::Fail) => "Something failed that should not.".to_owned(),
        (_, Verdict::Inconclusive) => "The figures do not decide.".to_owned(),
        (_, _) if expectations == 1 => "The one expectation holds.".to_owned(),
        (_, _) if expectations > 0 => format!("All {expectations} expectations hold."),
        (Kind::Article | Kind::Growth, _) if !result.claims.is_empty() => claims_headline(result),
        (Kind::Peers | Kind::Compare | Kind::Article | Kind::Growth | Kind::Load, _) => {
            "Measured, and valid.".to_owned()
        }
        (_, _) => "Nothing failed.".to_owned(),
    }
}

/// Whether a gate fails by exact counts alone, which say what they say however the machine was.
fn fails_by_counts(result: &ResultFile) -> bool {
    let is_count = |name: &str| COUNTS.iter().any(|kind| name.starts_with(kind));
    let mut failed = result.metrics.iter().filter(|(_, metric)| metric.verdict == Verdict::Fail).peekable();
    failed.peek().is_some() && failed.all(|(name, _)| is_count(name))
}

fn do_or_does(number: usize) -> &'static str {
    if number == 1 { "does" } else { "do" }
}

fn gate(result: &ResultFile) -> Vec<String> {
    let mut metrics: Vec<(&String, &GateMetric)> = result.metrics.iter().collect();
    metrics.sort_by_key(|(_, metric)| weight(metric.verdict));
    metrics.into_iter().map(|(name, metric)| judged(name, metric)).collect()
}

fn self_test(result: &ResultFile) -> Vec<String> {
    let cases = result.self_test.iter().flat_map(|self_test| &self_test.cases);
    let say = |case: &crate::result::SelfTestCase| {
        let rate = percent(case.fail_rate.estimate);
        if case.slow_down_pct > 0.0 {
            format!("A slow-down of {} % is found {rate} of the time ({}).", digits(case.slow_down_pct), case.name)
        } else {
            format!("An unchanged build is blamed {rate} of the time ({}).", case.name)
        }
    };
    cases.map(say).collect()
}

fn explore(result: &ResultFile) -> Vec<String> {
    let Some(explore) = &result.explore else { return Vec::new() };
    let speed = explore.virtual_seconds / explore.wall_seconds.max(1e-9);
    let seeds = count(explore.seeds);
    let mut sentences = vec![match explore.failed.len() {
        0 => format!("{seeds} seeds ran {} times faster than life.", digits(speed)),
        failed => {
            format!("{failed} of {seeds} seeds broke one; they ran {} times faster than life.", digits(speed))
        }
    }];
    let first = explore.failed.iter().take(3);
    sentences.extend(first.map(|failed| format!("Seed {}: {}: {}.", failed.seed, failed.invariant, failed.detail)));
    sentences
}

fn suite(result: &ResultFile) -> Vec<String> {
    if result.scenarios.is_empty() {
        return Vec::new();
    }
    let of = |verdict| result.scenarios.iter().filter(|scenario| scenario.verdict == verdict).count();
    let (all, invalid, open) = (result.scenarios.len(), of(Verdict::Invalid), of(Verdict::Inconclusive));
    let mut text = format!("Of {all} scenarios {} pass and {} fail", of(Verdict::Pass), of(Verdict::Fail));
    if invalid > 0 {
        text += &format!("; {invalid} could not be judged, since what was measured is not valid");
    }
    if open > 0 {
        text += &format!("; of {open} the figures do not decide");
    }
    let failed = || result.scenarios.iter().filter(|scenario| scenario.verdict == Verdict::Fail);
    let mut sentences: Vec<String> = failed().take(FAILED_TOLD).map(why_it_failed).collect();
    if failed().count() > FAILED_TOLD {
        sentences.push(format!("{} more fail, each with its reason in the table.", failed().count() - FAILED_TOLD));
    }
    sentences.push(text + ".");
    sentences
}

/// A scenario that fails, by the first of its reasons; how many there are beside it.
fn why_it_failed(scenario: &SuiteScenario) -> String {
    let SuiteScenario { name, reasons, .. } = scenario;
    match reasons.as_slice() {
        [] => format!("{name} fails."),
        [why] => format!("{name}: {}", ended(why)),
        [why, others @ ..] => format!("{name}: {why}, and {} more.", others.len()),
    }
}

fn peers(result: &ResultFile) -> Vec<String> {
    let ratio = |(name, peer): (&String, &crate::result::Peer)| {
        peer.ratio_to_ours.map(|ratio| format!("{} of {name}'s", digits(ratio.estimate)))
    };
    let ratios: Vec<String> = result.peers.iter().filter_map(ratio).collect();
    if ratios.is_empty() { Vec::new() } else { vec![format!("Our CPU time a request is {}.", ratios.join(", "))] }
}

/// How many claims have each verdict.
fn claims_headline(result: &ResultFile) -> String {
    let of = |verdict| result.claims.iter().filter(|claim| claim.verdict == verdict).count();
    let told = ClaimVerdict::ALL.map(|verdict| (of(verdict), verdict));
    let told: Vec<String> = told
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, verdict)| {
            let (one, several) = match verdict {
                ClaimVerdict::Holds => ("holds", "hold"),
                ClaimVerdict::HoldsInPart => ("holds in part", "hold in part"),
                ClaimVerdict::DoesNotHold => ("does not hold", "do not hold"),
                ClaimVerdict::NotMeasured => ("is not measured", "are not measured"),
            };
            format!("{number} {}", if *number == 1 { one } else { several })
        })
        .collect();
    format!("Of {} claims {}.", result.claims.len(), told.join(", "))
}

/// The claims that do not simply hold.
fn claims(result: &ResultFile) -> Vec<String> {
    let open = result.claims.iter().filter(|claim| claim.verdict != ClaimVerdict::Holds);
    open.map(|claim| format!("{} {}: {}.", claim.id, claim.verdict, goes_on(claim).trim_end_matches('.'))).collect()
}

/// Why, as it goes on behind the verdict, which has said the first word of it.
fn goes_on(claim: &crate::result::Claim) -> String {
    let why = claim.why.replace(". does not: ", "; but not: ");
    match (claim.verdict, why.split_once(": ")) {
        (ClaimVerdict::DoesNotHold, Some(("does not", rest))) | (ClaimVerdict::HoldsInPart, Some(("holds", rest))) => {
            rest.to_owned()
        }
        (ClaimVerdict::HoldsInPart, Some(("does not", rest))) => format!("but not: {rest}"),
        _ => why,
    }
}

fn capacity(result: &ResultFile) -> Vec<String> {
    let say = |(name, one): (&String, &crate::result::Capacity)| {
        let (knee, objective) = (digits(one.knee_rps.estimate), duration(one.objective_p99_us));
        format!("{name} holds a p99 of {objective} up to {knee} requests/s.")
    };
    result.capacity.iter().map(say).collect()
}

fn loads(result: &ResultFile) -> Vec<String> {
    let say = |(name, load): (&String, &crate::result::Load)| {
        let ok: u64 = load.phases.values().map(|phase| phase.outcome("ok")).sum();
        let all: u64 = load.phases.values().map(crate::result::Phase::arrivals).sum();
        let share = percent(ok as f64 / all.max(1) as f64);
        format!(
            "{name}: {} requests at {} a second, {share} as expected.",
            count(load.requests),
            digits(load.achieved_rps)
        )
    };
    result.load.iter().map(say).collect()
}

/// Loads of which answers were not as their headers were expected. Every rendering says it in these words.
pub(crate) fn wrong_headers(result: &ResultFile) -> Vec<String> {
    let wrong = result.load.iter().map(|(name, load)| (name, load.wrong_headers(), load.requests));
    let say = |(name, wrong, all): (&String, u64, u64)| {
        let (wrong, all) = (count(wrong), count(all));
        format!(
            "{name}: {wrong} of {all} answers lacked a header that is expected, or had one that is not to be there."
        )
    };
    wrong.filter(|(_, wrong, _)| *wrong > 0).map(say).collect()
}

/// A reason, which begins small and ends without a point, as a sentence. A name that it begins with stays as it is
/// written: what a colon follows, and what is more than letters.
fn sentence(reason: &str) -> String {
    let word = reason.split(' ').next().unwrap_or_default();
    let is_name = word.contains(|letter: char| !letter.is_alphabetic() && !['\'', ','].contains(&letter));
    let mut letters = reason.chars();
    match letters.next().filter(|_| !is_name) {
        Some(first) => ended(&format!("{}{}", first.to_uppercase(), letters.as_str())),
        None => ended(reason),
    }
}

/// With a point at its end.
fn ended(text: &str) -> String {
    let point = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{point}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expectation(holds: bool, value: Option<f64>) -> Expectation {
        Expectation { figure: "x.trip_ms".to_owned(), bound: "at most 250".to_owned(), value, holds }
    }

    fn valid(verdict: Verdict, expectations: Vec<Expectation>) -> ResultFile {
        let mut result = ResultFile { verdict, expectations, ..ResultFile::default() };
        result.validity.valid = true;
        result
    }

    #[test]
    fn what_does_not_hold_is_told_with_its_value() {
        let story = of(&valid(Verdict::Fail, vec![expectation(true, Some(1.0)), expectation(false, None)]));
        assert_eq!(story.headline, "1 of 2 expectations does not hold.");
        assert_eq!(story.sentences, ["x.trip_ms has no value, expected at most 250."]);
        assert_eq!(
            of(&valid(Verdict::Pass, vec![expectation(true, Some(1.0))])).headline,
            "The one expectation holds."
        );
    }

    #[test]
    fn a_run_that_fails_though_it_is_not_valid_says_by_what_and_why_the_rest_is_not_judged() {
        let mut result = valid(Verdict::Fail, vec![expectation(false, None)]);
        result.kind = Kind::Run;
        result.validity.valid = false;
        result.validity.reasons = vec!["the driver was late".to_owned()];
        let story = of(&result);
        assert!(!is_invalid(&result) && story.headline == "1 of 1 expectations does not hold.", "{story:?}");
        assert!(story.sentences.contains(&"The driver was late.".to_owned()), "{story:?}");
        result.kind = Kind::Load;
        assert!(is_invalid(&result), "of others nothing is believed");
    }

    #[test]
    fn a_name_at_the_beginning_of_a_reason_keeps_its_letters() {
        let cases = [
            ("the driver was late", "The driver was late."),
            ("scenario own was not valid", "Scenario own was not valid."),
            ("nginx: load web: it was late", "nginx: load web: it was late."),
            ("gateway.0.up is 0!", "gateway.0.up is 0!"),
            ("418 arrivals were dropped", "418 arrivals were dropped."),
        ];
        for (reason, told) in cases {
            assert_eq!(sentence(reason), told);
        }
    }

    #[test]
    fn of_a_suite_those_that_fail_are_told_first_and_why() {
        let scenario = |name: &str, verdict, reasons: &[&str]| SuiteScenario {
            name: name.to_owned(),
            verdict,
            seconds: 1.0,
            expectations: 1,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            notes: Vec::new(),
            seed: None,
            folder: None,
        };
        let mut result = valid(Verdict::Fail, Vec::new());
        result.kind = Kind::Suite;
        result.validity.valid = false;
        result.validity.reasons = vec!["scenario own was not valid".to_owned()];
        result.scenarios = vec![
            scenario("own", Verdict::Invalid, &["the driver was late"]),
            scenario("virt-late", Verdict::Fail, &["trip_ms is 1176, not at most 250", "another"]),
        ];
        let told = [
            "virt-late: trip_ms is 1176, not at most 250, and 1 more.",
            "Of 2 scenarios 0 pass and 1 fail; 1 could not be judged, since what was measured is not valid.",
            "Scenario own was not valid.",
        ];
        assert_eq!(of(&result).sentences, told);
        result.scenarios.extend((0..6).map(|_| scenario("x", Verdict::Fail, &["one"])));
        assert_eq!(of(&result).sentences[4..6], ["x: one.", "2 more fail, each with its reason in the table."]);
    }

    #[test]
    fn too_few_rounds_see_nothing_and_say_so_without_a_number() {
        let metric = GateMetric {
            estimate_pct: 512.0,
            ci_low_pct: 489.0,
            ci_high_pct: 570.0,
            coverage: None,
            mde_pct: f64::MAX,
            tolerance_pct: 3.0,
            rounds: 4,
            verdict: Verdict::Inconclusive,
            base: None,
            head: None,
            floor_pct: None,
            p_value: None,
            mde_with_twice_the_rounds_pct: None,
            rounds_wanted: Some(11),
        };
        let said = judged("cpu", &metric);
        assert!(said.ends_with("; no change, however large, would be seen; about 11 rounds would decide."), "{said}");
        assert_eq!(GateMetric { mde_pct: 2.5, ..metric }.least_found(), Some(2.5));
        assert!(judged("cpu", &GateMetric { verdict: Verdict::Invalid, ..metric }).contains("is not judged"));
    }

    #[test]
    fn an_invalid_run_judges_nothing() {
        let mut result = valid(Verdict::Pass, vec![expectation(false, Some(9.0))]);
        result.validity.valid = false;
        result.validity.reasons = vec!["the host took 3 % of the time".to_owned()];
        let story = of(&result);
        assert!(story.headline.contains("not valid"));
        assert_eq!(story.sentences, ["The host took 3 % of the time."]);
    }
}
