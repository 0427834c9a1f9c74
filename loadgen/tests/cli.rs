//! The command line: exit codes, and the files it writes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

fn loadgen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadgen")).args(arguments).output().unwrap()
}

/// A server that answers every request with two bytes.
fn serve() -> String {
    answers("200 OK")
}

/// The same with another status.
fn answers(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while matches!(stream.read(&mut piece), Ok(count) if count > 0) {
                    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
                    if stream.write_all(answer.as_bytes()).is_err() {
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
        &["--url", local, "--rate", "5/s", "--arrivals", "ramp(1/s, 2/s)"],
        &["--url", local, "--arrivals", "poisson"],
        &["--url", local, "--arrivals", "often"],
        &["--url", local, "--rate", "50000000/s"],
        &["--url", local, "--fail-if", "p99"],
        &["--url", local, "--fail-if", "spike.p99>1ms"],
        &["--url", local, "--phase", "a=2s..1s"],
        &["--url", local, "-d", "1s", "--phase", "a=5s..6s"],
        &["--url", local, "-d", "1s", "--rate", "5/s", "--phase", "a=1s..2s"],
        &["--url", local, "--phase", "a=1s..3s", "--phase", "b=2s..4s"],
        &["--url", "http://127.0.0.1:9/{zip(3)}"],
        &["--url", local, "-H", "authorization: {token(subject=a)}"],
        &["--url", local, "--rate", "5000"],
        &["--url", local, "--duration", "soon"],
        &["--url", local, "--duration", "0s"],
        &["--url", local, "--timeout", "0s"],
        &["--url", local, "--requests", "0"],
        &[local, "--url", local],
        &["--url", local, "--rate", "5/s", "--requests", "5"],
        &["--url", local, "-H", "no colon"],
        &["--url", local, "--expect-header", "a b: 1"],
        &["--url", local, "--journey", "shop.toml", "--expect-header", "a: 1"],
        &["--url", local, "--method", "GET /"],
        &["--url", local, "--requests", "5", "--users", "5"],
        &["--url", local, "--rate", "5/s", "--spawn", "5/s"],
        &["--url", local, "--journey", "shop.toml", "--streams", "5"],
    ] {
        let output = loadgen(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_phase_behind_the_end_of_journeys_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.toml");
    std::fs::write(&file, "[[journeys]]\nname = \"a\"\n[[journeys.steps]]\nname = \"b\"\npath = \"/\"\n").unwrap();
    let journey = ["--url", "http://127.0.0.1:9/", "--journey", file.to_str().unwrap(), "-d", "1s"];
    let output = loadgen(&[&journey[..], &["--phase", "late=5s..6s"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--phase late: it begins after the run's end"), "{said}");
}

#[test]
fn a_server_of_http1_alone_is_told_of_before_the_load() {
    let output = loadgen(&["--url", &answers("400 Bad Request"), "--http2", "-n", "1000"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("it says `HTTP/1.1 400 Bad Request`; leave --http2 out"), "{said}");
}

#[test]
fn nobody_there_is_three() {
    // Bound, and not listening: a port that was only free a moment ago may be another test's by now.
    let bound = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let free = bound.local_addr().unwrap().as_socket().unwrap();
    let output = loadgen(&["--url", &format!("http://{free}/")]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot connect"));
    let missing = loadgen(&["--url", &format!("http://{free}/"), "--body", "@/no/such/file"]);
    assert_eq!(missing.status.code(), Some(3));
}

/// The same where so many files may be open.
fn with_files(files: u32, arguments: &[&str]) -> Output {
    let script = format!("ulimit -n {files}; exec \"$@\"");
    let program = ["-c", &script, "sh", env!("CARGO_BIN_EXE_loadgen")];
    Command::new("sh").args(program).args(arguments).output().unwrap()
}

#[test]
fn more_connections_than_files_are_refused_and_fewer_send_what_was_asked_for() {
    let url = serve();
    let refused = with_files(200, &[url.as_str(), "-c", "1000", "-n", "10"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(3) && error.contains("more than the 136 for which"), "{error}");
    let output = with_files(200, &[url.as_str(), "-c", "100", "-n", "10", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["load"]["main"]["requests"], 10, "{result}");
}

#[test]
fn want_of_sockets_is_no_failure_of_the_server_and_no_pass() {
    // Nobody answers, so that each request needs a connection of its own.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let output = with_files(
        200,
        &[url.as_str(), "-c", "10", "-d", "500ms", "--rate", "1000/s", "--timeout", "600ms", "--quiet"],
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(4) && text.contains("had no socket for a connection"), "{text}");
}

#[test]
fn a_run_that_is_all_warm_up_says_so() {
    let output = loadgen(&[serve().as_str(), "-n", "10", "--warm-up", "1m", "--quiet"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(4) && text.contains("all 10 requests ended within the warm-up"), "{text}");
}

#[test]
fn a_body_may_be_piped_in() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args([url.as_str(), "-n", "1", "-c", "1", "--body", "@-", "--quiet"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"what was piped in").unwrap();
    let mut seen = String::new();
    // The first connection only tries whether anybody is there.
    for mut stream in listener.incoming().flatten().take(2) {
        let mut piece = [0; 4096];
        while !seen.ends_with("what was piped in") {
            match stream.read(&mut piece) {
                Ok(count) if count > 0 => seen += &String::from_utf8_lossy(&piece[..count]),
                _ => break,
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
    child.wait().unwrap();
    assert!(seen.starts_with("POST / ") && seen.ends_with("what was piped in"), "{seen}");
}

#[test]
fn a_port_that_speaks_something_else_is_told_of() {
    let url = serve().replace("http:", "https:");
    let output = loadgen(&[url.as_str(), "--insecure", "-n", "1"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && error.contains("it speaks no TLS; try http://"), "{error}");
    // What a TLS server says to who speaks HTTP: an alert.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut piece = [0; 4096];
            if matches!(stream.read(&mut piece), Ok(count) if count > 0) {
                let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 70]);
            }
        }
    });
    let output = loadgen(&[url.as_str(), "-n", "3", "-c", "1", "--quiet"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("malformed: 3") && text.contains("wants https://"), "{text}");
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

/// Whether a busy host made the run invalid, which only a quiet one can avoid; nothing else may.
fn is_lag_or_steal(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let reasons: Vec<&str> = text.lines().filter(|line| line.trim_start().starts_with("- ")).collect();
    let excused = |line: &&str| ["lag", "host", "busy", "achieved"].iter().any(|word| line.contains(word));
    output.status.code() == Some(4) && reasons.iter().all(excused)
}

#[test]
fn a_missed_threshold_is_one_and_a_held_one_is_zero() {
    let url = serve();
    let run = |condition: &str| loadgen(&["--url", &url, "--requests", "200", "--fail-if", condition]);
    let missed = run("max>=0ms");
    assert!(missed.status.code() == Some(1) || is_lag_or_steal(&missed), "{missed:?}");
    assert!(String::from_utf8_lossy(&missed.stdout).contains("MISSED     not max>=0ms"), "{missed:?}");
    let held = run("errors>0");
    assert!(held.status.code() == Some(0) || is_lag_or_steal(&held), "{held:?}");
    assert!(String::from_utf8_lossy(&held.stdout).contains("holds      not errors>0"), "{held:?}");
}

/// A server that refuses everything at once is quick, and no good.
#[test]
fn a_server_that_fails_its_requests_meets_no_latency() {
    let url = answers("503 Service Unavailable");
    let run = |more: &[&str]| loadgen(&[&["--url", &url, "--requests", "200"], more].concat());
    let missed = run(&["--fail-if", "p99>60s", "--fail-if", "rps<0.001/s"]);
    assert!(missed.status.code() == Some(1) || is_lag_or_steal(&missed), "{missed:?}");
    let said = String::from_utf8_lossy(&missed.stdout).into_owned();
    assert!(said.contains("holds      not p99>60s") && said.contains("MISSED     not errors>1%"), "{said}");
    let judged = run(&["--fail-if", "p99>60s", "--fail-if", "errors>1000"]);
    assert!(judged.status.code() == Some(0) || is_lag_or_steal(&judged), "{judged:?}");
    let nothing = run(&[]);
    let said = String::from_utf8_lossy(&nothing.stdout).into_owned();
    assert!(said.contains("failed     100.0 % of the requests"), "{said}");
    assert!(said.contains("nothing was asked of it") || is_lag_or_steal(&nothing), "{said}");
}

#[test]
fn an_invalid_run_is_no_pass_though_its_thresholds_hold() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let arguments = [
        "--url",
        &url,
        "--rate",
        "200/s",
        "--duration",
        "200ms",
        "--max-in-flight",
        "1",
        "--timeout",
        "300ms",
        "--fail-if",
        "rps>1000000",
        "--json",
    ];
    let output = loadgen(&arguments);
    assert_eq!(output.status.code(), Some(4));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&document["verdict"], &document["expectations"][0]["holds"]), (&"invalid".into(), &true.into()));
}

#[test]
fn an_invalid_run_is_no_failure_either_and_tells_what_it_missed() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let load = ["--url", &url, "--rate", "200/s", "--duration", "200ms", "--max-in-flight", "1", "--timeout", "300ms"];
    let run = |missed: &[&str]| {
        let output = loadgen(&[&load[..], missed, &["--fail-if", "rps>1000000"]].concat());
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let one = run(&["--fail-if", "success<99%"]);
    assert!(one.contains("MISSED     not success<99%") && one.contains("holds      not rps>1000000"), "{one}");
    assert!(one.ends_with("verdict    invalid (the threshold that was missed may be the driver's doing)\n"), "{one}");
    let two = run(&["--fail-if", "success<99%", "--fail-if", "errors>0"]);
    assert!(two.contains("(the 2 thresholds that were missed may be the driver's doing)"), "{two}");
}

#[test]
fn drops_that_a_threshold_judges_are_no_reason_of_their_own() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let arguments = [
        "--url",
        &url,
        "--rate",
        "200/s",
        "--duration",
        "200ms",
        "--max-in-flight",
        "1",
        "--timeout",
        "300ms",
        "--fail-if",
        "dropped>10",
    ];
    let output = loadgen(&arguments);
    assert!(output.status.code() == Some(1) || is_lag_or_steal(&output), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("MISSED     not dropped>10") && !text.contains("were dropped"), "{text}");
}

#[test]
fn phases_and_seconds_are_in_the_result() {
    let output = loadgen(&[
        "--url",
        &serve(),
        "--arrivals",
        "spike(100/s, 1000/s, 100ms, 100ms)",
        "--duration",
        "400ms",
        "--phase",
        "peak=100ms..200ms",
        "--json",
    ]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let phases = &document["load"]["main"]["phases"];
    let all = |phase: &str| {
        let outcome = &phases[phase]["outcome"];
        outcome.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((all("peak"), all("rest")), (100, 30), "{phases}");
    let seconds = document["timeline"].as_array().unwrap();
    // 130 requests in the two fifths of a second that the run had.
    assert_eq!((seconds.len(), seconds[0]["rps"].as_f64().unwrap() as u64), (1, 325));
}

#[test]
fn a_trace_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.txt");
    std::fs::write(&trace, "0\n0.010\n20ms GET /x\n20ms\n").unwrap();
    let output = loadgen(&["--url", &serve(), "--replay", trace.to_str().unwrap(), "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["load"]["main"]["phases"]["steady"]["outcome"]["ok"], 4, "{document}");
    std::fs::write(&trace, "0\nsoon\n").unwrap();
    let refused = loadgen(&["--url", &serve(), "--replay", trace.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("line 2"), "{refused:?}");
}

#[test]
fn an_interrupted_run_tells_what_it_has_and_is_no_pass() {
    let url = serve();
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--url", &url, "--rate", "200/s", "--duration", "1h"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress says that it runs; it comes after a second.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
    assert!(line.contains("/s  p50"), "{line}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("the run was ended after") && text.contains("200: "), "{text}");
    // What was not sent is not missing: the plan is judged until the end of the run.
    assert!(!text.contains("of the offered"), "{text}");
}

#[test]
fn who_ends_a_run_against_a_server_that_hangs_does_not_wait_for_its_answers() {
    // It takes connections, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--url", &url, "--rate", "50/s", "--duration", "1h", "--timeout", "30m", "--max-in-flight", "10000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.take().unwrap()), &mut line).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("requests that had no answer by then were given up"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_no_pass() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["--url", &serve(), "--requests", "5"])
        .stdout(full)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("standard output"), "{said}");
}

#[test]
fn a_header_that_is_expected_and_not_there_fails_the_run_that_asks_for_no_errors() {
    let url = answers("200 OK\r\nx-tenant: blue");
    let run = |expected: &str| {
        let output =
            loadgen(&["--url", &url, "--requests", "20", "--expect-header", expected, "--fail-if", "errors>0%"]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run("x-tenant: red");
    assert!(text.contains("failure  header: 20"), "{text}");
    // Whether the machine left the driver alone is another question; a run that is not valid is 4.
    assert!(matches!(code, Some(1 | 4)), "{code:?} {text}");
    let (_, text) = run("X-Tenant: blue");
    assert!(!text.contains("failure") && text.contains("ok 20"), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    // An hour of load: it would be told only after it.
    let output = loadgen(&["--url", &serve(), "--rate", "1/s", "-d", "1h", "--quiet", "--out", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("file: "), "{output:?}");
}

#[test]
fn what_an_earlier_run_wrote_is_not_taken_for_this_ones() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["result.json", "main.hlog", "report.html", "notes.txt"] {
        std::fs::write(folder.path().join(name), "old").unwrap();
    }
    let out = folder.path().to_str().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").map(|listener| listener.local_addr().unwrap()).unwrap();
    let output = loadgen(&["--url", &format!("http://{nobody}/"), "-n", "1", "--quiet", "--out", out]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["notes.txt"]);
}

#[test]
fn what_was_measured_is_printed_though_its_file_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    // What is written first goes by this name, and a folder stands in its way.
    std::fs::create_dir(folder.path().join("result.json.new")).unwrap();
    let out = folder.path().to_str().unwrap();
    let output = loadgen(&["--url", &serve(), "-n", "20", "-c", "1", "--quiet", "--out", out]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("20 requests"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("result.json: "), "{output:?}");
}
