//! `openapi` of a route.

use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::problem::quoted;
use crate::config::value::text;
use crate::openapi::{MAX_DOCUMENT_BYTES, Source};

/// A document that is a file is there and can be read, and one that is asked for has somebody to be asked of.
pub(crate) fn readable(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(node) = route.get("openapi") else { return };
    let Some(written) = node.text().filter(|text| !text.is_empty()) else { return };
    if written.starts_with('/') {
        if let Err(why) = (text::CHECK_PATH.check)(written) {
            context.report.error(node.at, format!("openapi: {why}"));
        }
        // What is shared may be of no use to one of those that share it.
        let own = build::route::answers_itself(route).or_else(|| route.get("handler").map(|_| "handler"));
        if let (Some(own), Some(_)) = (own, route.own("openapi")) {
            let message = format!("a path is asked of the route's upstream, and this one has `{own}`");
            context.report.error_with(node.at, message, "a file is written without a slash before it");
        }
        return;
    }
    let path = context.sources.resolve(written, node.at);
    context.held.look_at(&path);
    let help = "a file is named as seen from this one, a path of the upstream begins with a slash";
    match key_files::read(&path, MAX_DOCUMENT_BYTES as u64) {
        Err(why) if context.file(node).is_none() && !path.is_dir() => {
            context.is_not_here(node.at, format!("{}: {why}", quoted(written)), Some(help));
        }
        text => {
            if let Err(why) = text.and_then(|text| Source::read(&text).map(drop)) {
                context.report.error_with(node.at, format!("{}: {why}", quoted(written)), help);
            }
        }
    }
}
