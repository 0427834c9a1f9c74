//! The lines of a comparison of gateways: one order and one wording for page, Markdown and terminal.

use std::collections::BTreeSet;

use crate::quantity::{count, duration, exact, percent};
use crate::result::{Compared, ResultFile};

/// A line: its name and what it says of a gateway.
type Line = (&'static str, fn(&Compared) -> Option<String>);
/// How a value is written.
type Write = fn(f64) -> String;

const LINES: [Line; 9] = [
    ("version", |one| Some(one.version.clone())),
    ("trip time", |one| one.trip_ms.map(|ms| duration(ms * 1e3)).or_else(|| never(one))),
    ("attempts leaked while out", |one| one.leaked_attempts.map(count)),
    ("recovery", |one| one.recovery_ms.map(|ms| duration(ms * 1e3)).or_else(|| not_back(one))),
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

/// It had outages that can be measured, and nobody saw it come back from one.
fn not_back(one: &Compared) -> Option<String> {
    let count = |figure: &str| one.figures.get(figure).copied().unwrap_or(0.0);
    (count("outages") > count("outages_not_measurable")).then(|| "not by the end".to_owned())
}

/// A figure that has no line of its own, in words, and how its values are written. One that nobody here knows is shown
/// by its name.
fn worded(name: &str) -> (String, Write) {
    let (words, write): (String, Write) = match name.split_once('.') {
        Some(("p99_ms", phase)) => (format!("p99 in {phase}"), of_ms as Write),
        Some(("success", phase)) => (format!("as expected in {phase}"), percent),
        Some(("regret_bad", upstream)) => (format!("sent to a sick endpoint of {upstream}"), percent),
        Some(("limit", rest)) if rest.ends_with(".worst_window_excess") => {
            let rule = rest.trim_end_matches(".worst_window_excess");
            (format!("requests above limit {rule} in its worst window"), exact)
        }
        _ if name == "cpu_us_per_request" => ("CPU a request".to_owned(), duration),
        _ => (worded_count(name).to_owned(), exact),
    };
    (words, write)
}

fn worded_count(name: &str) -> &str {
    match name {
        "retry_amplification" => "upstream requests a request",
        "attempts_at_sick_endpoints" => "attempts at sick endpoints",
        "outages_never_left_alone" => "outages in which it never was left alone",
        "outages_not_measurable" => "outages that cannot be measured",
        other => other,
    }
}

fn of_ms(ms: f64) -> String {
    duration(ms * 1e3)
}

/// A comparison as a table: the gateways' names, ours first, and each line with a cell for each of them; `None` where a
/// gateway has no such figure.
pub(crate) struct Lines<'a> {
    pub(crate) gateways: Vec<(&'a str, &'a Compared)>,
    pub(crate) rows: Vec<(String, Vec<Option<String>>)>,
}

/// The table of a result; `None` when it compares nothing.
pub(crate) fn lines(result: &ResultFile) -> Option<Lines<'_>> {
    if result.compare.is_empty() {
        return None;
    }
    let mut gateways: Vec<(&str, &Compared)> = result.compare.iter().map(|(name, one)| (name.as_str(), one)).collect();
    // Ours first; it is called so in every result.
    gateways.sort_by_key(|(name, _)| *name != "gateway");
    let told = |(name, figure): &Line| ((*name).to_owned(), gateways.iter().map(|(_, one)| figure(one)).collect());
    let mut rows: Vec<(String, Vec<Option<String>>)> = LINES.iter().map(told).collect();
    rows.retain(|(_, cells)| cells.iter().any(Option::is_some));
    let others: BTreeSet<&str> = gateways.iter().flat_map(|(_, one)| one.figures.keys()).map(String::as_str).collect();
    rows.extend(others.into_iter().map(|name| {
        let (words, write) = worded(name);
        (words, gateways.iter().map(|(_, one)| one.figures.get(name).copied().map(write)).collect())
    }));
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
    fn figures_have_words_and_units_and_who_is_not_back_is_said_to_be_so() {
        let figures =
            [("p99_ms.fault_1", 1.5), ("success.before", 1.0), ("outages", 2.0), ("cpu_us_per_request", 31.0)];
        let compare =
            [("gateway".to_owned(), one(None, &figures)), ("next".to_owned(), one(None, &[("new_one", 3.0)]))];
        let result = ResultFile { compare: compare.into(), ..ResultFile::default() };
        let rows = lines(&result).unwrap().rows;
        let cell = |name: &str, column: usize| rows.iter().find(|row| row.0 == name).unwrap().1[column].clone();
        let of_ours = ["recovery", "p99 in fault_1", "as expected in before", "CPU a request"].map(|row| cell(row, 0));
        assert_eq!(of_ours, ["not by the end", "1.5 ms", "100 %", "31 µs"].map(|text| Some(text.to_owned())));
        assert_eq!((cell("recovery", 1), cell("new_one", 1)), (None, Some("3".to_owned())));
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
        let names: Vec<&str> = lines.rows.iter().map(|(name, _)| name.as_str()).collect();
        let counts = ["outages in which it never was left alone", "outages that cannot be measured"];
        assert_eq!(names, ["version", "trip time", counts[0], counts[1]]);
        assert_eq!(lines.rows[1].1, ["12 ms", "never", "not measurable"].map(|cell| Some(cell.to_owned())));
        assert!(super::lines(&ResultFile::default()).is_none());
    }
}
