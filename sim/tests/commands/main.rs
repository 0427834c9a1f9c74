//! The commands as a user runs them: exit codes, what is written, and that nothing is left behind.

mod gate;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use reports::result::{Kind, ResultFile, SCHEMA, Verdict};
use rustix::process::{Pid, Signal, kill_process};
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
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(written, serde_json::from_slice::<Value>(&output.stdout).unwrap());
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    // Whether it is valid as a measurement depends on the machine; what happened does not. The exit code says the same.
    let (verdict, code) = if result.validity.valid { (Verdict::Pass, 0) } else { (Verdict::Invalid, 4) };
    assert_eq!((result.kind, result.verdict), (Kind::Demo, verdict));
    assert_eq!(output.status.code(), Some(code), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    let phases = &result.load["main"].phases;
    let before = &phases["before"].outcome;
    assert_eq!((before["rejected"], before["failed"]), (0, 0), "nothing fails before the fault");
    assert!(
        phases["fault_1"].success().is_some_and(|share| share > 0.95),
        "what fails at one endpoint is met by another"
    );
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
    for form in ["html", "markdown"] {
        let suite = sim(&["report", &committed("suite"), "--format", form]);
        let text = String::from_utf8_lossy(&suite.stdout);
        assert!(text.contains("slow-endpoint") && !text.contains("report.html"), "no page lies beside what is printed");
    }
}

#[test]
fn a_demo_that_passes_leaves_nothing_unless_asked_to() {
    let temporary = tempfile::tempdir().unwrap();
    let short = ["demo", "--duration", "1s", "--rate", "100/s"];
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(short).env("TMPDIR", temporary.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let code = if text.contains("? invalid  nothing failed but what was injected") { 4 } else { 0 };
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(
        text.contains("`--out DIR` keeps") && !text.contains("access.log"),
        "nothing is named that is gone: {text}"
    );
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
    // What cannot start leaves its logs, and says where.
    let broken = ["demo", "--gateway-bin", "/bin/false"];
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).args(broken).env("TMPDIR", temporary.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let left = std::fs::read_dir(temporary.path()).unwrap().next().unwrap().unwrap().path();
    assert!(String::from_utf8_lossy(&output.stderr).contains(left.to_str().unwrap()), "{output:?}");
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
fn what_its_programs_started_ends_too_when_it_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("held");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // An end to write to is there at once for who opens it to read as well, and lets the reader's own open go on.
    let both = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let mut held = std::fs::File::open(&pipe).unwrap();
    drop(both);
    // A gateway with a helper that minds no end but its own, as a web server's worker may. It holds the pipe before its
    // gateway serves, or no gateway serves.
    let program = folder.path().join("gateway");
    let sim_itself = env!("CARGO_BIN_EXE_sim");
    let helper = format!("exec 3>'{}'\nsleep 1000 </dev/null >&3 2>&1 &\nexec 3>&-", pipe.display());
    std::fs::write(&program, format!("#!/bin/sh\n{helper}\nexec '{sim_itself}' __gateway \"$@\"\n")).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let out = folder.path().join("out");
    let mut demo = Command::new(sim_itself)
        .args(["demo", "--duration", "1s", "--rate", "50/s", "--stay", "--out", out.to_str().unwrap()])
        .args(["--gateway-bin", program.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Where it ends instead, so do its lines.
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("keeps running")));
    demo.kill().unwrap();
    demo.wait().unwrap();
    // That comes to its end only when nobody holds the other end any more.
    assert_eq!(held.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_report_is_never_that_of_an_earlier_command() {
    let folder = tempfile::tempdir().unwrap();
    let (out, scenario) = (folder.path().join("out"), folder.path().join("bad.toml"));
    std::fs::write(&scenario, "nmae = \"bad\"\n").unwrap();
    let (out_text, scenario) = (out.to_str().unwrap(), scenario.to_str().unwrap());
    let cases: [(&[&str], i32); 5] = [
        (&["run", scenario], 1),
        (&["suite", "--scenarios", folder.path().to_str().unwrap()], 1),
        (&["demo", "--gateway-bin", "/no/such/gateway"], 3),
        (&["gate", "--base", "/bin/true", "--head", "/bin/true", "--scenario", scenario], 1),
        (&["gate", "--base", "/no/such/gateway", "--head", "/bin/true"], 3),
    ];
    for (arguments, code) in cases {
        std::fs::create_dir_all(&out).unwrap();
        for file in ["result.json", "report.html", "report.md", "junit.xml"] {
            std::fs::write(out.join(file), "of an earlier run").unwrap();
        }
        let output = sim(&[arguments, &["--out", out_text]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let read = |file: &str| std::fs::read_to_string(out.join(file)).ok();
        assert_eq!((read("result.json"), read("report.html")), (None, None), "{arguments:?}");
        assert!(read("report.md").unwrap().starts_with("## ❌ could not be run"), "{arguments:?}");
        assert!(read("junit.xml").unwrap().contains("errors=\"1\""), "{arguments:?}");
    }
    // Who only looks, and who is told how to ask, leaves what is there.
    let before = std::fs::read_to_string(out.join("junit.xml")).unwrap();
    std::fs::write(out.join("result.json"), "of an earlier run").unwrap();
    let asked_wrongly: [(&[&str], i32); 7] = [
        (&["run", "--check", scenario], 1),
        (&["demo", "--rate", "fast"], 2),
        (&["peers", "--with", "ngnix"], 2),
        (&["peers", "--chain", "grpc", "--idle", "10"], 2),
        (&["compare", scenario, "--peers", "traefik"], 2),
        (&["compare", scenario, "--peers", "nginx", "--bin", "envoy=/bin/false"], 2),
        (&["gate", "--base", "/bin/true", "--head", "/bin/true", "--settings", scenario], 2),
    ];
    for (arguments, code) in asked_wrongly {
        let output = sim(&[arguments, &["--out", out_text]].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert_eq!(std::fs::read_to_string(out.join("junit.xml")).unwrap(), before, "{arguments:?}");
        assert!(out.join("result.json").exists(), "{arguments:?}");
    }
}

#[test]
fn a_place_where_nothing_can_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let output = sim(&["demo", "--out", file.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && errors.contains("file: it is no folder"), "{errors}");
    let none = folder.path().join("none");
    let output = Command::new(env!("CARGO_BIN_EXE_sim")).arg("demo").env("TMPDIR", &none).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && errors.contains("TMPDIR"), "{errors}");
    assert!(!none.exists(), "where temporary files are is not its affair");
}

#[test]
fn a_folder_without_kept_runs_has_no_trend() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), "").unwrap();
    let output = sim(&["report", "--trend", folder.path().to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && errors.contains("--keep"), "{errors}");
    assert!(!folder.path().join("trend.html").exists());
}

#[test]
fn wrong_usage_is_two_and_what_cannot_run_is_three() {
    for arguments in [
        &[][..],
        &["demo", "--rate", "fast"],
        &["peers", "--with", "apache"],
        &["peers", "--bin", "nginx"],
        &["peers", "--rounds", "0"],
        &["gate"],
        &["gate", "--base", "x"],
        &["gate", "--self-test", "--base", "x"],
        &["gate", "--base", "/bin/ls", "--head", "/bin/ls", "--plain", "/bin/ls"],
        &["gate", "--base", "no-such-revision", "--head", "HEAD"],
        &["gate", "--base", "/bin/sh", "--head", "/bin/sh", "--counts"],
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
        &["gate", "--base", "/bin/ls", "--head", "/bin/ls"],
        &["gate", "--base", "/no/such/program", "--head", "HEAD"],
        &["gate", "--base", "x", "--head", "x", "--settings", "/no/such/file"],
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

#[test]
fn no_default_build_can_be_slowed_down() {
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["__gateway", "run", "--slow-down-steps", "1"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends with its standard input, so that stays open.
    let _stdin = gateway.stdin.take();
    assert_eq!(gateway.wait_with_output().unwrap().status.code(), Some(2));
}

#[test]
fn exploring_says_what_held_and_gives_the_same_trace_again() {
    let folder = tempfile::tempdir().unwrap();
    let explore = || {
        let out = folder.path().to_str().unwrap();
        let output = sim(&["explore", "--seed", "3", "--seeds", "3", "--json", "--out", out]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (first, second) = (explore(), explore());
    assert_eq!((&first["kind"], &first["verdict"]), (&"explore".into(), &"pass".into()));
    assert_eq!((&first["explore"]["seeds"], &first["explore"]["failed"]), (&3.into(), &Value::Array(Vec::new())));
    assert_eq!(first["explore"]["trace_hash"], second["explore"]["trace_hash"]);
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    assert!(
        validator.is_valid(&first),
        "{:?}",
        validator.iter_errors(&first).map(|e| e.to_string()).collect::<Vec<_>>()
    );
}

/// Whether a process has a handler for SIGTERM (proc(5)).
fn catches_terminate(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) != 0)
}

#[test]
fn an_exploration_that_is_told_to_end_tells_what_it_has_and_leaves_nothing_behind() {
    let (temporary, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut explore = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["explore", "--seeds", "10000000", "--out", folder.path().to_str().unwrap()])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    while !catches_terminate(explore.id()) {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&explore), Signal::TERM).unwrap();
    let mut said = String::new();
    explore.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(explore.wait().unwrap().code(), Some(4), "{said}");
    assert!(said.contains("it was interrupted after") && said.contains("so far everything held"), "{said}");
    let result = ResultFile::read(&folder.path().join("result.json")).unwrap();
    assert_eq!((result.verdict, result.validity.valid), (Verdict::Invalid, false));
    assert!(result.validity.reasons[0].contains("interrupted"), "{:?}", result.validity.reasons);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_scenario_for_sockets_may_be_explored_too() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/found/replay-without-body.toml");
    assert_eq!(sim(&["explore", found.to_str().unwrap()]).status.code(), Some(0));
    // One for sockets runs in virtual time too, but what it expects is not judged there, and that is said.
    let slow = found.parent().unwrap().with_file_name("slow-endpoint.toml");
    let output = sim(&["explore", slow.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is judged here; `sim run"), "{said}");
    assert!(!said.contains("was called"), "the gateway gives requests ids of its own: {said}");
}
