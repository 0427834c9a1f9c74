//! `forward_auth`: what it is asked by, and what it may say.

use super::header_edits::is_told_once;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;

/// What is copied is what no client may send, and credentials are what clients send.
pub(crate) fn headers(context: &mut Context<'_>, auth: &Reader<'_>) {
    for node in auth.nodes("response_headers") {
        let name = node.text().unwrap_or("").to_ascii_lowercase();
        if matches!(&*name, "authorization" | "cookie") {
            let message = format!("{} would be taken from every client, on every route", quoted(&name));
            context.report.error_with(node.at, message, "let the service answer under a name of its own");
        }
    }
    for node in auth.nodes("client_headers") {
        let name = node.text().unwrap_or("").to_ascii_lowercase();
        if is_told_once(&name) {
            let message = format!("{} is told once, and by the answer that the client gets", quoted(&name));
            context.report.error_with(
                node.at,
                message,
                "let the service answer under a name of its own, or by set-cookie",
            );
        }
    }
}

/// Beside `auth`, identity headers are the identity's; what the service says is not edited away.
pub(crate) fn beside_others(context: &mut Context<'_>, route: &Reader<'_>) {
    if route.get("forward_auth").is_none() {
        return;
    }
    let auth = route.table("forward_auth");
    let edits = route.table("request_headers");
    let removed: Vec<String> = edits.texts("remove").iter().map(|name| name.to_ascii_lowercase()).collect();
    for node in auth.nodes("response_headers") {
        let name = node.text().unwrap_or("").to_ascii_lowercase();
        let mut written = edits.map("set").iter().chain(edits.map("add"));
        if written.any(|entry| entry.key.eq_ignore_ascii_case(&name)) || removed.contains(&name) {
            context.report.error(node.at, format!("{} is edited by `request_headers`", quoted(&name)));
        }
        let is_identity = context.identity_headers.iter().any(|pattern| pattern.names(&name));
        if is_identity && route.get("auth").is_some() {
            let message = format!("{} is an identity header, which this route's `auth` sets", quoted(&name));
            context.report.error(node.at, message);
        }
    }
}
