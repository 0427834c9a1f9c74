//! Edits of the query: which go together, that there is somebody to be sent it, and that each value of the request that
//! they name is one.

use super::header_edits::{value, written};
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::settings::header_edits::KnownValue;
use crate::config::tree::{Node, Value};
use crate::config::value::edit_value::{self, Written};

/// Everything passes.
const EVERYTHING: &str = "*";

/// A parameter is written or removed, and a star stands alone.
pub(crate) fn once_each(context: &mut Context<'_>, edits: &Reader<'_>) {
    let (removed, kept) = (edits.texts("remove"), edits.texts("keep"));
    for (key, verb) in [("set", "set"), ("add", "added")] {
        for entry in edits.map(key).iter().filter(|entry| removed.contains(&entry.key)) {
            let message = format!("{} is both {verb} and removed", quoted(&entry.key));
            context.report.error_with(entry.key_at, message, "`set` replaces what is there");
        }
    }
    let star = |node: &&Node| node.text() == Some(EVERYTHING);
    if let Some(node) = edits.nodes("remove").iter().find(star) {
        context.report.error_with(node.at, "\"*\" is the name of no parameter", "`keep = []` lets nothing pass");
    }
    if let Some(node) = edits.nodes("keep").iter().find(star).filter(|_| kept.len() > 1) {
        let help = "name the parameters, or the star alone";
        context.report.error_with(node.at, "\"*\" is everything that a client sends", help);
    }
    for node in edits.nodes("keep").iter().filter(|node| node.text().is_some_and(|it| removed.iter().any(|r| r == it)))
    {
        let message = format!("{} is both kept and removed", quoted(node.shown()));
        context.report.error_with(node.at, message, "what is not kept goes without being named");
    }
}

/// A redirect has the client's query, and a fixed answer none.
pub(crate) fn of_an_upstreams_requests(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(own) = build::route::answers_itself(route) else { return };
    // What is shared by all routes is a mistake on none of them.
    if let Some(node) = route.own("request_query") {
        let message = format!("`request_query` is for a route with an upstream; this one has `{own}`");
        context.report.error(node.at, message);
    }
}

/// What the edits write is there to be written.
pub(crate) fn values(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(parameters) = super::route::parameters(route).filter(|_| build::route::answers_itself(route).is_none())
    else {
        return;
    };
    let (path, parameters) = (route.text("path"), parameters.iter().map(String::as_str).collect::<Vec<_>>());
    for entry in written(&route.table("request_query")) {
        value(context, &entry.node, (&*path, &parameters[..]));
    }
}

/// What is kept of a URL is found again by it, when something has changed there: so what is asked for may hang on the
/// URL, and on nothing else of a request.
pub(crate) fn kept_answers_are_found_again(context: &mut Context<'_>, route: &Reader<'_>) {
    let keeps = route.get("cache").is_some_and(|node| !matches!(node.value, Value::Bool(false)));
    if !keeps || build::route::answers_itself(route).is_some() {
        return;
    }
    for entry in written(&route.table("request_query")) {
        let Some(Ok(pieces)) = entry.node.text().map(edit_value::parse) else { continue };
        let is_of_url = |piece: &Written<'_>| match piece {
            Written::Known(known) => matches!(known, KnownValue::Host | KnownValue::Path),
            Written::Header(_) => false,
            Written::Literal(_) | Written::Other(_) => true,
        };
        if !pieces.iter().all(is_of_url) {
            let message = "answers that are kept hang on the URL, and this value on the request";
            let help = "send it in a header (`request_headers`), which the cache's key has; or cache = false here";
            context.report.error_with(entry.node.at, message, help);
        }
    }
}
