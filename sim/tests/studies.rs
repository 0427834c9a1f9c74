//! `sim article` and `sim growth` as a user runs them, on few and short experiments.

mod worlds;

use std::path::Path;

use reports::result::{Claim, ClaimVerdict, Kind};
use worlds::{assert_schema, result_of, sim, text};

fn scenarios() -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).to_owned()
}

fn study(name: &str, arguments: &[&str], out: &Path) -> std::process::Output {
    let scenarios = scenarios();
    sim(&[&[name, "--quick", "--scenarios", &scenarios, "--out", text(out)], arguments].concat())
}

fn article(arguments: &[&str], out: &Path) -> std::process::Output {
    study("article", arguments, out)
}

#[test]
fn a_claim_is_measured_and_another_one_joins_it_in_the_same_folder() {
    let out = tempfile::tempdir().unwrap();
    let output = article(&["--only", "a27"], out.path());
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("HOLDS") && printed.contains("exact, 1 run"), "{printed}");

    let output = article(&["--only", "A22", "--rounds", "1"], out.path());
    let result = result_of(out.path(), &output);
    assert_schema(out.path());
    assert_eq!((result.kind, output.status.code()), (Kind::Article, Some(0)));
    let ids: Vec<&str> = result.claims.iter().map(|claim| claim.id.as_str()).collect();
    assert_eq!(ids, ["A22", "A27"], "in the article's order, and what was there stays");
    let graph = &result.claims[0];
    let figure = |name: &str| graph.figures.iter().find(|figure| figure.name.contains(name)).unwrap().value;
    // What is exact does not hang on how busy the machine is.
    assert_eq!(graph.verdict, ClaimVerdict::Holds, "{graph:?}");
    assert_eq!((figure("an answer of 503"), figure("a reset")), (Some(1.0), Some(1.0)));
    assert!(figure("requests that failed").is_some_and(|failed| failed > 0.0));
    assert!(out.path().join("A22/status/run-1/result.json").is_file(), "everything that the run wrote is there");

    let page = std::fs::read_to_string(out.path().join("report.html")).unwrap();
    for outside in ["http://", "https://", "src=", "href=", "<script"] {
        assert!(!page.contains(outside), "the page needs {outside}");
    }
    let markdown = std::fs::read_to_string(out.path().join("report.md")).unwrap();
    assert!(markdown.contains("| A22 | 4 | With structured logs"), "{markdown}");
}

#[test]
fn a_peer_that_is_missing_is_named_and_nothing_is_claimed() {
    let out = tempfile::tempdir().unwrap();
    let output = article(&["--only", "A1", "--rounds", "1", "--json"], out.path());
    let result = result_of(out.path(), &output);
    let claim: &Claim = &result.claims[0];
    // One round decides nothing, whoever is here.
    assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{claim:?}");
    let ours = claim.figures.iter().find(|figure| figure.name == "CPU a request, ours").unwrap();
    // On a machine that is too busy to measure there is none, and a note says why.
    let is_invalid = |note: &String| note.starts_with("gateway: ") || note.starts_with("round 1 does not count");
    assert!(ours.value.is_some_and(|us| us > 0.0) || claim.notes.iter().any(is_invalid), "{claim:?}");
    let is_here = |name: &str| claim.configuration.iter().any(|line| line.starts_with(&format!("{name}: ")));
    let is_missing = |name: &str| claim.notes.iter().any(|note| note.starts_with(name) && note.contains("xtask peers"));
    for name in ["flask", "node", "fastapi-httpx"] {
        assert!(is_here(name) || is_missing(name), "{name}: {claim:?}");
    }
}

#[test]
fn what_is_asked_for_and_not_there_is_said_before_anything_runs() {
    let out = tempfile::tempdir().unwrap();
    let output = article(&["--only", "A29"], out.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no claim is called `A29`"), "{output:?}");
    let output = sim(&["article", "--scenarios", "/no/such/folder", "--only", "A27"]);
    assert_eq!(output.status.code(), Some(3));
    let listed = sim(&["article", "--list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!((1..=28).all(|number| listed.contains(&format!("A{number} "))), "{listed}");
    std::fs::write(out.path().join("result.json"), "{}").unwrap();
    let output = article(&["--only", "A27"], out.path());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no result of `sim article`"), "{output:?}");
}

#[test]
fn a_curve_has_a_point_for_each_size_and_one_round_decides_nothing() {
    let out = tempfile::tempdir().unwrap();
    let output = study("growth", &["--only", "g4", "--rounds", "1"], out.path());
    let result = result_of(out.path(), &output);
    assert_schema(out.path());
    assert_eq!((result.kind, output.status.code()), (Kind::Growth, Some(0)));
    let curve = &result.claims[0];
    assert_eq!((curve.id.as_str(), curve.verdict), ("G4", ClaimVerdict::NotMeasured), "{curve:?}");
    let sizes: Vec<f64> = curve.plots[0].series[0].points.iter().map(|point| point.x).collect();
    assert_eq!(sizes, [1.0, 100.0, 1_000.0]);
    assert!(curve.plots[0].series[0].points.iter().all(|point| point.y > 0.0), "{curve:?}");
    let wrong = article(&["--only", "A27"], out.path());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no result of `sim article`"), "{wrong:?}");
}
