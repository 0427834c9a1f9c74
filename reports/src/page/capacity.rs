//! Latency against load.

use maud::{Markup, html};

use super::{cell, section as page_section, table};
use crate::plot::load_curve::LoadCurve;
use crate::plot::{both, key};
use crate::quantity::{digits, duration, percent};
use crate::result::{Capacity, ResultFile};

/// The hockey stick of each load, and its figures.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    let body = html! { @for (name, capacity) in &result.capacity { (of_load(name, capacity)) } };
    (!result.capacity.is_empty()).then(|| page_section("Latency against load", &body))
}

fn of_load(name: &str, capacity: &Capacity) -> Markup {
    let knee = capacity.knee_rps;
    let mut steps: Vec<_> = capacity.steps.iter().collect();
    steps.sort_by(|one, other| one.offered_rps.total_cmp(&other.offered_rps));
    let rows: Vec<Vec<Markup>> = steps
        .iter()
        .map(|step| {
            let told = [digits(step.achieved_rps), duration(step.p50_us.estimate), duration(step.p99_us.estimate)];
            let mut row = vec![cell(digits(step.offered_rps))];
            row.extend(told.iter().map(cell));
            row.push(cell(percent(step.success_ratio)));
            row
        })
        .collect();
    html! {
        h3 { (name) }
        p.note {
            "Holds a p99 of " (duration(capacity.objective_p99_us)) " with " (percent(capacity.objective_success_ratio))
            " success up to " strong { (digits(knee.estimate)) " requests/s" }
            " (" (digits(knee.ci_low)) " to " (digits(knee.ci_high)) ")."
            @if let Some(kept) = capacity.goodput_retention {
                " At one and a half times that, " (percent(kept)) " of the goodput remains."
            }
        }
        @if let Some(curve) = LoadCurve::of(capacity) {
            figure {
                (key(&curve.key()))
                (both(&format!("Latency of {name} against offered load"), &curve))
            }
        }
        details {
            summary { "The steps as a table" }
            (table(&["offered, requests/s", "achieved", "p50", "p99", "as expected"], &rows))
        }
    }
}
