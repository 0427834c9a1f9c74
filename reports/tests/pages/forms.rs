//! One verdict in every form: page, Markdown, JUnit and text say the same of a result.

use std::path::Path;

use reports::result::{ResultFile, Verdict};
use reports::{junit, markdown, page, text};
use roxmltree::Document;

use crate::document::{as_xml, words};
use crate::fixtures;

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
    result.leave_pages();
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
