//! What stands where on the page of each kind of result, and in its plots.

use std::path::Path;

use reports::result::{Expectation, Journey, Lag, Phase, Quantiles};
use reports::{markdown, page, text};
use roxmltree::{Document, Node};

use crate::document::{as_xml, check_page, words};
use crate::fixtures;

/// All claims in a table, then each under its own heading.
const ARTICLE: [&str; 7] = [
    "Claims",
    "A4 Path routing adds minimal overhead, and a prefix tree beats hand-written matching",
    "A10 Breakers isolate a failing service soon after it degrades",
    "A28 Token-based authentication costs less than session-based",
    "A1 An asynchronous gateway has far higher throughput than a synchronous one",
    "Latency against load",
    "Beside other gateways",
];

#[test]
fn each_claim_is_told_with_its_verdict_its_interval_and_why() {
    let result = fixtures::named("article").result;
    let said = words(Document::parse(&as_xml(&page::render(&result, None))).unwrap().root());
    let markdown = markdown::render(&result);
    for word in ["holds in part", "does not hold", "not measured", "405 ns to 421 ns (97 %, 6 runs)", "exact, 6 runs"] {
        assert!(said.contains(word) && markdown.contains(word), "{word}");
    }
    let row = "| A4 | 2 | Path routing adds minimal overhead, and a prefix tree beats hand-written matching |";
    assert!(markdown.contains(row), "{markdown}");
    assert!(said.contains("Of 4 claims 1 holds, 1 holds in part, 1 does not hold, 1 is not measured."), "{said}");
    let text = text::render(&result);
    assert!(text.contains("NOT MEASURED: flask is not on this machine"), "{text}");
}

#[test]
fn a_claim_goes_on_where_its_verdict_ends() {
    let said = page::render(&fixtures::named("article").result, None);
    for sentence in [
        "A10 holds in part: but not: attempts to the trip",
        "A28 does not hold: CPU a request, token over session 104 %, wanted at most 95 %.",
        "A1 not measured: flask is not on this machine: <code>cargo xtask peers</code> brings it.",
    ] {
        assert!(said.contains(sentence), "{sentence}");
    }
}

#[test]
fn each_kind_has_its_sections_and_each_plot_its_two_widths() {
    let cases: [(&str, &[&str], usize); 11] = [
        ("run", &["Over time", "Before, during, after", "Percentile spectrum", "Resilience, beside its oracle"], 2),
        ("load", &["Over time", "Figures", "Percentile spectrum"], 2),
        ("demo", &["Over time", "Before, during, after", "Percentile spectrum", "Resilience, beside its oracle"], 2),
        ("capacity", &["Latency against load"], 1),
        ("explore", &["Seeds"], 0),
        ("gate", &["Base against head"], 6),
        ("self_test", &["What the gate finds"], 1),
        ("suite", &["Scenarios"], 0),
        ("compare", &["The same scenario through each"], 0),
        ("peers", &["Beside other gateways"], 1),
        ("article", &ARTICLE, 4),
    ];
    for (name, sections, plots) in cases {
        let html = page::render(&fixtures::named(name).result, None);
        let xml = as_xml(&html);
        let document = Document::parse(&xml).unwrap();
        let headings: Vec<String> =
            document.descendants().filter(|node| node.tag_name().name() == "h2").map(words).collect();
        let mut expected: Vec<&str> = sections.to_vec();
        expected.extend(["Can this be believed?", "Where it was measured"]);
        assert_eq!(headings, expected, "{name}");
        for width in ["plot wide", "plot narrow"] {
            let found = document.descendants().filter(|node| node.attribute("class") == Some(width)).count();
            assert_eq!(found, plots, "{name}: {width}");
        }
    }
}

#[test]
fn figures_are_where_they_should_be() {
    let fixture = fixtures::named("run");
    let html = page::render(&fixture.result, None);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let header = document.descendants().find(|node| node.tag_name().name() == "header").unwrap();
    let told = words(header);
    for part in ["1 of 4 expectations does not hold.", "limiters.public.false_admits is 1, expected at most 0.", "212"]
    {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let rows: Vec<String> = document.descendants().filter(|node| node.tag_name().name() == "tr").map(words).collect();
    let healed = reports::quantity::duration(fixture.result.load["steady"].phases["healed"].latency_us.unwrap().p99);
    assert!(rows.iter().any(|row| row.starts_with("p99 ") && row.contains(&healed)), "{rows:?}");
    assert!(rows.iter().any(|row| row.contains("orders/1") && row.contains("7.74 s") && row.contains("7.22 s")));
    assert!(words(document.root()).contains("AMD EPYC 7B13"));
}

#[test]
fn faults_are_shaded_in_every_panel_and_lanes_lie_under_the_same_axis() {
    let html = page::render(&fixtures::named("run").result, None);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let wide = document.descendants().find(|node| node.attribute("class") == Some("plot wide")).unwrap();
    let boxes = |class: &str| -> Vec<(f64, f64)> {
        let number = |node: &Node<'_, '_>, name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
        let found = wide.descendants().filter(|node| node.attribute("class") == Some(class));
        found.map(|node| (number(&node, "x"), number(&node, "width"))).collect()
    };
    let shaded = boxes("f-fault");
    assert_eq!(shaded.len(), 6, "two windows in three panels");
    assert_eq!(shaded[0], shaded[2], "the same place in each");
    // The lane of the first fault begins and ends where its shade does.
    assert!(boxes("f-reference").contains(&shaded[0]), "{shaded:?}");
    let names: Vec<&str> = wide.descendants().filter_map(|node| node.text()).collect();
    for name in [
        "requests a second",
        "errors a second",
        "fault: orders/1 status 503",
        "breaker orders/1",
        "limit public: share refused",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(!names.contains(&"breaker orders/0"), "a breaker that never moved has no lane");
}

#[test]
fn a_log_beside_the_result_gives_the_whole_spectrum() {
    let fixture = fixtures::named("load");
    let folder = tempfile::tempdir().unwrap();
    let without = page::render(&fixture.result, Some(folder.path()));
    assert!(without.contains("there is no histogram log"));
    write_log(&folder.path().join("main.hlog"), &fixture);
    let with = page::render(&fixture.result, Some(folder.path()));
    assert!(with.contains("every request counts") && with.len() > without.len());
    std::fs::write(folder.path().join("main.hlog"), "nonsense").unwrap();
    assert!(page::render(&fixture.result, Some(folder.path())).contains("there is no histogram log"));
}

fn write_log(path: &Path, fixture: &fixtures::Fixture) {
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
    let mut serializer = V2DeflateSerializer::new();
    let mut bytes = Vec::new();
    let mut log = IntervalLogWriterBuilder::new().begin_log_with(&mut bytes, &mut serializer).unwrap();
    for (tag, histogram) in &fixture.histograms {
        let (start, length) = (std::time::Duration::ZERO, std::time::Duration::from_secs(1));
        log.write_histogram(histogram, start, length, Tag::new(tag)).unwrap();
    }
    drop(log);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_gate_is_told_in_words_for_people_and_what_was_not_seen_is_not_drawn() {
    let mut gate = fixtures::named("gate").result;
    let unseen = gate.metrics.get_mut("latency_p99_us").unwrap();
    (unseen.rounds, unseen.mde_pct, unseen.ci_low_pct, unseen.ci_high_pct) = (0, f64::MAX, -100.0, f64::MAX);
    let html = page::render(&gate, None);
    check_page("not seen", &html);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let rows: Vec<String> = document.descendants().filter(|node| node.has_tag_name("tr")).map(words).collect();
    let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).unwrap_or_else(|| panic!("{name}: {rows:?}"));
    assert!(row("p99").contains("not seen") && row("p99").contains('–') && !html.contains('∞'), "{}", row("p99"));
    assert!(row("CPU a request").contains("12.40 µs") && row("RSS").contains("18.0 MiB"), "{rows:?}");
    assert!(!words(document.root()).contains("cpu_us_per_request"), "that is for machines");
    assert!(row("metric").contains("97.7 % interval"), "one coverage for all that was seen: {}", row("metric"));
    for width in ["plot wide", "plot narrow"] {
        let forest = document.descendants().find(|node| node.attribute("class") == Some(width)).unwrap();
        assert_eq!(forest.descendants().filter(|node| node.has_tag_name("circle")).count(), 4, "{width}");
        assert!(words(forest).contains(": seen in no round"), "{}", words(forest));
    }
}

#[test]
fn figures_of_a_comparison_have_their_gateways_names_where_a_phone_has_no_room_for_the_head() {
    let html = page::render(&fixtures::named("compare").result, None);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let row = document.descendants().find(|node| node.has_tag_name("tr") && words(*node).starts_with("trip time"));
    let cells: Vec<String> = row.unwrap().descendants().filter(|node| node.has_tag_name("td")).map(words).collect();
    assert_eq!(cells, ["gateway 212 ms", "envoy 240 ms", "nginx 1.48 s"]);
}

#[test]
fn names_that_have_no_room_beside_their_figures_stand_above_them() {
    let mut gate = fixtures::named("gate").result;
    let long = "pipeline::whole::two_hundred_routes_and_a_token_of_eight_hundred_bytes";
    let metric = gate.metrics["rss_bytes"].clone();
    gate.metrics.insert(long.to_owned(), metric);
    let html = page::render(&gate, None);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let places = |width: &str, text: &str| -> Vec<f64> {
        let forest = document.descendants().find(|node| node.attribute("class") == Some(width)).unwrap();
        let found = forest.descendants().filter(|node| node.text().is_some_and(|one| one.ends_with(text)));
        found.filter_map(|node| node.attribute("y")?.parse().ok()).collect()
    };
    let (name, figures) = (places("plot narrow", "of_eight_hundred_bytes"), places("plot narrow", " pass"));
    assert!(name.len() == 1 && figures.iter().all(|y| (y - name[0]).abs() > 0.5), "{name:?} {figures:?}");
    let (name, figures) = (places("plot wide", "of_eight_hundred_bytes"), places("plot wide", " pass"));
    assert!(figures.contains(&name[0]), "a screen has room: {name:?} {figures:?}");
}

#[test]
fn a_driver_that_was_late_is_not_passed_over_where_the_run_does_not_judge_it() {
    let lag = |p99: f64| {
        let mut gate = fixtures::named("gate").result;
        gate.validity.pacer_lag_us = Lag { p50: 3.0, p99 };
        let html = page::render(&gate, None);
        let xml = as_xml(&html);
        let document = Document::parse(&xml).unwrap();
        let cards = document.descendants().filter(|node| node.attribute("class") == Some("card"));
        cards.map(words).find(|card| card.starts_with("pacer's lag")).unwrap()
    };
    assert!(lag(21.4).contains('✓'), "{}", lag(21.4));
    assert!(lag(59_600.0).contains('!') && lag(59_600.0).contains("the run is not judged by it"), "{}", lag(59_600.0));
}

#[test]
fn a_valid_run_of_an_overload_or_of_a_closed_load_is_not_doubted() {
    let mut result = fixtures::named("run").result;
    (result.validity.dropped, result.validity.client_cpu_ratio) = (993, 0.98);
    (result.validity.achieved_over_offered, result.validity.pacer_lag_us) = (0.7, Lag { p50: 20.0, p99: 900.0 });
    let html = page::render(&result, None);
    assert!(!html.contains("card outside"), "the run has judged itself");
    result.validity.valid = false;
    result.validity.reasons = vec!["load main: the pacer's p99 lag was 900 us, more than 200 us".to_owned()];
    let html = page::render(&result, None);
    assert_eq!(html.matches("card outside").count(), 1, "one reason, one mark");
}

#[test]
fn keys_that_moved_are_counted() {
    let mut result = fixtures::named("run").result;
    result.balance.values_mut().next().unwrap().moved_keys = Some(12.0);
    assert!(page::render(&result, None).contains("keys that moved 12."));
}

#[test]
fn what_nobody_came_to_has_no_times() {
    let mut result = fixtures::named("run").result;
    let load = result.load.values_mut().next().unwrap();
    let journey = Journey {
        abandoned: 3,
        steps: [("never-reached".to_owned(), Phase::default())].into(),
        pages: [("never-shown".to_owned(), Quantiles::default())].into(),
        ..Journey::default()
    };
    load.journeys.insert("shop".to_owned(), journey);
    let html = page::render(&result, None);
    let text = text::render(&result);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    for name in ["never-reached", "never-shown, whole page", "whole journey"] {
        let head = document.descendants().find(|node| node.has_tag_name("th") && words(*node).starts_with(name));
        let row = words(head.unwrap().parent().unwrap());
        assert!(!row.contains('0'), "{row}");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(!line.contains('0'), "{line}");
    }
}

#[test]
fn a_missing_value_is_told() {
    let mut result = fixtures::named("run").result;
    let none = Expectation { value: None, ..result.expectations[3].clone() };
    result.expectations = vec![none];
    assert!(page::render(&result, None).contains("has no value"));
}
