//! What is rendered: well-formed, complete, closed to the outside, and safe from what stands in a result.

use std::path::Path;

use reports::result::{Expectation, Journey, Lag, Phase, Quantiles, ResultFile, Verdict};
use reports::{history, junit, markdown, page, text, trend};
use roxmltree::{Document, Node};

mod fixtures;

/// A page as XML: the few HTML elements that have no end are closed.
fn as_xml(html: &str) -> String {
    let mut xml = String::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("an HTML document");
    while let Some(at) = rest.find("<meta") {
        let end = at + rest[at..].find('>').unwrap();
        xml += &rest[..end];
        xml += "/>";
        rest = &rest[end + 1..];
    }
    xml + rest
}

fn words(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|one| one.text()).collect::<Vec<_>>().join(" ")
}

/// Everything that makes a page unfit to be shown: broken marks, anything from outside, anything that runs.
fn check_page(name: &str, html: &str) {
    let xml = as_xml(html);
    let document = Document::parse(&xml).unwrap_or_else(|error| panic!("{name} is not well-formed: {error}"));
    for node in document.descendants().filter(Node::is_element) {
        let tag = node.tag_name().name();
        assert!(!["script", "link", "img", "iframe", "object", "embed", "base"].contains(&tag), "{name}: <{tag}>");
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"), "{name}: {}", attribute.name());
            assert!(!["src", "action"].contains(&attribute.name()), "{name}: {}", attribute.name());
            let leads = attribute.value();
            let is_near = !leads.starts_with(['/', '.']) && !leads.contains(':') && leads.matches('/').count() == 1;
            assert!(attribute.name() != "href" || (tag == "a" && is_near), "{name}: a link to {leads}");
            assert!(!attribute.value().contains("NaN"), "{name}: {} is not a number", attribute.name());
        }
        if tag == "svg" && node.attribute("viewBox").is_some() && node.attribute("aria-hidden").is_none() {
            assert!(node.attribute("aria-label").is_some_and(|label| label.len() > 10), "{name}: a plot without words");
            assert!(node.descendants().any(|one| one.tag_name().name() == "path"), "{name}: an empty plot");
        }
    }
    for outside in ["http://", "https://", "url(", "@import", "javascript:"] {
        let allowed = outside == "http://" && name == "load";
        assert!(allowed || !html.contains(outside), "{name} names {outside}");
    }
}

#[test]
fn every_page_is_well_formed_and_needs_nothing_from_outside() {
    for fixture in fixtures::all() {
        let html = page::render(&fixture.result, None);
        check_page(fixture.name, &html);
        assert!(html.contains("default-src 'none'"));
        assert!(html.len() < 400_000, "{}: {} bytes", fixture.name, html.len());
    }
}

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
    let healed = reports::quantity::duration(fixture.result.load["steady"].phases["healed"].latency_us.p99);
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

const HOSTILE: &str =
    "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> ]]> `|[x](//e) \u{0}\u{1b}[31m\u{fffe}";

/// A result in which everything that is text is hostile.
fn hostile() -> ResultFile {
    let mut value = serde_json::to_value(fixtures::named("run").result).unwrap();
    poison(&mut value, "");
    let mut result: ResultFile = serde_json::from_value(value).unwrap();
    let poisoned = |name: &str| fixtures::named(name).result;
    result.metrics = poisoned("gate").metrics.into_values().map(|metric| (HOSTILE.to_owned(), metric)).collect();
    result.peers = poisoned("peers").peers.into_values().map(|peer| (HOSTILE.to_owned(), peer)).collect();
    result.scenarios = poisoned("suite").scenarios;
    for (scenario, folder) in
        result.scenarios.iter_mut().zip([HOSTILE, "..", "javascript:alert(1)//"].into_iter().cycle())
    {
        (scenario.name, scenario.folder) = (HOSTILE.to_owned(), Some(folder.to_owned()));
    }
    result
}

/// Makes each text and each name of a map hostile, but for those that the types bound.
fn poison(value: &mut serde_json::Value, key: &str) {
    match value {
        serde_json::Value::String(text) if !["kind", "verdict"].contains(&key) => HOSTILE.clone_into(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
        serde_json::Value::Object(map) => {
            map.iter_mut().for_each(|(key, inner)| poison(inner, key));
            if ["load", "breakers", "limiters", "balance", "versions", "share"].contains(&key) {
                let last = map.values().next_back().cloned();
                map.extend(last.map(|inner| (HOSTILE.to_owned(), inner)));
            }
        }
        _ => {}
    }
}

#[test]
fn a_hostile_result_is_text_and_nothing_else() {
    let result = hostile();
    let html = page::render(&result, None).replace(['\u{0}', '\u{1b}', '\u{fffe}'], "");
    check_page("hostile", &html);
    assert!(html.contains("&lt;script&gt;"), "it is shown");
    let xml = junit::render(&result);
    let document = Document::parse(&xml).unwrap();
    assert!(document.descendants().all(|node| node.tag_name().name() != "script"));
    let markdown = markdown::render(&result);
    // Between marks of code everything is literal; what is left must hold no markup of its own.
    let literal = markdown.replace("\\`", "");
    let outside: String = literal.split('`').step_by(2).collect();
    assert!(!outside.contains("<script") && !outside.contains("[x](") && !markdown.contains('\u{1b}'));
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows = markdown.lines().filter(|line| line.starts_with('|')).map(columns).collect::<Vec<_>>();
    assert!(rows.windows(3).all(|three| three[0] == three[1] || three[1] == three[2]), "{rows:?}");
    let text = text::render(&result);
    assert!(!text.contains('\u{1b}') && text.contains("<script>"), "a terminal gets no commands");
}

#[test]
fn empty_and_odd_figures_break_no_page() {
    let mut result = ResultFile { name: "empty".to_owned(), ..ResultFile::default() };
    check_page("empty", &page::render(&result, None));
    result = fixtures::named("run").result;
    for moment in &mut result.timeline {
        (moment.rps, moment.p50, moment.p99) = (0.0, 0.0, 0.0);
    }
    result.timeline.truncate(1);
    result.load.values_mut().for_each(|load| load.phases.values_mut().for_each(|phase| *phase = Default::default()));
    check_page("zero", &page::render(&result, None));
    let mut gate = fixtures::named("gate").result;
    for metric in gate.metrics.values_mut() {
        (metric.estimate_pct, metric.ci_low_pct, metric.ci_high_pct) = (f64::INFINITY, f64::NEG_INFINITY, f64::NAN);
    }
    check_page("infinite", &page::render(&gate, None));
    for metric in gate.metrics.values_mut() {
        (metric.ci_low_pct, metric.ci_high_pct) = (f64::MIN, f64::MAX);
    }
    let html = page::render(&gate, None);
    check_page("unbounded", &html);
    assert!(html.contains("−∞ % to +∞ %"));
    for metric in gate.metrics.values_mut() {
        (metric.rounds, metric.verdict, metric.mde_pct) = (0, Verdict::Inconclusive, f64::MAX);
    }
    let html = page::render(&gate, None);
    check_page("unseen", &html);
    assert!(html.contains("no round showed it"));
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
    }
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
fn what_is_code_is_shown_as_code_and_a_lone_mark_as_itself() {
    let mut gate = fixtures::named("gate").result;
    gate.validity.reasons = vec!["that takes 11 (`--rounds`, `<b>`)".to_owned(), "one ` alone".to_owned()];
    let html = page::render(&gate, None);
    check_page("code", &html);
    assert!(html.contains("(<code>--rounds</code>, <code>&lt;b&gt;</code>)") && html.contains("one ` alone"), "{html}");
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
fn sections_that_nobody_knows_are_shown_as_they_are() {
    let mut result = fixtures::named("suite").result;
    result.other.insert("weather <b>".to_owned(), serde_json::json!({"wind": "strong & steady"}));
    let html = page::render(&result, None);
    check_page("other", &html);
    assert!(html.contains("weather &lt;b&gt;") && html.contains("strong &amp; steady"));
}

#[test]
fn a_run_that_is_not_valid_is_never_shown_as_a_pass() {
    let mut result = fixtures::named("invalid").result;
    for verdict in [Verdict::Invalid, Verdict::Pass] {
        result.verdict = verdict;
        let html = page::render(&result, None);
        assert!(html.contains("not valid") && html.contains("418 arrivals were dropped"));
        assert_eq!(html.matches("card outside").count(), 3, "drops, rate and the driver's thread");
        assert!(!html.contains("✓ pass") && !html.contains("✓ holds") && html.contains("not judged"));
        let markdown = markdown::render(&result);
        assert!(markdown.starts_with("## ⚠️ steady: invalid") && !markdown.contains('✅'), "{markdown}");
        let xml = junit::render(&result);
        let document = Document::parse(&xml).unwrap();
        let suite = document.descendants().find(|node| node.tag_name().name() == "testsuite").unwrap();
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).unwrap());
        assert_eq!(counts, ["3", "0", "1", "2"]);
    }
}

#[test]
fn test_cases_are_what_was_judged() {
    let cases = [
        ("run", ["5", "1", "0", "0"]),
        ("gate", ["6", "1", "0", "1"]),
        ("suite", ["9", "1", "1", "0"]),
        ("explore", ["5", "1", "0", "0"]),
        ("load", ["1", "0", "0", "0"]),
    ];
    for (name, expected) in cases {
        let xml = junit::render(&fixtures::named(name).result);
        let document = Document::parse(&xml).unwrap();
        let suite = document.descendants().find(|node| node.tag_name().name() == "testsuite").unwrap();
        let counts = ["tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).unwrap());
        assert_eq!(counts, expected, "{name}");
    }
    let xml = junit::render(&fixtures::named("run").result);
    assert!(xml.contains("limiters.public.false_admits is 1, expected at most 0."));
}

#[test]
fn a_scenario_that_fails_is_not_hidden_by_one_that_is_not_valid() {
    let mut result = fixtures::named("suite").result;
    result.validity.valid = false;
    result.validity.reasons = vec!["scenario flap was not valid".to_owned()];
    let xml = junit::render(&result);
    let document = Document::parse(&xml).unwrap();
    let scenarios = || document.descendants().filter(|node| node.attribute("classname") == Some("quick.scenario"));
    let with = |tag: &str| {
        let found = scenarios().filter(|case| case.children().any(|child| child.tag_name().name() == tag));
        found.map(|case| case.attribute("name").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((with("failure"), with("error"), with("skipped")), (vec!["slow-endpoint"], vec!["flap"], vec![]));
    assert_eq!(scenarios().filter(|case| !case.has_children()).count(), 6);
    assert!(markdown::render(&result).starts_with("## ❌ quick: fail"));
    let html = page::render(&result, None);
    assert!(html.contains("Not every scenario passes.") && html.contains("Scenario flap was not valid."), "{html}");
    // Without one that fails nothing is decided, and what passed did pass.
    result.scenarios.retain(|scenario| scenario.verdict != Verdict::Fail);
    result.verdict = Verdict::Invalid;
    let xml = junit::render(&result);
    assert!(xml.contains("failures=\"0\"") && xml.contains("skipped=\"0\""), "{xml}");
    assert!(markdown::render(&result).starts_with("## ⚠️ quick: invalid"));
}

#[test]
fn of_a_suite_what_failed_comes_first_says_why_and_leads_to_its_own_page() {
    let mut result = fixtures::named("suite").result;
    let html = page::render(&result, None);
    let xml = as_xml(&html);
    let document = Document::parse(&xml).unwrap();
    let told = words(document.descendants().find(|node| node.has_tag_name("li")).unwrap());
    assert_eq!(told, "slow-endpoint: limiters.public.false_admits is 1, at most 0.");
    let links: Vec<_> = document.descendants().filter(|node| node.has_tag_name("a")).collect();
    assert_eq!(links.len(), 8);
    let leads: Vec<_> = links.iter().take(3).map(|link| (words(*link), link.attribute("href").unwrap())).collect();
    let expected = [
        ("slow-endpoint".to_owned(), "slow-endpoint/report.html"),
        ("flap".to_owned(), "flap/report.html"),
        ("steady".to_owned(), "steady/report.html"),
    ];
    assert_eq!(leads, expected);
    let markdown = markdown::render(&result);
    let at = |row: &str| markdown.find(row).unwrap_or_else(|| panic!("{row} is missing in {markdown}"));
    assert!(at("| slow-endpoint | fail |") < at("| flap | invalid |") && at("| flap |") < at("| steady | pass |"));
    assert!(markdown.contains("- slow-endpoint: limiters.public.false_admits is 1, at most 0."), "{markdown}");
    assert!(markdown.contains("`slow-endpoint/report.html`"), "{markdown}");
    let text = text::render(&result);
    assert!(
        text.contains("slow-endpoint     fail") && text.contains("  - limiters.public.false_admits is 1"),
        "{text}"
    );
    // In another folder there are no such pages.
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    reports::files::write(&result, own.path(), own.path()).unwrap();
    reports::files::write(&result, own.path(), other.path()).unwrap();
    let written = |folder: &Path| std::fs::read_to_string(folder.join(reports::files::PAGE)).unwrap();
    assert!(written(own.path()).contains("href=") && !written(other.path()).contains("href="));
    // One that could not be run has no page.
    result.scenarios.iter_mut().for_each(|scenario| scenario.folder = None);
    assert!(!page::render(&result, None).contains("href="));
}

#[test]
fn refusals_are_seen_in_every_form_though_they_are_expected() {
    let mut result = fixtures::named("run").result;
    let phases = &mut result.load.get_mut("steady").unwrap().phases;
    phases.get_mut("before").unwrap().status =
        [("200", 625), ("429", 626), ("0", 3)].map(|(a, b)| (a.to_owned(), b)).into();
    let limiter = result.limiters.get_mut("public").unwrap();
    (limiter.offered, limiter.admitted, limiter.oracle_admitted) = (12_510, 6_251, 6_250);
    let (text, markdown) = (text::render(&result), markdown::render(&result));
    for told in [&text, &markdown] {
        assert!(told.contains("none: 3; 200: 625; 429: 626"), "{told}");
    }
    let line = text.lines().find(|line| line.starts_with("public")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["public", "12510", "6251", "6250", "1", "0"]);
    assert!(markdown.contains("| `public` | 12,510 | 6251 | 6250 | 1 | 0 |"), "{markdown}");
}

#[test]
fn a_test_case_has_the_time_that_it_took() {
    let time = |name: &str, tag: &str| {
        let xml = junit::render(&fixtures::named(name).result);
        let document = Document::parse(&xml).unwrap();
        let node = document.descendants().find(|node| node.has_tag_name(tag)).unwrap();
        node.attribute("time").unwrap().to_owned()
    };
    assert_eq!((time("run", "testsuites"), time("run", "testcase")), ("43.200".to_owned(), "43.200".to_owned()));
    assert_eq!((time("suite", "testsuites"), time("suite", "testcase")), ("387.900".to_owned(), "0.000".to_owned()));
    assert_eq!(time("explore", "testsuites"), "236.400");
}

#[test]
fn a_suite_whose_scenarios_had_seeds_of_their_own_names_none() {
    let mut result = fixtures::named("suite").result;
    assert!(markdown::render(&result).contains("; seed 1") && junit::render(&result).contains("\"seed\""));
    result.seed = 0;
    let all = [text::render(&result), markdown::render(&result), page::render(&result, None), junit::render(&result)];
    for told in all {
        assert!(!told.contains("seed"), "{told}");
    }
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
fn a_failed_run_without_expectations_fails_in_every_form() {
    let result = ResultFile { verdict: Verdict::Fail, ..fixtures::named("load").result };
    assert!(junit::render(&result).contains("failures=\"1\""));
    assert!(markdown::render(&result).starts_with("## ❌"));
}

#[test]
fn markdown_holds_the_figures() {
    let run = markdown::render(&fixtures::named("run").result);
    for part in ["## ❌ slow-endpoint: fail", "| `limiters.public.false_admits` | at most 0 | 1 | ❌ |", "| fault_1 |"]
    {
        assert!(run.contains(part), "{part} is missing in\n{run}");
    }
    let gate = markdown::render(&fixtures::named("gate").result);
    assert!(
        gate.contains("`cpu_us_per_request`") && gate.contains("| fail |") && gate.contains("would decide"),
        "{gate}"
    );
}

#[test]
fn a_missing_value_is_told() {
    let mut result = fixtures::named("run").result;
    let none = Expectation { value: None, ..result.expectations[3].clone() };
    result.expectations = vec![none];
    assert!(page::render(&result, None).contains("has no value"));
}

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
