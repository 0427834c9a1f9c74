//! A short scenario as tests write it, and `sim` as a user runs it.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::{Command, Output};

use reports::result::{ResultFile, SCHEMA};
use serde_json::Value;

/// Two endpoints of `orders` behind one route, an even load on them, and one fault of the second.
pub(crate) struct Short<'a> {
    /// Its name in results.
    pub(crate) name: &'a str,
    /// `arrivals`, `rate`, `duration` and `connections` of the load.
    pub(crate) load: &'a str,
    /// `at`, `for` and `act` of the fault.
    pub(crate) fault: &'a str,
    /// Whatever else the file holds, at its end.
    pub(crate) rest: &'a str,
    /// Further keys of the upstream in the gateway's configuration.
    pub(crate) upstream: &'a str,
    /// Further keys of the route.
    pub(crate) route: &'a str,
}

/// Whether nothing has run that was to write into this folder: at most it says so there.
pub(crate) fn nothing_ran(out: &Path) -> bool {
    let is_said = |name: &std::ffi::OsStr| ["junit.xml", "report.md"].iter().any(|file| name == *file);
    std::fs::read_dir(out).map_or(true, |mut entries| entries.all(|entry| is_said(&entry.unwrap().file_name())))
}

impl Short<'_> {
    /// The scenario's text.
    pub(crate) fn scenario(&self) -> String {
        let Self { name, load, fault, rest, .. } = self;
        format!(
            r#"
name = "{name}"
warm_up = "100ms"

[gateway]
config = "gateway.toml"

[mocks.orders]
endpoints = 2

[[load]]
name = "main"
model = "open"
{load}
request = {{ path = "/a" }}

[[faults]]
on = "orders/1"
{fault}
{rest}"#
        )
    }

    /// The text of the gateway's configuration. Its requests are those that it turns away last where it gets too little
    /// of a busy machine.
    pub(crate) fn gateway(&self) -> String {
        let Self { upstream, route, .. } = self;
        format!(
            r#"
[upstreams.orders]
endpoints = ["mock://orders/0", "mock://orders/1"]
balance = {{ policy = "round_robin" }}
{upstream}

[[routes]]
path = "/{{*rest}}"
upstream = "orders"
criticality = "critical"
{route}
"#
        )
    }

    /// A folder with both, as `s.toml` and `gateway.toml`.
    pub(crate) fn written(&self) -> tempfile::TempDir {
        self.written_as(&self.scenario())
    }

    /// The same with another text of the scenario.
    pub(crate) fn written_as(&self, scenario: &str) -> tempfile::TempDir {
        written(scenario, &self.gateway())
    }
}

/// A folder with a scenario as `s.toml` and its gateway's configuration as `gateway.toml`.
pub(crate) fn written(scenario: &str, gateway: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), scenario).unwrap();
    std::fs::write(folder.path().join("gateway.toml"), gateway).unwrap();
    folder
}

/// What a run of these comes to.
#[track_caller]
pub(crate) fn run_of(scenario: &str, gateway: &str) -> ResultFile {
    let folder = written(scenario, gateway);
    let (file, out) = (folder.path().join("s.toml"), folder.path().join("out"));
    let output = sim(&["run", text(&file), "--out", text(&out)]);
    result_of(&out, &output)
}

/// Runs `sim` to its end.
pub(crate) fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().unwrap()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The result that a run wrote into this folder; what the run said when it wrote none.
#[track_caller]
pub(crate) fn result_of(out: &Path, output: &Output) -> ResultFile {
    ResultFile::read(&out.join("result.json"))
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Holds a written result against the schema.
#[track_caller]
pub(crate) fn assert_schema(out: &Path) -> Value {
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("result.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let problems: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    written
}
