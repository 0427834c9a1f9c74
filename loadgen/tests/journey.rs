//! `loadgen --journey` as a user runs it: users with sessions, whole answers, and an end on every way out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use loadgen::journey::users::find_program;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The program with goose in it; built where only this crate's tests were.
fn journeys() -> PathBuf {
    if let Err(error) = find_program(None) {
        let built = Command::new(env!("CARGO")).args(["build", "--quiet", "--package", "journeys"]).status().unwrap();
        assert!(built.success(), "{error}");
    }
    find_program(None).unwrap()
}

fn loadgen(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments).arg("--journeys-bin").arg(journeys());
    command
}

/// What a shop saw.
#[derive(Debug, Default)]
struct Seen {
    open: usize,
    log_ins: usize,
    /// Requests with neither the token nor the cookie that they should have had.
    strangers: usize,
    rests: usize,
}

/// A shop that gives each user a token and a cookie, and wants both back.
struct Shop {
    url: String,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// How long a slow page's body comes after its head.
const SLOW_MS: u64 = 30;

impl Shop {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let own = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&own);
                seen.0.lock().unwrap().open += 1;
                std::thread::spawn(move || {
                    serve(&stream, &seen);
                    seen.0.lock().unwrap().open -= 1;
                    seen.1.notify_all();
                });
            }
        });
        Self { url, seen }
    }

    /// Returns when nobody is connected any more.
    fn wait_until_empty(&self) {
        let seen = self.seen.0.lock().unwrap();
        drop(self.seen.1.wait_while(seen, |seen| seen.open > 0).unwrap());
    }
}

fn serve(stream: &TcpStream, seen: &(Mutex<Seen>, Condvar)) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(reader.read_line(&mut head), Ok(count) if count > 0) {
                return;
            }
        }
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut counts = seen.0.lock().unwrap();
        let user = String::from_utf8(body).unwrap();
        let is_known = head.contains("cookie: crumb=yes") && head.contains("authorization: Bearer t-user-");
        let answer = match head.split(' ').nth(1).unwrap() {
            "/session" => {
                counts.log_ins += 1;
                let body = format!("{{\"auth\":{{\"token\":\"t-{user}\"}}}}");
                format!("HTTP/1.1 201 Created\r\nset-cookie: crumb=yes\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            "/rest" => {
                counts.rests += 1;
                let status = if counts.rests.is_multiple_of(2) { "503 Not now" } else { "200 OK" };
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
            }
            path => {
                counts.strangers += usize::from(!is_known);
                if path == "/slow" {
                    drop(counts);
                    writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
                    std::thread::park_timeout(std::time::Duration::from_millis(SLOW_MS));
                    let _ = writer.write_all(b"ok");
                    continue;
                }
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_owned()
            }
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

const FILE: &str = r#"
pause = "1ms"

[[journeys]]
name = "buyer"
[journeys.user]
login = "user-{int(1, 9)}"

[[journeys.steps]]
name = "log-in"
once = true
path = "/session"
body = "{value(login)}"
expect = [201]
take = { token = "/auth/token" }

[[journeys.steps]]
name = "page"
path = "/slow"
headers = { authorization = "Bearer {value(token)}" }
parts = [
  { name = "style", path = "/style.css", headers = { authorization = "Bearer {value(token)}" } },
  { path = "/slow", headers = { authorization = "Bearer {value(token)}" } },
]

[[journeys.steps]]
name = "rest"
path = "/rest"

[[journeys.steps]]
name = "pay"
path = "/pay"
headers = { authorization = "Bearer {value(token)}" }
"#;

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn users_have_sessions_and_their_whole_answers_are_timed() {
    let (shop, (folder, file)) = (Shop::open(), written(FILE));
    let out = folder.path().join("out");
    let arguments = ["--url", &shop.url, "--journey", text(&file), "--users", "4", "--duration", "2s", "--quiet"];
    let output = loadgen(&arguments).arg("--out").arg(&out).output().unwrap();
    // A busy host may make it invalid; what happened does not depend on it.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{}", said(&output));
    let result: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    let load = &result["load"]["main"];
    let buyer = &load["journeys"]["buyer"];
    let count = |value: &Value| value.as_u64().unwrap();
    let (completed, abandoned) = (count(&buyer["completed"]), count(&buyer["abandoned"]));
    assert!(completed > 0 && abandoned > 0, "every second rest is refused: {buyer}");
    {
        let seen = shop.seen.0.lock().unwrap();
        assert_eq!((seen.log_ins, seen.strangers), (4, 0), "each logs in once, and is known from then on");
    }
    let steps = &buyer["steps"];
    assert_eq!(count(&steps["log-in"]["outcome"]["ok"]), 4);
    // A user whom the end meets between a refusal and giving up has not given up.
    let rejected = count(&steps["rest"]["outcome"]["rejected"]);
    assert!((abandoned..=abandoned + 4).contains(&rejected), "{buyer}");
    // Goose's own time would end at the head, long before.
    let slow_us = SLOW_MS as f64 * 1e3 * 0.99;
    assert!(steps["page"]["latency_us"]["p50"].as_f64().unwrap() >= slow_us, "{steps}");
    assert!(buyer["pages"]["page"]["p50"].as_f64().unwrap() >= 2.0 * slow_us, "document, then a slow part: {buyer}");
    let requests: u64 = steps
        .as_object()
        .unwrap()
        .values()
        .map(|step| step["outcome"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>())
        .sum();
    assert_eq!(requests, count(&load["requests"]), "each request is in one step");
    assert!(std::fs::read_to_string(out.join("main.hlog")).unwrap().contains("Tag=steady.latency"));
    shop.wait_until_empty();
}

#[test]
fn what_is_wrong_is_told_before_anyone_starts() {
    let (_folder, file) = written(&FILE.replace("{value(login)}", "{value(logn)}"));
    let wrong = loadgen(&["--url", "http://127.0.0.1:9", "--journey", text(&file)]).output().unwrap();
    assert!(
        wrong.status.code() == Some(2) && said(&wrong).contains("shop.toml:13: nobody has the value `logn`"),
        "{wrong:?}"
    );
    let (_folder, file) = written(FILE);
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--url", "http://127.0.0.1:9", "--journey", "/no/such/file"], 3, "/no/such/file"),
        (&["--url", "http://127.0.0.1:9", "--journey", text(&file), "--rate", "5/s"], 2, "--rate"),
        (&["--url", "http://127.0.0.1:9/path", "--journey", text(&file)], 2, "http://HOST:PORT"),
        (&["--url", "http://127.0.0.1:9", "--users", "3"], 2, "--journey"),
    ];
    for (arguments, code, word) in cases {
        let output = loadgen(arguments).output().unwrap();
        assert!(output.status.code() == Some(code) && said(&output).contains(word), "{arguments:?}: {output:?}");
    }
    let mut absent = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    absent.args(["--url", "http://127.0.0.1:9", "--journey", text(&file), "--journeys-bin", "/no/such/program"]);
    let absent = absent.output().unwrap();
    assert!(absent.status.code() == Some(3) && said(&absent).contains("cargo build"), "{absent:?}");
}

/// A run without end, and a line of its progress.
fn endless(shop: &Shop, file: &Path) -> std::process::Child {
    let arguments = ["--url", &shop.url, "--journey", text(file), "--users", "2", "--duration", "1h"];
    let mut child = loadgen(&arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("/s"), "{line}");
    child
}

#[test]
fn an_interrupted_run_tells_what_it_has_and_leaves_nobody_behind() {
    let (shop, (_folder, file)) = (Shop::open(), written(FILE));
    let child = endless(&shop, &file);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code() == Some(4) && told.contains("journey buyer") && told.contains("was ended"),
        "{output:?}"
    );
    shop.wait_until_empty();
}

#[test]
fn users_do_not_outlive_a_parent_that_was_killed() {
    let (shop, (_folder, file)) = (Shop::open(), written(FILE));
    let mut child = endless(&shop, &file);
    child.kill().unwrap();
    child.wait().unwrap();
    shop.wait_until_empty();
}
