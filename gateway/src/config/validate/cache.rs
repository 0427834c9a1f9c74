//! `cache`: there is an upstream whose answers are kept, and what is kept can be had again.

use crate::config::check::{Context, Reader};
use crate::config::tree::Value;
use crate::config::value::quantity;

/// What the gateway or its program answers itself is not kept, nor what stages of the program may have made of a
/// request.
pub(crate) fn upstreams_answers(context: &mut Context<'_>, route: &Reader<'_>) {
    // What is shared by all routes is a mistake on none of them.
    if let Some(node) = route.own("cache").filter(|node| !matches!(node.value, Value::Bool(false)))
        && let Some(own) = ["redirect", "answer"].into_iter().find(|key| route.get(key).is_some())
    {
        context.report.error(node.at, format!("`cache` is for the answers of an upstream; this route has `{own}`"));
    }
    let Some(node) = route.get("cache").filter(|node| !matches!(node.value, Value::Bool(false))) else { return };
    if ["redirect", "answer", "handler"].into_iter().any(|key| route.get(key).is_some()) {
        return;
    }
    if !route.nodes("stages").is_empty() {
        let help = "a stage may change what the upstream is asked, which no key of the cache knows: cache = false here";
        context.report.error_with(node.at, "a route does not cache and have stages", help);
    }
    let methods = route.texts("methods");
    if !methods.is_empty() && !methods.iter().any(|method| method == "GET") {
        let help = "name GET among `methods`, or leave `cache` out: it keeps answers to GET";
        context.report.warning(node.at, "this route takes no GET, so that nothing is kept", help);
    }
    let is_proven = route.get("auth").is_some_and(|node| !matches!(node.value, Value::Bool(false)));
    if is_proven && route.table("cache").get("shared").is_none() {
        let help = "shared = true gives all subjects what says that it is anybody's (public or s-maxage); \
                    shared = false says that this is meant";
        context.report.warning(node.at, "with `auth`, each subject has kept answers of its own", help);
    }
}

/// An answer is given no longer time than any may have.
pub(crate) fn times(context: &mut Context<'_>, cache: &Reader<'_>) {
    if cache.get("default_ttl").is_some() && cache.duration("default_ttl") > cache.duration("max_ttl") {
        let help = "raise max_ttl, or lower default_ttl";
        context.report.error_with(cache.at_own(["default_ttl", "max_ttl"]), "`default_ttl` is above `max_ttl`", help);
    }
    for entry in cache.map("status_ttl") {
        let ttl = entry.node.text().and_then(|text| quantity::duration(text).ok());
        if ttl.is_some_and(|ttl| ttl > cache.duration("max_ttl")) {
            let message = format!("{} has a longer time than `max_ttl`", entry.key);
            let is_shared = cache.own("status_ttl").is_none();
            let at = cache.own("max_ttl").filter(|_| is_shared).map_or(entry.node.at, |node| node.at);
            context.report.error_with(at, message, "raise max_ttl, or write less here");
        }
    }
}
