//! What a route has from the program around the gateway: it is registered, and what stands beside it makes sense.

use super::own_answer::has_no_use_for;
use super::references;
use crate::config::check::{Context, Reader};
use crate::config::registered::PluginKind;
use crate::config::tree::Value;

/// A handler is there, and does not stand beside what only an upstream has a use for.
pub(crate) fn handler(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(node) = route.get("handler") else { return };
    context.is_registered(PluginKind::Handler, node);
    has_no_use_for(context, route, &["mirror", "compress", "cache", "intercept"], "handler");
}

/// Stages are there, each once, and on a route whose answers are one request's and are passed on as they come.
pub(crate) fn stages(context: &mut Context<'_>, route: &Reader<'_>) {
    let written = route.nodes("stages");
    written.iter().for_each(|node| context.is_registered(PluginKind::Stage, node));
    references::each_once(context, written, "stage");
    if written.is_empty() {
        return;
    }
    if route.flag("coalesce") {
        let help = "a stage sees one request; what is shared is several's";
        context.report.error_with(route.at("coalesce"), "a route does not coalesce and have stages", help);
    }
    if let Some(node) = route.get("compress").filter(|node| !matches!(node.value, Value::Bool(false))) {
        let help = "let the upstream compress, or a stage: it sees what the upstream sent";
        context.report.error_with(node.at, "a route does not compress and have stages", help);
    }
}

/// A provider of identity is there.
pub(crate) fn identity(context: &mut Context<'_>, provider: &Reader<'_>) {
    if let Some(node) = provider.get("name") {
        context.is_registered(PluginKind::IdentityProvider, node);
    }
}

/// A policy of balancing is there, and named where it is meant.
pub(crate) fn balancer(context: &mut Context<'_>, balance: &Reader<'_>) {
    let is_custom = balance.text("policy") == "custom";
    match balance.get("name") {
        Some(node) if is_custom => context.is_registered(PluginKind::Balancer, node),
        Some(node) => context.report.error(node.at, "`name` is for the policy custom"),
        None if is_custom => context.report.error(balance.at, "custom needs the `name` of what is registered in code"),
        None => {}
    }
}

/// What requests are counted by is there.
pub(crate) fn limit_key(context: &mut Context<'_>, limit: &Reader<'_>) {
    let Some(node) = limit.get("key") else { return };
    if let Some(("custom", name)) = node.text().and_then(|key| key.split_once(':')) {
        context.is_registered_as(PluginKind::LimitKey, name, node.at);
    }
}
