//! `[server]` and listeners.

use std::collections::HashSet;

use super::certificates;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::value::host_port;
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

/// A certificate comes with its key; client certificates come with who signs them; a name has one certificate.
pub(crate) fn listener_certificates(context: &mut Context<'_>, tls: &Reader<'_>) {
    certificates::both(context, tls);
    if ["cert", "key", "certificates"].iter().all(|key| tls.get(key).is_none()) {
        context.report.error(tls.at, "tls needs `cert` and `key`, or `certificates`");
    }
    certificates::can_be_used(context, tls, &[]);
    certificates::stapled(context, tls);
    if tls.text("client_auth") != "none" && tls.get("client_ca").is_none() {
        context.report.error(tls.at("client_auth"), "client_auth needs `client_ca`");
    }
    if let Some(node) = tls.get("client_ca")
        && certificates::roots(context, tls, "client_ca")
        && tls.text("client_auth") == "none"
    {
        let help = "write client_auth = \"required\", or \"optional\"";
        context.report.warning(node.at, "no client is asked for a certificate, so this decides nothing", help);
    }
    let mut seen = HashSet::new();
    for node in tls.nodes("certificates").iter().filter_map(|node| node.table()?.get("names")) {
        for name in node.list().iter().flat_map(|list| list.iter()) {
            if name.text().is_some_and(|text| !seen.insert(host_port::without_root(text).to_ascii_lowercase())) {
                let message = format!("the name {} has a certificate already", quoted(name.shown()));
                context.report.error(name.at, message);
            }
        }
    }
}

/// A certificate can be used, and its key is its own, and nobody else's to read.
pub(crate) fn certificate(context: &mut Context<'_>, table: &Reader<'_>) {
    let names = table.texts("names");
    certificates::can_be_used(
        context,
        table,
        &names.iter().map(|name| host_port::without_root(name)).collect::<Vec<_>>(),
    );
    certificates::stapled(context, table);
}

/// Lists that browsers ship with take hosts with a year and their subdomains alone (hstspreload.org).
pub(crate) fn hsts(context: &mut Context<'_>, hsts: &Reader<'_>) {
    const YEAR: u64 = 365 * 86_400;
    if hsts.flag("preload") && (!hsts.flag("include_subdomains") || hsts.duration("max_age").as_secs() < YEAR) {
        let help = "write max_age = \"8760h\" or more, and include_subdomains = true";
        context.report.error_with(hsts.at("preload"), "no list takes a host without a year and its subdomains", help);
    }
}
