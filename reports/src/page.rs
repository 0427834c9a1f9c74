//! A result as one HTML file that needs nothing else: no script, no font, no picture from anywhere.
//!
//! Text from the result is escaped by the template engine, and the page's own policy lets a browser load nothing and
//! run nothing. A section is there when the result has its figures, whatever kind it is, so that a newer kind of an old
//! version still shows what it shares.

mod article;
mod capacity;
mod gate;
mod machine;
mod many;
mod other;
mod peers;
mod phases;
mod resilience;
mod time;
mod verdict;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::result::ResultFile;

/// The style sheet: colours for day, night and paper, and what the inks of the plots look like.
const STYLE: &str = include_str!("page/style.css");
/// Nothing is loaded, nothing runs, nothing is sent.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page of a result. `folder` is where its histogram logs are; without them the percentiles of the result are
/// drawn.
#[must_use]
pub fn render(result: &ResultFile, folder: Option<&Path>) -> String {
    let sections = [
        verdict::section(result),
        article::section(result),
        time::section(result),
        phases::section(result),
        time::spectra(result, folder),
        capacity::section(result),
        gate::section(result),
        gate::self_test(result),
        peers::section(result),
        peers::compare(result),
        resilience::section(result),
        many::section(result),
        machine::validity(result),
        machine::environment(result),
        other::section(result),
    ];
    document(&title(result), &html! { @for section in sections.into_iter().flatten() { (section) } })
}

/// A whole document around its sections.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string() + "\n"
}

fn title(result: &ResultFile) -> String {
    format!("{} {} · Portcullis", kind(result), result.name)
}

/// The kind of a result as a person would say it.
fn kind(result: &ResultFile) -> &'static str {
    use crate::result::Kind;
    match result.kind {
        Kind::Run => "Scenario",
        Kind::Load => "Load",
        Kind::Demo => "Demo",
        Kind::Explore => "Exploration",
        Kind::Gate => "Gate",
        Kind::SelfTest => "Self-test",
        Kind::Compare => "Comparison",
        Kind::Peers => "Peers",
        Kind::Article => "Article",
        Kind::Growth => "Growth",
        Kind::Suite => "Suite",
    }
}

/// A section with its heading.
pub(crate) fn section(heading: &str, body: &Markup) -> Markup {
    html! { section { h2 { (heading) } (body) } }
}

/// A table that scrolls by itself where the page is too narrow. The first column holds names.
pub(crate) fn table(head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    table_of("", head, rows)
}

/// A table of a class of the style sheet: `stack` gives each name a line of its own on a phone, `words` lets the last
/// column break its lines, `lines` and `claims` put that column below the others there (`lines` the first one above
/// them too), `beside` puts the others beside each other below the first one there, each with its column's name,
/// `judged` has its verdicts in the second column.
fn table_of(class: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll {
            table class=[(!class.is_empty()).then_some(class)] {
                thead { tr { @for cell in head { th scope="col" { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Text in which what stands between back-ticks is code, as in Markdown. A back-tick without its other one is itself.
fn marked(text: &str) -> Markup {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return cell(text);
    }
    html! {
        @for (index, piece) in pieces.iter().enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// Text as a cell.
pub(crate) fn cell(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

/// A verdict as a small sign with its word: never colour alone.
fn sign(verdict: crate::result::Verdict) -> Markup {
    use crate::result::Verdict;
    let (class, mark) = match verdict {
        Verdict::Pass => ("good", "✓"),
        Verdict::Fail => ("bad", "✗"),
        Verdict::Inconclusive => ("unsure", "?"),
        Verdict::Invalid => ("unsure", "!"),
    };
    html! { span class=(format!("sign {class}")) { (mark) " " (crate::quantity::verdict(verdict)) } }
}
