//! Edits of headers: which go together, whose names they may write, and that each value of the request that they name
//! is one.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};

use super::edit_effects::is_clients;
use super::screening;
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::problem::{nearest, quoted};
use crate::config::schema::aggregate::PART;
use crate::config::settings::header_edits::KnownValue;
use crate::config::tree::{Entry, Node};
use crate::config::value::edit_value::{self, Written};
use crate::config::value::path_pattern;

/// Headers that a message has once, or not at all: a second line is one that somebody does not see.
const ONCE: [&str; 21] = [
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-max-age",
    "age",
    "authorization",
    "content-encoding",
    "content-location",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "origin",
    "referer",
    "retry-after",
    "strict-transport-security",
    "traceparent",
    "user-agent",
    "x-request-id",
];

/// Whether a message has this header once, or not at all.
pub(super) fn is_told_once(name: &str) -> bool {
    ONCE.contains(&name)
}

/// What a table of edits writes.
pub(super) fn written<'a>(edits: &Reader<'a>) -> impl Iterator<Item = &'a Entry> + use<'a> {
    edits.map("set").iter().chain(edits.map("add"))
}

/// A header is written or removed, and set once.
pub(crate) fn once_each(context: &mut Context<'_>, edits: &Reader<'_>) {
    let removed: Vec<String> = edits.texts("remove").iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut seen = Vec::new();
    for entry in edits.map("set") {
        let name = entry.key.to_ascii_lowercase();
        if removed.contains(&name) {
            context.report.error(entry.key_at, format!("{} is both set and removed", quoted(&name)));
        }
        if seen.contains(&name) {
            context.report.error(entry.key_at, format!("{} is set twice", quoted(&name)));
        }
        seen.push(name);
    }
    for entry in edits.map("add") {
        let name = entry.key.to_ascii_lowercase();
        if removed.contains(&name) {
            let message = format!("{} is both added and removed", quoted(&name));
            context.report.error_with(entry.key_at, message, "`set` replaces what is there");
        } else if is_told_once(&name) {
            let message = format!("a message has {} once: a second line would be added", quoted(&name));
            context.report.error_with(entry.key_at, message, "`set` replaces what is there");
        }
    }
}

/// Identity headers come from identity alone: a written one would claim what nobody proved. None is removed either:
/// those of clients are gone before, and what the gateway says of whom it has proven stays.
pub(crate) fn identity(context: &mut Context<'_>, route: &Reader<'_>) {
    let edits = route.table("request_headers");
    for entry in written(&edits) {
        let name = entry.key.to_ascii_lowercase();
        // Many a framework takes other punctuation for a dash (security.md, B4).
        let folded = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let is_identity = context.identity_headers.iter().any(|it| it.names(&name) || it.names(&folded));
        if is_identity {
            let message = format!("{} is an identity header, which only the gateway's identity sets", quoted(&name));
            context.report.error(entry.key_at, message);
        }
    }
    let proves = route.def().key("auth").is_some() && route.get("auth").is_some();
    for node in edits.nodes("remove").iter().filter(|_| proves) {
        let name = node.text().unwrap_or("").to_ascii_lowercase();
        if context.identity_headers.iter().any(|it| it.names(&name)) {
            let message = format!("{} is an identity header, which no edit removes", quoted(&name));
            let help = "no client can send it; what is proven of who asks is the upstream's to know";
            context.report.warning(node.at, message, help);
        }
    }
}

/// What the edits of a route write is there to be written.
pub(crate) fn values(context: &mut Context<'_>, route: &Reader<'_>) {
    let path = route.text("path");
    let Some(parameters) = super::route::parameters(route) else { return };
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    // What routes share for their upstreams is of no use to some of them.
    let asks = build::route::answers_itself(route).is_none();
    if asks {
        cookies_stay(context, &route.table("response_headers"));
    }
    for key in ["request_headers", "response_headers"].into_iter().filter(|key| asks || *key == "response_headers") {
        for entry in written(&route.table(key)) {
            value(context, &entry.node, (&*path, &parameters[..]));
            if key == "response_headers" {
                told_to_client(context, entry);
            }
        }
    }
}

/// One cookie that is set takes all others away, whoever set them.
fn cookies_stay(context: &mut Context<'_>, edits: &Reader<'_>) {
    for entry in edits.map("set").iter().filter(|entry| entry.key.eq_ignore_ascii_case("set-cookie")) {
        let message = "this takes every cookie of the upstream's answers away, sessions too";
        context.report.warning(entry.key_at, message, "`add` leaves them there");
    }
}

/// The same of the parts of an aggregate, whose parameters are those of its path.
pub(crate) fn values_of_parts(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    let path = aggregate.text("path");
    let Ok(segments) = path_pattern::parse(&path) else { return };
    let parameters = path_pattern::parameters(&segments);
    for part in aggregate.nodes("parts") {
        let Some(table) = part.table() else { continue };
        let edits = Reader::new(Some(table), None, &PART, part.at).table("request_headers");
        for entry in written(&edits) {
            value(context, &entry.node, (&*path, &parameters[..]));
        }
    }
}

/// The same of what is answered by what has no upstream's answers: an aggregate, a batch.
pub(crate) fn values_for_client(context: &mut Context<'_>, table: &Reader<'_>) {
    let path = table.text("path");
    let Ok(segments) = path_pattern::parse(&path) else { return };
    let parameters = path_pattern::parameters(&segments);
    for entry in written(&table.table("response_headers")) {
        value(context, &entry.node, (&*path, &parameters[..]));
        told_to_client(context, entry);
    }
}

/// Each name in a value, which is of a route with this path and these parameters.
pub(super) fn value(context: &mut Context<'_>, node: &Node, (path, parameters): (&str, &[&str])) {
    // One that cannot be read was reported for itself.
    let Some(Ok(pieces)) = node.text().map(edit_value::parse) else { return };
    for piece in pieces {
        match piece {
            Written::Known(known) if parameters.contains(&known.as_str()) => {
                let name = known.as_str();
                let message = format!("{{{name}}} is a value of every request, and a parameter of {}", quoted(path));
                context.report.error_with(node.at, message, "give the parameter another name");
            }
            Written::Header(name) => header(context, node, &name),
            Written::Other(name) if !parameters.contains(&name) => unknown(context, node, name, (path, parameters)),
            Written::Literal(_) | Written::Known(_) | Written::Other(_) => {}
        }
    }
}

fn unknown(context: &mut Context<'_>, node: &Node, name: &str, (path, parameters): (&str, &[&str])) {
    // The name is a part of what a variable may hold, which is not shown.
    let shown = if node.text() == Some(node.shown()) { format!("{{{name}}}") } else { quoted(node.shown()) };
    let known = KnownValue::ALL.map(KnownValue::as_str);
    let help = match nearest(name, known.into_iter().chain(parameters.iter().copied())) {
        Some(near) => format!("did you mean {{{near}}}?"),
        None => {
            let all: Vec<String> = parameters.iter().chain(&known).map(|name| format!("{{{name}}}")).collect();
            format!("there are {} and {{header:NAME}}; a brace itself is written twice", all.join(", "))
        }
    };
    let message = format!("{shown} is no value of a request, and no parameter of {}", quoted(path));
    context.report.error_with(node.at, message, help);
}

/// A header of the client's that it can have, and that is no credential: under another name nobody would keep it to
/// themselves.
fn header(context: &mut Context<'_>, node: &Node, name: &HeaderName) {
    if [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name) || context.carries_credentials(name) {
        let message = format!("{} holds a credential, which goes nowhere under another name", quoted(name.as_str()));
        let help = "let the header itself pass, or have identity set what was proven by it";
        return context.report.error_with(node.at, message, help);
    }
    let missing = context.screening.missing(name);
    screening::refuse(context, node.at, missing, None);
}

/// What `cors` decides for each page (Fetch, "CORS protocol").
const OF_CORS: [&str; 5] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-max-age",
];

/// What `cors` says of who may read an answer, no edit says for every page, or takes away again.
pub(crate) fn cors_decides(context: &mut Context<'_>, table: &Reader<'_>) {
    if table.get("cors").is_none() {
        return;
    }
    let edits = table.table("response_headers");
    let removed = || edits.nodes("remove").iter().filter_map(|node| Some((node.at, node.text()?)));
    let named = |entry: &'_ Entry| (entry.key_at, entry.key.clone());
    let taken_away = removed().map(|(at, name)| (at, name.to_owned()));
    for (at, name) in written(&edits).map(named).chain(taken_away) {
        let name = name.to_ascii_lowercase();
        if OF_CORS.contains(&name.as_str()) {
            let message = format!(
                "`cors` decides {}: an edit would hold for every page, also for those that may not",
                quoted(&name)
            );
            context.report.error_with(at, message, "take it out here: `cors` says it, whatever the upstream says");
        }
    }
    let replaced = edits.map("set").iter().map(named).chain(removed().map(|(at, name)| (at, name.to_owned())));
    for (at, _) in replaced.filter(|(_, name)| name.eq_ignore_ascii_case("access-control-expose-headers")) {
        let message = "this takes away what pages may read of the gateway's own headers, as retry-after";
        context.report.warning(at, message, "cors = { expose_headers = [\"NAME\"] } adds to them");
    }
}

/// What clients could write into an answer that others act upon.
fn told_to_client(context: &mut Context<'_>, entry: &Entry) {
    let name = entry.key.to_ascii_lowercase();
    let Some(Ok(pieces)) = entry.node.text().map(edit_value::parse) else { return };
    let origin = |piece: &Written<'_>| matches!(piece, Written::Header(name) if *name == http::header::ORIGIN);
    if name == "access-control-allow-origin" && pieces.iter().any(origin) {
        let message = "every page may read what allows the origin that asks, whichever it is";
        context.report.error_with(entry.node.at, message, "`cors` of the route names who may");
    }
    if name == "set-cookie" && pieces.iter().any(is_clients) {
        let message = "a client could write a cookie's attributes: this value is the client's own";
        context.report.error_with(entry.node.at, message, "let the service set cookies of such values");
    }
}
