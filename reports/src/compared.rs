//! The lines of a comparison of gateways: one order and one wording for page, Markdown and terminal.

use std::collections::BTreeSet;

use crate::quantity::{count, duration, exact, percent};
use crate::result::{Compared, ResultFile};

/// A line: its name and what it says of a gateway.
type Line = (&'static str, fn(&Compared) -> Option<String>);

const LINES: [Line; 9] = [
    ("version", |one| Some(one.version.clone())),
    ("trip time", |one| one.trip_ms.map(|ms| duration(ms * 1e3)).or_else(|| never(one))),
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

/// It had outages, and did not leave the endpoint alone in each, or nobody can tell.
fn never(one: &Compared) -> Option<String> {
    let words = [("outages_never_left_alone", "never"), ("outages_not_measurable", "not measurable")];
    let holds = |figure: &str| one.figures.get(figure).is_some_and(|count| *count > 0.0);
    words.into_iter().find(|(figure, _)| holds(figure)).map(|(_, word)| word.to_owned())
}

/// A comparison as a table: the gateways' names, ours first, and each line with a cell for each of them; `None` where a
/// gateway has no such figure.
pub(crate) struct Lines<'a> {
    pub(crate) gateways: Vec<(&'a str, &'a Compared)>,
    pub(crate) rows: Vec<(&'a str, Vec<Option<String>>)>,
}

/// The table of a result; `None` when it compares nothing.
pub(crate) fn lines(result: &ResultFile) -> Option<Lines<'_>> {
    if result.compare.is_empty() {
        return None;
    }
    let mut gateways: Vec<(&str, &Compared)> = result.compare.iter().map(|(name, one)| (name.as_str(), one)).collect();
    // Ours first; it is called so in every result.
    gateways.sort_by_key(|(name, _)| *name != "gateway");
    let mut rows: Vec<(&str, Vec<Option<String>>)> =
        LINES.iter().map(|(name, figure)| (*name, gateways.iter().map(|(_, one)| figure(one)).collect())).collect();
    rows.retain(|(_, cells)| cells.iter().any(Option::is_some));
    let others: BTreeSet<&str> = gateways.iter().flat_map(|(_, one)| one.figures.keys()).map(String::as_str).collect();
    let other = |name: &str| gateways.iter().map(|(_, one)| one.figures.get(name).copied().map(exact)).collect();
    rows.extend(others.into_iter().map(|name| (name, other(name))));
    Some(Lines { gateways, rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(trip_ms: Option<f64>, figures: &[(&str, f64)]) -> Compared {
        let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Compared { version: "1".to_owned(), trip_ms, figures, ..Compared::default() }
    }

    #[test]
    fn ours_comes_first_and_lines_that_say_nothing_are_left_out() {
        let compare = [
            ("envoy".to_owned(), one(None, &[("outages_never_left_alone", 1.0)])),
            ("gateway".to_owned(), one(Some(12.0), &[("outages_never_left_alone", 0.0)])),
            ("nginx".to_owned(), one(None, &[("outages_not_measurable", 1.0), ("outages_never_left_alone", 0.0)])),
        ];
        let result = ResultFile { compare: compare.into(), ..ResultFile::default() };
        let lines = lines(&result).unwrap();
        assert_eq!(lines.gateways.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["gateway", "envoy", "nginx"]);
        let names: Vec<&str> = lines.rows.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["version", "trip time", "outages_never_left_alone", "outages_not_measurable"]);
        assert_eq!(lines.rows[1].1, ["12 ms", "never", "not measurable"].map(|cell| Some(cell.to_owned())));
        assert!(super::lines(&ResultFile::default()).is_none());
    }
}
