//! `runtime = "virtual"`: what a simulated world has not is refused where it is written, with what can be done.

use gateway::config::settings::upstream::Protocol;

use super::super::gateway::Checked;
use super::super::model::{KEY_SERVER, LoadPart, MockPart};
use super::super::problem::Report;
use super::super::reader::Reader;
use super::super::source::Span;
use super::super::tree::Table;

/// What can be done about all of it.
const HELP: &str = "leave it out, or run the scenario with runtime = \"sockets\"";
/// The only event that a simulated gateway knows.
const RELOAD: &str = "reload";

/// What was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    pub(super) loads: &'a [LoadPart],
    pub(super) mocks: &'a [MockPart],
    pub(super) redis: bool,
    pub(super) instances: usize,
}

/// Refuses what only sockets carry, and only processes do.
pub(super) fn check(reader: &Reader<'_>, parts: &Parts<'_>, report: &mut Report) {
    let mut refuse = |at: Span, what: &str| report.error_with(at, format!("the virtual runtime {what}"), HELP);
    if parts.redis {
        refuse(reader.place("redis"), "has no Redis");
    }
    for key in ["hostile", "rest"].into_iter().filter(|key| reader.has(key)) {
        refuse(reader.place(key), &format!("has no `{key}`"));
    }
    if parts.instances > 1 {
        let instances = table(reader, "gateway").and_then(|table| table.get("instances"));
        refuse(instances.map_or_else(|| reader.place("gateway"), |node| node.at), "has one gateway");
    }
    for entry in table(reader, "mocks").into_iter().flat_map(|table| &table.0) {
        let Some(mock) = parts.mocks.iter().find(|mock| mock.name == entry.key) else { continue };
        if mock.name == KEY_SERVER {
            refuse(entry.key_at, "has no key server");
        }
        if !mock.calls.is_empty() {
            refuse(entry.key_at, "has no services that call others");
        }
        if mock.tls.is_some() {
            refuse(entry.key_at, "speaks HTTP/1.1 in the clear");
        }
    }
    check_events(reader, report);
    check_loads(reader, parts.loads, report);
}

fn check_events(reader: &Reader<'_>, report: &mut Report) {
    for node in reader.node("events").and_then(|node| node.list()).unwrap_or_default() {
        let Some(act) = node.table().and_then(|table| table.get("do")) else { continue };
        let word = act.text().unwrap_or(RELOAD).split(':').next().unwrap_or_default();
        // What is no event at all was told already.
        if word != RELOAD && super::fault::is_event(word) {
            report.error_with(act.at, format!("the virtual runtime has no event but `{RELOAD}`"), HELP);
        }
    }
}

fn check_loads(reader: &Reader<'_>, all: &[LoadPart], report: &mut Report) {
    let nodes = reader.node("load").and_then(|node| node.list()).unwrap_or_default();
    for (load, at) in all.iter().zip(nodes.iter().map(|node| node.at)) {
        let mut refuse = |is_there: bool, what: &str| {
            if is_there {
                report.error_with(at, format!("the virtual runtime {what}"), HELP);
            }
        };
        refuse(load.journey.is_some(), "goes no journeys: their users are a process with a clock of its own");
        let asks_for_fault = |(name, _): &(String, String)| name.eq_ignore_ascii_case("x-mock-fault");
        let mut headers = load.requests.iter().flat_map(|request| &request.headers);
        refuse(headers.any(asks_for_fault), "has no `x-mock-fault`: its faults are those of `[[faults]]`");
        refuse(!load.way.is_plain(), "speaks HTTP/1.1 in the clear, to the first listener");
    }
}

/// Refuses what the gateway's configuration asks of its network.
pub(super) fn check_gateway(reader: &Reader<'_>, checked: &Checked, report: &mut Report) {
    let at = table(reader, "gateway").and_then(|table| table.get("config")).map_or(reader.at, |node| node.at);
    for upstream in checked.config.upstreams.iter().filter(|upstream| upstream.protocol == Protocol::Http2) {
        let message = format!("the virtual runtime speaks HTTP/1.1, and the upstream `{}` HTTP/2", upstream.name);
        report.error_with(at, message, HELP);
    }
}

fn table<'a>(reader: &Reader<'a>, key: &str) -> Option<&'a Table> {
    reader.node(key).and_then(|node| node.table())
}
