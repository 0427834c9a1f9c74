//! `problems`: a body is written or read, and is what it says it is.

use serde::de::IgnoredAny;

use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::error::Code;

/// A body is written here or in a file that can be read; one that says that it is JSON is some.
pub(crate) fn one_body(context: &mut Context<'_>, problem: &Reader<'_>) {
    let node = match (problem.get("body"), problem.get("file")) {
        (None, None) => return context.report.error(problem.at, "a problem needs `body` or `file`"),
        (Some(_), Some(file)) => return context.report.error(file.at, "a problem has `body` or `file`, not both"),
        (Some(node), None) | (None, Some(node)) => node,
    };
    if problem.get("file").is_some() {
        // That it is not there has been said.
        let Some(file) = context.file(node) else { return };
        if let Err(why) = key_files::read(&file, build::problems::MOST_BYTES) {
            return context.report.error(node.at, format!("the body cannot be read: {why}"));
        }
    }
    let Some(body) = build::problems::body(context.sources, problem) else { return };
    let kind = body.content_type.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || kind.ends_with("+json");
    let told = body.told(Code::Internal, Code::Internal.status(), b"id");
    if is_json && serde_json::from_slice::<IgnoredAny>(&told).is_err() {
        let help = "{request_id} and {code} stand between quotes, {status} may stand alone";
        context.report.warning(node.at, format!("this body is no JSON, and is sent as {kind}"), help);
    }
}
