//! `sim gate` as a user runs it: what it takes, what it says of a head that is broken, and what it writes.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use reports::result::{Kind, ResultFile, SCHEMA, Verdict};
use serde_json::Value;

use crate::sim;

#[test]
fn settings_of_a_gate_may_come_through_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut gate = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["gate", "--settings", "/dev/stdin", "--base", "/no/such/gateway", "--head", "/bin/true"])
        .args(["--out", out.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    gate.stdin.take().unwrap().write_all(include_bytes!("../../gate.toml")).unwrap();
    let output = gate.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // The settings are good, and the side that is not there is this gate's trouble.
    assert!(output.status.code() == Some(3) && errors.contains("/no/such/gateway"), "{errors}");
    assert!(std::fs::read_to_string(out.join("junit.xml")).unwrap().contains("errors=\"1\""));
}

#[test]
fn outside_of_a_repository_a_side_that_is_no_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(["gate", "--base", "main", "--head", "HEAD"]).current_dir(folder.path());
    let output = command.env("GIT_CEILING_DIRECTORIES", folder.path()).env_remove("GIT_DIR").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("`main` is no program, and there is no git repository here"), "{errors}");
}

/// A program that is the gateway in `sim`.
fn gateway_program(folder: &Path) -> String {
    let path = folder.join("gateway");
    std::fs::write(&path, format!("#!/bin/sh\nexec {} __gateway \"$@\"\n", env!("CARGO_BIN_EXE_sim"))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn two_rounds_decide_nothing_and_are_reported_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway_program(folder.path());
    let out = folder.path().join("gate");
    let words = ["--rounds", "2", "--seconds", "0.5", "--json", "--out", out.to_str().unwrap()];
    let output = sim(&[&["gate", "--base", &gateway, "--head", &gateway], &words[..]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(written, serde_json::from_slice::<Value>(&output.stdout).unwrap());
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    assert_eq!(result.kind, Kind::Gate);
    assert!(matches!(result.verdict, Verdict::Inconclusive | Verdict::Invalid), "{:?}", result.verdict);
    assert_eq!(written["pairs"].as_array().unwrap().len(), 2);
    let cpu = &written["metrics"]["cpu_us_per_request"];
    assert!(cpu["base"].as_f64().unwrap() > 0.0 && cpu["rounds"] == 2, "{cpu}");
    assert!(written["metrics"]["latency_p99_us"]["head"].as_f64().unwrap() > 0.0);
    assert!(std::fs::read_to_string(out.join("gate.md")).unwrap().starts_with("### "));
    assert!(std::fs::read_to_string(out.join("junit.xml")).unwrap().contains("cpu_us_per_request"));
    assert_eq!(std::fs::read_to_string(out.join("rounds.jsonl")).unwrap().lines().count(), 2);
}

/// What a gate says of a head that is this script's doing.
fn gate_of_head(script: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let base = gateway_program(folder.path());
    let head = folder.path().join("head");
    let script = script.replace("GATEWAY", &format!("{} __gateway", env!("CARGO_BIN_EXE_sim")));
    std::fs::write(&head, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&head, std::fs::Permissions::from_mode(0o755)).unwrap();
    let out = folder.path().join("gate");
    let words = ["--rounds", "2", "--seconds", "0.5", "--out", out.to_str().unwrap()];
    let output = sim(&[&["gate", "--base", &base, "--head", head.to_str().unwrap()], &words[..]].concat());
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_default();
    ResultFile::read(&out.join("result.json")).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), read("gate.md"), read("junit.xml"))
}

#[test]
fn a_head_that_ends_fails_the_gate_and_is_reported() {
    // As when memory is short: it is killed as soon as it serves.
    let script = "me=$$; log=\"$(dirname \"$3\")/head.log\"\n\
                  (while ! grep -q ready \"$log\"; do sleep 0.05; done; kill -9 $me) >/dev/null 2>&1 &\n\
                  exec GATEWAY \"$@\"";
    let (code, markdown, junit) = gate_of_head(script);
    assert_eq!(code, Some(1), "{markdown}");
    assert!(markdown.starts_with("### ❌ Performance gate: head is broken"), "{markdown}");
    assert!(markdown.contains("head ended by signal 9") && markdown.contains("head.log"), "{markdown}");
    assert!(junit.contains("name=\"answers\"><failure message=\"head ended"), "{junit}");
}

#[test]
fn a_head_that_answers_otherwise_than_the_mock_fails_the_gate_with_what_it_answered() {
    // Its upstream is a port at which nobody is.
    let script = "sed 's/endpoints = .*/endpoints = [\"127.0.0.1:1\"]/' \"$3\" > \"$3.head\"; \
                  exec GATEWAY run --config \"$3.head\"";
    let (code, markdown, junit) = gate_of_head(script);
    assert_eq!(code, Some(1), "{markdown}");
    assert!(
        markdown.contains("head answered 502 with") && markdown.contains("and the mock 200 with 512"),
        "{markdown}"
    );
    assert!(markdown.contains("head.log") && junit.contains("failures=\"1\""), "{markdown}{junit}");
}

#[test]
fn a_gate_may_compare_a_scenarios_configuration_and_requests() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway_program(folder.path());
    let scenario = folder.path().join("ours.toml");
    std::fs::write(
        folder.path().join("gateway.toml"),
        "[upstreams.orders]\nendpoints = [\"mock://orders/0\", \"mock://orders/1\"]\n\
         [[routes]]\npath = \"/api/{*rest}\"\nupstream = \"orders\"\nrewrite = { strip_prefix = \"/api\" }\n",
    )
    .unwrap();
    let text = "name = \"ours\"\n[gateway]\nconfig = \"gateway.toml\"\n[mocks.orders]\nendpoints = 2\n[[load]]\n\
                name = \"web\"\nmodel = \"open\"\nrate = \"9/s\"\nduration = \"1s\"\n\
                request = { path = \"/api/items/{seq}\" }\n";
    std::fs::write(&scenario, text).unwrap();
    let out = folder.path().join("gate");
    let gate = |scenario: &str| {
        let words = ["--rounds", "1", "--seconds", "0.5", "--out", out.to_str().unwrap(), "--scenario", scenario];
        sim(&[&["gate", "--base", &gateway, "--head", &gateway], &words[..]].concat())
    };
    let output = gate(scenario.to_str().unwrap());
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    assert!(matches!(result.verdict, Verdict::Inconclusive | Verdict::Invalid), "{:?}", result.validity);
    assert!(result.validity.notes.iter().any(|note| note.ends_with("those of the scenario ours")));
    let answers_are_right = |reason: &String| !reason.contains("not as expected");
    assert!(result.validity.reasons.iter().all(answers_are_right), "{:?}", result.validity.reasons);
    assert!(std::fs::read_to_string(out.join("head.toml")).unwrap().contains("strip_prefix"), "both have it");
    // Nothing is started for one that leads elsewhere.
    std::fs::write(folder.path().join("gateway.toml"), "[[routes]]\npath = \"/\"\nupstream = \"http://192.0.2.7\"\n")
        .unwrap();
    let output = gate(scenario.to_str().unwrap());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains("connects to 192.0.2.7:80"), "{said}");
}
