//! The types, the committed schema and a result of every kind agree.

use std::path::Path;

use reports::result::{Balance, Breaker, Gateway, Limiter, Load, Phase, ReadError, ResultFile, Retries, SCHEMA};
use serde_json::{Value, json};

mod fixtures;

fn validator() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

fn committed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.json"))).unwrap()
}

fn parse(text: &str) -> Result<ResultFile, ReadError> {
    ResultFile::parse(text, Path::new("result.json"))
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    assert_eq!(SCHEMA, reports::result::schema(), "run `cargo xtask schema`");
}

#[test]
fn a_result_of_every_kind_is_allowed_and_survives_reading_and_writing() {
    let validator = validator();
    let mut kinds = Vec::new();
    for fixture in fixtures::all() {
        let text = committed(fixture.name);
        assert_eq!(text, fixture.result.to_json(), "{}: run the example `fixtures`", fixture.name);
        let value: Value = serde_json::from_str(&text).unwrap();
        let problems: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", fixture.name);
        assert_eq!(parse(&text).unwrap(), fixture.result, "{}", fixture.name);
        kinds.push(value["kind"].as_str().unwrap().to_owned());
    }
    for kind in ["run", "load", "demo", "explore", "gate", "self_test", "compare", "peers", "article", "suite"] {
        assert!(kinds.iter().any(|found| found == kind), "no fixture of kind {kind}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_result() {
    let (validator, valid) = (validator(), serde_json::from_str::<Value>(&committed("run")).unwrap());
    for (pointer, value) in [
        ("/schema_version", json!(2)),
        ("/kind", json!("race")),
        ("/verdict", json!("great")),
        ("/started_at", json!("yesterday")),
        ("/load/steady/phases/before/status", json!({"99": 1})),
        ("/load/steady/phases/before/success_ratio", json!(1.5)),
        ("/load/steady/phases/before/latency_us/p99", json!(-1.0)),
        ("/validity/valid", json!("yes")),
    ] {
        let mut broken = valid.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
    }
}

#[test]
fn fields_that_nobody_knows_are_passed_over_and_sections_are_kept() {
    let mut value: Value = serde_json::from_str(&committed("run")).unwrap();
    value["environment"]["phase_of_the_moon"] = json!("full");
    value["weather"] = json!({"wind": 3});
    assert!(validator().is_valid(&value));
    let result = parse(&value.to_string()).unwrap();
    assert_eq!(result.other["weather"]["wind"], 3);
}

#[test]
fn what_is_optional_may_be_absent() {
    let value: Value = serde_json::from_str(&committed("run")).unwrap();
    let required = serde_json::from_str::<Value>(SCHEMA).unwrap()["required"].as_array().unwrap().clone();
    let kept = value.as_object().unwrap().iter().filter(|(key, _)| required.iter().any(|name| name == *key));
    let least: Value = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    let result = parse(&least.to_string()).unwrap();
    assert!(result.load.is_empty() && result.timeline.is_empty());
    assert!(validator().is_valid(&least));
}

#[test]
fn what_the_contract_names_is_written_though_there_is_nothing_to_tell() {
    fn one<T>(of: T) -> std::collections::BTreeMap<String, T> {
        [("a".to_owned(), of)].into()
    }
    let load = Load { phases: one(Phase::default()), ..Load::default() };
    let full = ResultFile {
        load: one(load),
        gateway: one(Gateway::default()),
        breakers: one(Breaker::default()),
        limiters: one(Limiter::default()),
        balance: one(Balance::default()),
        retries: Some(Retries::default()),
        ..ResultFile::default()
    };
    let written = |result: &ResultFile| serde_json::from_str::<Value>(&result.to_json()).unwrap();
    let keys = |of: Value, names: &str| {
        for name in names.split_whitespace() {
            assert!(of.get(name).is_some(), "{name} is missing: {of}");
        }
    };
    let sections = "load gateway breakers limiters balance retries timeline expectations";
    keys(written(&ResultFile::default()), sections);
    let full = written(&full);
    keys(full["environment"].clone(), "steal_ratio noise_aa");
    keys(full["load"]["a"]["phases"]["a"].clone(), "latency_us service_us added_us status outcome success_ratio");
    keys(full["gateway"]["a"].clone(), "cpu_us_per_request rss_bytes connections_opened reuse_ratio");
    let breaker = "trips trip_ms attempts_to_trip oracle_attempts trip_error leaked_attempts probes_max_concurrent \
                   recovery_ms recovery_oracle_ms transitions";
    keys(full["breakers"]["a"].clone(), breaker);
    let limiter = "offered admitted oracle_admitted false_admits false_refusals bound_violation sustained_error \
                   retry_after_error_ms fairness_jain";
    keys(full["limiters"]["a"].clone(), limiter);
    keys(full["balance"]["a"].clone(), "share expected_share regret_bad regret_idle moved_keys");
    keys(full["retries"].clone(), "amplification budget_refused");
    assert_eq!(full["breakers"]["a"]["transitions"], json!([]));
    assert_eq!(parse(&full.to_string()).unwrap().breakers["a"], Breaker::default());
}

#[test]
fn another_version_is_refused_by_name_whatever_else_is_in_it() {
    for (version, advice) in [(9, "newer"), (0, "again")] {
        let error = parse(&json!({"schema_version": version, "all": "other"}).to_string()).unwrap_err();
        assert!(matches!(error, ReadError::Version { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("schema version {version}")) && text.contains(advice), "{text}");
    }
}

#[test]
fn what_is_no_result_is_told_with_its_place() {
    assert!(matches!(ResultFile::read(Path::new("/no/such/result.json")), Err(ReadError::File { .. })));
    let mut value: Value = serde_json::from_str(&committed("run")).unwrap();
    value["verdict"] = json!("great");
    let text = parse(&serde_json::to_string_pretty(&value).unwrap()).unwrap_err().to_string();
    assert!(text.contains("great") && text.contains("line"), "{text}");
    assert!(parse("").unwrap_err().to_string().starts_with("result.json: not a result file"));
}

#[test]
fn the_text_holds_the_figures() {
    let text = reports::text::render(&fixtures::named("run").result);
    for part in ["before latency", "fault_1 added", "orders/0", "43.1 %", "verdict  fail"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let text = reports::text::render(&fixtures::named("peers").result);
    assert!(text.contains("1.251 [1.233, 1.273]") && text.contains("nginx/1.22.1"), "{text}");
    let mut gate = fixtures::named("gate").result;
    let page = reports::page::render(&gate, None);
    assert!(page.contains(">97.7 % interval</th>"), "once for all: {page}");
    // An exact count has none, so that each tells its own.
    gate.metrics.values_mut().next().unwrap().coverage = None;
    for told in [reports::markdown::render(&gate), reports::page::render(&gate, None)] {
        assert!(told.contains("(97.7 %)") && !told.contains("95 % interval"), "{told}");
    }
    let peers = fixtures::named("peers").result;
    assert!(text.contains("ours/theirs (96 %)"), "{text}");
    for told in [text, reports::markdown::render(&peers), reports::page::render(&peers, None)] {
        assert!(told.contains("p99 full") && told.contains("full: latency with every connection busy"), "{told}");
    }
}

#[test]
fn one_round_shows_no_difference_and_no_interval_is_surer_than_it_is() {
    let with = |coverage: Option<f64>| {
        let mut result = fixtures::named("peers").result;
        for peer in result.peers.values_mut().filter(|peer| peer.ratio_to_ours.is_some()) {
            peer.ratio_coverage = coverage;
        }
        result
    };
    // A ratio below one whose interval has no width, of one round.
    let one = with(Some(0.0));
    assert!(one.peers.values().all(|peer| peer.ours_is_less().is_none()));
    let page = reports::page::render(&one, None);
    for told in [reports::text::render(&one), reports::markdown::render(&one)] {
        assert!(told.contains("ours/theirs (no interval)") && !told.contains("95 %"), "{told}");
    }
    assert!(page.contains("one round has no interval") && !page.contains("95 % intervals"), "{page}");
    let two = reports::page::render(&with(Some(0.5)), None);
    assert!(two.contains("bars are intervals of 50 %"), "{two}");
    // Enough rounds, and a result that does not tell.
    for enough in [with(Some(0.961)), with(None)] {
        assert!(enough.peers.values().any(|peer| peer.ours_is_less() == Some(true)));
    }
}
