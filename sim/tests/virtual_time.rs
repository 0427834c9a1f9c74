//! `sim run` in virtual time, as a user runs it: the file that runs on sockets with one word changed.

mod worlds;

use std::path::Path;

use reports::result::{Kind, Verdict};
use serde_json::Value;
use worlds::{Short, assert_schema, nothing_ran, result_of, sim, text};

/// One of two endpoints fails for a while, and the configuration is read anew meanwhile. What is expected holds in both
/// runtimes.
const SHORT: Short<'_> = Short {
    name: "both",
    load: "arrivals = \"constant\"\nrate = \"200/s\"\nduration = \"4s\"\nconnections = 4",
    fault: "at = \"1s\"\nfor = \"1s\"\nact = { status = 500 }",
    rest: r#"
[[events]]
at = "3s"
do = "reload"

[[expect]]
figure = "load.main.phases.before.success_ratio"
min = 0.9
[[expect]]
figure = "load.main.phases.fault_1.status.500"
min = 5
max = 40
[[expect]]
figure = "load.main.phases.healed.success_ratio"
min = 0.9
[[expect]]
figure = "breakers.orders/1.trips"
min = 1
max = 1
[[expect]]
figure = "breakers.orders/1.leaked_attempts"
max = 0
[[expect]]
figure = "balance.orders.share.orders/0"
min = 0.5
[[expect]]
figure = "events.failed"
max = 0
[[expect]]
figure = "retries.amplification"
max = 1.01
"#,
    upstream: "breaker = { failures = [\"500\"], consecutive_failures = 6, min_requests = 1000, open_for = \"300ms\", \
               max_open_for = \"300ms\", probes = 1 }",
    route: "retry = { attempts = 1 }",
};

/// The same file for virtual time.
fn simulated() -> String {
    format!("runtime = \"virtual\"\n{}", SHORT.scenario())
}

#[test]
fn the_same_scenario_holds_in_both_runtimes_and_its_results_are_alike() {
    let runs = [SHORT.scenario(), simulated()].map(|scenario| {
        let folder = SHORT.written_as(&scenario);
        let out = folder.path().join("out");
        let output = sim(&["run", text(&folder.path().join("s.toml")), "--json", "--out", text(&out)]);
        let result = result_of(&out, &output);
        assert_eq!(result.kind, Kind::Run);
        for expectation in &result.expectations {
            assert!(expectation.holds, "{expectation:?}");
        }
        assert!(out.join("report.html").is_file() && out.join("report.md").is_file());
        assert!(out.join("junit.xml").is_file() && out.join("main.hlog").is_file());
        (output.status.code(), result, assert_schema(&out))
    });
    let [(_, on_sockets, _), (code, result, written)] = &runs;
    // Whether a measurement is valid depends on the machine; of a simulated world nothing does.
    assert_eq!((*code, result.verdict, &result.validity.reasons), (Some(0), Verdict::Pass, &Vec::new()));
    let sections = |value: &reports::result::ResultFile| {
        let names = |keys: Vec<&String>| keys.into_iter().cloned().collect::<Vec<_>>();
        let load = names(value.load["main"].phases.keys().collect());
        let breakers = value.breakers.keys().filter(|name| name.contains('/')).collect();
        (load, names(breakers), names(value.balance.keys().collect()), value.timeline.len())
    };
    assert_eq!(sections(result), sections(on_sockets));
    let requests = result.load["main"].requests;
    assert!((799..=800).contains(&requests), "every arrival of the plan: {requests}");
    assert_eq!(result.breakers["orders/1"].trip_error, Some(0));
    assert_eq!(result.other["events"]["done"][0]["do"], "reload");
    assert_eq!(result.other["accounting"]["records"], requests);
    assert_eq!(result.other["virtual_time"]["anomalies"], 0);
    let gateway = &written["gateway"]["0"];
    assert!(gateway["reuse_ratio"].as_f64().is_some_and(|ratio| ratio > 0.5), "{gateway}");
    assert!(gateway["cpu_us_per_request"].is_null() && gateway["rss_bytes"].is_null(), "{gateway}");
}

/// What a run wrote, but for when it was.
fn written(out: &Path) -> (Value, Vec<u8>, Vec<u8>) {
    let read = |name: &str| std::fs::read(out.join(name)).unwrap();
    let mut result: Value = serde_json::from_slice(&read("result.json")).unwrap();
    result["started_at"] = Value::Null;
    (result, read("main.hlog"), read("access-0.log"))
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_run() {
    let folder = SHORT.written_as(&simulated());
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let run = |seed: &str| {
        let output = sim(&["run", text(&file), "--seed", seed, "--out", text(&out)]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
        written(&out)
    };
    let (first, again, other) = (run("7"), run("7"), run("8"));
    assert_eq!(first.0, again.0);
    assert!(first.1 == again.1 && first.2 == again.2, "histograms and access log");
    assert_ne!(first.0["virtual_time"]["trace"], other.0["virtual_time"]["trace"]);
}

#[test]
fn what_is_expected_and_does_not_hold_fails_the_run() {
    let failing = simulated().replace("min = 5\nmax = 40\n", "min = 41\n");
    let folder = SHORT.written_as(&failing);
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--out", text(&out)]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let result = result_of(&out, &output);
    let failed: Vec<&str> =
        result.expectations.iter().filter(|one| !one.holds).map(|one| one.figure.as_str()).collect();
    assert_eq!((result.verdict, failed), (Verdict::Fail, vec!["load.main.phases.fault_1.status.500"]));
    assert!(std::fs::read_to_string(out.join("junit.xml")).unwrap().contains("<failure"));
}

#[test]
fn what_a_simulated_world_lacks_is_refused_with_its_place_and_starts_nothing() {
    let folder = SHORT.written_as(&simulated().replace("do = \"reload\"", "do = \"restart\""));
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let output = sim(&["run", text(&file), "--out", text(&out)]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("s.toml:29:6: error: the virtual runtime has no event but `reload`"), "{said}");
    assert!(said.contains("run the scenario with runtime = \"sockets\"") && nothing_ran(&out), "{said}");
}

#[test]
fn placeholders_and_rate_limits_are_what_they_are_on_sockets() {
    let scenario = "name = \"limited\"\nruntime = \"virtual\"\n[gateway]\nconfig = \"gateway.toml\"\n\
        [mocks.orders]\nendpoints = 1\n[[load]]\nname = \"main\"\nmodel = \"open\"\narrivals = \"constant\"\n\
        rate = \"100/s\"\nduration = \"2s\"\n\
        request = { path = \"/items/{seq}\", headers = { x-user = \"u{int(1, 2)}\" } }\n\
        [[expect]]\nfigure = \"limiters.each.false_admits\"\nmax = 0\n\
        [[expect]]\nfigure = \"limiters.each.false_refusals\"\nmax = 0\n\
        [[expect]]\nfigure = \"limiters.each.offered\"\nmin = 199\nmax = 200\n\
        [[expect]]\nfigure = \"load.main.phases.before.outcome.rejected\"\nmin = 100\n\
        [[expect]]\nfigure = \"prometheus.0.gateway_requests_total\"\nmin = 199\nmax = 200\n";
    let gateway = "[upstreams.orders]\nendpoints = [\"mock://orders/0\"]\n\
        [rate_limits.each]\nrate = \"10/s\"\nburst = 5\nkey = \"header:x-user\"\n\
        [[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\nrate_limits = [\"each\"]\n";
    let folder = worlds::written(scenario, gateway);
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_eq!((result.verdict, output.status.code()), (Verdict::Pass, Some(0)), "{:?}", result.expectations);
    let log = std::fs::read_to_string(out.join("access-0.log")).unwrap();
    assert!(log.contains("\"/items/198\"") && !log.contains("{seq}"), "{log}");
}

/// A path that no route has, and nothing that says how requests are to end: nobody means that.
#[test]
fn a_load_of_which_nothing_succeeds_fails_though_nothing_is_expected_of_it() {
    let scenario = "name = \"lost\"\nruntime = \"virtual\"\n[gateway]\nconfig = \"gateway.toml\"\n\
        [mocks.orders]\nendpoints = 1\n[[load]]\nname = \"main\"\nmodel = \"open\"\nrate = \"50/s\"\n\
        duration = \"1s\"\nrequest = { path = \"/a\" }\n";
    let gateway = "[upstreams.orders]\nendpoints = [\"mock://orders/0\"]\n\
        [[routes]]\npath = \"/b/{*rest}\"\nupstream = \"orders\"\n";
    let run = |scenario: &str| {
        let folder = worlds::written(scenario, gateway);
        let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
        let output = sim(&["run", text(&file), "--out", text(&out)]);
        (output.status.code(), result_of(&out, &output))
    };
    let (code, result) = run(scenario);
    assert_eq!((result.verdict, code), (Verdict::Fail, Some(1)));
    let missed = result.expectations.iter().find(|one| !one.holds).unwrap();
    assert_eq!((missed.figure.as_str(), missed.value), ("load.main.answered", Some(0.0)));
    assert!(result.validity.valid && result.validity.reasons.is_empty(), "{:?}", result.validity);
    assert!(result.validity.notes[0].contains("nothing is expected"), "{:?}", result.validity);
    let meant = format!("{scenario}[[expect]]\nfigure = \"load.main.phases.before.status.404\"\nmin = 1\n");
    let (code, result) = run(&meant);
    assert_eq!((result.verdict, code), (Verdict::Pass, Some(0)), "{:?}", result.expectations);
    let folder = worlds::written(scenario, gateway);
    let checked = sim(&["run", "--check", text(&folder.path().join("s.toml"))]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains(": holds, 1 s") && said.contains("warning: nothing is expected"), "{said}");
}

/// Its load fills the in-flight bound and drops the rest, so the run is no measurement; whose fault it is, is plain.
#[test]
fn a_service_that_answers_nobody_fails_a_run_though_arrivals_are_dropped() {
    let scenario = "name = \"silent\"\nruntime = \"virtual\"\n[gateway]\nconfig = \"gateway.toml\"\n\
        [mocks.orders]\nendpoints = 1\n[[load]]\nname = \"main\"\nmodel = \"open\"\narrivals = \"constant\"\n\
        rate = \"300/s\"\nduration = \"4s\"\nmax_in_flight = 100\nrequest = { path = \"/a\" }\n\
        [[faults]]\nat = \"1s\"\nfor = \"2s\"\non = \"orders/0\"\nact = { hang = true }\n\
        [[expect]]\nfigure = \"load.main.phases.fault_1.success_ratio\"\nmin = 0.9\n";
    let gateway = "[upstreams.orders]\nendpoints = [\"mock://orders/0\"]\n\
        [[routes]]\npath = \"/{*rest}\"\nupstream = \"orders\"\n";
    let folder = worlds::written(scenario, gateway);
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_eq!((result.verdict, output.status.code()), (Verdict::Fail, Some(1)), "{:?}", result.validity);
    assert!(!result.validity.valid && result.validity.dropped > 0, "{:?}", result.validity);
}

#[test]
fn a_suite_runs_both_kinds() {
    let folder = SHORT.written_as(&simulated());
    let out = folder.path().join("out");
    let output = sim(&["suite", "--scenarios", text(folder.path()), "--json", "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_eq!((result.verdict, output.status.code()), (Verdict::Pass, Some(0)), "{:?}", result.scenarios);
    assert!(out.join("both/report.html").is_file());
}

/// Every answer is held against the headers that are expected.
fn expecting(headers: &str, edits: &str) -> (Option<i32>, reports::result::ResultFile, String) {
    let short = Short {
        name: "edited",
        load: "arrivals = \"constant\"\nrate = \"100/s\"\nduration = \"1s\"\nconnections = 4",
        fault: "at = \"900ms\"\nfor = \"10ms\"\nact = { delay = \"1ms\" }",
        rest: "\n[[expect]]\nfigure = \"load.main.requests\"\nmin = 1\n",
        upstream: "",
        route: edits,
    };
    let scenario = format!("runtime = \"virtual\"\n{}", short.scenario());
    let at = scenario.find("path = \"").unwrap();
    let scenario = format!("{}expect = {{ status = [200], {headers} }}, {}", &scenario[..at], &scenario[at..]);
    let folder = short.written_as(&scenario);
    let out = folder.path().join("out");
    let output = sim(&["run", text(&folder.path().join("s.toml")), "--out", text(&out)]);
    let result = result_of(&out, &output);
    assert_schema(&out);
    (output.status.code(), result, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_edit_of_headers_that_gets_lost_fails_the_run() {
    let edits = "request_headers = { set = { x-tenant = \"blue\" }, remove = [\"x-debug\"] }\n\
                 response_headers = { set = { x-served-by = \"gate\" } }";
    let all = "headers = { x-served-by = \"gate\", x-secret = false }, \
               upstream_headers = { x-tenant = \"blue\", x-debug = false, x-request-id = true }";
    let (code, result, said) = expecting(all, edits);
    assert_eq!((code, result.load["main"].wrong_headers()), (Some(0), 0), "{said}");
    let lost = edits.replace("x-tenant = \"blue\"", "");
    let (code, result, said) = expecting(all, &lost);
    let (wrong, requests) = (result.load["main"].wrong_headers(), result.load["main"].requests);
    assert_eq!((code, wrong), (Some(1), requests), "{said}");
    assert_eq!(result.load["main"].phases["before"].success(), Some(0.0));
    let missed = result.expectations.iter().find(|one| one.figure == "load.main.wrong_headers");
    assert!(missed.is_some_and(|one| !one.holds && one.value == Some(requests as f64)), "{:?}", result.expectations);
    assert!(said.contains("answers lacked a header that is expected"), "{said}");
}
