//! What a service calls: read from a topology file or built in code.

use std::time::Duration;

use serde_json::Value;

use crate::faults::{Glob, Problems, Reader, headers, join, table, text};
use crate::units;

const KEYS: &[&str] = &["path", "mode", "to", "timeout", "on_failure", "headers"];
/// The most calls that one request makes; more is a slip of the finger.
const MOST: usize = 64;
/// How long a call may take when nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What is answered when a call fails and nothing else is said.
const FAILED: u16 = 502;

/// The calls of the requests with certain paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Which requests make them.
    pub path: Glob,
    /// One after the other, or all at once.
    pub mode: Mode,
    /// Who is called, in order.
    pub to: Vec<Target>,
    /// How long each call may take.
    pub timeout: Duration,
    /// What is answered when a call fails; `None`: the answer is as if it had not.
    pub on_failure: Option<u16>,
    /// Header lines that each call has besides the context. `{name}` in a value is that header of the request; a line
    /// that needs one which the request has not is left out.
    pub headers: Vec<(String, String)>,
}

/// In which order calls are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each after the one before. The first that fails is the last, unless failures are ignored.
    #[default]
    Sequence,
    /// All at once.
    Parallel,
}

/// Who is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A path and query of the gateway.
    Gateway(String),
    /// An address (`host:port`), and a path and query there.
    Direct(String, String),
}

impl Calls {
    /// Calls of the requests that this pattern matches, in sequence, through the gateway.
    pub fn on(path: &str, to: &[&str]) -> Self {
        Self {
            path: Glob::new(path),
            mode: Mode::Sequence,
            to: to.iter().map(|path| Target::Gateway((*path).to_owned())).collect(),
            timeout: TIMEOUT,
            on_failure: Some(FAILED),
            headers: Vec::new(),
        }
    }
}

impl Target {
    /// Reads `/path` or `http://host:port/path`.
    fn parse(text: &str) -> Result<Self, String> {
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let (found, path) = match text.strip_prefix("http://") {
            None => (Self::Gateway(text.to_owned()), text),
            Some(rest) => {
                let at = rest.find('/').ok_or_else(|| format!("`{text}` has no path"))?;
                let (authority, path) = rest.split_at(at);
                let port = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
                if port.is_none_or(|(host, _)| host.is_empty()) {
                    return Err(format!("`{text}` names no host and port"));
                }
                (Self::Direct(authority.to_owned(), path.to_owned()), path)
            }
        };
        if !path.starts_with('/') || !visible(text) {
            return Err(format!(
                "`{text}` is no target; write \"/path\" (of the gateway) or \"http://host:port/path\""
            ));
        }
        Ok(found)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway(path) => f.write_str(path),
            Self::Direct(authority, path) => write!(f, "http://{authority}{path}"),
        }
    }
}

/// The `[[services.NAME.calls]]` tables; what is wrong goes to `problems`.
pub(crate) fn read_calls(value: &Value, at: &str, problems: &mut Problems) -> Vec<Calls> {
    let Value::Array(tables) = value else {
        problems.add(at, "an array of tables is expected");
        return Vec::new();
    };
    tables.iter().enumerate().map(|(index, one)| read_one(one, &format!("{at}[{index}]"), problems)).collect()
}

fn read_one(value: &Value, at: &str, problems: &mut Problems) -> Calls {
    let mut calls = Calls::on("*", &[]);
    let Some(map) = table(value, at, problems) else { return calls };
    problems.unknown_keys(map, at, KEYS);
    let mut reader = Reader { map, at, problems };
    if let Some(path) = reader.read("path", pattern) {
        calls.path = path;
    }
    if let Some(mode) = reader.read("mode", mode) {
        calls.mode = mode;
    }
    if let Some(timeout) = reader.read("timeout", |value| units::duration(&text(value)?)) {
        calls.timeout = timeout;
    }
    if let Some(on_failure) = reader.read("on_failure", on_failure) {
        calls.on_failure = on_failure;
    }
    calls.headers = reader.read("headers", call_headers).unwrap_or_default();
    match map.get("to") {
        None => problems.add(join(at, "to"), "the key is missing"),
        Some(Value::Array(targets)) if (1..=MOST).contains(&targets.len()) => {
            for (index, target) in targets.iter().enumerate() {
                match text(target).and_then(|text| Target::parse(&text)) {
                    Ok(target) => calls.to.push(target),
                    Err(message) => problems.add(format!("{}[{index}]", join(at, "to")), message),
                }
            }
        }
        Some(_) => problems.add(join(at, "to"), format!("a list of 1 to {MOST} targets is expected")),
    }
    calls
}

fn pattern(value: &Value) -> Result<Glob, String> {
    match text(value)? {
        path if path.starts_with(['/', '*']) => Ok(Glob::new(path)),
        path => Err(format!("`{path}` does not start with `/` or `*`")),
    }
}

fn mode(value: &Value) -> Result<Mode, String> {
    match value.as_str() {
        Some("sequence") => Ok(Mode::Sequence),
        Some("parallel") => Ok(Mode::Parallel),
        _ => Err(format!("{value} is neither \"sequence\" nor \"parallel\"")),
    }
}

fn on_failure(value: &Value) -> Result<Option<u16>, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok()).filter(|s| (200..600).contains(s));
    match (value.as_str(), status) {
        (Some("ignore"), _) => Ok(None),
        (_, Some(status)) => Ok(Some(status)),
        _ => Err(format!("{value} is neither a status from 200 to 599 nor \"ignore\"")),
    }
}

/// Headers of a call: visible text, and none that frames it.
fn call_headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let lines = headers(value)?;
    for (name, line) in &lines {
        let fits = line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits || !named || matches!(name.as_str(), "host" | "connection" | "content-length" | "transfer-encoding") {
            return Err(format!("`{name}` cannot be a header of a call"));
        }
        parts(line)?;
    }
    Ok(lines)
}

/// A part of a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// As it is.
    Text(&'a str),
    /// A header of the request.
    Header(&'a str),
}

/// The parts of a value: text, and `{name}` for headers of the request.
pub(super) fn parts(value: &str) -> Result<Vec<Part<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), value);
    while let Some((text, after)) = rest.split_once('{') {
        let named = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let (name, after) = after.split_once('}').filter(|(name, _)| named(name)).ok_or_else(|| {
            format!("`{value}`: a brace begins the name of the request's header: write \"Bearer {{x-auth-passport}}\"")
        })?;
        parts.extend([Part::Text(text), Part::Header(name)]);
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_graph_reads_as_it_is_written() {
        let mut problems = Problems::default();
        let written = json!([
            { "path": "/checkout/*", "mode": "parallel", "to": ["/users/7", "http://127.0.0.1:9001/stock?all"],
              "timeout": "50ms", "on_failure": "ignore", "headers": { "X-Api-Key": "k" } },
            { "to": ["/a"], "on_failure": 504 }
        ]);
        let calls = read_calls(&written, "calls", &mut problems);
        assert_eq!(problems, Problems::default());
        assert_eq!(calls[0].to[1], Target::Direct("127.0.0.1:9001".into(), "/stock?all".into()));
        let shown: Vec<String> = calls[0].to.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["/users/7", "http://127.0.0.1:9001/stock?all"]);
        assert_eq!((calls[0].mode, calls[0].on_failure), (Mode::Parallel, None));
        assert_eq!(calls[0].headers, [("x-api-key".to_owned(), "k".to_owned())]);
        assert_eq!(calls[1], Calls { on_failure: Some(504), ..Calls::on("*", &["/a"]) });
    }

    #[test]
    fn a_header_of_the_request_is_named_in_braces() {
        let expected = [Part::Text("Bearer "), Part::Header("x-auth-passport"), Part::Text("")];
        assert_eq!(parts("Bearer {x-auth-passport}").unwrap(), expected);
        assert_eq!(parts("plain").unwrap(), [Part::Text("plain")]);
        for bad in ["{", "{}", "a {b", "{a b}", "{a}{"] {
            assert!(parts(bad).unwrap_err().contains("the request's header"), "{bad}");
        }
    }

    #[test]
    fn every_problem_is_found() {
        let mut problems = Problems::default();
        let written = json!([
            { "path": "x", "mode": "both", "too": [], "timeout": "soon", "on_failure": 99, "headers": { "host": "h" } },
            { "to": ["users", "http://h/x", "http://:1/x", "/a b"] },
            { "to": [] },
            7
        ]);
        read_calls(&written, "c", &mut problems);
        let keys: Vec<&str> = problems.0.iter().map(|problem| problem.key.as_str()).collect();
        let expected = [
            "c[0].too",
            "c[0].path",
            "c[0].mode",
            "c[0].timeout",
            "c[0].on_failure",
            "c[0].headers",
            "c[0].to",
            "c[1].to[0]",
            "c[1].to[1]",
            "c[1].to[2]",
            "c[1].to[3]",
            "c[2].to",
            "c[3]",
        ];
        assert_eq!(keys, expected);
    }
}
