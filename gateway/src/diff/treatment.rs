//! What is done to a request on its route, and how that differs between two routes of two configurations.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Side, changes, differing};
use crate::config::settings::split::percent;

/// What of a route decides which requests take it, and nothing else.
pub(super) const MATCHING: [&str; 11] = [
    "listeners",
    "hosts",
    "path",
    "path_regex",
    "methods",
    "headers",
    "query",
    "clients",
    "body",
    "body_match_limit",
    "priority",
];
/// What is told in words of its own, or decided for each request: whether `addresses` let it in.
const TOLD: [&str; 6] = ["upstream", "split", "rate_limits", "auth", "forward_auth", "addresses"];
/// What makes a difference only to requests that are known by what no log has: whether they came over TLS, and which
/// page asked.
const UNSEEN: [&str; 2] = ["https", "cors"];
/// Keys of an upstream, a limit or a provider that are told; the rest is counted.
const MOST_KEYS: usize = 3;

/// The upstreams that a route's requests may reach.
pub(super) fn upstreams(route: &Value) -> Vec<&str> {
    let of = |key: &str| &route[key]["upstream"];
    let named = [&route["upstream"], of("forward_auth"), of("fallback"), of("mirror")];
    let of = |key: &str| route[key].as_array().into_iter().flatten().map(|one| &one["upstream"]);
    named.into_iter().chain(of("parts")).chain(of("split")).filter_map(Value::as_str).collect()
}

/// The route, the aggregate or the batch of this name.
fn route_of<'a>(side: &'a Side, name: &str) -> &'a Value {
    let sections = ["routes", "aggregates", "batches"].map(|section| &side.effective[section][name]);
    sections.into_iter().find(|route| !route.is_null()).unwrap_or(&Value::Null)
}

/// What is said of a request's treatment, and whether it needs an identity only now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Treatment {
    /// How it differs; nothing where it is the same.
    pub(super) differs: Vec<String>,
    /// How it may differ, which hangs on what is not in the log.
    pub(super) may_differ: Vec<String>,
    /// Who asks has to be proven, and had not to be before.
    pub(super) needs_identity: bool,
    /// Its path may be sent in another form.
    pub(super) may_be_sent_otherwise: bool,
}

/// How requests are treated otherwise that took one route and take another, or the same.
pub(super) fn between((old, before): (&Side, &str), (new, after): (&Side, &str)) -> Treatment {
    let (one, other) = levelled((old, route_of(old, before)), (new, route_of(new, after)));
    let mut told = Treatment::default();
    if before != after {
        told.differs.push(format!("route {before} → {after}"));
    }
    let (from, to) = (destination(&one), destination(&other));
    if from != to {
        told.differs.push(format!("upstream {}", differing(there(&from), there(&to))));
    }
    identity((&one, &other), &mut told);
    limits((old, &one), (new, &other), &mut told.differs);
    for (section, names) in [("upstreams", upstreams(&other)), ("providers", texts(&other["auth"]["providers"]))] {
        for name in names {
            definition((old, new), section, name, &mut told.differs);
        }
    }
    for change in changes(&one, &other) {
        let first = change.key.split('.').next().unwrap_or_default();
        let list = if UNSEEN.contains(&first) { &mut told.may_differ } else { &mut told.differs };
        if !MATCHING.contains(&first) && !TOLD.contains(&first) {
            list.push(format!("{} {}", change.key, differing(change.old.as_ref(), change.new.as_ref())));
        }
    }
    let rules = |side: &Side, key: &str| side.effective["server"][key].clone();
    // A fixed answer is the same whatever form the path has.
    let has_other_form = !other["answer"].is_object()
        && ["merge_slashes", "escaped_slash"].iter().any(|key| rules(old, key) != rules(new, key));
    told.may_be_sent_otherwise =
        before != after || has_other_form || ["rewrite", "redirect", "path"].iter().any(|key| one[*key] != other[*key]);
    told
}

/// Where a route's requests go: one upstream, or several with their shares.
fn destination(route: &Value) -> Value {
    let Some(split) = route["split"].as_array() else { return route["upstream"].clone() };
    let weight = |share: &Value| share["weight"].as_u64().unwrap_or_default();
    let total: u64 = split.iter().map(weight).sum();
    let shown = |share: &Value| {
        let key = share["sticky"].as_str().map(|key| format!(", by {key}")).unwrap_or_default();
        let percent = percent(weight(share) as f64 / total.max(1) as f64);
        format!("{} {percent}{key}", share["upstream"].as_str().unwrap_or_default())
    };
    split.iter().map(shown).collect::<Vec<_>>().join("; ").into()
}

/// Two routes, of which one leaves to `[server]` what the other says itself: what holds for it, so that both can be
/// compared.
pub(super) fn levelled((old, one): (&Side, &Value), (new, other): (&Side, &Value)) -> (Value, Value) {
    let (mut one, mut other) = (one.clone(), other.clone());
    let of = |side: &Side| side.effective["server"]["max_body"].clone();
    match (one["max_body"].is_null(), other["max_body"].is_null()) {
        (true, false) => one["max_body"] = of(old),
        (false, true) => other["max_body"] = of(new),
        _ => {}
    }
    (one, other)
}

/// The value, where there is one.
pub(super) fn there(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn identity((old, new): (&Value, &Value), told: &mut Treatment) {
    let needs = |route: &Value| route["auth"].is_object() && route["auth"]["optional"] != true;
    if needs(new) && !needs(old) {
        told.needs_identity = true;
        told.differs.push(format!("now needs identity ({})", texts(&new["auth"]["providers"]).join(", then ")));
    } else if needs(old) && !needs(new) {
        told.differs.push("needs no identity any more".to_owned());
    } else {
        for change in changes(&old["auth"], &new["auth"]) {
            let key = if change.key.is_empty() { "auth".to_owned() } else { format!("auth.{}", change.key) };
            told.differs.push(format!("{key} {}", differing(change.old.as_ref(), change.new.as_ref())));
        }
    }
    match (there(&old["forward_auth"]), there(&new["forward_auth"])) {
        (None, Some(asked)) => {
            told.differs.push(format!("now asks {} first", asked["upstream"].as_str().unwrap_or("")));
        }
        (Some(_), None) => told.differs.push("asks no other service first any more".to_owned()),
        (Some(old), Some(new)) => {
            for change in changes(old, new) {
                let shown = differing(change.old.as_ref(), change.new.as_ref());
                told.differs.push(format!("forward_auth.{} {shown}", change.key));
            }
        }
        (None, None) => {}
    }
}

fn limits((old, one): (&Side, &Value), (new, other): (&Side, &Value), out: &mut Vec<String>) {
    let (before, after) = (texts(&one["rate_limits"]), texts(&other["rate_limits"]));
    for name in after.iter().filter(|name| !before.contains(name)) {
        let rule = &new.effective["rate_limits"][*name];
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let at_once = rule["in_flight"].as_u64().filter(|most| *most > 0).map(|most| format!("{most} at once"));
        let rate = Some(text("rate")).filter(|rate| !rate.is_empty());
        let much: Vec<String> = rate.into_iter().chain(at_once).collect();
        out.push(format!("now under limit {name} ({} by {})", much.join(" and "), text("key")));
    }
    for name in before.iter().filter(|name| !after.contains(name)) {
        out.push(format!("not under limit {name} any more"));
    }
    for name in after.iter().filter(|name| before.contains(name)) {
        definition((old, new), "rate_limits", name, out);
    }
}

/// How something with a name differs that both sides have.
fn definition((old, new): (&Side, &Side), section: &str, name: &str, out: &mut Vec<String>) {
    let of = |side: &Side| match section {
        "providers" => side.effective["identity"]["providers"][name].clone(),
        _ => side.effective[section][name].clone(),
    };
    let (before, after) = (of(old), of(new));
    if before.is_null() || after.is_null() {
        return;
    }
    let changes = changes(&before, &after);
    if changes.is_empty() {
        return;
    }
    let shown: Vec<String> = changes
        .iter()
        .take(MOST_KEYS)
        .map(|change| format!("{} {}", change.key, differing(change.old.as_ref(), change.new.as_ref())))
        .collect();
    let more = changes.len().saturating_sub(MOST_KEYS);
    let more = if more > 0 { format!(" and {more} keys more") } else { String::new() };
    let what = match section {
        "rate_limits" => "limit",
        "providers" => "provider",
        _ => "upstream",
    };
    out.push(format!("{what} {name}: {}{more}", shown.join(", ")));
}

/// Whether routes of these names match the same requests on both sides, and are the same routes, in the same order: of
/// two that match alike, the first one in the file is taken.
pub(super) fn match_alike(old: &Side, new: &Side, names: &BTreeSet<&str>) -> bool {
    let order = |side: &Side| -> Vec<String> {
        let all = side.effective["route_order"].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.filter(|name| names.contains(name)).map(str::to_owned).collect()
    };
    let alike = names.iter().all(|name| {
        let (one, other) = (route_of(old, name), route_of(new, name));
        one.is_object() && other.is_object() && MATCHING.iter().all(|key| one[*key] == other[*key])
    });
    alike && order(old) == order(new)
}
