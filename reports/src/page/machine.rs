//! Whether to believe the figures, and where they were measured.

use maud::{Markup, html};

use super::{marked, section as page_section};
use crate::quantity::{bytes, count, digits, duration, mebibytes, percent};
use crate::reasons::{BUSY, DROPPED, LATE, MOST_BUSY, MOST_LAG_US, MOST_MISSED, MOST_STOLEN, SHORT, STOLEN};
use crate::result::{Kind, ResultFile};

/// The card of how late the driver was.
const LAG: &str = "pacer's lag";

/// One figure of the panel: its name, its value, its bound, whether it is within, if that is known.
struct Check {
    name: &'static str,
    value: String,
    bound: String,
    is_well: Option<bool>,
    /// Out of bounds, though the run is not judged by it.
    is_doubtful: bool,
}

/// The run has judged itself, load by load: an overload may drop, and a closed load use its whole core. So a figure is
/// out of bounds where a reason of the run says so, by these words, and nowhere else.
fn is_well(result: &ResultFile, words: &str, is_within: bool) -> Option<bool> {
    match result.validity.reasons.iter().any(|reason| reason.contains(words)) {
        true if !result.validity.valid => Some(false),
        _ => is_within.then_some(true),
    }
}

fn checks(result: &ResultFile) -> Vec<Check> {
    let (validity, steal) = (&result.validity, result.environment.steal_ratio);
    let lag = validity.pacer_lag_us;
    let lags = format!("{} p50, {} p99", duration(lag.p50), duration(lag.p99));
    // A load's own lag is judged with it; of what has none, such as a gate, it is only told.
    let is_late = result.kind == Kind::Gate && lag.p99 > MOST_LAG_US;
    let bound = if is_late {
        format!(
            "p99 beyond {}: the driver was late, and latencies hold its lag; the run is not judged by it",
            duration(MOST_LAG_US)
        )
    } else {
        format!("p99 at most {}, or a tenth of a load's median service time", duration(MOST_LAG_US))
    };
    let well = |words, is_within| is_well(result, words, is_within);
    let check = |name, value, bound: &str, is_well| Check {
        name,
        value,
        bound: bound.to_owned(),
        is_well,
        is_doubtful: name == LAG && is_late,
    };
    // Turns, rounds and worlds offer nothing by a plan, and only a scenario waits until it is steady: of others the
    // result has these figures for its form alone.
    let has_plan = matches!(result.kind, Kind::Run | Kind::Load | Kind::Demo | Kind::Suite | Kind::Compare);
    let achieved = validity.achieved_over_offered;
    let achieved = has_plan.then(|| {
        let is_within = (achieved - 1.0).abs() <= MOST_MISSED;
        check("achieved over offered", percent(achieved), "within 1 %", well(SHORT, is_within))
    });
    let steady_from = duration(validity.steady_from_ms as f64 * 1e3);
    let steady = (result.kind == Kind::Run).then(|| check("steady from", steady_from, "", None));
    let dropped = count(validity.dropped);
    let mut checks =
        vec![check("arrivals dropped", dropped, "none outside of overload", well(DROPPED, validity.dropped == 0))];
    checks.extend(achieved);
    checks.extend([
        // Without a lag nothing was driven.
        check(LAG, lags, &bound, well(LATE, lag.p99 > 0.0 && lag.p99 <= MOST_LAG_US)),
        check(
            "driver's thread busy",
            percent(validity.client_cpu_ratio),
            "at most 70 % in the open model",
            well(BUSY, validity.client_cpu_ratio <= MOST_BUSY),
        ),
        check("taken by the host", percent(steal), "at most 1 %", well(STOLEN, steal <= MOST_STOLEN)),
    ]);
    checks.extend(steady);
    checks
}

/// The validity panel.
pub(super) fn validity(result: &ResultFile) -> Option<Markup> {
    let valid = result.validity.valid;
    Some(page_section(
        "Can this be believed?",
        &html! {
            p { @if valid { "The run calls itself valid." } @else { strong { "The run calls itself not valid." } } }
            @if !result.validity.reasons.is_empty() {
                ul { @for reason in &result.validity.reasons { li { (marked(reason)) } } }
            }
            @for note in &result.validity.notes { p.note { (note) } }
            dl.cards {
                @for check in checks(result) {
                    div class=(if check.is_well == Some(false) { "card outside" } else { "card" }) {
                        dt { (check.name) }
                        dd {
                            @match check.is_well {
                                Some(true) => span.sign.good { "✓ " },
                                Some(false) => span.sign.bad { "✗ " },
                                None if check.is_doubtful => span.sign.unsure { "! " },
                                None => {},
                            }
                            strong { (check.value) }
                            @if !check.bound.is_empty() { small { (check.bound) } }
                        }
                    }
                }
            }
        },
    ))
}

/// The environment card.
pub(super) fn environment(result: &ResultFile) -> Option<Markup> {
    let machine = &result.environment;
    let unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let noise = machine.noise_aa.map_or_else(|| "not measured".to_owned(), percent);
    let mut entries = vec![
        ("processor", unknown(&machine.cpu)),
        ("cores", machine.cores.to_string()),
        ("memory", bytes(machine.memory)),
        ("kernel", unknown(&machine.kernel)),
        ("governor", unknown(&machine.governor)),
        ("pinning", unknown(&machine.pinning)),
        ("two equal builds differ by", noise),
    ];
    for (name, text) in &machine.versions {
        entries.push((name, text.clone()));
    }
    let gateways = &result.gateway;
    Some(page_section(
        "Where it was measured",
        &html! {
            dl.cards { @for (name, text) in &entries { div.card { dt { (name) } dd { (text) } } } }
            @for (name, gateway) in gateways {
                h3 { "Gateway " (name) }
                dl.cards {
                    @if let Some(cpu_us) = gateway.cpu_us_per_request {
                        div.card { dt { "CPU time a request" } dd { (duration(cpu_us)) } }
                    }
                    @if let Some(instructions) = gateway.instructions_per_request {
                        div.card { dt { "instructions a request" } dd { (digits(instructions)) } }
                    }
                    @if let Some(rss) = gateway.rss_bytes {
                        div.card {
                            dt { "memory" }
                            dd {
                                (mebibytes(rss.idle)) " idle, " (mebibytes(rss.peak)) " peak, "
                                (mebibytes(rss.end)) " at the end"
                            }
                        }
                    }
                    div.card {
                        dt { "upstream connections" }
                        dd { (count(gateway.connections_opened)) " opened, " (percent(gateway.reuse_ratio)) " reuse" }
                    }
                }
            }
            p.command { "Command: " code { (result.command) } }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: Kind) -> Vec<&'static str> {
        checks(&ResultFile { kind, ..ResultFile::default() }).into_iter().map(|check| check.name).collect()
    }

    #[test]
    fn figures_that_nobody_measured_are_not_shown_as_good() {
        assert_eq!((names(Kind::Run).len(), names(Kind::Run).last()), (6, Some(&"steady from")));
        assert!(names(Kind::Load).contains(&"achieved over offered"));
        assert!(!names(Kind::Load).contains(&"steady from"), "whoever starts a load says how long it warms up");
        for kind in [Kind::Gate, Kind::SelfTest, Kind::Peers, Kind::Article, Kind::Growth, Kind::Explore] {
            assert_eq!(names(kind), ["arrivals dropped", LAG, "driver's thread busy", "taken by the host"], "{kind:?}");
        }
    }

    #[test]
    fn a_reason_marks_the_figure_that_it_is_about_and_a_name_marks_none() {
        let marked = |reason: &str| {
            let mut result = ResultFile::default();
            result.validity.reasons = vec![reason.to_owned()];
            let outside = checks(&result).into_iter().filter(|check| check.is_well == Some(false));
            outside.map(|check| check.name).collect::<Vec<_>>()
        };
        assert_eq!(marked("load main: the pacer's p99 lag was 900 us, more than 200 us"), [LAG]);
        assert_eq!(marked("load main: 7 arrivals were dropped at the in-flight bound"), ["arrivals dropped"]);
        assert!(marked("load flag-achieved-dropped: no request ended").is_empty());
    }
}
