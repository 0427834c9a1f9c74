//! The page of many runs.

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
