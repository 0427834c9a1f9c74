//! The command: its ready line, its signals and its exit codes.

mod client;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use client::Client;
use serde_json::Value;

fn mocks(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mocks"));
    command.args(arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the command starts")
}

/// Runs to the end: exit code and standard error.
fn fails(arguments: &[&str]) -> (i32, String) {
    let mut child = mocks(arguments);
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code().unwrap(), text)
}

fn ready(child: &mut Child) -> Value {
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} is JSON"))
}

fn end(mut child: Child, signal: &str) -> i32 {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait().unwrap().code().unwrap()
}

#[test]
fn it_says_where_it_serves_and_ends_on_signals() {
    for signal in ["-TERM", "-INT"] {
        let mut child = mocks(&[
            "--listen",
            "127.0.0.1:0",
            "--listen",
            "127.0.0.1:0",
            "--service",
            "orders",
            "--control",
            "127.0.0.1:0",
        ]);
        let ready = ready(&mut child);
        assert_eq!(ready["event"], "ready");
        let listeners = ready["listeners"].as_array().unwrap();
        assert_eq!(listeners.len(), 2);
        for address in listeners {
            let answer = Client::connect(address.as_str().unwrap().parse().unwrap()).get("/x", "");
            assert_eq!(answer.header("x-mock-service"), Some("orders"));
        }
        assert_eq!(ready["admin"], ready["control"], "by the gateway's word and by the mocks' own");
        let control = ready["control"].as_str().unwrap().parse().unwrap();
        assert_eq!(Client::connect(control).get("/faults", "").status, 200);
        assert_eq!(end(child, signal), 0);
    }
}

#[test]
fn flags_make_a_service_that_takes_time() {
    let mut child = mocks(&[
        "--listen",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
        "--service-time",
        "uniform(1ms, 2ms)",
        "--servers",
        "3",
        "--waiting-room",
        "7",
        "--gateway",
        "127.0.0.1:8080",
    ]);
    let ready = ready(&mut child);
    let mut control = Client::connect(ready["control"].as_str().unwrap().parse().unwrap());
    let queue = control.get("/counters", "").json()["endpoints"][0]["queue"].clone();
    assert_eq!((&queue["servers"], &queue["room"]), (&3.into(), &7.into()));
    assert_eq!(control.get("/gateway", "").json()["address"], "127.0.0.1:8080");
    assert_eq!(end(child, "-TERM"), 0);
}

#[test]
fn a_file_describes_services_and_rules() {
    let file = std::env::temp_dir().join(format!("mocks-command-{}.toml", std::process::id()));
    std::fs::write(&file, "seed = 1\n[services.a]\nendpoints = 2\n[services.b]\n[[rules]]\nmatch = { service = 'b' }\nact = { status = 503 }\n").unwrap();
    let mut child = mocks(&["--config", file.to_str().unwrap()]);
    let ready = ready(&mut child);
    let status = |index: usize| {
        Client::connect(ready["listeners"][index].as_str().unwrap().parse().unwrap()).get("/x", "").status
    };
    assert_eq!([0, 1, 2].map(status), [200, 200, 503]);
    let of = |service: &str| ready["services"][service].as_array().unwrap().clone();
    assert_eq!([of("a"), of("b")].concat(), *ready["listeners"].as_array().unwrap(), "which is whose");
    assert_eq!(end(child, "-TERM"), 0);
    std::fs::write(&file, "[services.a]\nendpoint = 2\n[[rules]]\nact = { delay = 'soon' }\n").unwrap();
    let (code, text) = fails(&["--config", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(text.contains(".toml:2:1: error: services.a.endpoint: unknown key; did you mean `endpoints`?"), "{text}");
    assert!(text.contains(".toml:4:17: error: rules[0].act.delay: `soon` is not a duration"), "{text}");
    assert!(text.contains("\n4 | act = { delay = 'soon' }\n  |                 ^^^^^^"), "{text}");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(fails(&["--config", file.to_str().unwrap()]).0, 3);
}

#[test]
fn a_file_may_hold_rules_alone() {
    let file = std::env::temp_dir().join(format!("mocks-rules-{}.toml", std::process::id()));
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[[rules]]\nmatch = { path = '/orders/*' }\nact = { status = 503 }\n").unwrap();
    let alone = ["--config", path, "--control", "127.0.0.1:0"];
    let flags = [&alone[..], &["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--service", "orders"]].concat();
    for (arguments, service, listeners) in [(&alone[..], "mock", 1), (&flags[..], "orders", 2)] {
        let mut child = mocks(arguments);
        let ready = ready(&mut child);
        assert_eq!(ready["listeners"].as_array().unwrap().len(), listeners);
        let mut client = Client::connect(ready["listeners"][0].as_str().unwrap().parse().unwrap());
        let hit = client.get("/orders/7", "");
        assert_eq!((hit.status, hit.header("x-mock-service")), (503, Some(service)));
        assert_eq!(client.get("/users/7", "").status, 200);
        let mut control = Client::connect(ready["admin"].as_str().unwrap().parse().unwrap());
        assert_eq!(control.get("/faults", "").json()["rules"][0]["act"]["status"], 503);
        assert_eq!(end(child, "-TERM"), 0);
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn services_are_named_in_one_place() {
    let file = std::env::temp_dir().join(format!("mocks-services-{}.toml", std::process::id()));
    std::fs::write(&file, "[services.a]\n").unwrap();
    for flag in [["--listen", "127.0.0.1:0"], ["--service", "orders"], ["--service-time", "1ms"]] {
        let (code, text) = fails(&[&["--config", file.to_str().unwrap()], &flag[..]].concat());
        assert!(code == 2 && text.contains(flag[0]) && text.contains("[services]"), "{text}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    for arguments in [vec!["--listen", &taken], vec!["--listen", "127.0.0.1:0", "--control", &taken]] {
        let (code, text) = fails(&arguments);
        assert_eq!((code, text.lines().count()), (3, 1), "{text}");
        assert!(text.contains(&taken) && text.contains("choose port 0"), "{text}");
    }
}

#[test]
fn usage_is_two() {
    assert_eq!(fails(&[]).0, 2);
    assert_eq!(fails(&["--listen", "nowhere"]).0, 2);
    for bare in ["9001", "localhost:9001"] {
        let (code, text) = fails(&["--listen", bare]);
        assert!(code == 2 && text.contains("as in 127.0.0.1:9001"), "{bare}: {text}");
    }
    assert_eq!(fails(&["--listen", "127.0.0.1:0", "--servers", "8"]).0, 2, "servers of a service without a time");
    let (code, text) = fails(&["--listen", "127.0.0.1:0", "--service-time", "lognormal(2ms)"]);
    assert!(code == 2 && text.contains("two arguments"), "{text}");
}
