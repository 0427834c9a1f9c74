//! A headless Chromium of a test's own, driven over its debugging pipe (Chrome DevTools Protocol): a page is looked at
//! as a person's browser shows it, and waited for by its own changes.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::guarded;

const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS: [&str; 9] = [
    "--headless",
    // Tests run in containers, as root, where the browser's own sandbox cannot be had. It loads this test's page alone.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--window-size=1280,2000",
    "--remote-debugging-pipe",
];

/// One page. The browser is killed with its test.
pub(crate) struct Browser {
    _child: Child,
    _folder: TempDir,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
    session: Option<String>,
    /// What the browser complained of: exceptions, and what the page's policy forbade.
    pub(crate) complaints: Vec<String>,
}

impl Browser {
    /// Opens a page; `None` where there is no browser, which is told.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests is told that this one did nothing")]
    pub(crate) async fn open(url: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |name: &&&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let Some(program) = PROGRAMS.iter().find(there) else {
            eprintln!("skipped: there is no Chromium; `cargo xtask test` installs one where it may");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        // It reads from file 3 and writes to file 4.
        shell.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, program]).args(FLAGS);
        shell.arg(format!("--user-data-dir={}", folder.path().display())).env("HOME", folder.path());
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (last, session, complaints) = (0, None, Vec::new());
        let mut browser = Self { _child: child, _folder: folder, input, output, last, session, complaints };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach).await["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser.call("Page.navigate", json!({ "url": url })).await;
        Some(browser)
    }

    /// What an expression comes to in the page; a promise is waited for.
    pub(crate) async fn run(&mut self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let said = guarded(expression, self.call("Runtime.evaluate", ask)).await;
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said:#}");
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true, as the page changes; its value.
    pub(crate) async fn until(&mut self, expression: &str) -> Value {
        // An expression may be about elements that are not there yet.
        let wait = format!(
            "new Promise(done => {{
               const look = () => {{ try {{ return {expression}; }} catch {{ return false; }} }};
               const check = () => {{ const it = look(); if (it) {{ watch.disconnect(); done(it); }} }};
               const watch = new MutationObserver(check);
               watch.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
               check();
             }})"
        );
        self.run(&wait).await
    }

    /// Shows the page on a screen of so many pixels across, as a phone's.
    pub(crate) async fn be_as_wide_as(&mut self, width: u32) {
        let screen = json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await.unwrap();
        loop {
            let said = self.read().await;
            if said["id"] == self.last {
                assert!(said["error"].is_null(), "{method}: {said:#}");
                return said["result"].clone();
            }
            match said["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.complaints.push(said["params"]["exceptionDetails"].to_string()),
                Some("Log.entryAdded") if said["params"]["entry"]["level"] == "error" => {
                    self.complaints.push(said["params"]["entry"]["text"].to_string());
                }
                _ => {}
            }
        }
    }

    async fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        let read = self.output.read_until(0, &mut bytes);
        guarded("the browser says something", read).await.unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }
}
