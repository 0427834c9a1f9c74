//! The papers name exactly what the code has: codes, metrics, fields, modules, tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use gateway::error::{Code, Fault};
use gateway::telemetry::exposition::{Format, ScrapeInputs, render};
use gateway::telemetry::metrics::{AttemptOutcome, AuthResult, CacheResult, Registry, ShedReason, UpstreamHandshake};
use gateway::telemetry::process::ProcessStats;
use gateway::telemetry::record::{AccessRecord, HeadFields};
use http::HeaderName;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between a heading and the next one.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("there is no section {heading:?}"));
    let after = &text[start + 1..];
    let end = after[3..].find("\n## ").map_or(after.len(), |end| end + 3);
    &after[..end]
}

/// The rows of a section's tables, without heads; cells without back-ticks.
fn rows(section: &str) -> Vec<Vec<String>> {
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    lines.map(cells).collect()
}

fn first_cells(section: &str) -> Vec<String> {
    rows(section).into_iter().map(|row| row[0].clone()).collect()
}

#[test]
fn operating_names_every_problem_code_with_its_status_and_fault() {
    let operating = read("docs/operating.md");
    let written: Vec<(String, String, String)> = rows(section(&operating, "Problem codes"))
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let real: Vec<(String, String, String)> = Code::ALL
        .iter()
        .map(|code| (code.to_string(), code.status().as_u16().to_string(), code.fault().as_str().to_owned()))
        .collect();
    assert_eq!(written, real);
    let faults = [Fault::Client, Fault::Gateway, Fault::Upstream].map(Fault::as_str);
    assert!(written.iter().all(|(_, _, fault)| faults.contains(&fault.as_str())));
}

#[test]
fn operating_names_every_metric_with_its_kind() {
    let process = ProcessStats {
        cpu_seconds: Some(1.0),
        resident_bytes: Some(1),
        virtual_bytes: Some(1),
        open_fds: Some(1),
        max_fds: Some(1),
        threads: Some(1),
        start_time_seconds: Some(1.0),
    };
    let inputs = ScrapeInputs { process, ..ScrapeInputs::default() };
    let page = String::from_utf8(render(Format::Prometheus, &Registry::new(1), &inputs)).expect("text");
    let real: BTreeMap<&str, &str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let operating = read("docs/operating.md");
    let written = rows(section(&operating, "Metrics"));
    let written: BTreeMap<&str, &str> = written.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    assert_eq!(written, real);
}

#[test]
fn operating_names_every_outcome_and_every_reason() {
    let operating = read("docs/operating.md");
    let metrics = section(&operating, "Metrics");
    let outcomes = AttemptOutcome::ALL.iter().map(|outcome| outcome.as_str());
    let reasons = ShedReason::ALL.iter().map(|reason| reason.as_str());
    let results = AuthResult::ALL.iter().map(|result| result.as_str());
    let lookups = CacheResult::ALL.iter().map(|result| result.as_str());
    let handshakes = section(&operating, "TLS to upstreams");
    for word in UpstreamHandshake::ALL.iter().map(|result| result.as_str()) {
        assert!(handshakes.contains(&format!("`{word}`")), "`{word}` is not explained");
    }
    for word in outcomes.chain(reasons).chain(results).chain(lookups) {
        assert!(metrics.contains(&format!("`{word}`")), "`{word}` is not explained");
    }
}

#[test]
fn operating_names_every_field_of_an_access_record_in_its_order() {
    let mut record = AccessRecord::new(0, b"id", "127.0.0.1", "GET", "/", 200);
    record.trace_id = Some(b"t");
    record.span_id = Some(b"s");
    record.host = Some(b"h");
    record.route = Some("r");
    record.subject = Some("s");
    record.auth = Some("expired");
    record.fault = Some(Fault::Client);
    record.grpc_status = Some(14);
    record.shed = Some("loop_delay");
    record.upstream = Some("u");
    record.endpoint = Some("e");
    record.hedged = Some(true);
    record.breaker = Some("closed");
    record.limit = Some("l");
    record.upstream_us = Some(1);
    record.overhead_us = Some(1);
    record.parts = Some(1);
    record.parts_missing = Some("p");
    record.parts_results = Some("p: timeout");
    record.batch_size = Some(1);
    record.cache = Some("hit");
    let names = [HeaderName::from_static("a")];
    let told = HeadFields::of(&names, |_| std::iter::once(&b"1"[..]));
    (record.request_headers, record.response_headers) = (Some(&told), Some(&told));
    let mut line = Vec::new();
    record.write(&mut line);
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&line).expect("JSON");
    let real: Vec<&String> = object.keys().collect();
    let operating = read("docs/operating.md");
    let written = first_cells(section(&operating, "Access records"));
    assert_eq!(written.iter().collect::<Vec<_>>(), real);
}

#[test]
fn the_code_map_names_every_folder_and_file_of_the_gateways_source() {
    let architecture = read("ARCHITECTURE.md");
    let map = section(&architecture, "Code map");
    let mut real = BTreeSet::new();
    for entry in std::fs::read_dir(repository().join("gateway/src")).expect("gateway/src").map(|e| e.expect("entry")) {
        let name = entry.file_name().into_string().expect("a name");
        let is_folder = entry.file_type().expect("a type").is_dir();
        real.insert(if is_folder { format!("{name}/") } else { name });
    }
    let written: BTreeSet<String> =
        first_cells(map).iter().flat_map(|cell| cell.split(", ").map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(written, real, "the code map of ARCHITECTURE.md, against gateway/src");
}

/// A test is named as `path/of/file.rs::name_of_the_test`.
#[test]
fn every_test_that_the_papers_name_is_there() {
    let mut named = 0;
    let papers = ["ARCHITECTURE.md", "docs/security.md", "docs/life-of-a-request.md", "docs/operating.md"];
    for paper in papers.into_iter().chain(["docs/resilience.md"]) {
        let text = read(paper);
        for word in text.split('`').skip(1).step_by(2) {
            let Some((file, test)) = word.split_once(".rs::") else { continue };
            let source = read(&format!("{file}.rs"));
            assert!(source.contains(&format!("fn {test}(")), "{paper} names `{word}`, which is not there");
            named += 1;
        }
    }
    assert!(named > 20, "only {named} tests are named");
}

/// `a`, 14 to `A1` to `A14`; a group without numbers is one requirement.
fn requirements() -> Vec<String> {
    let numbered = [("A", 14), ("B", 9), ("C", 5), ("H", 12), ("J", 7), ("K", 7), ("L", 11)];
    let numbered =
        numbered.into_iter().flat_map(|(group, last)| (1..=last).map(move |number| format!("{group}{number}")));
    numbered.chain(["D", "E", "F", "G", "I"].map(str::to_owned)).collect()
}

#[test]
fn every_requirement_has_a_row_and_what_holds_is_shown() {
    let security = read("docs/security.md");
    let mut written = BTreeSet::new();
    for line in security.lines().filter(|line| line.starts_with("| `")) {
        let id = line.split('`').nth(1).unwrap_or_default();
        written.insert(id.to_owned());
        let is_shown = [".rs::", "`sim ", "`cargo xtask "].iter().any(|shown| line.contains(shown));
        assert!(!line.contains("**holds**") || is_shown, "this holds, and no test is named: {line}");
        assert!(
            ["**holds**", "**partly**", "**not built yet**", "measured by", "are the default", "chains of"]
                .iter()
                .any(|word| line.contains(word)),
            "it is not said whether this holds: {line}"
        );
    }
    let wanted: BTreeSet<String> = requirements().into_iter().collect();
    let missing: Vec<&String> = wanted.difference(&written).collect();
    assert!(missing.is_empty(), "docs/security.md has no row for {missing:?}");
    // What is about a whole group has no number.
    let unknown: Vec<&String> = written.difference(&wanted).filter(|id| id.len() > 1).collect();
    assert!(unknown.is_empty(), "docs/security.md has rows for {unknown:?}, which nobody requires");
}
