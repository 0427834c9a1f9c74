//! Base against head, and the gate's own rates.

use maud::{Markup, html};

use super::{cell, section as page_section, sign, table, table_of};
use crate::change_points::median;
use crate::metric::{title, value};
use crate::plot::intervals::{Found, Intervals, Measure, Row};
use crate::plot::trend::Trend;
use crate::plot::{Ink, Mark, Shape, both, key};
use crate::quantity::{change, digits, gate_interval, interval, percent, verdict};
use crate::result::{GateMetric, Pair, ResultFile, SelfTestCase, Verdict};

/// The forest plot and its table.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    if result.metrics.is_empty() {
        return None;
    }
    let rows = result.metrics.iter().map(|(name, metric)| forest_row(name, metric)).collect();
    let forest =
        Intervals { rows, measure: Measure::Change, axis: "change of head against base; to the right is worse" };
    let marks = [
        Mark::new(Ink::Bad, Shape::Dot, "fail"),
        Mark::new(Ink::Good, Shape::Dot, "pass"),
        Mark::new(Ink::Unsure, Shape::Dot, "inconclusive"),
        Mark::new(Ink::Tolerance, Shape::Area, "up to the tolerance"),
        Mark::new(Ink::Faint, Shape::Dashed, "the least change that these rounds would find"),
    ];
    let coverage = shared_coverage(result);
    let row = |(name, metric): (&String, &GateMetric)| table_row(name, metric, coverage.is_some());
    let table_rows: Vec<Vec<Markup>> = result.metrics.iter().map(row).collect();
    let interval = coverage.map_or_else(|| "interval".to_owned(), |coverage| format!("{} interval", percent(coverage)));
    // What is asked first stands first: on a phone the rest is to be scrolled to.
    let head = ["metric", "verdict", "change", &interval, "tolerance", "would be found", "base", "head", "rounds"];
    Some(page_section(
        "Base against head",
        &html! {
            figure {
                (key(&marks))
                (both("Change of each metric with its interval and tolerance", &forest))
                figcaption {
                    "Dots are Hodges-Lehmann estimates over paired rounds, bars their Wilcoxon intervals, which hold the "
                    "truth as often as the table says. A metric fails when equal builds would show such a change more "
                    "rarely than the gate may err (its p-value, by Holm's step-down over all metrics and shared out over "
                    "the looks) and the estimate is at least the floor; it passes when the upper end of its interval is below "
                    "the tolerance. Of a metric that is not decided, the rounds that would probably decide it stand beside "
                    "those that were run."
                }
            }
            (table_of("judged", &head, &table_rows))
            (rounds(result))
        },
    ))
}

/// How often the intervals hold the truth, where that is the same for all of them. What no round showed has none.
fn shared_coverage(result: &ResultFile) -> Option<f64> {
    let mut all = result.metrics.values().filter(|metric| is_seen(metric)).map(|metric| metric.coverage);
    let first = all.next()??;
    all.all(|coverage| coverage == Some(first)).then_some(first)
}

/// Each metric round by round: drift and single bad rounds are seen here, and nowhere else.
fn rounds(result: &ResultFile) -> Markup {
    if result.pairs.len() < 2 {
        return html! {};
    }
    html! {
        details {
            summary { "Round by round" }
            @for name in result.metrics.keys() { (round_by_round(name, &result.pairs)) }
        }
    }
}

fn round_by_round(name: &str, pairs: &[Pair]) -> Markup {
    let change = |pair: &Pair| {
        let (base, head) = (pair.base.get(name)?, pair.head.get(name)?);
        Some((head / base - 1.0) * 100.0).filter(|percent| percent.is_finite())
    };
    let values: Vec<f64> = pairs.iter().filter_map(change).collect();
    if values.is_empty() {
        return html! {};
    }
    let levels = [(0, values.len(), median(&values))];
    let name = format!("{}: head against base, percent", title(name));
    let drawing = Trend { name: &name, axis: "round", values: &values, levels: &levels, outliers: &[] };
    html! { figure { (both(&format!("{name}, in each round"), &drawing)) } }
}

fn ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Pass => Ink::Good,
        Verdict::Fail => Ink::Bad,
        Verdict::Inconclusive | Verdict::Invalid => Ink::Unsure,
    }
}

/// Whether a round showed it; of what none did there is no change to tell.
fn is_seen(metric: &GateMetric) -> bool {
    metric.rounds > 0
}

fn told_change(metric: &GateMetric) -> String {
    if is_seen(metric) { change(metric.estimate_pct) } else { "not seen".to_owned() }
}

fn forest_row(name: &str, metric: &GateMetric) -> Row {
    let found = Found { estimate: metric.estimate_pct, low: metric.ci_low_pct, high: metric.ci_high_pct };
    Row {
        name: title(name).to_owned(),
        note: match is_seen(metric) {
            true => format!("{} {}", change(metric.estimate_pct), verdict(metric.verdict)),
            false => format!("{}: seen in no round", verdict(metric.verdict)),
        },
        found: is_seen(metric).then_some(found),
        ink: ink(metric.verdict),
        allowed: Some((0.0, metric.tolerance_pct)),
        tick: metric.least_found(),
    }
}

/// A metric as people call it; how results and settings call it shows who points at it.
fn name_cell(name: &str) -> Markup {
    match title(name) {
        own if own == name => html! { code { (name) } },
        known => html! { span title=(name) { (known) } },
    }
}

/// `is_shared` says that the table's head tells how often the interval holds the truth.
fn table_row(name: &str, metric: &GateMetric, is_shared: bool) -> Vec<Markup> {
    let optional = |side: Option<f64>| cell(side.map_or_else(|| "–".to_owned(), |side| value(name, side)));
    let interval = match (is_seen(metric), is_shared) {
        (false, _) => "–".to_owned(),
        (true, true) => interval(metric),
        (true, false) => gate_interval(metric),
    };
    let rounds = match metric.rounds_wanted {
        Some(wanted) => format!("{} of {wanted}", metric.rounds),
        None => metric.rounds.to_string(),
    };
    vec![
        name_cell(name),
        sign(metric.verdict),
        cell(told_change(metric)),
        cell(interval),
        cell(format!("{} %", digits(metric.tolerance_pct))),
        cell(metric.least_found().map_or_else(|| "–".to_owned(), |least| format!("{} %", digits(least)))),
        optional(metric.base),
        optional(metric.head),
        cell(rounds),
    ]
}

/// How often the gate says fail of what is known.
pub(super) fn self_test(result: &ResultFile) -> Option<Markup> {
    let self_test = result.self_test.as_ref()?;
    let rows = self_test.cases.iter().map(rate_row).collect();
    let rates = Intervals { rows, measure: Measure::Share, axis: "how often the gate says fail" };
    let marks = [
        Mark::new(Ink::Median, Shape::Dot, "unchanged builds: false alarms"),
        Mark::new(Ink::Tail, Shape::Dot, "known slow-downs: detections"),
        Mark::new(Ink::Faint, Shape::Dashed, "the rate that is asked for"),
    ];
    let table_rows: Vec<Vec<Markup>> = self_test.cases.iter().map(case_row).collect();
    Some(page_section(
        "What the gate finds",
        &html! {
            figure {
                (key(&marks))
                (both("How often the gate fails each known change", &rates))
                figcaption {
                    (self_test.pairs) " recorded pairs for each case, " (self_test.resamples)
                    " gates of at most " (self_test.rounds) " rounds drawn from them."
                }
            }
            (table(&["change", "fail", "95 % interval", "not decided", "pass", "rounds", "asked for"], &table_rows))
        },
    ))
}

fn rate_row(case: &SelfTestCase) -> Row {
    Row {
        name: case.name.clone(),
        note: percent(case.fail_rate.estimate),
        found: Some(Found {
            estimate: case.fail_rate.estimate,
            low: case.fail_rate.ci_low,
            high: case.fail_rate.ci_high,
        }),
        ink: if case.slow_down_pct > 0.0 { Ink::Tail } else { Ink::Median },
        allowed: None,
        tick: case.goal,
    }
}

fn case_row(case: &SelfTestCase) -> Vec<Markup> {
    let bound = if case.slow_down_pct > 0.0 { "at least" } else { "at most" };
    vec![
        cell(&case.name),
        cell(percent(case.fail_rate.estimate)),
        cell(format!("{} to {}", percent(case.fail_rate.ci_low), percent(case.fail_rate.ci_high))),
        cell(percent(case.inconclusive_rate)),
        cell(percent(case.pass_rate)),
        cell(case.rounds.map_or_else(|| "–".to_owned(), digits)),
        cell(case.goal.map_or_else(|| "–".to_owned(), |goal| format!("{bound} {}", percent(goal)))),
    ]
}
