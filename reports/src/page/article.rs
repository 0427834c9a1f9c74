//! The article's claims: a table of all, then each with its figures, its plots and how it was measured.

use maud::{Markup, html};

use super::{cell, marked, section as page_section, table_of};
use crate::plot::points::Points;
use crate::plot::{both, key};
use crate::quantity::{claim_interval, claim_value, digits};
use crate::result::{Claim, ClaimFigure, ClaimVerdict, ResultFile};

/// All claims.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    if result.claims.is_empty() {
        return None;
    }
    // What this project promises itself stands in no section of the article.
    let has_sections = result.claims.iter().any(|claim| !claim.section.is_empty());
    let rows: Vec<Vec<Markup>> = result.claims.iter().map(|claim| overview(claim, has_sections)).collect();
    let head: &[&str] = &["", "section", "verdict", "claim and figure"];
    let head: Vec<&str> = head.iter().copied().filter(|name| has_sections || *name != "section").collect();
    Some(html! {
        (page_section("Claims", &table_of("words claims", &head, &rows)))
        @for one in &result.claims { (claim(one)) }
    })
}

fn overview(claim: &Claim, has_sections: bool) -> Vec<Markup> {
    let first = claim.figures.first().filter(|figure| figure.value.is_some());
    let told = html! {
        (claim.claim)
        @if let Some(figure) = first {
            div.note { (figure.name) ": " (claim_value(figure)) " (" (claim_interval(figure)) ")" }
        } @else {
            div.note { (marked(&claim.why)) }
        }
    };
    // The table's head is not there on a phone.
    let section = has_sections.then(|| html! { span.phone { "section " } (claim.section) });
    [Some(cell(&claim.id)), section, Some(sign(claim.verdict)), Some(told)].into_iter().flatten().collect()
}

/// A verdict as a small sign with its words: never colour alone.
fn sign(verdict: ClaimVerdict) -> Markup {
    let (class, mark) = match verdict {
        ClaimVerdict::Holds => ("good", "✓"),
        ClaimVerdict::HoldsInPart => ("unsure", "◐"),
        ClaimVerdict::DoesNotHold => ("bad", "✗"),
        ClaimVerdict::NotMeasured => ("unsure", "–"),
    };
    html! { span class=(format!("sign {class}")) { (mark) " " (verdict) } }
}

fn claim(claim: &Claim) -> Markup {
    let head = ["figure", "value", "interval", "wanted", ""];
    let rows: Vec<Vec<Markup>> = claim.figures.iter().map(figure_row).collect();
    let took = format!("{} s, {}, {}", digits(claim.seconds), claim.measured_at, claim.build);
    page_section(
        &format!("{} {}", claim.id, claim.claim),
        &html! {
            p.note {
                @if !claim.section.is_empty() { "Section " (claim.section) " · " }
                (claim.system) " · " (claim.experiment)
            }
            p { (sign(claim.verdict)) " " (marked(&claim.why)) }
            @if !rows.is_empty() { (table_of("wrap", &head, &rows)) }
            @for plot in &claim.plots { (drawn(plot)) }
            @if !claim.notes.is_empty() { ul.note { @for note in &claim.notes { li { (marked(note)) } } } }
            details {
                summary { "How it was measured" }
                ul.note {
                    @for line in &claim.configuration { li { (marked(line)) } }
                    @if !claim.measured_at.is_empty() { li { (took) } }
                }
            }
        },
    )
}

fn figure_row(figure: &ClaimFigure) -> Vec<Markup> {
    let holds = match (figure.holds, figure.wanted.is_empty()) {
        (Some(true), _) => html! { span.sign.good { "✓ holds" } },
        (Some(false), _) => html! { span.sign.bad { "✗ does not" } },
        (None, false) => html! { span.sign.unsure { "? not decided" } },
        (None, true) => html! {},
    };
    let name = if figure.core {
        html! { strong { (figure.name) } }
    } else {
        cell(&figure.name)
    };
    vec![name, cell(claim_value(figure)), cell(claim_interval(figure)), cell(&figure.wanted), holds]
}

fn drawn(plot: &crate::result::ClaimPlot) -> Markup {
    let Some(points) = Points::of(plot) else { return html! {} };
    html! {
        figure {
            (key(&points.key()))
            (both(&plot.caption, &points))
            figcaption { (plot.caption) }
        }
    }
}
