//! Routes that the gateway answers itself, and who may use a route at all.

use super::route::template_parameters;
use crate::config::check::{Context, Reader};
use crate::config::value::text;

/// What only an upstream has a use for is a mistake on a route without one.
pub(crate) fn no_upstream(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(own) = ["redirect", "answer"].into_iter().find(|key| route.get(key).is_some()) else { return };
    for key in ["rewrite", "fallback"] {
        if let Some(node) = route.get(key) {
            context.report.error(node.at, format!("`{key}` is for a route with an upstream; this one has `{own}`"));
        }
    }
}

/// A new path uses parameters that the route's path has.
pub(crate) fn redirect_parameters(context: &mut Context<'_>, route: &Reader<'_>) {
    if route.get("redirect").is_some() {
        template_parameters(context, route, &route.table("redirect"));
    }
}

/// A redirect leads elsewhere, with a status that says so.
pub(crate) fn redirect(context: &mut Context<'_>, redirect: &Reader<'_>) {
    if ["scheme", "host", "port", "path"].iter().all(|key| redirect.get(key).is_none()) {
        context
            .report
            .error(redirect.at, "redirect needs `scheme`, `host`, `port` or `path`: else it leads in a circle");
    }
    let status: u16 = redirect.integer("status");
    if matches!(status, 304..=306) {
        context.report.error(redirect.at("status"), format!("{status} leads nowhere: 301, 302, 303, 307 and 308 do"));
    }
}

/// A fixed answer is one that can be given to any request.
pub(crate) fn answer(context: &mut Context<'_>, answer: &Reader<'_>) {
    let status: u16 = answer.integer("status");
    if matches!(status, 204 | 205 | 304) && !answer.text("body").is_empty() {
        context.report.error(answer.at("body"), format!("an answer of {status} has no body"));
    }
    if matches!(status, 206 | 304) {
        let why = "it answers a condition or a range that nobody looks at here";
        context.report.error(answer.at("status"), format!("{status} can be no fixed answer: {why}"));
    }
}

/// Somebody may use the route.
pub(crate) fn addresses(context: &mut Context<'_>, addresses: &Reader<'_>) {
    let (allow, deny) = (addresses.texts("allow"), addresses.texts("deny"));
    if allow.is_empty() && deny.is_empty() {
        context.report.error(addresses.at, "addresses needs `allow` or `deny`");
    }
    let nets = |list: &[String]| list.iter().filter_map(|one| text::cidr(one).ok()).collect::<Vec<_>>();
    let denied = nets(&deny);
    for (node, net) in addresses.nodes("allow").iter().zip(nets(&allow)) {
        if denied.iter().any(|other| other.contains(&net)) {
            context.report.error(node.at, "all of it is denied below `deny`, which is the stronger");
        }
    }
}
