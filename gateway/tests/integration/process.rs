//! The program: exit codes, and one line with the remedy when it cannot start.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Client, Process, echo, guarded};

const ROUTE: &str = "[[routes]]\npath = '/{*rest}'\nupstream = 'http://127.0.0.1:9'\n";

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("g.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_port_in_use_is_exit_3_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for text in [
        format!("[[listeners]]\naddress = '{address}'\n[admin]\naddress = ''\n{ROUTE}"),
        format!("[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '{address}'\n{ROUTE}"),
    ] {
        let file = write(folder.path(), &text);
        let (code, _, stderr) = Process::run(&["run", "--config", &file], folder.path()).await;
        assert_eq!(code, 3, "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(&address.to_string()) && stderr.contains("in use"), "{stderr}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["run", "--config", "nowhere.toml"][..], &["check", "nowhere.toml"], &["run"]] {
        let (code, _, stderr) = Process::run(command, folder.path()).await;
        assert_eq!(code, 3, "{command:?}: {stderr}");
        assert!(stderr.contains(".toml"), "{stderr}");
    }
}

#[tokio::test]
async fn an_access_log_that_cannot_be_written_is_exit_3() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = ''\n[telemetry.access_log]\noutput = '/proc/self/access.log'\n{ROUTE}"
    );
    let file = write(folder.path(), &text);
    let (code, _, stderr) = Process::run(&["run", "--config", &file], folder.path()).await;
    assert_eq!((code, stderr.lines().count()), (3, 1), "{stderr}");
    assert!(stderr.contains("access log"), "{stderr}");
}

#[tokio::test]
async fn a_pipe_for_records_or_events_that_nobody_reads_is_exit_3_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(tokio::process::Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    let log = format!("[telemetry.access_log]\noutput = '{}'\n", pipe.display());
    let start = "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = ''\n";
    let events = ["--events", pipe.to_str().unwrap()];
    for (log, more, whose) in [(&*log, &events[..0], "access log: "), ("", &events[..], "--events: ")] {
        let file = write(folder.path(), &format!("{start}{log}{ROUTE}"));
        let arguments = [&["run", "--config", &file][..], more].concat();
        let (code, _, stderr) = Process::run(&arguments, folder.path()).await;
        assert_eq!((code, stderr.lines().count()), (3, 1), "{stderr}");
        assert!(stderr.contains(whose) && stderr.contains("nobody reads this pipe"), "{stderr}");
    }
}

#[tokio::test]
async fn a_bad_configuration_is_exit_1_and_shows_every_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(
        folder.path(),
        "[server]\nworkres = 1\nidle_timeout = 'soon'\n[[routes]]\npath = 'x'\nupstream = 'none'\n",
    );
    for command in [["run", "--config"].as_slice(), &["check"]] {
        let mut arguments = command.to_vec();
        arguments.push(&file);
        let (code, stdout, stderr) = Process::run(&arguments, folder.path()).await;
        assert_eq!(code, 1, "{stderr}");
        let text = format!("{stdout}{stderr}");
        for (place, word) in [(":2:", "workers"), (":3:", "soon"), (":5:", "path"), (":6:", "none")] {
            assert!(text.contains(place) && text.contains(word), "{place} {word} in {text}");
        }
    }
}

#[tokio::test]
async fn a_good_configuration_is_exit_0_and_a_wrong_command_line_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), ROUTE);
    let (code, _, stderr) = Process::run(&["check", &file], folder.path()).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(Process::run(&["fly"], folder.path()).await.0, 2);
    assert_eq!(Process::run(&["run", "--to", "http://127.0.0.1:1", "--config", &file], folder.path()).await.0, 2);
}

#[tokio::test]
async fn explain_on_the_command_line_and_by_admin_agree_with_traffic() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[routes]]\nname = 'items'\npath = '/items/{{id}}'\nmethods = ['GET']\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    let file = write(folder.path(), &text);
    let (code, stdout, stderr) =
        Process::run(&["explain", "--config", &file, "GET", "http://a/items/7"], folder.path()).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("items"), "{stdout}");
}

#[tokio::test]
async fn records_that_were_never_written_are_told_of_in_the_last_line() {
    let upstream = echo().await;
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[[listeners]]\naddress = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [telemetry.access_log]\noutput = '/dev/full'\n[[routes]]\npath = '/{{*rest}}'\nupstream = 'http://{}'\n",
        upstream.addr()
    );
    let mut process = Process::start(Path::new(&write(folder.path(), &text))).await;
    let mut client = Client::connect(process.address).await;
    for _ in 0..3 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.status, 200);
    }
    drop(client);
    process.signal("TERM").await;
    let last = process.event("stopped").await;
    assert_eq!((&last["after"], &last["records_lost"]), (&"drain".into(), &3.into()), "{last}");
    assert_eq!(process.ended().await, 0);
}

/// A large configuration takes seconds to read. A signal of that time killed the process, and the first process of a
/// container had not heard it at all.
#[tokio::test]
async fn signals_that_come_while_the_configuration_is_read_do_not_kill_and_an_end_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("gateway.toml");
    assert!(tokio::process::Command::new("mkfifo").arg(&pipe).status().await.unwrap().success());
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.args(["run", "--config", pipe.to_str().unwrap()]).kill_on_drop(true);
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let id = process.id().unwrap().to_string();
    // Somebody has opened it to read; what would be in it never comes.
    let opened = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(pipe).unwrap());
    let _held = guarded("it reads its configuration", opened).await.unwrap();
    for name in ["-HUP", "-USR1", "-TERM"] {
        assert!(tokio::process::Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }
    let output = guarded("its end", process.wait_with_output()).await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.lines().last().unwrap().contains("\"event\":\"stopped\""), "{told}");
}
