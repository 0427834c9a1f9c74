//! What the control port answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::faults::{Origin, Problems, Rule, matching_nothing};
use crate::units;
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
const PATHS: &[(&str, &str)] = &[
    ("/faults", "GET, PUT"),
    ("/journal", "GET"),
    ("/counters", "GET"),
    ("/reset", "POST"),
    ("/gateway", "GET, PUT"),
    ("/healthz", "GET"),
    ("/openapi.json", "GET"),
];

/// The paths as a program reads them.
const OPENAPI: &str = include_str!("openapi.json");
/// The longest that `GET /journal?wait=` waits for a new entry.
const MOST_PATIENCE: Duration = Duration::from_secs(60);

/// Answers a request.
pub(super) async fn answer(world: &World, method: &str, target: &str, body: &[u8]) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = if method == "HEAD" { "GET" } else { method };
    match (method, path) {
        ("GET", "/faults") => Reply::json(200, &faults(world)),
        ("PUT", "/faults") => set_faults(world, body).await,
        ("GET", "/journal") => journal(world, query).await,
        ("GET", "/counters") => Reply::json(200, &world.counters_json()),
        ("GET", "/gateway") => Reply::json(200, &gateway(world)),
        ("PUT", "/gateway") => set_gateway(world, body),
        ("GET", "/healthz") => Reply::json(200, &json!({ "status": "ok" })),
        ("GET", "/openapi.json") => {
            let (status, body, extra) = (200, OPENAPI.to_owned(), String::new());
            Reply { status, content_type: "application/json", body, extra }
        }
        ("POST", "/reset") => reset(world, body).await,
        _ => match PATHS.iter().find(|(known, _)| *known == path) {
            Some((_, methods)) => {
                let refused = Reply::problem(405, &format!("{path} takes {methods}"));
                Reply { extra: format!("allow: {methods}\r\n"), ..refused }
            }
            None => {
                Reply::problem(404, "there are /faults, /journal, /counters, /reset, /gateway, /healthz, /openapi.json")
            }
        },
    }
}

fn faults(world: &World) -> Value {
    let rules = world.rules.load();
    json!({
        "rules": rules.rules().map(Rule::to_json).collect::<Vec<_>>(),
        "version": rules.version, "origin_ns": rules.origin_ns,
    })
}

/// Answers when the listeners obey the new rules, so that a `refuse` holds from then on.
async fn set_faults(world: &World, body: &[u8]) -> Reply {
    let there: Vec<_> = world.endpoints.iter().map(|one| (&*one.service, one.index, one.address.port())).collect();
    let read = Rule::from_control(body).and_then(|(rules, origin)| {
        let problems = matching_nothing(&rules, &there);
        problems.or((rules, origin))
    });
    match read {
        Ok((rules, origin)) => {
            world.set_rules(&rules, origin);
            let _ = tokio::time::timeout(SETTLING, world.settled()).await;
            Reply::json(200, &faults(world))
        }
        Err(problems) => refused("the rules are not valid; the old ones stay", &problems),
    }
}

async fn reset(world: &World, body: &[u8]) -> Reply {
    match Origin::from_control(body) {
        Ok(origin) => {
            world.reset(origin);
            let _ = tokio::time::timeout(SETTLING, world.settled()).await;
            Reply::json(200, &faults(world))
        }
        Err(problems) => refused("nothing was reset", &problems),
    }
}

fn gateway(world: &World) -> Value {
    json!({ "address": world.gateway.load().as_deref() })
}

/// Sets the address of the gateway, which often has its port only after the mocks have theirs.
fn set_gateway(world: &World, body: &[u8]) -> Reply {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let address = document.as_ref().and_then(|document| document["address"].as_str()?.parse::<SocketAddr>().ok());
    match address {
        None => Reply::problem(400, "an address is expected: {\"address\":\"127.0.0.1:8080\"}"),
        Some(address) => {
            world.gateway.store(Some(Arc::new(address.to_string())));
            Reply::json(200, &gateway(world))
        }
    }
}

fn refused(error: &str, problems: &Problems) -> Reply {
    let list: Vec<Value> = problems.0.iter().map(|one| json!({ "key": one.key, "message": one.message })).collect();
    Reply::json(400, &json!({ "error": error, "problems": list }))
}

/// What `GET /journal` asks for.
struct Piece {
    since: u64,
    limit: usize,
    patience: Duration,
}

impl Piece {
    fn parse(query: &str) -> Result<Self, String> {
        let mut piece = Self { since: 0, limit: usize::MAX, patience: Duration::ZERO };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let number = || value.parse().map_err(|_| format!("`{key}` takes a whole number"));
            match key {
                "since" => piece.since = number()?,
                "limit" => piece.limit = usize::try_from(number()?).unwrap_or(usize::MAX).max(1),
                "wait" => piece.patience = units::duration(value)?.min(MOST_PATIENCE),
                _ => return Err(format!("there is no parameter `{key}`; there are since, limit and wait")),
            }
        }
        Ok(piece)
    }
}

/// JSON lines, oldest first: at most `limit` entries after the number `since`. With `wait` the answer waits for one.
async fn journal(world: &World, query: &str) -> Reply {
    let Piece { since, limit, patience } = match Piece::parse(query) {
        Ok(piece) => piece,
        Err(detail) => return Reply::problem(400, &detail),
    };
    if !patience.is_zero() {
        let more = world.wait_until(|world| world.journal.recorded() > since);
        let _ = tokio::time::timeout(patience, more).await;
    }
    let entries = world.journal_since(since, limit);
    let next = entries.last().map_or(since, |entry| entry.seq);
    let body: String = entries.iter().map(|entry| format!("{}\n", entry.to_json())).collect();
    let extra = format!(
        "x-mock-journal-next: {next}\r\nx-mock-journal-recorded: {}\r\nx-mock-journal-dropped: {}\r\n",
        world.journal.recorded(),
        world.journal.dropped()
    );
    Reply { status: 200, content_type: "application/x-ndjson", body, extra }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_has_every_path_and_method() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), PATHS.len());
        for (path, methods) in PATHS {
            let documented: Vec<String> = paths[*path].as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
            assert_eq!(documented.join(", "), *methods, "{path}");
        }
    }
}
