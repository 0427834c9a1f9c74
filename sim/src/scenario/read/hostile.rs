//! `[[hostile]]`: clients that are slow, broken or mean.

use std::time::Duration;

use super::super::model::HostilePart;
use super::super::problem::Report;
use super::super::reader::{Reader, is_name};
use super::way;
use crate::hostile::{ACTS, MOST_PARTS};

const KEYS: &[&str] = &["name", "act", "listener", "path", "from", "duration", "connections", "every", "hold"];
/// Their sockets are this process's.
const MOST_CONNECTIONS: u64 = 2_000;
/// How long a connection is held where nothing is said of it.
const HOLD: Duration = Duration::from_secs(5);
/// Below this the one who measures would mostly open connections.
const LEAST_PAUSE: Duration = Duration::from_millis(1);
/// Longest path: its length has to fit into a byte of HPACK.
const LONGEST_PATH: usize = 100;

/// Every part, each with a name of its own and a time within that of the loads.
pub(super) fn hostile(reader: &Reader<'_>, length: Duration, report: &mut Report) -> Vec<HostilePart> {
    let mut parts: Vec<HostilePart> = Vec::new();
    let nodes = reader.tables("hostile", report);
    if nodes.len() > MOST_PARTS {
        report.error(reader.place("hostile"), format!("there are at most {MOST_PARTS} of them"));
    }
    for node in nodes {
        let Some(reader) = Reader::of(node, KEYS, report) else { continue };
        let Some(part) = part(&reader, length, report) else { continue };
        if parts.iter().any(|other| other.name == part.name) {
            report.error(reader.place("name"), format!("there are two hostile clients called `{}`", part.name));
        }
        parts.push(part);
    }
    parts
}

/// The readers of the parts again, for what can be said only later.
pub(super) fn readers<'a>(reader: &Reader<'a>, report: &mut Report) -> Vec<Reader<'a>> {
    reader.tables("hostile", report).iter().filter_map(|node| Reader::of(node, KEYS, report)).collect()
}

fn part(reader: &Reader<'_>, length: Duration, report: &mut Report) -> Option<HostilePart> {
    for (key, help) in [("name", "results are called by it"), ("act", "say what they do, as in \"slow_head\"")] {
        if !reader.has(key) {
            reader.missing(key, help, report);
        }
    }
    let name = reader.text("name", report).unwrap_or_default().to_owned();
    if reader.has("name") && !is_name(&name) {
        report.error(reader.place("name"), "a name is made of letters, digits, `_` and `-`");
    }
    let path = reader.text("path", report).unwrap_or("/").to_owned();
    let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path || path.len() > LONGEST_PATH {
        report.error(reader.place("path"), format!("a path starts with `/` and has at most {LONGEST_PATH} letters"));
    }
    let from = reader.duration("from", report).unwrap_or_default();
    let duration = reader.duration("duration", report).unwrap_or(length.saturating_sub(from));
    if !length.is_zero() && from + duration > length {
        report.error(reader.place("duration"), format!("the loads end at {length:?}, and hostile clients with them"));
    }
    let every = reader.duration("every", report).unwrap_or(Duration::from_millis(200));
    if every < LEAST_PAUSE {
        report.error(reader.place("every"), "a pause of a millisecond at least");
    }
    let hold = reader.duration("hold", report).unwrap_or(HOLD);
    if !duration.is_zero() && hold > duration {
        let (at, written) = match reader.has("hold") {
            true => (reader.place("hold"), format!("`hold` is {hold:?}")),
            false => (reader.place("duration"), format!("`hold` is {hold:?} where it is not written")),
        };
        let message =
            format!("{written}, and these clients are there for {duration:?}: no connection could be held that long");
        report.error_with(at, message, "write a shorter `hold`, as in \"1s\", or a longer `duration`");
    }
    let connections = reader.integer("connections", 1..=MOST_CONNECTIONS, report).unwrap_or(1);
    Some(HostilePart {
        name,
        act: reader.word("act", ACTS, report)?,
        listener: way::listener(reader, report),
        path,
        from,
        duration,
        connections: usize::try_from(connections).unwrap_or(1),
        every,
        hold,
    })
}
