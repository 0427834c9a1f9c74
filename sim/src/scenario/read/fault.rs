//! `[[faults]]` and `[[events]]`: what goes wrong, and what is done, at which time.

use std::time::Duration;

use loadgen::units::parse_duration;
use serde_json::json;

use super::super::model::{EventAct, EventPart, FaultPart, MockPart};
use super::super::problem::Report;
use super::super::reader::Reader;
use super::super::source::Span;
use super::super::tree::Node;

const FAULT_KEYS: &[&str] = &["at", "for", "on", "act", "share"];
const EVENT_KEYS: &[&str] = &["at", "do"];
const EVENTS: &[&str] = &[
    "reload",
    "sigterm",
    "restart",
    "pause:redis",
    "kill:redis",
    "cut:redis",
    "cut:redis:gateway/0",
    "promote:redis",
    "heal:redis",
    "skew:gateway/0:50ms",
];

/// Every fault, by its time.
pub(super) fn faults(reader: &Reader<'_>, mocks: &[MockPart], length: Duration, report: &mut Report) -> Vec<FaultPart> {
    let nodes = reader.tables("faults", report);
    let mut faults: Vec<FaultPart> = nodes.iter().filter_map(|node| fault(node, mocks, length, report)).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn fault(node: &Node, mocks: &[MockPart], length: Duration, report: &mut Report) -> Option<FaultPart> {
    let reader = Reader::of(node, FAULT_KEYS, report)?;
    let at = time(&reader, length, report);
    let lasts = reader.duration("for", report);
    if lasts.is_some_and(|lasts| lasts.is_zero()) {
        report.error(reader.place("for"), "a fault that lasts no time does nothing");
    }
    let share = reader.number("share", report);
    if share.is_some_and(|share| share <= 0.0 || share > 1.0) {
        report.error(reader.place("share"), "a share is above 0 and at most 1");
    }
    let (service, endpoint) = place(&reader, mocks, report)?;
    let act = act(&reader, report)?;
    Some(FaultPart { at, lasts, service, endpoint, act, share })
}

/// A time that the run reaches.
fn time(reader: &Reader<'_>, length: Duration, report: &mut Report) -> Duration {
    if !reader.has("at") {
        reader.missing("at", "say when, from the end of warm-up, as in \"10s\"", report);
    }
    let at = reader.duration("at", report).unwrap_or_default();
    if !length.is_zero() && at >= length {
        report.error(reader.place("at"), format!("the loads end at {length:?}, so this never happens"));
    }
    at
}

/// `orders` or `orders/1`.
fn place(reader: &Reader<'_>, mocks: &[MockPart], report: &mut Report) -> Option<(String, Option<usize>)> {
    let Some(text) = reader.text("on", report) else {
        if !reader.has("on") {
            reader.missing("on", "say where: \"orders/1\", or \"orders\" for all of its endpoints", report);
        }
        return None;
    };
    let known: Vec<String> = mocks
        .iter()
        .flat_map(|mock| {
            let endpoints = (0..mock.endpoints).map(move |index| format!("{}/{index}", mock.name));
            std::iter::once(mock.name.clone()).chain(endpoints)
        })
        .collect();
    if !known.iter().any(|name| name == text) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        report.unknown(reader.place("on"), format!("there is no endpoint `{text}`"), text, &known);
        return None;
    }
    match text.split_once('/') {
        Some((service, index)) => Some((service.to_owned(), index.parse().ok())),
        None => Some((text.to_owned(), None)),
    }
}

/// What happens; the mocks say whether they can do it.
fn act(reader: &Reader<'_>, report: &mut Report) -> Option<serde_json::Value> {
    let Some(node) = reader.node("act") else {
        reader.missing("act", "say what happens, as in { delay = \"300ms\" } or { status = 503 }", report);
        return None;
    };
    let act = node.value.to_json();
    let matches = reader.number("share", report).map_or_else(|| json!({}), |share| json!({ "share": share }));
    let rules = json!({ "rules": [{ "match": matches, "act": act }] });
    if let Err(problems) = mocks::Rule::from_json(rules.to_string().as_bytes()) {
        for problem in problems.0 {
            let at = key_place(node, problem.key.strip_prefix("rules[0].act").unwrap_or_default());
            // Of a share, this reader has said what is wrong.
            if !problem.key.starts_with("rules[0].match") {
                report.error(at, problem.message);
            }
        }
        return None;
    }
    Some(act)
}

/// The place of the key that a dotted path names, or of the table that should hold it.
fn key_place(node: &Node, path: &str) -> Span {
    let key = path.trim_start_matches('.').split('.').next().unwrap_or_default();
    let entry = node.table().and_then(|table| table.0.iter().find(|entry| entry.key == key));
    entry.map_or(node.at, |entry| entry.key_at)
}

/// Every event, by its time.
pub(super) fn events(
    reader: &Reader<'_>,
    instances: usize,
    redis: bool,
    length: Duration,
    report: &mut Report,
) -> Vec<EventPart> {
    let mut events = Vec::new();
    for node in reader.tables("events", report) {
        let Some(reader) = Reader::of(node, EVENT_KEYS, report) else { continue };
        let at = time(&reader, length, report);
        if !reader.has("do") {
            reader.missing("do", "say what is done, as in \"reload\"", report);
        }
        let Some(text) = reader.text("do", report) else { continue };
        match event(text, instances, redis) {
            Ok(act) => events.push(EventPart { at, act }),
            Err(Some(message)) => report.error(reader.place("do"), message),
            Err(None) => report.unknown(reader.place("do"), format!("`{text}` is no event"), text, EVENTS),
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// Whether events begin with this word.
pub(super) fn is_event(word: &str) -> bool {
    EVENTS.iter().any(|event| event.split(':').next() == Some(word))
}

/// Reads an event; without a message, its word is not known.
fn event(text: &str, instances: usize, redis: bool) -> Result<EventAct, Option<String>> {
    let (word, on) = text.split_once(':').map_or((text, None), |(word, on)| (word, Some(on)));
    let instance = || on.map(|on| gateway(on, instances)).transpose().map_err(Some);
    match (word, on) {
        ("reload", _) => Ok(EventAct::Reload(instance()?)),
        ("sigterm", _) => Ok(EventAct::Sigterm(instance()?.unwrap_or(0))),
        ("restart", _) => Ok(EventAct::Restart(instance()?.unwrap_or(0))),
        ("pause" | "kill" | "cut" | "heal" | "promote", Some(on)) if on.starts_with("redis") && !redis => {
            Err(Some("the scenario has no Redis: write [redis] with instances = 1".to_owned()))
        }
        ("pause", Some("redis")) => Ok(EventAct::PauseRedis),
        ("kill", Some("redis")) => Ok(EventAct::KillRedis),
        ("heal", Some("redis")) => Ok(EventAct::HealRedis),
        ("promote", Some("redis")) => Ok(EventAct::PromoteRedis),
        ("cut", Some("redis")) => Ok(EventAct::CutRedis(None)),
        ("cut", Some(on)) => match on.strip_prefix("redis:") {
            Some(from) => gateway(from, instances).map(|from| EventAct::CutRedis(Some(from))).map_err(Some),
            None => Err(None),
        },
        ("skew", Some(on)) => skew(on, instances).map_err(Some),
        _ => Err(None),
    }
}

/// Which gateway, as in `gateway/1`.
fn gateway(on: &str, instances: usize) -> Result<usize, String> {
    let number = on.strip_prefix("gateway/").and_then(|number| number.parse().ok());
    let unknown = || format!("`{on}` is no gateway; there are gateway/0 to gateway/{}", instances - 1);
    number.filter(|number| *number < instances).ok_or_else(unknown)
}

/// Whose clock is off by how much, as in `gateway/1:50ms` and `gateway/1:-2h`.
fn skew(on: &str, instances: usize) -> Result<EventAct, String> {
    let (on, by) = on.split_once(':').ok_or("say by how much, as in skew:gateway/0:50ms or skew:gateway/0:-2h")?;
    let number = gateway(on, instances)?;
    let (early, length) = by.strip_prefix('-').map_or((false, by), |length| (true, length));
    let length = parse_duration(length).map_err(|error| error.to_string())?;
    let us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
    Ok(EventAct::Skew(number, if early { -us } else { us }))
}
