//! `compress`: what is named can be compressed, and is there to be.

use super::references;
use crate::config::check::{Context, Reader};
use crate::config::settings::compress::is_grpc;
use crate::config::tree::{Node, Value};

/// What the gateway answers itself is no stream from an upstream, which is what is compressed.
pub(crate) fn upstreams_answers(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(own) = ["redirect", "answer"].into_iter().find(|key| route.get(key).is_some()) else { return };
    let is_none =
        |node: &Node| matches!(&node.value, Value::Bool(false)) || node.list().is_some_and(<[Node]>::is_empty);
    for key in ["compress", "intercept"] {
        // What is shared by all routes is a mistake on none of them.
        if let Some(node) = route.own(key).filter(|node| !is_none(node)) {
            context.report.error(node.at, format!("`{key}` is for the answers of an upstream; this route has `{own}`"));
        }
    }
}

/// Each coding once.
pub(crate) fn codings(context: &mut Context<'_>, compress: &Reader<'_>) {
    references::each_once(context, compress.nodes("codings"), "coding");
}

/// Kinds of content that are compressed already.
const COMPRESSED: [&str; 9] = [
    "image/*",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/avif",
    "audio/*",
    "video/*",
    "application/zip",
    "application/gzip",
];

/// Types that compressing would be of no use to.
pub(crate) fn types(context: &mut Context<'_>, compress: &Reader<'_>) {
    for node in compress.nodes("types") {
        let Some(text) = node.text() else { continue };
        if text.split_once('/').is_some_and(|(kind, subtype)| is_grpc(kind, subtype)) {
            let message = "gRPC has codings of its own, and is never compressed here";
            context.report.error(node.at, message);
        } else if COMPRESSED.contains(&text.to_ascii_lowercase().as_str()) {
            let message = format!("most of {text} is compressed already: this costs time and saves nothing");
            context.report.warning(node.at, message, "name the types that are not, as image/svg+xml");
        }
    }
}
