//! Rate limits of a route: for programs in `x-rate-limits`, for people in a sentence.

use serde_json::{Value, json};

use crate::config::settings::rate_limit::{LimitKey, Rate, RateLimit};
use crate::config::settings::{Config, Route};

/// The limits of a route, in its order.
pub(super) fn of_route<'c>(config: &'c Config, route: &Route) -> Vec<&'c RateLimit> {
    let find = |name: &std::sync::Arc<str>| config.rate_limits.iter().find(|rule| rule.name == *name);
    route.rate_limits.iter().filter_map(find).map(|rule| &**rule).collect()
}

/// For programs. `quota` and `window` are `q` and `w` of `RateLimit-Policy`.
pub(super) fn told(rule: &RateLimit) -> Value {
    let mut told = json!({
        "name": &*rule.name,
        "key": rule.key.to_string(),
        "rate": rule.rate.to_string(),
        "quota": rule.rate.burst,
        "window_seconds": window(rule.rate),
        "cost": rule.cost,
    });
    if let Some(anonymous) = rule.anonymous {
        told["anonymous"] = json!({
            "rate": anonymous.to_string(),
            "quota": anonymous.burst,
            "window_seconds": window(anonymous),
        });
    }
    if rule.shadow {
        told["shadow"] = true.into();
    }
    told
}

/// For people.
pub(super) fn in_words(rule: &RateLimit) -> String {
    let mut text = format!("`{}`: {}, at most {} at once, {}", rule.name, rule.rate, rule.rate.burst, by(&rule.key));
    if let Some(anonymous) = rule.anonymous {
        text.push_str(&format!("; without an identity {anonymous}, at most {} at once", anonymous.burst));
    }
    if rule.cost > 1 {
        text.push_str(&format!("; a request takes {}", rule.cost));
    }
    if rule.shadow {
        text.push_str("; only watched, nobody is refused");
    }
    text
}

fn by(key: &LimitKey) -> String {
    match key {
        LimitKey::ClientIp => "for each client address".to_owned(),
        LimitKey::Subject => "for each subject".to_owned(),
        LimitKey::Route => "for the route as a whole".to_owned(),
        LimitKey::Global => "for all requests together".to_owned(),
        LimitKey::Header(name) => format!("for each `{name}`"),
        LimitKey::Claim(name) => format!("for each `{name}` of the identity"),
        LimitKey::Custom(name) => format!("for each `{name}`, which the gateway's program knows"),
    }
}

/// Seconds after which an empty bucket is full again, rounded up: as clients are told.
fn window(rate: Rate) -> u64 {
    let millis = u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX);
    rate.burst.saturating_mul(millis).div_ceil(rate.tokens.max(1).saturating_mul(1000))
}
