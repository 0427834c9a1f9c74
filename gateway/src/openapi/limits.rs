//! Rate limits of a route: for programs in `x-rate-limits`, for people in a sentence.

use serde_json::{Value, json};

use crate::config::settings::rate_limit::{InFlightLimit, LimitKey, Rate, RateLimit};
use crate::config::settings::{Config, Route};

/// The limits of a route, in its order.
pub(super) fn of_route<'c>(config: &'c Config, route: &Route) -> Vec<&'c RateLimit> {
    let find = |name: &std::sync::Arc<str>| config.rate_limits.iter().find(|rule| rule.name == *name);
    route.rate_limits.iter().filter_map(find).map(|rule| &**rule).collect()
}

/// The limits of requests at once of a route, in its order.
pub(super) fn at_once<'c>(config: &'c Config, route: &Route) -> Vec<&'c InFlightLimit> {
    let find = |name: &std::sync::Arc<str>| config.in_flight_limits.iter().find(|rule| rule.name == *name);
    route.rate_limits.iter().filter_map(find).map(|rule| &**rule).collect()
}

/// For programs: rates, then requests at once.
pub(super) fn all_told(config: &Config, route: &Route) -> Vec<Value> {
    let at_once = |rule: &InFlightLimit| {
        let mut told = json!({ "name": &*rule.name, "key": rule.key.to_string(), "in_flight": rule.most });
        if rule.shadow {
            told["shadow"] = true.into();
        }
        told
    };
    let held = self::at_once(config, route).into_iter().map(at_once);
    of_route(config, route).into_iter().map(told).chain(held).collect()
}

/// For people: rates, requests at once, and the route's own number of those.
pub(super) fn all_in_words(config: &Config, route: &Route) -> Vec<String> {
    let at_once = |rule: &InFlightLimit| {
        let watched = if rule.shadow { "; only watched, nobody is refused" } else { "" };
        format!("`{}`: {} requests at a time, {}{watched}", rule.name, rule.most, by(&rule.key))
    };
    let held = self::at_once(config, route).into_iter().map(at_once);
    let own = route.max_in_flight.map(|most| format!("{most} requests at a time of this route"));
    of_route(config, route).into_iter().map(in_words).chain(held).chain(own).collect()
}

/// For programs. `quota` and `window` are `q` and `w` of `RateLimit-Policy`.
fn told(rule: &RateLimit) -> Value {
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
fn in_words(rule: &RateLimit) -> String {
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
