//! The commands as a user runs them: exit codes, what is written, and that nothing is left behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use reports::result::{Kind, ResultFile, SCHEMA, Verdict};
use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().unwrap()
}

/// Where the demo's gateway serves, from the ready line in its log.
fn gateway_address(folder: &Path) -> SocketAddr {
    let log = std::fs::read_to_string(folder.join("gateway.log")).unwrap();
    let ready = log.lines().find(|line| line.contains("\"ready\"")).unwrap();
    let ready: Value = serde_json::from_str(ready).unwrap();
    ready["listeners"][0].as_str().unwrap().parse().unwrap()
}

#[test]
fn the_demo_passes_and_writes_a_result_that_others_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("demo");
    let short = ["demo", "--duration", "2s", "--rate", "200/s", "--json", "--out", out.to_str().unwrap()];
    let output = sim(&short);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(written, serde_json::from_slice::<Value>(&output.stdout).unwrap());
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    assert_eq!((result.kind, result.verdict), (Kind::Demo, Verdict::Pass));
    let phases = &result.load["main"].phases;
    assert_eq!(phases["before"].outcome["rejected"], 0, "nothing fails before the fault");
    assert!(phases["fault_1"].status["503"] > 0, "the fault is seen");
    assert!(phases["before"].added_us.is_some(), "the mocks tell their residence");
    // One access record for each request that reached the gateway.
    let records = std::fs::read_to_string(out.join("access.log")).unwrap().lines().count() as u64;
    assert_eq!(records, result.load["main"].requests);
    assert!(TcpStream::connect(gateway_address(&out)).is_err(), "the gateway has ended");
    let shown = sim(&["report", out.join("result.json").to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("before latency"));
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("every request counts"), "the page is made with the histogram log");
}

fn committed(name: &str) -> String {
    format!("{}/../reports/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_result_is_rendered_in_every_form_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (out, history) = (folder.path().join("out"), folder.path().join("history"));
    let paths = [out.to_str().unwrap(), history.to_str().unwrap()];
    let output = sim(&["report", &committed("run"), "--out", paths[0], "--keep", paths[1]]);
    assert_eq!(output.status.code(), Some(0), "a result that says fail is rendered all the same");
    for file in ["report.html", "report.md", "junit.xml"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let several = sim(&["report", &committed("gate"), &committed("peers"), "--out", paths[0], "--keep", paths[1]]);
    assert_eq!(several.status.code(), Some(0));
    assert!(out.join("1/report.html").exists() && out.join("2/report.html").exists());
    assert_eq!(std::fs::read_dir(&history).unwrap().count(), 3);
    let trend = sim(&["report", "--trend", paths[1]]);
    assert_eq!(trend.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&trend.stdout).contains("run slow-endpoint on AMD EPYC 7B13, 4 cores: 1 runs"));
    assert!(history.join("trend.html").exists());
}

#[test]
fn a_form_that_is_asked_for_is_printed_and_nothing_is_written() {
    for (form, begin) in [("markdown", "## "), ("junit", "<?xml"), ("html", "<!DOCTYPE html>"), ("text", "run slow")] {
        let output = sim(&["report", &committed("run"), "--format", form]);
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(begin), "{form}");
    }
    assert!(!Path::new(&committed("run")).with_file_name("report.html").exists());
}

#[test]
fn what_it_started_ends_even_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["demo", "--duration", "1s", "--rate", "50/s", "--stay", "--out", folder.path().to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("keeps running")));
    let mut connection = TcpStream::connect(gateway_address(folder.path())).unwrap();
    connection.write_all(b"GET /no/such/route HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut piece = [0; 4096];
    assert!(connection.read(&mut piece).unwrap() > 0, "the gateway answers while it stays");
    // The hard way: no handler, no drop.
    demo.kill().unwrap();
    demo.wait().unwrap();
    // The rest of the answer, then the end or a reset: either way the gateway is gone.
    while matches!(connection.read(&mut piece), Ok(count) if count > 0) {}
}

#[test]
fn wrong_usage_is_two_and_what_cannot_run_is_three() {
    for arguments in [
        &[][..],
        &["demo", "--rate", "fast"],
        &["peers", "--with", "apache"],
        &["peers", "--bin", "nginx"],
        &["peers", "--rounds", "0"],
        &["report"],
        &["report", "x", "--format", "png"],
    ] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
    for arguments in [
        &["demo", "--gateway-bin", "/no/such/gateway"][..],
        &["demo", "--mocks-bin", "/no/such/mocks"],
        &["report", "/no/such/result.json"],
        &["report", "--trend", "/no/such/folder"],
    ] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn all_configurations_can_be_seen() {
    let output = sim(&["peers", "--show-configs"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    for name in ["ours.toml", "nginx.conf", "haproxy.cfg", "envoy.yaml", "Caddyfile"] {
        assert!(text.contains(&format!("# --- {name} ---")), "{name}");
    }
}
