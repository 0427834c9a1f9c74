//! What came of the connections of hostile clients.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// There was none: it was refused, or nobody took it in time.
    NotTaken,
    ByGateway,
    ByClient,
}

/// What came of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(super) end: End,
    /// How long there was one.
    pub(super) held: Duration,
    /// The status of the first answer in HTTP/1.
    pub(super) status: Option<u16>,
    /// The error with which an HTTP/2 connection was ended.
    pub(super) goaway: Option<&'static str>,
}

/// The names of the figures, but for `status.NNN` and `goaway.CODE`.
pub(crate) const NAMES: [&str; 8] = [
    "connections",
    "not_taken",
    "ended_by_gateway",
    "ended_by_client",
    "held_ms.p50",
    "held_ms.p99",
    "held_ms.max",
    "records",
];

/// The figures of a part; `records` is how many records the gateways have of it.
pub(crate) fn figures(seen: &[Seen], records: u64) -> Value {
    let count = |end| seen.iter().filter(|one| one.end == end).count();
    let (mut status, mut goaway) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    for one in seen {
        if let Some(code) = one.status {
            *status.entry(code.to_string()).or_default() += 1;
        }
        if let Some(code) = one.goaway {
            *goaway.entry(code.to_owned()).or_default() += 1;
        }
    }
    let mut held: Vec<Duration> = seen.iter().map(|one| one.held).collect();
    held.sort_unstable();
    let at = |share: f64| {
        let rank = (held.len() as f64 * share).ceil() as usize;
        held.get(rank.saturating_sub(1)).map_or(0, |held| held.as_millis() as u64)
    };
    json!({
        "connections": seen.len(),
        "not_taken": count(End::NotTaken),
        "ended_by_gateway": count(End::ByGateway),
        "ended_by_client": count(End::ByClient),
        "status": status,
        "goaway": goaway,
        "held_ms": { "p50": at(0.5), "p99": at(0.99), "max": at(1.0) },
        "records": records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_how_they_ended() {
        let one = |end, ms, status, goaway| Seen { end, held: Duration::from_millis(ms), status, goaway };
        let seen = [
            one(End::ByGateway, 30, Some(408), None),
            one(End::ByGateway, 10, Some(408), None),
            one(End::ByClient, 20, None, None),
            one(End::ByGateway, 40, None, Some("ENHANCE_YOUR_CALM")),
            one(End::NotTaken, 0, None, None),
        ];
        let figures = figures(&seen, 3);
        assert_eq!(figures["connections"], 5);
        assert_eq!((&figures["ended_by_gateway"], &figures["ended_by_client"]), (&json!(3), &json!(1)));
        assert_eq!((&figures["not_taken"], &figures["records"]), (&json!(1), &json!(3)));
        assert_eq!((&figures["status"]["408"], &figures["goaway"]["ENHANCE_YOUR_CALM"]), (&json!(2), &json!(1)));
        assert_eq!(figures["held_ms"], json!({ "p50": 20, "p99": 40, "max": 40 }));
        for name in NAMES {
            let at = name.split('.').try_fold(&figures, |at, key| at.get(key));
            assert!(at.is_some_and(Value::is_number), "{name}");
        }
    }
}
