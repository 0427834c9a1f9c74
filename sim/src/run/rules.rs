//! The mocks' rules of a run: its faults, and which key set the key server answers at which time.
//!
//! One rule hits a request, so a fault of the key server answers with the key set itself: one rule for each set that it
//! meets. Faults come first, and the key sets are what is left.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scenario::Scenario;
use crate::scenario::model::{FaultPart, KEY_SERVER};
use crate::scenario::topology::publishing;

/// A stretch of time; without an end when `None`.
type Window = (Duration, Option<Duration>);

/// The rules, with windows from t = 0, which is at `zero_ns` of the machine's monotonic clock. `published` are the key
/// sets, each from its time on.
pub(super) fn rules(scenario: &Scenario, published: &[(Duration, String)], zero_ns: u64) -> Value {
    let length = scenario.length();
    let sets = if scenario.has_key_server() { windows(published) } else { Vec::new() };
    let mut rules = Vec::new();
    for fault in &scenario.faults {
        let until = Some(fault.until(length)).filter(|until| fault.lasts.is_some() && *until < length);
        let window = (fault.at, until);
        if fault.service != KEY_SERVER || fault.act.get("body").is_some() {
            rules.push(rule(fault, window, None));
            continue;
        }
        let met = sets.iter().filter_map(|(time, set)| Some((meet(window, *time)?, *set)));
        rules.extend(met.map(|(window, set)| rule(fault, window, Some(set))));
    }
    for ((from, until), set) in sets {
        let mut rule = publishing(set);
        // The first is there before t = 0 too, for which a rule must not name its beginning.
        if !from.is_zero() {
            rule["match"]["from"] = micros(from);
        }
        until.into_iter().for_each(|until| rule["match"]["until"] = micros(until));
        rules.push(rule);
    }
    json!({ "rules": rules, "origin": zero_ns })
}

/// How long each set is published.
fn windows(published: &[(Duration, String)]) -> Vec<(Window, &str)> {
    let until = |index: usize| published.get(index + 1).map(|(from, _)| *from);
    published.iter().enumerate().map(|(index, (from, set))| ((*from, until(index)), set.as_str())).collect()
}

/// What two stretches have in common.
fn meet((from, until): Window, (other_from, other_until): Window) -> Option<Window> {
    let from = from.max(other_from);
    let until = [until, other_until].into_iter().flatten().min();
    until.is_none_or(|until| from < until).then_some((from, until))
}

fn rule(fault: &FaultPart, (from, until): Window, body: Option<&str>) -> Value {
    let mut matches = json!({ "service": fault.service, "from": micros(from) });
    if let Some(endpoint) = fault.endpoint {
        matches["endpoint"] = endpoint.into();
    }
    if let Some(share) = fault.share {
        matches["share"] = share.into();
    }
    until.into_iter().for_each(|until| matches["until"] = micros(until));
    let mut act = fault.act.clone();
    body.into_iter().for_each(|body| act["body"] = body.into());
    json!({ "match": matches, "act": act })
}

fn micros(duration: Duration) -> Value {
    format!("{}us", duration.as_micros()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_set_has_its_time() {
        let published = [(s(0), "a".to_owned()), (s(5), "b".to_owned()), (s(12), "c".to_owned())];
        let expected = [((s(0), Some(s(5))), "a"), ((s(5), Some(s(12))), "b"), ((s(12), None), "c")];
        assert_eq!(windows(&published), expected);
        assert_eq!(meet((s(3), Some(s(20))), (s(5), Some(s(12)))), Some((s(5), Some(s(12)))));
        assert_eq!(meet((s(3), Some(s(5))), (s(5), Some(s(12)))), None, "they touch");
        assert_eq!(meet((s(3), None), (s(0), None)), Some((s(3), None)));
    }

    fn window() -> impl Strategy<Value = Window> {
        (0_u64..20, proptest::option::of(1_u64..20))
            .prop_map(|(from, lasts)| (s(from), lasts.map(|lasts| s(from + lasts))))
    }

    proptest! {
        #[test]
        fn what_two_have_in_common_is_in_both(one in window(), other in window(), at in 0_u64..60) {
            let holds = |(from, until): Window| from <= s(at) && until.is_none_or(|until| s(at) < until);
            prop_assert_eq!(meet(one, other).is_some_and(holds), holds(one) && holds(other));
        }
    }
}
