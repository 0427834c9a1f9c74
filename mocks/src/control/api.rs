//! What the control port answers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::Rule;
use crate::world::World;

/// How long an answer waits for the listeners; a listener that cannot be opened again takes longer.
const SETTLING: Duration = Duration::from_secs(1);

/// An answer.
pub(super) struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
    /// More header lines, each with its CRLF.
    pub extra: String,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", body: format!("{body}\n"), extra: String::new() }
    }

    pub(super) fn problem(status: u16, detail: &str) -> Self {
        Self::json(status, &json!({ "error": detail }))
    }
}

/// The paths, each with the methods that it takes.
const PATHS: &[(&str, &str)] =
    &[("/faults", "GET, PUT"), ("/journal", "GET"), ("/counters", "GET"), ("/reset", "POST"), ("/healthz", "GET")];

/// Answers a request.
pub(super) async fn answer(world: &World, method: &str, target: &str, body: &[u8]) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = if method == "HEAD" { "GET" } else { method };
    match (method, path) {
        ("GET", "/faults") => Reply::json(200, &faults(world)),
        ("PUT", "/faults") => set_faults(world, body).await,
        ("GET", "/journal") => journal(world, query),
        ("GET", "/counters") => Reply::json(200, &world.counters_json()),
        ("GET", "/healthz") => Reply::json(200, &json!({ "status": "ok" })),
        ("POST", "/reset") => {
            world.reset();
            let _ = tokio::time::timeout(SETTLING, world.settled()).await;
            Reply::json(200, &faults(world))
        }
        _ => match PATHS.iter().find(|(known, _)| *known == path) {
            Some((_, methods)) => {
                let refused = Reply::problem(405, &format!("{path} takes {methods}"));
                Reply { extra: format!("allow: {methods}\r\n"), ..refused }
            }
            None => Reply::problem(404, "there are /faults, /journal, /counters, /reset and /healthz"),
        },
    }
}

fn faults(world: &World) -> Value {
    json!({ "rules": world.rules.load().rules().iter().map(Rule::to_json).collect::<Vec<_>>() })
}

/// Answers when the listeners obey the new rules, so that a `refuse` holds from then on.
async fn set_faults(world: &World, body: &[u8]) -> Reply {
    match Rule::from_json(body) {
        Ok(rules) => {
            world.set_rules(rules);
            let _ = tokio::time::timeout(SETTLING, world.settled()).await;
            Reply::json(200, &faults(world))
        }
        Err(problems) => {
            let list: Vec<Value> =
                problems.0.iter().map(|one| json!({ "key": one.key, "message": one.message })).collect();
            Reply::json(400, &json!({ "error": "the rules are not valid; the old ones stay", "problems": list }))
        }
    }
}

/// JSON lines, oldest first; `since=N` leaves out the entries up to that number.
fn journal(world: &World, query: &str) -> Reply {
    let mut since = 0;
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.strip_prefix("since=").and_then(|number| number.parse().ok()) {
            Some(number) => since = number,
            None => return Reply::problem(400, "the only parameter is `since`, a whole number"),
        }
    }
    let body: String = world.journal_since(since).iter().map(|entry| format!("{}\n", entry.to_json())).collect();
    let extra = format!("x-mock-journal-dropped: {}\r\n", world.journal.dropped());
    Reply { status: 200, content_type: "application/x-ndjson", body, extra }
}
