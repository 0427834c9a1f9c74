//! The program as its parents see it: what it says on which stream, and that it ends when they do.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use loadgen::journey::Users;
use loadgen::journey::wire::{Job, PROTOCOL};

const FILE: &str = "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"b\"\npath = \"/\"\n";

fn told(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_journeys"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn job() -> Job {
    let target = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (file, targets) = (FILE.to_owned(), vec![format!("http://{target}")]);
    Job { protocol: PROTOCOL, file, targets, users: 3, spawn_per_s: None, seed: 1, key: None }
}

#[test]
fn what_it_does_not_understand_is_told_on_standard_error_alone() {
    for input in ["", "{}\n", "not json\n"] {
        let output = told(input);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("build this program and its parent anew"),
            "{output:?}"
        );
    }
    let wrong =
        told(&format!("{}\n", serde_json::to_string(&Job { file: FILE.replace("\"/\"", "\"x\""), ..job() }).unwrap()));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("a path starts with"), "{wrong:?}");
}

#[test]
fn a_person_who_starts_it_is_told_what_it_is() {
    let output = Command::new(env!("CARGO_BIN_EXE_journeys")).arg("--help").output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("loadgen --journey"));
}

#[test]
fn it_ends_with_its_input_though_nobody_was_let_go() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_journeys"));
    let users = Users::launch(program, &job(), Duration::from_secs(1)).unwrap();
    drop(users);
    let mut child =
        Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", serde_json::to_string(&job()).unwrap()).unwrap();
    let mut ready = [0; loadgen::journey::wire::MESSAGE_BYTES];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let mut rest = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() % loadgen::journey::wire::MESSAGE_BYTES, 0, "goose prints nothing in between");
}
