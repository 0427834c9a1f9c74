//! `[[batches]]`.

use super::compose;
use crate::config::build::batch::id_of;
use crate::config::check::{Context, Reader};
use crate::config::path_pattern::Segment;
use crate::config::problem::{did_you_mean, quoted};
use crate::config::settings::batch::BatchPiece;
use crate::config::value::{batch_call, path_pattern, text};

/// What it answers is a part of another call's answer, and that call is made again where it may have been lost.
pub(crate) fn answers_get(context: &mut Context<'_>, batch: &Reader<'_>) {
    for method in batch.nodes("methods") {
        if method.text().is_some_and(|method| !matches!(method, "GET" | "HEAD")) {
            let help = "what changes something needs a call of its own: write a route for it";
            context.report.error_with(method.at, "a batch answers GET and HEAD", help);
        }
    }
}

/// Which parameter is the id, and that every other one is sent: items of two shops are not the same.
pub(crate) fn placeholders(context: &mut Context<'_>, batch: &Reader<'_>) {
    let pattern = batch.text("path");
    let Ok(segments) = path_pattern::parse(&pattern) else { return };
    let parameters = path_pattern::parameters(&segments);
    if parameters.contains(&"ids") {
        context.report.error(batch.at("path"), "a parameter of a batch is not called \"ids\": that is the list of all");
        return;
    }
    let Some(id) = id_of(&parameters) else {
        let message = "which parameter is an item's id is not clear";
        context.report.error_with(batch.at("path"), message, "call it {id}");
        return;
    };
    if segments.iter().any(|segment| matches!(segment, Segment::Rest(name) if &**name == id)) {
        context.report.error_with(batch.at("path"), "an item's id is one segment", format!("write {{{id}}}"));
    }
    let request = batch.table("request");
    let body = batch_call::body(&request.text("body"), &parameters);
    body_is_json(context, &request, &body);
    let path = request.text("path");
    // A path that is none was reported for itself.
    if (text::CALL.check)(&path).is_err() {
        return;
    }
    let call = match batch_call::target(&path, &parameters) {
        Ok(call) => call,
        Err(unknown) => {
            let message = format!("{} is no parameter of the path", quoted(&unknown));
            let names = parameters.iter().copied().filter(|name| *name != id).chain(["ids"]);
            context.report.error_maybe(request.at("path"), message, did_you_mean(&unknown, names));
            return;
        }
    };
    if let Err(problem) = compose::fixed_shape(&path) {
        context.report.error(request.at("path"), problem);
    }
    for (key, pieces) in [("path", &call), ("body", &body)] {
        if pieces.contains(&BatchPiece::Param(id.to_owned())) {
            let help = "write {ids}, the list of all";
            context.report.error_with(request.at(key), "one item's id has no place in a call for many", help);
        }
    }
    let is_sent = |name: &str| call.iter().chain(&body).any(|piece| *piece == BatchPiece::Param(name.to_owned()));
    for name in parameters.iter().filter(|name| **name != id && !is_sent(name)) {
        let message = format!("the parameter {} is in neither `path` nor `body` of the request", quoted(name));
        let help = "without it, items of all of them would be taken for the same";
        context.report.error_with(batch.at("path"), message, help);
    }
}

/// Who is gathered has time left to be answered.
pub(crate) fn window_within_timeout(context: &mut Context<'_>, batch: &Reader<'_>) {
    let (Some(window), Some(timeout)) = (batch.timeout("window"), batch.timeout("timeout")) else { return };
    if window >= timeout {
        context.report.error(batch.at("window"), "the window is not shorter than the timeout");
    }
}

/// The one call says which items it wants.
pub(crate) fn ids_are_sent(context: &mut Context<'_>, request: &Reader<'_>) {
    let sent = ["path", "body"].iter().any(|key| request.text(key).contains("{ids}"));
    if !sent {
        context.report.error(request.at, "neither `path` nor `body` holds {ids}");
    }
}

/// A body is JSON once its placeholders are filled, each with a value of its own: within a string, the quotes of what a
/// client writes would end the string.
fn body_is_json(context: &mut Context<'_>, request: &Reader<'_>, body: &[BatchPiece]) {
    let sample = |piece: &BatchPiece| match piece {
        BatchPiece::Literal(text) => text.clone(),
        BatchPiece::Ids => "[\"x\",\"y\"]".to_owned(),
        BatchPiece::Param(_) => "\"x\"".to_owned(),
    };
    let filled: String = body.iter().map(sample).collect();
    if !filled.is_empty() && serde_json::from_str::<serde::de::IgnoredAny>(&filled).is_err() {
        let help = "placeholders stand where values do, without quotes, and are {ids} or parameters of the path: body = \
                    \"{\\\"ids\\\": {ids}}\"";
        context.report.error_with(request.at("body"), "the body is not JSON", help);
    }
}

/// A call that can ask for items: what its method says of a body is so.
pub(crate) fn method_can_ask(context: &mut Context<'_>, request: &Reader<'_>) {
    let (method, body) = (request.text("method"), request.text("body"));
    if matches!(&*method, "HEAD" | "OPTIONS" | "DELETE") {
        let message = format!("a call of the method {method} does not ask for items");
        context.report.error_with(request.at("method"), message, "POST and GET do");
    }
    if body.is_empty() {
        return;
    }
    if method == "GET" {
        let help = "write the ids into `path`, or use another method";
        context.report.error_with(request.at("body"), "a GET has no body", help);
    }
}
