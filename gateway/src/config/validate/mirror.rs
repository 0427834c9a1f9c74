//! `mirror`: copies go to somebody else, and whoever copies what changes something means it.

use super::route::upstreams;
use crate::config::check::{Context, Reader};

/// Methods that change nothing (RFC 9110, section 9.2.1).
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// Copies are another upstream's: else they would count among its requests, and open its breakers.
pub(crate) fn elsewhere(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(node) = route.get("mirror").and_then(|_| route.table("mirror").get("upstream")) else { return };
    let fallback = route.get("fallback").and_then(|_| route.table("fallback").get("upstream"));
    let asked = upstreams(route).into_iter().chain(fallback);
    if node.text().is_some() && asked.into_iter().any(|asked| asked.text() == node.text()) {
        let help = "give the copies an upstream of their own: [upstreams.NAME], with the same endpoints if it must be";
        context.report.error_with(node.at, "copies go to an upstream that the route asks itself", help);
    }
}

/// What the gateway answers itself goes nowhere, and so does its copy.
pub(crate) fn of_an_upstreams_requests(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them.
    let Some(node) = route.own("mirror") else { return };
    if let Some(own) = ["redirect", "answer"].into_iter().find(|key| route.get(key).is_some()) {
        context.report.error(node.at, format!("`mirror` is for a route with an upstream; this one has `{own}`"));
    }
}

/// A copy of what changes something changes it once more, where both upstreams share their data.
pub(crate) fn unsafe_methods(context: &mut Context<'_>, route: &Reader<'_>) {
    if route.get("mirror").is_none() {
        return;
    }
    let mirror = route.table("mirror");
    let taken = route.texts("methods");
    let is_safe = !taken.is_empty() && taken.iter().all(|method| SAFE.contains(&method.as_str()));
    if mirror.get("methods").is_none() && mirror.number("fraction") > 0.0 && !is_safe {
        let message = "requests that change something are copied too, and are carried out twice where upstreams share \
                       their data";
        let help = "methods = [\"GET\", \"HEAD\"] copies what only reads; naming every method says that it is meant";
        context.report.warning(mirror.at, message, help);
    }
}
