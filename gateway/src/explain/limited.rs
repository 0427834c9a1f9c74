//! The limits that hold for a request, and what it is counted by.

use serde::Serialize;

use crate::config::settings::rate_limit::{LimitKey, Mode, Rate};
use crate::config::settings::{Config, InFlightLimit, RateLimit, Route};
use crate::rate_limit::Key;
use crate::request_fields::RequestFields;

/// A limit that holds for a request.
#[derive(Debug, Serialize)]
pub struct Limited {
    /// The rule's name.
    pub rule: String,
    /// How much: `50/s, burst 250`.
    pub rate: String,
    /// What the request is counted by.
    pub key: String,
    /// `before identity` or `after identity`.
    pub runs: &'static str,
    /// Where its buckets are, where that is not the gateway: `shared (exact)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The name of that store.
    #[serde(skip)]
    pub store_name: Option<std::sync::Arc<str>>,
    /// It only watches.
    pub shadow: bool,
}

/// The limits of a route, and who this request counts as.
pub(super) fn limits(config: &Config, route: &Route, headers: &RequestFields) -> Vec<Limited> {
    let find = |name: &std::sync::Arc<str>| config.rate_limits.iter().find(|rule| rule.name == *name);
    let counted_by = |(key, prefix): (&LimitKey, u8), rule: &str| {
        let address = || format!("the client's address (IPv6: its /{prefix})");
        match key {
            LimitKey::ClientIp => address(),
            LimitKey::Subject => format!("the proven subject; without one, {}", address()),
            LimitKey::Claim(name) => format!("the proven claim {name:?}; without one, {}", address()),
            LimitKey::Custom(name) => format!("what the program says ({name}); where it says nothing, {}", address()),
            LimitKey::Route => format!("the route {:?}", route.name),
            LimitKey::Global => "all requests together".to_owned(),
            LimitKey::Header(name) => match headers.get(name) {
                Some(value) => {
                    let shown = Key::Header(value.as_bytes()).shown(rule);
                    format!("{name}: {} (in /limits {shown})", value.to_str().unwrap_or("(not text)"))
                }
                None => format!("{}, since {name} is absent", address()),
            },
        }
    };
    let limited = |rule: &std::sync::Arc<RateLimit>| {
        let key = counted_by(rule.counted_by(), &rule.name);
        let of = |rate: Rate| format!("{rate}, burst {}", rate.burst);
        let anonymous = rule.anonymous.map(|rate| format!("; anonymous: {}", of(rate))).unwrap_or_default();
        let cost = if rule.cost == 1 { String::new() } else { format!(", {} tokens a request", rule.cost) };
        Limited {
            rule: rule.name.to_string(),
            rate: format!("{}{cost}{anonymous}", of(rule.rate)),
            key,
            runs: if rule.is_identity_free() { "before identity" } else { "after identity" },
            store_name: rule.shared.as_ref().map(|shared| std::sync::Arc::clone(&shared.store)),
            store: rule.shared.as_ref().map(|shared| match shared.mode {
                Mode::Exact => format!("{} (exact)", shared.store),
                Mode::Leased(most) => format!("{} (leased, at most {most} tokens)", shared.store),
            }),
            shadow: rule.shadow,
        }
    };
    let at_once = |rule: &std::sync::Arc<InFlightLimit>| Limited {
        rule: rule.name.to_string(),
        rate: format!("at most {} requests at once", rule.most),
        key: counted_by(rule.counted_by(), &rule.name),
        runs: if rule.key.needs_identity() { "after identity" } else { "before identity" },
        store_name: None,
        store: None,
        shadow: rule.shadow,
    };
    let held = |name: &std::sync::Arc<str>| config.in_flight_limits.iter().find(|rule| rule.name == *name);
    let held = route.rate_limits.iter().filter_map(held).map(at_once);
    held.chain(route.rate_limits.iter().filter_map(find).map(limited)).collect()
}
