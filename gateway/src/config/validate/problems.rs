//! `problems`: a body is written or read, and is what it says it is.

use serde::de::IgnoredAny;

use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::key_files;
use crate::config::settings::problems::ProblemBody;
use crate::error::Code;

/// A body is written here or in a file that can be read; one that says that it is JSON is some.
pub(crate) fn one_body(context: &mut Context<'_>, problem: &Reader<'_>) {
    let node = match (problem.get("body"), problem.get("file")) {
        (None, None) => return context.report.error(problem.at, "a problem needs `body` or `file`"),
        (Some(_), Some(file)) => return context.report.error(file.at, "a problem has `body` or `file`, not both"),
        (Some(node), None) | (None, Some(node)) => node,
    };
    let written = if problem.get("file").is_some() {
        // That it is not there has been said.
        let Some(file) = context.file(node) else { return };
        match key_files::read(&file, build::problems::MOST_BYTES) {
            Ok(written) => written,
            Err(why) => return context.report.error(node.at, format!("the body cannot be read: {why}")),
        }
    } else {
        problem.text("body").into_owned().into_bytes()
    };
    let Some(body) = build::problems::body(context.sources, problem) else { return };
    let kind = body.content_type.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_to_be_json = kind == "application/json" || kind.ends_with("+json");
    let is_broken = is_to_be_json && !is_json(&body);
    if has_doubled_braces(&written, is_broken) {
        let help = "braces are written once here, and not twice as in edits of headers: a body is sent as it is written, \
                    but for {request_id}, {code} and {status}";
        context.report.warning(node.at, "the braces of this body are doubled, and are sent so", help);
    } else if is_broken {
        let help = "{request_id} and {code} stand between quotes, {status} may stand alone";
        context.report.warning(node.at, format!("this body is no JSON, and is sent as {kind}"), help);
    }
}

fn is_json(body: &ProblemBody) -> bool {
    let told = body.told(Code::Internal, Code::Internal.status(), b"id");
    serde_json::from_slice::<IgnoredAny>(&told).is_ok()
}

/// Whether braces stand twice where one is meant: around a word, or all of them in what would be JSON otherwise.
fn has_doubled_braces(written: &[u8], is_broken: bool) -> bool {
    let written = String::from_utf8_lossy(written);
    let words = ["{{request_id}}", "{{code}}", "{{status}}"];
    words.iter().any(|word| written.contains(word))
        || (is_broken && written.contains("{{") && {
            let once = written.replace("{{", "{").replace("}}", "}");
            is_json(&ProblemBody::new(None, &once.into_bytes().into(), None))
        })
}
