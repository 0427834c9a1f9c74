//! Our gateway beside others.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{cell, section as page_section, table, table_of};
use crate::plot::intervals::{Intervals, Measure, Row};
use crate::plot::{Ink, Mark, Shape, both, key};
use crate::quantity::{count, digits, duration, exact, mebibytes, percent};
use crate::result::{Compared, Peer, ResultFile};

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
    let head = ["gateway", "requests/s", "CPU a request", "p50", "p99", "memory", "ours/theirs", "chain", "version"];
    let table_rows: Vec<Vec<Markup>> = peers.iter().map(|(name, peer)| peer_row(name, peer)).collect();
    Some(page_section(
        "Beside other gateways",
        &html! {
            @if !ratios.rows.is_empty() {
                figure {
                    (key(&marks))
                    (both("Ratio of our CPU time a request to that of each other gateway", &ratios))
                    figcaption { "Interleaved rounds on one machine; bars are 95 % intervals." }
                }
            }
            (table(&head, &table_rows))
        },
    ))
}

fn ratio_row(name: &str, peer: &Peer) -> Option<Row> {
    let ratio = peer.ratio_to_ours?;
    let ink = match (ratio.ci_low, ratio.ci_high) {
        (_, high) if high < 1.0 => Ink::Good,
        (low, _) if low > 1.0 => Ink::Bad,
        _ => Ink::Unsure,
    };
    Some(Row {
        name: name.to_owned(),
        note: format!("{} ({} to {})", digits(ratio.estimate), digits(ratio.ci_low), digits(ratio.ci_high)),
        estimate: ratio.estimate,
        low: ratio.ci_low,
        high: ratio.ci_high,
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

/// A line of the comparison: its name and what it says of a gateway.
type Line = (&'static str, fn(&Compared) -> Option<String>);

const LINES: [Line; 9] = [
    ("version", |one| Some(one.version.clone())),
    ("trip time", |one| one.trip_ms.map(|ms| duration(ms * 1e3))),
    ("attempts leaked while out", |one| one.leaked_attempts.map(count)),
    ("recovery", |one| one.recovery_ms.map(|ms| duration(ms * 1e3))),
    ("admitted above the limit", |one| one.over_admission.map(percent)),
    ("failures at a reload", |one| one.reload_failures.map(count)),
    ("failures at a drain", |one| one.drain_failures.map(count)),
    ("as expected", |one| one.success_ratio.map(percent)),
    ("latency added, p50 and p99", |one| {
        one.added_us.map(|added| format!("{}, {}", duration(added.p50), duration(added.p99)))
    }),
];

/// The same scenario through several gateways: one column each.
pub(super) fn compare(result: &ResultFile) -> Option<Markup> {
    if result.compare.is_empty() {
        return None;
    }
    let mut gateways: Vec<(&String, &Compared)> = result.compare.iter().collect();
    // Ours first; it is called so in every result.
    gateways.sort_by_key(|(name, _)| name.as_str() != "gateway");
    let head: Vec<&str> = std::iter::once("").chain(gateways.iter().map(|(name, _)| name.as_str())).collect();
    let or_none = |text: Option<String>| cell(text.unwrap_or_else(|| "–".to_owned()));
    let mut rows: Vec<Vec<Markup>> = Vec::new();
    for (name, figure) in LINES.iter().filter(|line| gateways.iter().any(|(_, one)| line.1(one).is_some())) {
        rows.push(std::iter::once(cell(name)).chain(gateways.iter().map(|(_, one)| or_none(figure(one)))).collect());
    }
    let others: BTreeSet<&String> = gateways.iter().flat_map(|(_, one)| one.figures.keys()).collect();
    for name in others {
        let told = gateways.iter().map(|(_, one)| or_none(one.figures.get(name).copied().map(exact)));
        rows.push(std::iter::once(html! { code { (name) } }).chain(told).collect());
    }
    let lacks = gateways
        .iter()
        .map(|(_, one)| cell(if one.lacks.is_empty() { "nothing".to_owned() } else { one.lacks.join("; ") }));
    rows.push(std::iter::once(cell("cannot be configured")).chain(lacks).collect());
    let note = "Scored from the client's and the services' journals alone: no gateway's own word is asked.";
    Some(page_section("The same scenario through each", &html! { p.note { (note) } (table_of("wrap", &head, &rows)) }))
}
