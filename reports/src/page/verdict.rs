//! The head of a page: what follows from the run, in plain words, and each expectation.

use maud::{Markup, html};

use super::{cell, kind, marked, sign, table_of};
use crate::quantity::exact;
use crate::result::{ResultFile, Verdict};
use crate::story::{self, is_invalid};

/// Verdict and expectations.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    let story = story::of(result);
    let verdict = if is_invalid(result) { Verdict::Invalid } else { result.verdict };
    // Claims have verdicts of their own; that they were measured says nothing of them.
    let has_claims = !result.claims.is_empty();
    let class = match verdict {
        Verdict::Pass if !has_claims => "verdict good",
        Verdict::Fail => "verdict bad",
        Verdict::Pass | Verdict::Inconclusive | Verdict::Invalid => "verdict unsure",
    };
    Some(html! {
        header {
            p.kind { (kind(result)) }
            h1 { (result.name) }
            p.about {
                (result.started_at)
                @if let Some(seed) = result.shared_seed() { " · seed " (seed) }
                @if !result.commit.is_empty() { " · commit " code { (result.commit) } }
            }
            div class=(class) {
                p.headline { @if !has_claims { (sign(verdict)) " " } (marked(&story.headline)) }
                @if !story.sentences.is_empty() {
                    ul { @for sentence in &story.sentences { li { (marked(sentence)) } } }
                }
            }
            (expectations(result))
        }
    })
}

fn expectations(result: &ResultFile) -> Markup {
    if result.expectations.is_empty() {
        return html! {};
    }
    let invalid = is_invalid(result);
    let rows: Vec<Vec<Markup>> = result
        .expectations
        .iter()
        .map(|expectation| {
            let value = expectation.value.map_or_else(|| "none".to_owned(), exact);
            let holds = match (invalid, expectation.holds) {
                (true, _) => html! { span.sign.unsure { "! not judged" } },
                (false, true) => html! { span.sign.good { "✓ holds" } },
                (false, false) => html! { span.sign.bad { "✗ does not" } },
            };
            vec![html! { code { (expectation.figure) } }, cell(&expectation.bound), cell(value), holds]
        })
        .collect();
    table_of("stack", &["expected of", "bound", "measured", "holds"], &rows)
}
