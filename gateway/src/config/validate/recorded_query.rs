//! `query` of the access log: records are read by many, and kept for long. What clients put in a query is told by its
//! name alone, and no name that carries a secret as a rule is one.

use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::tree::Node;

/// Parameters that are told of one query.
const MOST: usize = 16;
/// Names of credentials: of OAuth and OpenID Connect, SAML, signed URLs and forms.
const SECRET: [&str; 20] = [
    "auth",
    "authcode",
    "bearer",
    "clientassertion",
    "code",
    "codeverifier",
    "cookie",
    "devicecode",
    "hmac",
    "key",
    "otp",
    "pass",
    "pwd",
    "samlart",
    "samlrequest",
    "samlresponse",
    "session",
    "sid",
    "sig",
    "ticket",
];
/// What names hold that are ones of credentials, in any place: `x-amz-signature`, `reset_token`.
const SECRET_PARTS: [&str; 17] = [
    "accesskey",
    "accesstoken",
    "apikey",
    "authkey",
    "authorization",
    "credential",
    "jwt",
    "passcode",
    "passkey",
    "passphrase",
    "passw",
    "privatekey",
    "secret",
    "sessid",
    "sessionid",
    "signature",
    "token",
];
/// Words of names that may be ones of credentials, or hold addresses with queries of their own.
const DOUBTFUL: [&str; 21] = [
    "auth", "callback", "code", "csrf", "goto", "href", "key", "link", "nonce", "otp", "pass", "pin", "private",
    "redirect", "return", "session", "sid", "sig", "uri", "url", "xsrf",
];

/// What is told is no secret, is named, and is not too much.
pub(crate) fn tells_no_secret(context: &mut Context<'_>, root: &Reader<'_>) {
    let log = root.table("telemetry").table("access_log");
    let nodes = log.nodes("query");
    let mut seen: Vec<&str> = Vec::new();
    for node in nodes {
        let Some(name) = node.text() else { continue };
        let shown = quoted(node.shown());
        let plain = name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let is_secret = SECRET.contains(&&*plain) || SECRET_PARTS.iter().any(|part| plain.contains(part));
        if name == "*" {
            let help =
                "name the parameters: of the others some client puts a token into one, and records would hold it";
            context.report.error_with(node.at, "\"*\" would tell whatever clients send", help);
        } else if is_secret {
            let help = "records never hold credentials: leave it out";
            context.report.error_with(node.at, format!("{shown} carries credentials"), help);
        } else if is_asked_as_secret(root, "query", |key| key == name) {
            let help = "a route asks for it with a value from the environment, and records never hold credentials";
            context.report.error_with(node.at, format!("{shown} carries credentials"), help);
        } else if seen.contains(&name) {
            context.report.error(node.at, format!("{shown} is named twice"));
        } else if words(name).any(|word| DOUBTFUL.contains(&&*word)) {
            let help = "whoever reads records reads it: leave it out if it is a secret, or holds an address with one";
            context.report.warning(node.at, format!("{shown} is told in every record"), help);
        }
        seen.push(name);
    }
    if let Some(node) = nodes.get(MOST) {
        context.report.error(node.at, format!("records tell {MOST} parameters of a query at most"));
    }
}

/// Whether a route takes a request by a value, in this table of it and of such a name, that a variable fills in: who
/// knows it is let in. A value that only wants it to be there (`*`) is none.
pub(super) fn is_asked_as_secret(root: &Reader<'_>, table: &str, is: impl Fn(&str) -> bool) -> bool {
    let shared = root.table("defaults").get("route");
    let policies = root.map("policies").iter().map(|entry| &entry.node);
    let all = root.nodes("routes").iter().chain(shared).chain(policies);
    let is_secret = |value: &Node| value.is_filled_in() && value.text() != Some("*");
    let conditions = |node: &'_ Node| {
        node.table()
            .and_then(|route| route.get(table)?.table())
            .is_some_and(|asked| asked.entries.iter().any(|entry| is(&entry.key) && is_secret(&entry.node)))
    };
    all.into_iter().any(conditions)
}

/// The words of a name: `sortKey`, `sort-key` and `sort_key` are `sort` and `key`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && was_lower {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.into_iter()
}
