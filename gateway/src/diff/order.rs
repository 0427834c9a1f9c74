//! Routes that come in another order in the file than before, where that decides.
//!
//! It decides between two that a request may match alike, and nowhere else: not between routes of different hosts, or
//! of different methods, whose order is a matter of taste.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Change, Item, Side, What, treatment};
use crate::config::settings::route::RouteMatch;
use crate::routing::tie::{self, Tie};

/// Routes of one tie, in the order of the file.
type Tied<'a> = BTreeMap<Tie, Vec<(&'a str, &'a RouteMatch)>>;

/// Those of the routes that are there on both sides, and match as before, between which the order decides otherwise.
pub(super) fn moved(old: &Side, new: &Side) -> Option<Item> {
    let is_kept = |name: &str| {
        let (before, after) = (&old.effective["routes"][name], &new.effective["routes"][name]);
        before.is_object() && after.is_object() && treatment::MATCHING.iter().all(|key| before[*key] == after[*key])
    };
    let (before, after) = (tied(old, is_kept), tied(new, is_kept));
    let mut changes = Vec::new();
    for (tie, routes) in before {
        let Some(change) = after.get(&tie).and_then(|now| change(&routes, now)) else { continue };
        // Two routes may tie for several hosts.
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    let item = |changes| Item {
        section: "routes",
        name: "(order in the file)".to_owned(),
        what: What::Changed,
        changes,
        used_by: Vec::new(),
    };
    (!changes.is_empty()).then(|| item(changes))
}

fn tied(side: &Side, is_kept: impl Fn(&str) -> bool) -> Tied<'_> {
    let matches: HashMap<&str, &RouteMatch> =
        side.config.routes.iter().map(|route| (&*route.name, &route.matches)).collect();
    let order = side.effective["route_order"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut tied = Tied::new();
    for name in order.filter(|name| is_kept(name)) {
        let Some(matches) = matches.get(name) else { continue };
        for tie in tie::of(matches) {
            tied.entry(tie).or_default().push((name, *matches));
        }
    }
    tied
}

/// The routes of one tie that have passed another one which answers a method of theirs, before and now.
fn change(before: &[(&str, &RouteMatch)], now: &[(&str, &RouteMatch)]) -> Option<Change> {
    let place: HashMap<&str, usize> = now.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect();
    let passed = |one: usize| {
        before.iter().enumerate().any(|(other, (name, matches))| {
            let (own, own_matches) = before[one];
            let turned = match (place.get(own), place.get(name)) {
                (Some(own), Some(its)) => (one < other) != (own < its),
                _ => false,
            };
            one != other && turned && tie::may_meet(own_matches, matches)
        })
    };
    let names: Vec<&str> = (0..before.len()).filter(|one| passed(*one)).map(|one| before[one].0).collect();
    let reordered: Vec<&str> = now.iter().map(|(name, _)| *name).filter(|name| names.contains(name)).collect();
    let change = || Change { key: "order".to_owned(), old: Some(names.clone().into()), new: Some(reordered.into()) };
    (!names.is_empty()).then(change)
}
