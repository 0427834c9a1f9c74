//! `mirror`: copies go to somebody else, and whoever copies what changes something means it.

use crate::config::build;
use crate::config::check::{Context, Reader};

/// Methods that change nothing (RFC 9110, section 9.2.1).
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// Copies are another upstream's: else they would count among its requests, and open its breakers.
pub(crate) fn elsewhere(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them: a route straight to the shadow is not copied.
    if route.own("mirror").is_none() || route.table("mirror").number("fraction") <= 0.0 {
        return;
    }
    if let Some(node) = build::mirror::to_itself(route) {
        let help = "give the copies an upstream of their own: [upstreams.NAME], with the same endpoints if it must be";
        context.report.error_with(node.at, "copies go to an upstream that the route asks itself", help);
    }
}

/// What the gateway answers itself goes nowhere, and so does its copy.
pub(crate) fn of_an_upstreams_requests(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them.
    let Some(node) = route.own("mirror") else { return };
    if let Some(own) = build::route::answers_itself(route) {
        context.report.error(node.at, format!("`mirror` is for a route with an upstream; this one has `{own}`"));
    }
}

/// A copy of what changes something changes it once more, where both upstreams share their data.
pub(crate) fn unsafe_methods(context: &mut Context<'_>, route: &Reader<'_>) {
    if !build::mirror::is_made(route) {
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
