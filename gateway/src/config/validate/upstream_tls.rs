//! `tls` of `[upstreams.*]`, and upstreams that are written `https://…`.

use super::certificates;
use crate::config::check::{Context, Reader};
use crate::config::load::Purpose;
use crate::config::problem::quoted;
use crate::config::schema::upstream::UPSTREAM;
use crate::config::settings::upstream::Target;
use crate::config::source::Span;
use crate::config::tree::Node;
use crate::config::value::host_port;
use crate::config::value::upstream_url::UpstreamUrl;

/// Whom the gateway believes, and what it shows.
pub(crate) fn tls(context: &mut Context<'_>, tls: &Reader<'_>) {
    certificates::both(context, tls);
    certificates::can_be_used(context, tls, &[]);
    let ca = tls.get("ca");
    let can_be_read = certificates::roots(context, tls, "ca");
    if tls.flag("insecure") {
        let message = "these endpoints need not prove who they are: whoever is on the way reads and changes everything";
        let help = "name who signs their certificates (`ca`), and what they are called (`sni`)";
        context.report.warning(tls.at("insecure"), message, help);
        if let Some(ca) = ca.filter(|_| can_be_read) {
            let help = "take `insecure` away";
            context.report.warning(ca.at, "nobody has to prove anything (insecure), so this decides nothing", help);
        }
    } else if ca.is_none() {
        system_roots(context, tls.at);
    }
}

/// Somebody is believed where no `ca` says who.
fn system_roots(context: &mut Context<'_>, at: Span) {
    let Err(why) = context.system_roots().map(drop) else { return };
    let message = format!("no certificate of an endpoint can be checked: {why}");
    let help = "install the system's certificates (ca-certificates), set SSL_CERT_FILE, or write `ca`";
    match context.purpose {
        // Checks often run elsewhere.
        Purpose::Check | Purpose::CheckElsewhere => context.report.warning(at, message, help),
        Purpose::Run => context.report.error_with(at, message, help),
    }
}

/// Each endpoint has a name that a certificate can be for.
pub(crate) fn names(context: &mut Context<'_>, upstream: &Reader<'_>) {
    if upstream.get("tls").is_none() || upstream.table("tls").get("sni").is_some() {
        return;
    }
    let address = |node: &'_ Node| match node.table() {
        Some(table) => table.get("address").map(|address| (address.at, address.text().map(str::to_owned))),
        None => Some((node.at, node.text().map(str::to_owned))),
    };
    let endpoints = upstream.nodes("endpoints").iter().filter_map(address);
    let dns = upstream.get("discovery").and_then(|_| {
        let discovery = upstream.table("discovery");
        Some((discovery.at("dns"), Some(discovery.get("dns")?.text()?.to_owned())))
    });
    for (at, written) in endpoints.chain(dns) {
        if let Some(target) = written.and_then(|written| host_port::parse(&written).ok()) {
            name(context, at, &target);
        }
    }
}

fn name(context: &mut Context<'_>, at: Span, target: &Target) {
    if let (Target::Name(host, _), None) = (target, target.server_name()) {
        let message = format!("no certificate can be for {}", quoted(host));
        context.report.error_with(at, message, "say with `sni` what the endpoint is called");
    }
}

/// An upstream that a route writes as a URL.
pub(crate) fn url(context: &mut Context<'_>, written: &Node, url: &UpstreamUrl) {
    if context.other_scheme(&url.authority, url.tls) {
        let message = format!("{} is written with http:// and with https://", quoted(&url.authority));
        let help = "one address speaks one of them; for two upstreams write tables [upstreams.NAME]";
        context.report.error_with(written.at, message, help);
    }
    if url.tls {
        let shared = Reader::new(None, context.shared(&UPSTREAM, None), &UPSTREAM, written.at).table("tls");
        tls(context, &shared);
        if shared.get("sni").is_none() {
            name(context, written.at, &url.target);
        }
    }
}
