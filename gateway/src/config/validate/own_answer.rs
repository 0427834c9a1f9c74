//! Routes that the gateway answers itself, and who may use a route at all.

use super::route::template_parameters;
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::registered::Doors;
use crate::config::tree::{Node, Value};
use crate::config::value::text;

/// What says how an upstream is asked, and is judged by no rule of its own.
const OF_AN_UPSTREAM: [&str; 7] = ["fallback", "retry", "hedge", "breaker", "coalesce", "host", "buffer_request"];

/// What only an upstream has a use for is a mistake on a route without one.
pub(crate) fn no_upstream(context: &mut Context<'_>, route: &Reader<'_>) {
    if let Some(own) = build::route::answers_itself(route) {
        has_no_use_for(context, route, &["rewrite", "request_headers"], own);
    }
}

/// What an upstream is asked by, and these keys besides, are mistakes on a route that has something of its `own` in
/// place of one.
pub(super) fn has_no_use_for(context: &mut Context<'_>, route: &Reader<'_>, keys: &[&str], own: &str) {
    for key in OF_AN_UPSTREAM.iter().chain(keys) {
        // What is shared by all routes is a mistake on none of them.
        if let Some(node) = route.own(key).filter(|node| !matches!(node.value, Value::Bool(false))) {
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

/// A new path that is the old one, of the same host and port, leads in a circle; unless it is the query that is
/// matched, and left out.
pub(crate) fn redirect_elsewhere(context: &mut Context<'_>, route: &Reader<'_>) {
    if route.get("redirect").is_none() {
        return;
    }
    let redirect = route.table("redirect");
    let Some(path) = redirect.get("path") else { return };
    // A new scheme goes to its usual port.
    let stays = ["scheme", "host", "port"].iter().all(|key| redirect.get(key).is_none());
    // Who is sent on comes back with a GET, and without a body.
    let taken = route.texts("methods");
    let is_left = (!taken.is_empty() && !taken.iter().any(|method| method == "GET")) || !route.map("body").is_empty();
    let loses_its_reason = redirect.flag("strip_query") && !route.map("query").is_empty();
    let own = route.text("path").replace("{*", "{");
    if stays && !is_left && !loses_its_reason && path.text() == Some(own.as_str()) {
        let help = "write another path, or a `host`; `https = \"redirect\"` sends to TLS who comes in the clear";
        context.report.error_with(path.at, "this redirect leads to the path that it is for: in a circle", help);
    }
}

/// Where no connection is encrypted, and nobody is believed who says that it was, who is sent to TLS comes back in the
/// clear: behind a balancer that ends TLS that goes on for ever.
pub(crate) fn somebody_comes_over_tls(context: &mut Context<'_>, root: &Reader<'_>) {
    let has_tls = root.nodes("listeners").iter().any(|node| node.table().is_some_and(|it| it.get("tls").is_some()));
    if context.doors() != Doors::Own || has_tls || !root.table("server").texts("trusted_proxies").is_empty() {
        return;
    }
    let asks = |route: &Reader<'_>| route.text("https") != "any";
    let Some(route) = build::tables(context, root, "routes").find(asks) else { return };
    let meets = if route.text("https") == "redirect" { "is redirected, for ever" } else { "gets 403" };
    let message = format!("nobody can come over TLS: behind a balancer that ends it every client {meets}");
    let help = "write the balancer's network in [server] trusted_proxies, or `tls` at a listener";
    context.report.warning(route.at("https"), message, help);
}

/// A redirect to another scheme alone leads elsewhere only where nobody can come by that scheme already.
pub(crate) fn redirect_to_a_scheme(context: &mut Context<'_>, root: &Reader<'_>) {
    let is_told = context.doors() == Doors::Told;
    let is_believed = is_told || !root.table("server").texts("trusted_proxies").is_empty();
    // Whether somebody comes by this scheme where a route with these listeners is reached.
    let comes_by = |scheme: &str, reached: &[String]| {
        let listeners = root.nodes("listeners");
        let mut reached_by = listeners.iter().filter_map(|node| node.table()).filter(|listener| {
            let name = listener.get("name").and_then(Node::text);
            reached.is_empty() || reached.iter().any(|one| Some(one.as_str()) == name)
        });
        let wants_tls = scheme == "https";
        // Without any there is one, in the clear.
        let is_default = listeners.is_empty() && !wants_tls;
        is_believed || is_default || reached_by.any(|listener| listener.get("tls").is_some() == wants_tls)
    };
    for route in build::tables(context, root, "routes") {
        if route.get("redirect").is_none() {
            continue;
        }
        let redirect = route.table("redirect");
        let Some(scheme) = redirect.get("scheme").and_then(Node::text) else { continue };
        let usual_port = if scheme == "https" { 443 } else { 80 };
        let stays = ["host", "path"].iter().all(|key| redirect.get(key).is_none())
            && redirect.get("port").is_none_or(|port| matches!(port.value, Value::Integer(port) if port == usual_port));
        if stays && comes_by(scheme, &route.texts("listeners")) {
            let help = "`https = \"redirect\"` sends only who comes in the clear; `listeners = [...]` of the route \
                        leaves out those by which people come by that scheme";
            let message = "a redirect to another scheme alone leads whoever speaks it already in a circle";
            context.report.error_with(redirect.at("scheme"), message, help);
        }
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
