//! The types, the committed schema and an example file agree.

use reports::result::{ReadError, ResultFile, SCHEMA};
use serde_json::{Value, json};

fn example() -> Value {
    let quantiles = json!({"p50": 100.0, "p90": 200.0, "p99": 300.0, "p999": 400.0, "max": 500.0});
    json!({
        "schema_version": 1, "kind": "demo", "name": "demo", "seed": 1, "commit": "",
        "started_at": "2026-01-31T09:30:00Z", "command": "sim demo",
        "environment": {
            "cpu": "x", "cores": 2, "kernel": "6.1", "memory": 1024, "governor": "", "pinning": "",
            "versions": {"nginx": "1.22.1"}, "steal_ratio": 0.0
        },
        "validity": {
            "valid": true, "reasons": ["something to know"], "dropped": 0, "pacer_lag_us": {"p50": 1.0, "p99": 2.0},
            "achieved_over_offered": 1.0, "client_cpu_ratio": 0.2, "steady_from_ms": 0
        },
        "load": {"main": {
            "offered_rps": 2000.0, "achieved_rps": 2000.0, "requests": 20000, "client_cpu_us_per_request": 5.0,
            "plan_hash": "0123456789abcdef",
            "phases": {"before": {
                "latency_us": quantiles, "service_us": quantiles, "added_us": quantiles, "status": {"200": 20000},
                "outcome": {"ok": 20000, "rejected": 0, "failed": 0, "dropped": 0, "client_error": 0},
                "failures": {}, "success_ratio": 1.0
            }}
        }},
        "gateway": {"0": {
            "cpu_us_per_request": 11.5, "rss_bytes": {"idle": 1, "peak": 2, "end": 2}, "connections_opened": 9,
            "reuse_ratio": 0.999
        }},
        "balance": {"orders": {"share": {"orders/0": 0.5, "orders/1": 0.5}, "expected_share": {}}},
        "peers": {"nginx": {
            "version": "1.22.1", "chain": "bare", "requests_per_second": 85000.0, "cpu_us_per_request": 11.7,
            "rss_bytes": 4096, "latency_us": {"p50": 1.0, "p99": 2.0},
            "ratio_to_ours": {"estimate": 0.97, "ci_low": 0.96, "ci_high": 0.98}, "core_share": 0.99
        }},
        "timeline": [{
            "t_ms": 0, "rps": 1.0, "p50": 1.0, "p99": 2.0, "errors": 0, "breaker_states": {}, "fault_active": []
        }],
        "expectations": [{"figure": "x", "bound": "at most 1", "value": 0.5, "holds": true}],
        "verdict": "pass",
        "limiters": {"public": {"offered": 5}}
    })
}

#[test]
fn the_types_write_what_the_schema_allows() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let result: ResultFile = serde_json::from_value(example()).unwrap();
    let written: Value = serde_json::from_str(&result.to_json()).unwrap();
    assert_eq!(written, example(), "nothing is lost, added or renamed");
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn the_schema_refuses_what_is_no_result() {
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    for (pointer, value) in [
        ("/schema_version", json!(2)),
        ("/kind", json!("race")),
        ("/verdict", json!("great")),
        ("/load/main/phases/before/status", json!({"99": 1})),
        ("/load/main/phases/before/success_ratio", json!(1.5)),
        ("/validity/valid", json!("yes")),
    ] {
        let mut broken = example();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let path = std::env::temp_dir().join(format!("result-{}.json", std::process::id()));
    let mut other = example();
    other["schema_version"] = json!(9);
    std::fs::write(&path, other.to_string()).unwrap();
    let error = ResultFile::read(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, ReadError::Version { found: 9, .. }), "{error}");
}

#[test]
fn the_text_holds_the_figures() {
    let result: ResultFile = serde_json::from_value(example()).unwrap();
    let text = reports::text::render(&result);
    for part in ["before latency", "300 us", "orders/0", "50.0 %", "0.970 [0.960, 0.980]", "1.22.1", "verdict  pass"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}
