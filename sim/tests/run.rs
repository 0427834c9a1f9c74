//! `sim run` as a user runs it, on real programs: what is written, what it exits with, and that nothing is left behind.

mod worlds;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use reports::result::{Kind, ResultFile, Verdict};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use worlds::{Short, assert_schema, nothing_ran, result_of, sim, text};

/// One of two endpoints fails for a second; the configuration is read anew meanwhile. A request counts for the phase in
/// which it was to be sent, and a busy machine sends some of them late.
const SHORT: Short<'_> = Short {
    name: "short",
    load: "arrivals = \"constant\"\nrate = \"200/s\"\nduration = \"3s\"\nconnections = 4",
    fault: "at = \"1s\"\nfor = \"1s\"\nact = { status = 500 }",
    rest: r#"
[[events]]
at = "1500ms"
do = "reload"

[[expect]]
figure = "load.main.phases.before.success_ratio"
min = 0.9
[[expect]]
figure = "load.main.phases.fault_1.status.500"
min = 80
max = 120
[[expect]]
figure = "load.main.phases.healed.success_ratio"
min = 0.9
[[expect]]
figure = "balance.orders.share.orders/1"
min = 0.49
max = 0.51
"#,
    upstream: "health = { path = \"/healthz\", interval = \"100ms\", unhealthy_after = 100 }",
    route: "",
};

/// Whether what the gateway's log says was its listener still takes connections.
fn gateway_serves(out: &Path) -> bool {
    let log = std::fs::read_to_string(out.join("gateway-0.log")).unwrap();
    let ready: Value = serde_json::from_str(log.lines().find(|line| line.contains("\"ready\"")).unwrap()).unwrap();
    TcpStream::connect(ready["listeners"][0].as_str().unwrap()).is_ok()
}

#[test]
fn a_scenario_is_run_scored_and_cleared_away() {
    let folder = SHORT.written();
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--json", "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_eq!(assert_schema(&out), serde_json::from_slice::<Value>(&output.stdout).unwrap());
    assert_eq!(result.kind, Kind::Run);
    // Whether the measurement is valid depends on the machine; what happened does not.
    for expectation in &result.expectations {
        assert!(expectation.holds, "{expectation:?}");
    }
    let code = if result.validity.valid { (Verdict::Pass, 0) } else { (Verdict::Invalid, 4) };
    assert_eq!((result.verdict, output.status.code()), (code.0, Some(code.1)), "{:?}", result.validity.reasons);
    assert_eq!(result.other["events"]["failed"], 0, "{}", result.other["events"]);
    assert_eq!(result.other["events"]["done"][0]["do"], "reload");
    assert_every_number_can_be_expected(&assert_schema(&out));
    let steps_with_fault = result.timeline.iter().filter(|moment| !moment.fault_active.is_empty()).count();
    assert_eq!((result.timeline.len(), steps_with_fault), (12, 4), "250 ms a step");
    let gateway = &result.gateway["0"];
    assert!(gateway.cpu_us_per_request > Some(0.0));
    // Before the warm-up it had no connection, no buffer and most of its code not in memory.
    let rss = gateway.rss_bytes.unwrap();
    assert!(rss.idle > 0 && rss.idle <= rss.peak && rss.end <= rss.peak, "{rss:?}");
    let retries = result.retries.as_ref().unwrap();
    assert_eq!(retries.amplification, 1.0, "the gateway's own health checks are nobody's requests");
    assert!(!gateway_serves(&out), "the gateway has ended");
    assert!(out.join("main.hlog").is_file());
    assert!(std::fs::read_to_string(out.join("report.html")).unwrap().contains("every request counts"));
    assert!(out.join("report.md").is_file() && out.join("junit.xml").is_file());
}

/// Whatever a result says in numbers can be asked for, but for what only tells which file and which machine it is.
fn assert_every_number_can_be_expected(result: &Value) {
    let mut names = Vec::new();
    numbers_of(result, "", &mut names);
    let other = ["schema_version", "seed", "seconds", "environment.cores", "environment.memory"];
    // Of all breakers of an upstream together no more than their trips is meant.
    let is_roll_up = |name: &str| name.starts_with("breakers.orders.") && name != "breakers.orders.trips";
    names.retain(|name| !other.contains(&name.as_str()) && !is_roll_up(name));
    assert!(names.len() > 60, "{names:?}");
    for wanted in ["retries.budget_refused", "validity.pacer_lag_us.p99", "breakers.orders/1.never_closed"] {
        names.push(wanted.to_owned());
    }
    let expected: String = names.iter().map(|name| format!("[[expect]]\nfigure = \"{name}\"\nmax = 1\n")).collect();
    let folder = SHORT.written_as(&(SHORT.scenario() + &expected));
    let output = sim(&["run", "--check", text(&folder.path().join("s.toml"))]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

fn numbers_of(value: &Value, name: &str, names: &mut Vec<String>) {
    match value {
        Value::Number(_) => names.push(name.to_owned()),
        Value::Object(inner) => {
            for (key, value) in inner {
                numbers_of(value, if name.is_empty() { key.clone() } else { format!("{name}.{key}") }.as_str(), names);
            }
        }
        _ => {}
    }
}

#[test]
fn two_gateways_share_the_load_and_one_is_restarted() {
    let scenario =
        SHORT.scenario().replace("config =", "instances = 2\nconfig =").replace("do = \"reload\"", "do = \"restart\"");
    let folder = SHORT.written_as(&scenario);
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--json", "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_eq!(result.gateway.len(), 2);
    assert_eq!(result.other["events"]["failed"], 0, "{}", result.other["events"]);
    assert!(result.gateway.values().all(|one| one.rss_bytes.is_some_and(|rss| rss.idle > 0)), "{:?}", result.gateway);
    assert!(out.join("gateway-0.1.log").is_file(), "it was started a second time");
    // Every answer has its record, over the restart too.
    assert_eq!(result.other["accounting"]["missing"], 0, "{}", result.other["accounting"]);
    assert_eq!(result.other["accounting"]["surplus"], 0, "{}", result.other["accounting"]);
}

#[test]
fn an_interrupted_run_writes_what_it_has_and_never_passes() {
    ends_with_what_it_has(Signal::INT);
}

/// As a job's runner or `timeout` ends it: nothing that it started is left behind.
#[test]
fn a_run_that_is_told_to_end_leaves_nothing_behind() {
    ends_with_what_it_has(Signal::TERM);
}

/// As a terminal that is closed ends it.
#[test]
fn a_run_whose_terminal_is_gone_leaves_nothing_behind() {
    ends_with_what_it_has(Signal::HUP);
}

fn ends_with_what_it_has(signal: Signal) {
    let folder = SHORT.written_as(&SHORT.scenario().replace("duration = \"3s\"", "duration = \"600s\""));
    let out = folder.path().join("out");
    // Whoever runs the tests may ignore SIGHUP, and then so would this.
    let mut run = Command::new("env")
        .args(["--default-signal=HUP", env!("CARGO_BIN_EXE_sim")])
        .args(["run", text(&folder.path().join("s.toml")), "--out", text(&out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(" requests, ")), "it measures");
    kill_process(Pid::from_child(&run), signal).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(4));
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    assert_eq!(result.verdict, Verdict::Invalid);
    assert!(result.validity.reasons[0].contains("interrupted"), "{:?}", result.validity.reasons);
    assert!(result.load["main"].requests > 0);
    assert!(!gateway_serves(&out), "the gateway has ended");
}

/// Whether the driver was late or not: a gateway that died is no measurement in doubt.
#[test]
fn a_gateway_that_is_killed_fails_the_run_on_any_machine() {
    let folder = SHORT.written_as(&SHORT.scenario().replace("duration = \"3s\"", "duration = \"4s\""));
    let (out, pid) = (folder.path().join("out"), folder.path().join("pid"));
    let program = folder.path().join("gateway");
    let script = format!("#!/bin/sh\necho $$ > {}\nexec {} __gateway \"$@\"\n", text(&pid), env!("CARGO_BIN_EXE_sim"));
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["run", text(&folder.path().join("s.toml")), "--gateway-bin", text(&program), "--out", text(&out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(" requests, ")), "it measures");
    let gateway = std::fs::read_to_string(&pid).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(gateway, Signal::KILL).unwrap();
    // It goes on telling how far it is, and must not wait for a reader.
    lines.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let result = ResultFile::read(&out.join("result.json")).unwrap();
    assert_eq!(result.verdict, Verdict::Fail);
    let died = result.expectations.iter().find(|one| one.figure == "gateway.0.up").unwrap();
    assert!(died.bound.contains("it ended by signal 9"), "{died:?}");
    let markdown = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(markdown.starts_with("## ❌ short: fail") && markdown.contains("signal 9"), "{markdown}");
    let junit = std::fs::read_to_string(out.join("junit.xml")).unwrap();
    assert!(junit.contains("<failure message=\"gateway.0.up"), "{junit}");
}

/// The very configuration that serves in production is no scenario's: nothing of it is asked.
#[test]
fn a_configuration_that_leads_elsewhere_starts_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap().to_string();
    let gateway = SHORT.gateway().replace("mock://orders/1", &live);
    let folder = worlds::written(&SHORT.scenario(), &gateway);
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    for arguments in [&["run", text(&file), "--out", text(&out)][..], &["run", "--check", text(&file)]] {
        let output = sim(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let expected = format!("gateway.toml:3:33: error: the upstream `orders` connects to {live}, which is not the");
        assert!(said.contains(&expected) && said.contains("allow_loopback"), "{said}");
        assert!(nothing_ran(&out));
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn a_scenario_that_does_not_hold_starts_nothing() {
    let folder = SHORT.written_as(&SHORT.scenario().replace("on = \"orders/1\"", "on = \"orders/7\""));
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    for arguments in [&["run", text(&file), "--out", text(&out)][..], &["run", "--check", text(&file)]] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("s.toml:21:6: error: there is no endpoint `orders/7`"), "{said}");
    }
    // What a CI system looks at is told of it, and nothing else is there.
    let mut left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["junit.xml", "report.md"]);
    let good = SHORT.written();
    assert_eq!(sim(&["run", "--check", text(&good.path().join("s.toml"))]).status.code(), Some(0));
    assert_eq!(sim(&["run", "/no/such/scenario.toml"]).status.code(), Some(3));
}

#[test]
fn every_committed_scenario_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_scenario = |path: &std::path::PathBuf| {
        text(path).ends_with(".toml") && ![".gateway.toml", ".journey.toml"].iter().any(|end| text(path).ends_with(end))
    };
    let scenarios: Vec<_> = files.filter(is_scenario).collect();
    assert!(!scenarios.is_empty());
    for scenario in scenarios {
        let output = sim(&["run", "--check", text(&scenario)]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_suite_runs_what_is_asked_for_and_one_that_fails_decides() {
    let short = SHORT.scenario().replace("duration = \"3s\"", "duration = \"2200ms\"");
    let failing =
        short.replace("\"short\"", "\"failing\"").replace("min = 80\n", "min = 1000\n").replace("max = 120\n", "");
    let folder = SHORT.written_as(&short.replace("warm_up", "tags = [\"quick\"]\nwarm_up"));
    std::fs::write(folder.path().join("failing.toml"), &failing).unwrap();
    let (scenarios, out) = (text(folder.path()), folder.path().join("out"));
    let listed = sim(&["suite", "--list", "--quick", "--scenarios", scenarios]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 2, "a head and one that is quick");
    let output = sim(&["suite", "--scenarios", scenarios, "--json", "--out", text(&out)]);
    let result = result_of(&out, &output);
    let names: Vec<&str> = result.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    assert_eq!((result.kind, names), (Kind::Suite, vec!["failing", "short"]));
    let own = &result.scenarios[1];
    assert_eq!((own.seed, own.folder.as_deref(), result.shared_seed()), (Some(1), Some("short"), None));
    assert!(result.seconds.is_some_and(|seconds| seconds > 4.0), "{:?}", result.seconds);
    // On a busy machine both may be invalid; then nothing passes, and what failed is told all the same.
    let reasons = &result.scenarios[0].reasons;
    assert!(reasons.iter().any(|reason| reason.contains("fault_1.status.500")), "{reasons:?}");
    assert!(matches!((result.verdict, output.status.code()), (Verdict::Fail, Some(1)) | (Verdict::Invalid, Some(4))));
    assert!(out.join("short/result.json").is_file() && out.join("failing/result.json").is_file());
    let nothing = sim(&["suite", "--only", "no-such-tag", "--scenarios", scenarios]);
    assert_eq!(nothing.status.code(), Some(3));
}
