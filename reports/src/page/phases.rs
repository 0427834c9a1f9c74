//! Before, during and after the faults, side by side.

use maud::{Markup, html};

use super::{cell, section as page_section};
use crate::quantity::{count, digits, duration, percent};
use crate::result::{Journey, Load, Phase, Quantiles, ResultFile};

/// A line of the table: its name and what it says of a phase.
type Line = (&'static str, fn(&Phase) -> Option<Figure>);

/// A figure in words, and as a number where growing is worse.
struct Figure {
    text: String,
    size: Option<f64>,
}

const LINES: [Line; 12] = [
    ("p50", |phase| phase.latency().and_then(|all| latency(all.p50))),
    ("p90", |phase| phase.latency().and_then(|all| latency(all.p90))),
    ("p99", |phase| phase.latency().and_then(|all| latency(all.p99))),
    ("p99.9", |phase| phase.latency().and_then(|all| latency(all.p999))),
    ("largest", |phase| phase.latency().and_then(|all| latency(all.max))),
    ("p99 from the first byte sent", |phase| phase.service().and_then(|all| latency(all.p99))),
    ("added by the gateway to a service's answer, p50", |phase| phase.added_us.and_then(|added| latency(added.p50))),
    ("added by the gateway to a service's answer, p99", |phase| phase.added_us.and_then(|added| latency(added.p99))),
    ("as expected", |phase| phase.success().and_then(|share| plain(percent(share)))),
    ("refused", |phase| some_of(phase, "rejected")),
    ("failed", |phase| some_of(phase, "failed")),
    ("dropped", |phase| some_of(phase, "dropped")),
];

fn latency(us: f64) -> Option<Figure> {
    Some(Figure { text: duration(us), size: Some(us) })
}

fn plain(text: String) -> Option<Figure> {
    Some(Figure { text, size: None })
}

fn some_of(phase: &Phase, outcome: &str) -> Option<Figure> {
    plain(count(phase.outcome(outcome)))
}

/// One table for each load.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    if result.load.is_empty() {
        return None;
    }
    let heading =
        if result.load.values().any(|load| load.phases.len() > 1) { "Before, during, after" } else { "Figures" };
    let body = html! {
        @for (name, load) in &result.load {
            h3 { (name) }
            p.note {
                "Offered " (digits(load.offered_rps)) " requests/s, achieved " (digits(load.achieved_rps)) "; "
                (count(load.requests)) " requests."
                @if load.wrong_headers() > 0 {
                    " Answers with a header that was not as expected: " (count(load.wrong_headers())) "."
                }
            }
            (of_load(load))
            @for (name, journey) in &load.journeys { (of_journey(name, journey)) }
        }
    };
    Some(page_section(heading, &body))
}

fn of_load(load: &Load) -> Markup {
    let phases = load.phases_in_order();
    let mut statuses: Vec<&String> = phases.iter().flat_map(|(_, phase)| phase.status.keys()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    html! {
        div.scroll {
            table {
                thead { tr { th scope="col" { "latency" } @for (name, _) in &phases { th scope="col" { (name) } } } }
                tbody {
                    @for line in LINES.iter().filter(|line| is_told(line, &phases)) { (row(line, &phases)) }
                    @for status in statuses {
                        tr {
                            th scope="row" { @if status == "0" { "no answer" } @else { "status " (status) } }
                            @for (_, phase) in &phases { td { (answers(phase, status)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What users saw of one journey.
fn of_journey(name: &str, journey: &Journey) -> Markup {
    let whole = journey.pages.iter().map(|(step, whole)| (format!("{step}, whole page"), whole));
    html! {
        h4 { "Journey " (name) }
        p.note { (count(journey.completed)) " completed, " (count(journey.abandoned)) " abandoned." }
        div.scroll {
            table {
                thead { tr { @for head in ["step", "p50", "p99", "largest", "as expected"] { th scope="col" { (head) } } } }
                tbody {
                    @for (step, phase) in &journey.steps {
                        (step_row(step, phase.latency(), &phase.success().map_or_else(String::new, percent)))
                    }
                    @for (step, whole) in whole { (step_row(&step, whole.some(), "")) }
                    (step_row("whole journey, thinking included", journey.duration(), ""))
                }
            }
        }
    }
}

/// What nobody came to has no times.
fn step_row(name: &str, latency: Option<&Quantiles>, ok: &str) -> Markup {
    let told = latency.map(|all| [all.p50, all.p99, all.max].map(duration)).unwrap_or_default();
    html! {
        tr {
            th scope="row" { (name) }
            @for text in &told { td { (cell(text)) } }
            td { (ok) }
        }
    }
}

fn answers(phase: &Phase, status: &str) -> String {
    count(phase.status.get(status).copied().unwrap_or(0))
}

/// Whether a line says anything: one of zeros alone does not.
fn is_told(line: &Line, phases: &[(&str, &Phase)]) -> bool {
    phases.iter().filter_map(|(_, phase)| line.1(phase)).any(|figure| figure.text != "0")
}

fn row(line: &Line, phases: &[(&str, &Phase)]) -> Markup {
    let first = phases.first().and_then(|(_, phase)| line.1(phase)).and_then(|figure| figure.size);
    html! {
        tr {
            th scope="row" { (line.0) }
            @for (index, (_, phase)) in phases.iter().enumerate() {
                td {
                    @if let Some(figure) = line.1(phase) {
                        (cell(&figure.text))
                        @if index > 0 { (factor(figure.size, first)) }
                    }
                }
            }
        }
    }
}

/// How many times the first phase's figure, where that is worth saying.
fn factor(size: Option<f64>, first: Option<f64>) -> Markup {
    let factor = size.zip(first).filter(|(_, first)| *first > 0.0).map(|(size, first)| size / first);
    match factor.filter(|factor| *factor >= 1.2) {
        Some(factor) => html! { " " small { "×" (digits(factor)) } },
        None => html! {},
    }
}
