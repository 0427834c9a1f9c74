//! `[rate_limits.NAME]`.

use std::sync::Arc;

use crate::config::check::Reader;
use crate::config::schema::rate_limit::RATE_LIMIT;
use crate::config::settings::RateLimit;
use crate::config::settings::rate_limit::{InFlightLimit, LimitKey, Mode, OnFailure, Rate, Shared};
use crate::config::tree::Node;
use crate::config::value::{quantity, text};

/// All of them that are understood.
pub(crate) fn all(root: &Reader<'_>) -> Vec<Arc<RateLimit>> {
    let tables = root.map("rate_limits").iter().filter_map(|entry| {
        let reader = Reader::new(Some(entry.node.table()?), None, &RATE_LIMIT, entry.node.at);
        build(&entry.key, &reader).map(Arc::new)
    });
    tables.collect()
}

/// Every `in_flight` that is understood.
pub(crate) fn in_flight(root: &Reader<'_>) -> Vec<Arc<InFlightLimit>> {
    let tables = root.map("rate_limits").iter().filter_map(|entry| {
        let table = Reader::new(Some(entry.node.table()?), None, &RATE_LIMIT, entry.node.at);
        Some(Arc::new(InFlightLimit {
            name: Arc::from(entry.key.as_str()),
            key: key(&table.text("key"))?,
            most: most_at_once(&table, "in_flight")?,
            ipv6_prefix: table.integer("ipv6_prefix"),
            shadow: table.flag("shadow"),
            max_keys: table.integer("max_keys"),
        }))
    });
    tables.collect()
}

/// A number of requests at once; `None` where there is no limit.
pub(super) fn most_at_once(table: &Reader<'_>, key: &str) -> Option<u32> {
    table.limit(key).map(|most| u32::try_from(most).unwrap_or(u32::MAX))
}

fn build(name: &str, table: &Reader<'_>) -> Option<RateLimit> {
    let anonymous = table.get("anonymous").and_then(|_| rate(&table.table("anonymous")));
    Some(RateLimit {
        name: Arc::from(name),
        key: key(&table.text("key"))?,
        rate: rate(table)?,
        anonymous,
        cost: table.integer("cost"),
        ipv6_prefix: table.integer("ipv6_prefix"),
        shadow: table.flag("shadow"),
        max_keys: table.integer("max_keys"),
        shared: shared(table),
    })
}

fn shared(table: &Reader<'_>) -> Option<Shared> {
    let store = table.text("store");
    (store != "local").then(|| Shared {
        store: Arc::from(&*store),
        mode: if table.text("mode") == "leased" { Mode::Leased(table.integer("max_lease")) } else { Mode::Exact },
        on_failure: match &*table.text("on_store_failure") {
            "open" => OnFailure::Open,
            "closed" => OnFailure::Closed,
            _ => OnFailure::LocalShare,
        },
    })
}

/// `rate` and `burst` of a table that has both.
pub(crate) fn rate(table: &Reader<'_>) -> Option<Rate> {
    let (tokens, period) = quantity::rate(table.get("rate").and_then(Node::text)?).ok()?;
    let burst: u64 = table.integer("burst");
    (burst > 0).then_some(Rate { tokens, period, burst })
}

fn key(written: &str) -> Option<LimitKey> {
    Some(match written.split_once(':') {
        Some(("header", name)) => LimitKey::Header(text::header_name(name).ok()?),
        Some(("claim", name)) => LimitKey::Claim(Arc::from(name)),
        Some(("custom", name)) => LimitKey::Custom(Arc::from(name)),
        _ => match written {
            "client_ip" => LimitKey::ClientIp,
            "subject" => LimitKey::Subject,
            "route" => LimitKey::Route,
            "global" => LimitKey::Global,
            _ => return None,
        },
    })
}
