//! Our gateway beside others.

use maud::{Markup, html};

use super::{cell, section as page_section, table, table_of};
use crate::compared;
use crate::plot::intervals::{Found, Intervals, Measure, Row};
use crate::plot::{Ink, Mark, Shape, both, key};
use crate::quantity::{digits, duration, mebibytes};
use crate::result::{Compared, Peer, ResultFile};
use crate::text::FULL_LOAD;

/// The ratios and the table.
pub(super) fn section(result: &ResultFile) -> Option<Markup> {
    if result.peers.is_empty() {
        return None;
    }
    let mut peers: Vec<(&String, &Peer)> = result.peers.iter().collect();
    peers.sort_by(|(_, one), (_, other)| one.cpu_us_per_request.total_cmp(&other.cpu_us_per_request));
    let rows: Vec<Row> = peers.iter().filter_map(|(name, peer)| ratio_row(name, peer)).collect();
    let ratios = Intervals { rows, measure: Measure::Ratio, axis: "ours over theirs; left of 1 we are cheaper" };
    let marks = [
        Mark::new(Ink::Good, Shape::Dot, "ours costs less"),
        Mark::new(Ink::Bad, Shape::Dot, "ours costs more"),
        Mark::new(Ink::Unsure, Shape::Dot, "no difference shown"),
    ];
    let head =
        ["gateway", "requests/s", "CPU a request", "p50 full", "p99 full", "memory", "ours/theirs", "chain", "version"];
    let table_rows: Vec<Vec<Markup>> = peers.iter().map(|(name, peer)| peer_row(name, peer)).collect();
    Some(page_section(
        "Beside other gateways",
        &html! {
            @if !ratios.rows.is_empty() {
                figure {
                    (key(&marks))
                    (both("Ratio of our CPU time a request to that of each other gateway", &ratios))
                    figcaption { "Interleaved rounds on one machine; " (bars(&peers)) }
                }
            }
            (table(&head, &table_rows))
            p.note { (FULL_LOAD) }
        },
    ))
}

/// What the bars are.
fn bars(peers: &[(&String, &Peer)]) -> String {
    let coverage = peers.iter().filter_map(|(_, peer)| peer.ratio_coverage).reduce(f64::min);
    match coverage {
        Some(coverage) if coverage > 0.0 => format!("bars are intervals of {:.0} %.", coverage * 100.0),
        Some(_) => "one round has no interval, and shows no difference.".to_owned(),
        None => "bars are intervals.".to_owned(),
    }
}

fn ratio_row(name: &str, peer: &Peer) -> Option<Row> {
    let ratio = peer.ratio_to_ours?;
    let ink = match peer.ours_is_less() {
        Some(true) => Ink::Good,
        Some(false) => Ink::Bad,
        None => Ink::Unsure,
    };
    Some(Row {
        name: name.to_owned(),
        note: format!("{} ({} to {})", digits(ratio.estimate), digits(ratio.ci_low), digits(ratio.ci_high)),
        found: Some(Found { estimate: ratio.estimate, low: ratio.ci_low, high: ratio.ci_high }),
        ink,
        allowed: None,
        tick: None,
    })
}

fn peer_row(name: &str, peer: &Peer) -> Vec<Markup> {
    let ratio = peer.ratio_to_ours.map_or_else(|| "–".to_owned(), |ratio| digits(ratio.estimate));
    let told = [
        digits(peer.requests_per_second),
        duration(peer.cpu_us_per_request),
        duration(peer.latency_us.p50),
        duration(peer.latency_us.p99),
        mebibytes(peer.rss_bytes),
        ratio,
        peer.chain.clone(),
        peer.version.clone(),
    ];
    std::iter::once(cell(name)).chain(told.iter().map(cell)).collect()
}

/// The same scenario through several gateways: one column each.
pub(super) fn compare(result: &ResultFile) -> Option<Markup> {
    let lines = compared::lines(result)?;
    let head: Vec<&str> = std::iter::once("").chain(lines.gateways.iter().map(|(name, _)| *name)).collect();
    // The table's head is not there on a phone.
    let told = |((gateway, _), text): (&(&str, &Compared), &Option<String>)| {
        html! { span.phone { (gateway) } (text.as_deref().unwrap_or("–")) }
    };
    let row = |(name, cells): &(String, Vec<Option<String>>)| {
        // Figures without a wording of their own have a name.
        let name = if name.contains(['_', '.']) && !name.contains(' ') {
            html! { code { (name) } }
        } else {
            cell(name)
        };
        std::iter::once(name).chain(lines.gateways.iter().zip(cells).map(told)).collect()
    };
    let rows: Vec<Vec<Markup>> = lines.rows.iter().map(row).collect();
    let lacking = || lines.gateways.iter().filter(|(_, one)| !one.lacks.is_empty());
    let note = "Scored from the client's and the services' journals alone: no gateway's own word is asked.";
    Some(page_section(
        "The same scenario through each",
        &html! {
            p.note { (note) }
            (table_of("wrap beside", &head, &rows))
            @if lacking().next().is_some() { h3 { "What each cannot be told, or is told otherwise" } }
            @for (name, one) in lacking() {
                p { strong { (name) } }
                ul { @for lack in &one.lacks { li { (lack) } } }
            }
        },
    ))
}
