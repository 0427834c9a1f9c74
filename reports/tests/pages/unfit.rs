//! Whatever stands in a result, its page is well-formed, closed to the outside, and text alone.

use reports::result::{ResultFile, Verdict};
use reports::{junit, markdown, page, text};
use roxmltree::Document;

use crate::document::check_page;
use crate::fixtures;

#[test]
fn every_page_is_well_formed_and_needs_nothing_from_outside() {
    for fixture in fixtures::all() {
        let html = page::render(&fixture.result, None);
        check_page(fixture.name, &html);
        assert!(html.contains("default-src 'none'"));
        assert!(html.len() < 400_000, "{}: {} bytes", fixture.name, html.len());
    }
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
fn what_is_code_is_shown_as_code_and_a_lone_mark_as_itself() {
    let mut gate = fixtures::named("gate").result;
    gate.validity.reasons = vec!["that takes 11 (`--rounds`, `<b>`)".to_owned(), "one ` alone".to_owned()];
    let html = page::render(&gate, None);
    check_page("code", &html);
    assert!(html.contains("(<code>--rounds</code>, <code>&lt;b&gt;</code>)") && html.contains("one ` alone"), "{html}");
}

#[test]
fn sections_that_nobody_knows_are_shown_as_they_are() {
    let mut result = fixtures::named("suite").result;
    result.other.insert("weather <b>".to_owned(), serde_json::json!({"wind": "strong & steady"}));
    let html = page::render(&result, None);
    check_page("other", &html);
    assert!(html.contains("weather &lt;b&gt;") && html.contains("strong &amp; steady"));
}
