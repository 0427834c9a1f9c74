//! Requests as lines for a terminal: `?format=text`.

use std::fmt::Write as _;

use serde_json::Value;

use crate::terminal::one_line;

/// A list, a line each.
pub(super) fn list(requests: &[Value]) -> String {
    let mut out = String::new();
    for request in requests {
        let (status, attempts) = (&request["status"], &request["attempts"]);
        let shown = format!(
            "{} {status} {:<18} {:>10} {attempts}x {:<16} {} {}  {}",
            word(request, "ts"),
            code(request),
            time(request["total_us"].as_u64()),
            or_dash(word(request, "route")),
            or_dash(word(request, "method")),
            or_dash(word(request, "path")),
            word(request, "request_id"),
        );
        let _ = writeln!(out, "{}", one_line(&shown));
    }
    if out.is_empty() {
        out.push_str("No such request is kept.\n");
    }
    out
}

/// Its problem code, or the failure that a caller of gRPC was told, whose answers are `ok` to HTTP.
fn code(request: &Value) -> String {
    match (word(request, "code"), request["grpc_status"].as_u64()) {
        ("ok", Some(told @ 1..)) => format!("grpc-status {told}"),
        (code, _) => code.to_owned(),
    }
}

/// One request, what is known of it and its exchanges in the order of time.
pub(super) fn one(request: &Value) -> String {
    let mut out = String::new();
    let line = |out: &mut String, what: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(out, "{what:<10} {}", one_line(value));
        }
    };
    line(&mut out, "request", word(request, "request_id"));
    line(&mut out, "at", word(request, "ts"));
    line(&mut out, "kept for", &words(&request["kinds"]));
    let asked = ["method", "host", "path", "protocol"].map(|name| word(request, name)).join(" ");
    line(&mut out, "asked", &format!("{} by {}", asked.trim(), word(request, "client")));
    line(&mut out, "route", or_dash(word(request, "route")));
    let (status, code, fault) = (&request["status"], word(request, "code"), word(request, "fault"));
    let fault = if fault.is_empty() { String::new() } else { format!(", fault of the {fault}") };
    let grpc = request["grpc_status"].as_u64().map(|told| format!(", grpc-status {told}")).unwrap_or_default();
    line(&mut out, "answer", &format!("{status} {code}{grpc}{fault}, {}", word(request, "ended")));
    line(&mut out, "cause", word(request, "cause"));
    let shared = match word(request, "shared_call") {
        "began" => "it began a call that others may share",
        "joined" => "another request's call",
        _ => "",
    };
    line(&mut out, "shared", shared);
    line(&mut out, "identity", &identity(request));
    for limit in items(&request["limits"]) {
        let left = limit["remaining"].as_u64().map(|left| format!(", {left} left")).unwrap_or_default();
        let shown = format!("{}: {}{left}", word(limit, "rule"), word(limit, "decision"));
        line(&mut out, "limit", &shown);
    }
    for part in items(&request["missing_parts"]) {
        line(&mut out, "missing", &missing(part));
    }
    let bytes = format!("{} in, {} out", request["bytes_in"], request["bytes_out"]);
    line(&mut out, "bytes", &bytes);
    for at in moments(request) {
        line(&mut out, &time(Some(at.0)), &at.1);
    }
    for (what, fields) in [("received", "received"), ("sent", "sent"), ("answered", "answered")] {
        line(&mut out, what, &words(&request[fields]["headers"]));
    }
    // Why a request has its route is another question than why that failed.
    let has_none = matches!(request["status"].as_u64(), Some(404 | 405)) && word(request, "route").is_empty();
    for miss in items(&request["routing"]["misses"]).iter().filter(|_| has_none) {
        line(&mut out, "not", &format!("{}: {}", word(miss, "route"), word(miss, "reason")));
    }
    out
}

/// What happened when, microseconds from the start.
fn moments(request: &Value) -> Vec<(u64, String)> {
    let mut moments = vec![(0, "the head had come".to_owned())];
    for one in items(&request["exchanges"]) {
        let of = |name: &str| one[name].as_u64().unwrap_or_default();
        let (endpoint, breaker) = (word(one, "endpoint"), word(one, "breaker"));
        let part = match word(one, "part") {
            "" => String::new(),
            part => format!(" for the part {part}"),
        };
        let asked = format!("asked {} at {endpoint}{part}, its breaker {breaker}", word(one, "upstream"));
        moments.push((of("start_us"), asked));
        let status = one["status"].as_u64().map(|status| format!(" {status}")).unwrap_or_default();
        let grpc = one["grpc_status"].as_u64().map(|told| format!(" grpc-status {told}")).unwrap_or_default();
        let again = if one["replayed"] == true { ", sent again as a pooled connection had been closed" } else { "" };
        moments.push((of("end_us"), format!("{endpoint}: {}{status}{grpc}{again}", word(one, "outcome"))));
    }
    if let Some(at) = request["times_us"]["answered"].as_u64() {
        moments.push((at, "the answer's head went out".to_owned()));
    }
    moments.push((request["total_us"].as_u64().unwrap_or_default(), "the end".to_owned()));
    moments.sort_by_key(|(at, _)| *at);
    moments
}

/// A part that is not in the answer: what became of it, what is in its place, and why.
fn missing(part: &Value) -> String {
    let place = match word(part, "in_its_place") {
        "" => String::new(),
        place => format!(", {place} in its place"),
    };
    format!("{}: {}{place}. {}", word(part, "part"), word(part, "result"), word(part, "why")).trim().to_owned()
}

fn identity(request: &Value) -> String {
    let mut said = word(&request["identity"], "result").to_owned();
    for (before, name) in [(": ", "auth"), (": ", "subject")] {
        let told = word(request, name);
        if !told.is_empty() {
            said = format!("{said}{before}{told}");
        }
    }
    match word(&request["identity"], "provider") {
        "" => said,
        provider => format!("{said} by {provider}"),
    }
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Words, or fields with what is known of their values.
fn words(list: &Value) -> String {
    let shown = |item: &Value| match (item["name"].as_str(), item["value"].as_str()) {
        (Some(name), Some(value)) => format!("{name}: {value}"),
        (Some(name), None) => name.to_owned(),
        (None, _) => item.as_str().unwrap_or("and more").to_owned(),
    };
    items(list).iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn time(us: Option<u64>) -> String {
    let us = us.unwrap_or_default();
    format!("{}.{:03} ms", us / 1000, us % 1000)
}
