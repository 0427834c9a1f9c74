//! `request_headers` and `response_headers` of the access log: records are read by many, and kept for long.

use super::recorded_query::is_asked_as_secret;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;

/// Headers that are told of one head.
const MOST: usize = 16;
/// Headers that carry credentials, whatever is configured.
const SECRET: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "sec-websocket-protocol", "set-cookie"];
/// What names of headers hold that carry credentials as a rule.
const DOUBTFUL: [&str; 11] =
    ["api-key", "apikey", "auth", "credential", "csrf", "jwt", "password", "secret", "session", "signature", "token"];

/// What is told is no secret, no claim of who asks, and not too much.
pub(crate) fn tell_no_secret(context: &mut Context<'_>, root: &Reader<'_>) {
    let log = root.table("telemetry").table("access_log");
    let credentials = context.credential_headers();
    let is_asked = |name: &str| is_asked_as_secret(root, "headers", |key| key.eq_ignore_ascii_case(name));
    for key in ["request_headers", "response_headers"] {
        let nodes = log.nodes(key);
        let mut seen: Vec<String> = Vec::new();
        for node in nodes {
            let Some(name) = node.text().map(str::to_ascii_lowercase) else { continue };
            let shown = quoted(node.shown());
            let carries = SECRET.contains(&name.as_str()) || credentials.contains(&name);
            if carries {
                let help = "records never hold credentials: `subject` and `auth` tell what became of them";
                context.report.error_with(node.at, format!("{shown} carries credentials"), help);
            } else if key == "request_headers" && is_asked(&name) {
                let help = "a route asks for it with a value from the environment, and records never hold credentials";
                context.report.error_with(node.at, format!("{shown} carries credentials"), help);
            } else if context.identity_headers.iter().any(|pattern| pattern.names(&name)) {
                let help = "what a client says of it is not believed: `subject` tells who was proven";
                context.report.error_with(node.at, format!("{shown} is an identity header"), help);
            } else if seen.contains(&name) {
                context.report.error(node.at, format!("{shown} is named twice"));
            } else if DOUBTFUL.iter().any(|word| name.contains(word)) {
                let help = "whoever reads records reads it: leave it out if it is a secret";
                context.report.warning(node.at, format!("{shown} is told in every record"), help);
            }
            seen.push(name);
        }
        if let Some(node) = nodes.get(MOST) {
            context.report.error(node.at, format!("records tell {MOST} headers of a head at most"));
        }
    }
}
