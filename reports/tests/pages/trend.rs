//! The page of many runs.

use reports::result::{GateMetric, Kind, ResultFile, Verdict};
use reports::{history, trend};

use crate::document::check_page;
use crate::fixtures;

#[test]
fn a_trend_flags_what_changed_and_leaves_out_what_is_not_valid() {
    let folder = tempfile::tempdir().unwrap();
    for run in fixtures::runs_over_time() {
        history::keep(&run, folder.path()).unwrap();
    }
    let history = history::read(folder.path()).unwrap();
    let groups = trend::groups(&history.results);
    assert_eq!((groups.len(), groups[0].left_out), (1, 1));
    let changed: Vec<(&str, usize)> = groups[0]
        .series
        .iter()
        .flat_map(|series| series.changes().into_iter().map(|change| (series.name.as_str(), change.run)))
        .collect();
    assert_eq!(changed, [("gateway.0.cpu_us_per_request", 20)]);
    let told = trend::text(&groups);
    assert!(told.contains("gateway.0.cpu_us_per_request: worse from run 21") && told.contains("commits"), "{told}");
    assert!(told.contains("stands out"), "{told}");
    let html = trend::render(&groups);
    check_page("trend", &html);
    assert!(html.contains("worse from run 21") && html.contains("1 not valid and left out"));
}

/// Gates of one metric, whose estimates are these.
fn gates(estimates: impl Iterator<Item = f64>) -> Vec<ResultFile> {
    let gate = |estimate_pct| {
        let metric = GateMetric {
            estimate_pct,
            ci_low_pct: estimate_pct - 1.0,
            ci_high_pct: estimate_pct + 1.0,
            coverage: Some(0.98),
            mde_pct: 2.0,
            tolerance_pct: 3.0,
            rounds: 12,
            verdict: Verdict::Pass,
            base: None,
            head: None,
            floor_pct: None,
            p_value: None,
            mde_with_twice_the_rounds_pct: None,
            rounds_wanted: None,
        };
        let mut result = ResultFile { kind: Kind::Gate, name: "gate".to_owned(), ..ResultFile::default() };
        result.validity.valid = true;
        result.verdict = Verdict::Pass;
        result.metrics.insert("cpu_us_per_request".to_owned(), metric);
        result
    };
    estimates.map(gate).collect()
}

#[test]
fn a_change_of_a_difference_is_told_in_points_and_is_none_below_one() {
    let of = |before: f64, after: f64| {
        let noise = |run: u8| f64::from(run % 3) * 0.01;
        let level = move |run: u8| noise(run) + if run < 12 { before } else { after };
        trend::text(&trend::groups(&gates((0..24).map(level))))
    };
    // Three times as much, of next to nothing.
    let told = of(0.01, 0.05);
    assert!(told.contains("no change found") && !told.contains("worse"), "{told}");
    let told = of(-0.4, 2.1);
    assert!(told.contains("worse from run 13") && told.contains("(+2.5 points)") && !told.contains(" %)"), "{told}");
    let told = of(2.1, -0.4);
    assert!(told.contains("better from run 13") && told.contains("(−2.5 points)"), "{told}");
}
