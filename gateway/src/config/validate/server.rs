//! `[server]` and listeners.

use crate::config::check::{Context, Reader};
use crate::config::value::quantity::show_size;

/// What a gateway may take while it does nothing, bytes.
const AT_REST: u64 = 32 << 20;

/// The target is a part of the head, so its limit lies within the head's.
pub(crate) fn target_within_head(context: &mut Context<'_>, server: &Reader<'_>) {
    let (target, head) = (server.size("max_uri_bytes"), server.size("max_header_bytes"));
    if target > head {
        let key = if server.get("max_uri_bytes").is_some() { "max_uri_bytes" } else { "max_header_bytes" };
        let message = format!(
            "max_uri_bytes ({}) is above max_header_bytes ({}), which it is a part of",
            show_size(target),
            show_size(head)
        );
        context.report.error(server.at(key), message);
    }
}

/// A gateway at rest takes some memory itself: with less it would refuse everything.
pub(crate) fn room_to_live(context: &mut Context<'_>, server: &Reader<'_>) {
    if let Some(guard) = server.bound("shed_above_rss")
        && guard < AT_REST
    {
        let message = format!(
            "shed_above_rss ({}) is about what a gateway takes at rest: it may refuse every request",
            show_size(guard)
        );
        let help = format!("set it well above {}, or to \"0\"", show_size(AT_REST));
        context.report.warning(server.at("shed_above_rss"), message, help);
    }
}

/// A certificate comes with its key; client certificates come with who signs them.
pub(crate) fn listener_certificates(context: &mut Context<'_>, tls: &Reader<'_>) {
    let (cert, key) = (tls.get("cert").is_some(), tls.get("key").is_some());
    if cert != key {
        context.report.error(tls.at, "`cert` and `key` belong together");
    } else if !cert && tls.get("certificates").is_none() {
        context.report.error(tls.at, "tls needs `cert` and `key`, or `certificates`");
    }
    if tls.text("client_auth") != "none" && tls.get("client_ca").is_none() {
        context.report.error(tls.at("client_auth"), "client_auth needs `client_ca`");
    }
}
