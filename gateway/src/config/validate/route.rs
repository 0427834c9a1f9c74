//! `[[routes]]`.

use ipnet::IpNet;

use super::upstream::in_order;
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::problem::{did_you_mean, quoted};
use crate::config::settings::cors::AllowedOrigin;
use crate::config::settings::route::{Rewrite, RewritePiece};
use crate::config::tree::{Node, Value};
use crate::config::value::path_pattern::{self, Segment};
use crate::config::value::quantity;
use crate::config::value::{origin, path_regex, text};
use crate::routing::rewrite::RewriteError;
use crate::routing::{CompiledRewrite, PathRules, Pattern};

/// A request goes to one place.
pub(crate) fn one_destination(context: &mut Context<'_>, route: &Reader<'_>) {
    let destinations = ["upstream", "split", "handler", "redirect", "answer"];
    let written: Vec<_> = destinations.iter().filter_map(|key| route.get(key)).collect();
    match written.as_slice() {
        [] => {
            let help = "upstream = \"http://127.0.0.1:9001\"";
            context.report.error_with(
                route.at,
                "a route needs an `upstream`, a `split`, a `handler`, a `redirect` or an `answer`",
                help,
            );
        }
        [_] => {}
        [_, more, ..] => {
            context.report.error(more.at, "a route has one of `upstream`, `split`, `handler`, `redirect` and `answer`");
        }
    }
}

/// A name means one thing.
pub(crate) fn groups_are_new(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some((node, Ok(regex))) = route.get("path_regex").and_then(|it| Some((it, path_regex::parse(it.text()?))))
    else {
        return;
    };
    let path = route.text("path");
    let segments = path_pattern::parse(&path).unwrap_or_default();
    let own = path_pattern::parameters(&segments);
    if let Some(name) = regex.groups().find(|name| own.contains(name)) {
        let message = format!("the path has a parameter {} already", quoted(name));
        context.report.error_with(node.at, message, "give the group another name");
    }
}

/// Some client is where a route wants it to be.
pub(crate) fn clients_are_somebody(context: &mut Context<'_>, route: &Reader<'_>) {
    let read = |node: &Node| text::client_network(node.text()?).ok();
    let networks: Vec<(&Node, bool, IpNet)> =
        route.nodes("clients").iter().filter_map(|node| read(node).map(|(is_in, net)| (node, is_in, net))).collect();
    let is_left_out = |net: &IpNet| networks.iter().any(|(_, is_in, but)| !is_in && but.contains(net));
    for (node, _, _) in networks.iter().filter(|(_, is_in, net)| *is_in && is_left_out(net)) {
        context.report.error(node.at, "no client is there: all of it is left out by a network with a `!`");
    }
}

/// The names of a route's parameters: those of its path, then groups of `path_regex`; none where the path cannot be
/// read.
pub(super) fn parameters(route: &Reader<'_>) -> Option<Vec<String>> {
    let path = route.text("path");
    let segments = path_pattern::parse(&path).ok()?;
    let mut names: Vec<String> = path_pattern::parameters(&segments).into_iter().map(str::to_owned).collect();
    let has_regex = route.def().key("path_regex").is_some();
    if let Some(Ok(regex)) = has_regex.then(|| path_regex::parse(&route.text("path_regex"))) {
        names.extend(regex.groups().map(str::to_owned));
    }
    Some(names)
}

/// A new path uses parameters that the route's path has.
pub(crate) fn rewrite_parameters(context: &mut Context<'_>, route: &Reader<'_>) {
    // What routes share is of no use to some of them.
    if route.get("rewrite").is_none() || build::route::answers_itself(route).is_some() {
        return;
    }
    template_parameters(context, route, &route.table("rewrite"));
}

/// A new path is one that can be sent: a request whose path cannot be rewritten must not go out as it came.
pub(crate) fn rewrite_can_be_sent(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(rewrite) = build::route::rewrite(route) else { return };
    let table = route.table(if route.get("redirect").is_some() { "redirect" } else { "rewrite" });
    let key = if matches!(rewrite, Rewrite::StripPrefix(_)) { "strip_prefix" } else { "path" };
    let rules = PathRules { keep_escaped_slash: true, merge_slashes: context.merges_slashes };
    let regex = route.get("path_regex").and_then(|node| path_regex::parse(node.text()?).ok());
    match CompiledRewrite::new(&rewrite, &Pattern::with_groups(&route.text("path"), regex.as_ref()), rules) {
        // That has been said in words of its own.
        Ok(_) | Err(RewriteError::UnknownParam(_)) => {}
        Err(why) => {
            let message = why.to_string();
            let help = "write it as an upstream is to see it: no `..` above the root, no encoded dots or slashes";
            context.report.error_with(table.at(key), message.trim_end_matches('.'), help);
        }
    }
}

/// A prefix that is to be removed is one that the route's path can begin with.
pub(crate) fn prefix_is_there(context: &mut Context<'_>, route: &Reader<'_>) {
    // What routes share is of no use to some of them.
    if route.own("rewrite").is_none() {
        return;
    }
    let rewrite = route.table("rewrite");
    let Some(node) = rewrite.get("strip_prefix") else { return };
    let prefix = node.text().map(|text| path_pattern::parse(text.strip_suffix('/').unwrap_or(text)));
    let path = route.text("path");
    let (Some(Ok(prefix)), Ok(segments)) = (prefix, path_pattern::parse(&path)) else { return };
    for (at, wanted) in prefix.iter().enumerate() {
        match segments.get(at) {
            Some(Segment::Rest(_)) => return,
            Some(Segment::Param(_)) => {}
            there if there == Some(wanted) => {}
            _ => {
                let message = format!("no path of this route begins with {}: nothing is removed", quoted(node.shown()));
                let help = format!("the route's path is {}", quoted(&path));
                return context.report.warning(node.at, message, help);
            }
        }
    }
}

/// The `path` of a table is made of parameters that the route's path has.
pub(super) fn template_parameters(context: &mut Context<'_>, route: &Reader<'_>, table: &Reader<'_>) {
    let pattern = route.text("path");
    let Some(names) = parameters(route) else { return };
    if let Some(node) = table.get("path")
        && let Ok(pieces) = path_pattern::template(node.text().unwrap_or(""))
    {
        for piece in pieces {
            if let RewritePiece::Param(name) = piece
                && !names.contains(&name)
            {
                let message = format!("the path {} has no parameter {}", quoted(&pattern), quoted(&name));
                context.report.error_maybe(node.at, message, did_you_mean(&name, names.iter().map(String::as_str)));
            }
        }
    }
}

/// A path is stripped or replaced.
pub(crate) fn one_rewrite(context: &mut Context<'_>, rewrite: &Reader<'_>) {
    match (rewrite.get("strip_prefix"), rewrite.get("path")) {
        (None, None) => context.report.error(rewrite.at, "rewrite needs `strip_prefix` or `path`"),
        (Some(_), Some(path)) => context.report.error(path.at, "rewrite has `strip_prefix` or `path`, not both"),
        _ => {}
    }
}

/// What is shared is given to everybody as the upstream sent it.
pub(crate) fn coalesced_as_they_come(context: &mut Context<'_>, route: &Reader<'_>) {
    let compresses = route.get("compress").is_some_and(|node| !matches!(node.value, Value::Bool(false)));
    if route.flag("coalesce") && compresses {
        let help = "let the upstream compress, or leave one of both out";
        context.report.error_with(route.at("coalesce"), "a route does not coalesce and compress", help);
    }
}

/// Other gateways take what ends in a slash as a prefix. It is meant as it is where the route answers itself, or where
/// another one is for all below it.
pub(crate) fn slash_is_meant(context: &mut Context<'_>, root: &Reader<'_>) {
    let routes: Vec<Reader<'_>> = build::tables(context, root, "routes").collect();
    let prefixes: Vec<String> =
        routes.iter().filter_map(|it| Some(it.text("path").split_once("{*")?.0.to_owned())).collect();
    for route in &routes {
        let Some(node) = route.get("path") else { continue };
        let path = route.text("path");
        let answers = ["redirect", "answer"].iter().any(|key| route.get(key).is_some());
        if path.len() > 1 && path.ends_with('/') && !answers && !prefixes.iter().any(|prefix| *prefix == *path) {
            let shown = node.shown();
            let message = format!("{} is this one path, and nothing below it", quoted(shown));
            let help = format!("{} is all below it", quoted(&format!("{shown}{{*rest}}")));
            context.report.warning(node.at, message, help);
        }
    }
}

/// A body that is held before it is sent has room while no other one is held, in the half that such bodies may take.
pub(crate) fn buffers_have_room(context: &mut Context<'_>, root: &Reader<'_>) {
    let room = root.table("server").size("body_match_memory") / 2;
    let routes: Vec<Reader<'_>> = build::tables(context, root, "routes").collect();
    for route in routes.iter().filter(|route| route.size("buffer_request") > room) {
        let message = "`buffer_request` is more than half of what all bodies may take together on a worker";
        let help = "write less, or more for [server] body_match_memory";
        context.report.error_with(route.at("buffer_request"), message, help);
    }
}

/// Whether it has no upstream: what routes share is of no use to some of them.
fn asks_nobody(route: &Reader<'_>) -> bool {
    build::route::answers_itself(route).is_some() || route.get("handler").is_some()
}

/// One attempt fits into the whole.
pub(crate) fn tries_within_timeout(context: &mut Context<'_>, route: &Reader<'_>) {
    if asks_nobody(route) {
        return;
    }
    let retry = route.table("retry");
    let Some(one) = retry.timeout("per_try_timeout") else {
        timeouts_leave_time(context, &retry);
        return;
    };
    let Some(whole) = route.timeout("timeout") else { return };
    // One that routes share is cut short by a route's own time, as is meant there.
    let is_meant = retry.own("per_try_timeout").is_none() && route.own("timeout").is_some();
    if one > whole && !is_meant {
        context.report.error(retry.at("per_try_timeout"), "per_try_timeout is above the route's timeout");
    }
}

/// An attempt that may take all of the route's time leaves none for another one.
fn timeouts_leave_time(context: &mut Context<'_>, retry: &Reader<'_>) {
    let timeout = retry.nodes("on").iter().find(|node| node.text() == Some("timeout"));
    if let Some(node) = timeout
        && retry.integer::<u32>("attempts") > 1
    {
        let message = "no timeout is tried again: one attempt has all of the route's time";
        context.report.warning(node.at, message, "write per_try_timeout = \"2s\", or what an attempt may take");
    }
}

/// So slow a client is one that has to wait, bytes a second: a phone's, or a house's in the country.
const SLOW_UPLOAD: u64 = 1024 * 1024;

/// The time of a route is for the client's upload too. Who allows large bodies mostly wants them to come.
pub(crate) fn uploads_have_time(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(node) = route.own("max_body").filter(|_| build::route::answers_itself(route).is_none()) else { return };
    let Some(time) = route.timeout("timeout").filter(|_| route.own("timeout").is_none()) else { return };
    let most = route.size("max_body");
    let enough = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_mul(SLOW_UPLOAD) / 1000;
    if most != 0 && most <= enough {
        return;
    }
    let what = if most == 0 { "a body of any size".to_owned() } else { format!("a body of {}", node.shown()) };
    let message =
        format!("{what} is 408 where it takes longer than the route's {time:?}: `timeout` is for the upload too");
    let help = "timeout = \"0s\" leaves it to body_idle_timeout of [server]; or write what it may take";
    context.report.warning(node.at, message, help);
}

/// The first wait is no longer than the longest.
pub(crate) fn backoff_order(context: &mut Context<'_>, retry: &Reader<'_>) {
    in_order(context, retry, ["backoff", "max_backoff"]);
}

/// Browsers refuse credentials together with every origin, and so does the gateway; other stars are then names (Fetch,
/// "CORS protocol and credentials").
pub(crate) fn cors_stars(context: &mut Context<'_>, cors: &Reader<'_>) {
    let has_star = |key: &str| cors.texts(key).iter().any(|one| one == "*");
    if has_star("origins") && cors.texts("origins").len() > 1 {
        context.report.error_with(cors.at("origins"), "\"*\" is every origin", "name the origins, or the star alone");
    }
    if !cors.flag("credentials") {
        return;
    }
    if has_star("origins") {
        context.report.error(cors.at("origins"), "every origin and credentials do not go together");
    }
    for (key, what) in [("methods", "methods"), ("headers", "headers"), ("expose_headers", "headers")] {
        if has_star(key) {
            let message = format!("to browsers that send credentials \"*\" among {key} is a name like any other");
            context.report.error_with(cors.at(key), message, format!("write which {what} are allowed"));
        }
    }
}

/// Pages below a domain are as trustworthy as whoever can put one there.
pub(crate) fn cors_wide_origins(context: &mut Context<'_>, cors: &Reader<'_>) {
    for node in cors.nodes("origins") {
        let Some(Ok(AllowedOrigin::Below { scheme, suffix })) = node.text().map(origin::parse) else { continue };
        let host = suffix.trim_start_matches('.').split(':').next().unwrap_or_default().trim_end_matches('.');
        if origin::is_shared(host) {
            let message = format!("anybody can have a name below {host}, so this is every page whose author wants it");
            context.report.warning(node.at, message, "name the origins, or put the star before a domain of your own");
        } else if &*scheme == "http://" && host != "localhost" && cors.flag("credentials") {
            let message =
                "who is on the way can make a page of any host in the clear, and it may call with credentials";
            context.report.warning(node.at, message, "write https://, or leave credentials out");
        }
    }
}

/// A page can prove who it is only by a header that it may send, or by what the browser sends by itself.
pub(crate) fn cors_credential_headers(context: &mut Context<'_>, route: &Reader<'_>) {
    let cors = route.table("cors");
    if route.get("cors").is_some()
        && route.get("auth").is_some()
        && !cors.flag("credentials")
        && cors.texts("headers").is_empty()
    {
        let message = "the route wants to know who asks, and pages may send no header that tells it";
        context.report.warning(cors.at, message, "headers = [\"authorization\"], or the header of the API key");
    }
}

/// A fallback is a fixed answer or an upstream.
pub(crate) fn one_fallback(context: &mut Context<'_>, fallback: &Reader<'_>) {
    let Some(status) = fallback.get("status") else {
        if fallback.get("upstream").is_none() {
            context.report.error(fallback.at, "fallback needs `status` or `upstream`");
        }
        for key in ["body", "content_type"] {
            if let Some(node) = fallback.get(key) {
                context.report.error(node.at, format!("`{key}` is for a fixed answer, which needs a `status`"));
            }
        }
        return;
    };
    if let Some(upstream) = fallback.get("upstream") {
        context.report.error(upstream.at, "fallback has `status` or `upstream`, not both");
    }
    let number: u16 = fallback.integer("status");
    if matches!(number, 204 | 205 | 304) && !fallback.text("body").is_empty() {
        context.report.error(fallback.at("body"), format!("an answer of {number} has no body"));
    }
    if number == 304 || number == 206 {
        let why = "it answers a condition or a range that nobody looks at here";
        context.report.error(status.at, format!("{number} can be no fallback: {why}"));
    }
}

/// A hedge begins before time is up.
pub(crate) fn hedge_within_timeout(context: &mut Context<'_>, route: &Reader<'_>) {
    if asks_nobody(route) {
        return;
    }
    let (hedge, retry) = (route.table("hedge"), route.table("retry"));
    let one = retry.timeout("per_try_timeout");
    let whole = [one, route.timeout("timeout")].into_iter().flatten().min();
    if let (Ok(after), Some(whole)) = (quantity::duration(&hedge.text("after")), whole)
        && after >= whole
    {
        let message = format!("hedge.after is not below the {whole:?} that an attempt has: no hedge would ever begin");
        // At what the route says itself, if it is that which does not go with what is shared.
        let own = hedge.own("after").or(retry.own("per_try_timeout")).or(route.own("timeout"));
        context.report.error(own.map_or(hedge.at("after"), |node| node.at), message);
    }
}

/// What stands in is another upstream than the one that fails, and gets time to answer.
pub(crate) fn fallback_elsewhere(context: &mut Context<'_>, route: &Reader<'_>) {
    if route.get("fallback").is_none() || build::route::answers_itself(route).is_some() {
        return;
    }
    let Some(node) = route.table("fallback").get("upstream") else { return };
    let own = build::route::upstreams(route);
    if !own.is_empty() && own.iter().all(|own| own.text() == node.text()) {
        // What is shared by all routes is a mistake on none of them.
        if route.own("fallback").is_some() {
            context.report.error(node.at, "a route's fallback is another upstream than its own");
        }
        return;
    }
    let hangs = route.table("retry").timeout("per_try_timeout").is_none();
    if hangs && let Some(whole) = route.timeout("timeout") {
        let message =
            format!("an upstream that does not answer uses up all {whole:?}, and nothing is left for its fallback");
        context.report.warning(node.at, message, "retry = { per_try_timeout = \"2s\" } leaves it the rest");
    }
}
