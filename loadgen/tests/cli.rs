//! The command line: exit codes, and the files it writes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().unwrap()
}

/// A server that answers every request with two bytes.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while matches!(stream.read(&mut piece), Ok(count) if count > 0) {
                    if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[test]
fn wrong_usage_is_two() {
    let local = "http://127.0.0.1:9/";
    for arguments in [
        &[][..],
        &["--url", "ftp://127.0.0.1/"],
        &["--url", "http://192.0.2.1/"],
        &["--url", local, "--rate", "5000"],
        &["--url", local, "--duration", "soon"],
        &["--url", local, "--rate", "5/s", "--requests", "5"],
        &["--url", local, "-H", "no colon"],
        &["--url", local, "--method", "GET /"],
    ] {
        let output = loadgen(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn nobody_there_is_three() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = loadgen(&["--url", &format!("http://{free}/")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot connect"));
    let missing = loadgen(&["--url", &format!("http://{free}/"), "--body", "/no/such/file"]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn a_run_writes_its_result_and_its_histograms() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new");
    let output = loadgen(&["--url", &serve(), "--requests", "500", "--json", "--out", out.to_str().unwrap()]);
    assert!(matches!(output.status.code(), Some(0 | 4)), "a busy host may make it invalid, nothing else");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(written["kind"], "load");
    assert_eq!(written["load"]["main"]["phases"]["steady"]["outcome"]["ok"], 500);
    assert!(std::fs::read_to_string(out.join("main.hlog")).unwrap().contains("Tag=steady.latency"));
}

#[test]
fn a_measurement_that_dropped_arrivals_is_four() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let arguments =
        ["--url", &url, "--rate", "200/s", "--duration", "200ms", "--max-in-flight", "1", "--timeout", "300ms"];
    let output = loadgen(&arguments);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stdout).contains("were dropped"));
}
