//! `/requests`: what the flight recorder keeps; the last failed, slow, retried and sampled requests, and one of them
//! with every decision. What routing made of it is found out when somebody asks.

mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::State;
use super::view::refusal;
use crate::explain;
use crate::network::Network;
use crate::snapshot::Snapshot;
use crate::telemetry::recorder::{Kept, Wanted};

/// Requests that a list shows where it is not said.
const SHOWN: usize = 100;
/// The most that a list shows.
const MOST_SHOWN: usize = 1000;
/// What a list tells of each request, in this order.
const SUMMARY: [&str; 18] = [
    "ts",
    "kinds",
    "request_id",
    "client",
    "method",
    "host",
    "path",
    "route",
    "status",
    "code",
    "fault",
    "grpc_status",
    "upstream",
    "endpoint",
    "attempts",
    "total_us",
    "overhead_us",
    "ended",
];
/// Fields that a list can be narrowed by.
const NARROWED_BY: [&str; 6] = ["route", "code", "status", "upstream", "endpoint", "client"];

/// What a list is asked for.
struct Asked {
    wanted: Wanted,
    fields: Vec<(String, String)>,
    limit: usize,
    as_text: bool,
}

impl Asked {
    fn parse(query: BTreeMap<String, String>) -> Result<Self, String> {
        let mut asked = Self { wanted: Wanted::default(), fields: Vec::new(), limit: SHOWN, as_text: false };
        for (name, value) in query {
            let kind = Wanted::ALL.into_iter().find(|(_, kind)| *kind == name);
            match (&*name, kind) {
                (_, Some((kind, _))) => asked.wanted = asked.wanted.and(kind),
                ("limit", _) => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST_SHOWN).contains(limit));
                    asked.limit = limit.ok_or_else(|| format!("limit is 1 to {MOST_SHOWN}, not {value:?}."))?;
                }
                ("format", _) => asked.as_text = is_text(Some(&value))?,
                ("status", _) if !is_status(&value) => {
                    return Err(format!("status is 100 to 599, or a class as 5xx, not {value:?}."));
                }
                _ if NARROWED_BY.contains(&&*name) => asked.fields.push((name, value)),
                _ => {
                    let known = NARROWED_BY.join(", ");
                    return Err(format!("{name:?} is none of failed, slow, sampled, retried, {known}, limit, format."));
                }
            }
        }
        if asked.wanted == Wanted::default() {
            asked.wanted = Wanted::ALL.into_iter().fold(asked.wanted, |all, (kind, _)| all.and(kind));
        }
        Ok(asked)
    }

    /// Whether a request is one of those. A field that it does not have is no value at all.
    fn is_meant(&self, request: &Value) -> bool {
        self.fields.iter().all(|(name, wanted)| match &request[&**name] {
            Value::String(text) => text == wanted,
            Value::Null => wanted.is_empty(),
            Value::Number(number) => match wanted.strip_suffix("xx") {
                Some(class) => number.as_u64().is_some_and(|number| class == (number / 100).to_string()),
                None => wanted.parse().is_ok_and(|wanted: u64| number.as_u64() == Some(wanted)),
            },
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        })
    }
}

/// A status, or a class of them: `502`, `5xx`.
fn is_status(text: &str) -> bool {
    match text.strip_suffix("xx") {
        Some(class) => matches!(class.as_bytes(), [b'1'..=b'5']),
        None => text.parse().is_ok_and(|status: u16| (100..=599).contains(&status)),
    }
}

fn is_text(format: Option<&str>) -> Result<bool, String> {
    match format {
        None | Some("json") => Ok(false),
        Some("text") => Ok(true),
        Some(other) => Err(format!("format is json or text, not {other:?}.")),
    }
}

type Queried = Result<Query<BTreeMap<String, String>>, axum::extract::rejection::QueryRejection>;

/// `GET /requests?failed&slow&sampled&retried`: the newest first.
pub(super) async fn list<N: Network>(Shared(state): Shared<Arc<State<N>>>, query: Queried) -> Response {
    let asked = match query.map_err(|error| error.body_text()).and_then(|Query(query)| Asked::parse(query)) {
        Ok(asked) => asked,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &why),
    };
    let recorder = &state.gateway.shared().recorder;
    let kept = recorder.newest(asked.wanted);
    let mut meant = kept.iter().filter_map(read).filter(|request| asked.is_meant(request));
    let requests: Vec<Value> = meant.by_ref().take(asked.limit).map(summary).collect();
    if asked.as_text {
        return plain(text::list(&requests));
    }
    let fill = recorder.fill();
    let settings = state.gateway.snapshot().config.telemetry.recorder;
    Json(json!({
        "requests": requests,
        "more": meant.next().is_some(),
        "kept": {
            "requests": fill.requests,
            "max_requests": settings.requests,
            "bytes": fill.bytes,
            "max_bytes": settings.max_bytes,
            "passed_over": fill.passed_over,
        },
    }))
    .into_response()
}

/// `GET /requests/{id}`: the newest of this id.
pub(super) async fn one<N: Network>(
    Shared(state): Shared<Arc<State<N>>>,
    Path(id): Path<String>,
    query: Queried,
) -> Response {
    let format = query.ok().and_then(|Query(mut query)| query.remove("format"));
    let as_text = match is_text(format.as_deref()) {
        Ok(as_text) => as_text,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "bad_request", &why),
    };
    let recorder = &state.gateway.shared().recorder;
    let found = recorder.find(id.as_bytes()).iter().filter_map(read).find(|request| request["request_id"] == *id);
    let Some(mut request) = found else {
        let detail = if recorder.is_on() {
            "No request of this id is kept: it was neither failed, slow, retried nor sampled, or others have come since."
        } else {
            "No request is kept: [telemetry.recorder] requests is 0."
        };
        return refusal(StatusCode::NOT_FOUND, "request_not_kept", detail);
    };
    request["routing"] = routing(&state.gateway.snapshot(), &request);
    if as_text { plain(text::one(&request)) } else { Json(request).into_response() }
}

fn plain(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// What was written down is JSON; if it were not, there would be nothing to show.
fn read(kept: &Kept) -> Option<Value> {
    serde_json::from_slice(&kept.text).ok()
}

fn summary(mut request: Value) -> Value {
    let mut shown = Map::new();
    for name in SUMMARY {
        if let Some(value) = request.get_mut(name).map(Value::take) {
            shown.insert(name.to_owned(), value);
        }
    }
    Value::Object(shown)
}

/// The routes that it did not take, and why, under the configuration of now.
fn routing<N: Network>(snapshot: &Snapshot<N>, request: &Value) -> Value {
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let took = snapshot.routes.iter().position(|route| request["route"] == *route.settings.name);
    let known = [text("method"), text("host"), text("path")];
    // Under another configuration others were named: what the record does not have may have been sent.
    let is_of_now = request["config_version"] == snapshot.version;
    let parameters: &[Box<str>] = if is_of_now { &snapshot.config.telemetry.recorded.query } else { &[] };
    let (misses, left_out) = explain::look_back(&snapshot.table, known, took, parameters);
    json!({ "config_version": snapshot.version, "misses": misses, "misses_left_out": left_out })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<Asked, String> {
        Asked::parse(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_list_is_narrowed_by_what_is_asked_and_wrong_words_are_named() {
        let request = json!({ "route": "a", "status": 503 });
        let is_meant = |query: &[(&str, &str)]| parse(query).unwrap().is_meant(&request);
        assert!(is_meant(&[("route", "a"), ("status", "503"), ("failed", "")]) && is_meant(&[("code", "")]));
        assert!(!is_meant(&[("route", "b")]) && !is_meant(&[("upstream", "a")]));
        let all = parse(&[]).unwrap();
        assert!(all.wanted.names() == ["failed", "slow", "sampled", "retried"] && all.limit == SHOWN);
        assert_eq!(parse(&[("slow", "")]).unwrap().wanted, Wanted::SLOW);
        for (name, value, said) in [("colour", "", "colour"), ("limit", "0", "1 to 1000"), ("format", "xml", "xml")] {
            let Err(why) = parse(&[(name, value)]) else { panic!("{name}={value}") };
            assert!(why.contains(said), "{why}");
        }
    }
}
