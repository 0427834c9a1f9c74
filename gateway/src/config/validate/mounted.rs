//! What a gateway cannot know that is mounted in a program: it sees requests, and neither their connections nor the
//! listeners by which they came, unless the program says so of each.

use super::references::named;
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::registered::Doors;
use crate::config::source::Span;
use crate::config::tree::Node;

/// What a program does about it.
const HELP: &str = "insert a `ClientInfo` into each request and say so by `Builder::with_client_info`, or let the \
                    gateway serve by itself: docs/embedding.md";

/// The same of TLS, which a proxy may have ended.
const HELP_WITH_TLS: &str = "insert a `ClientInfo` into each request and say so by `Builder::with_client_info`, name in \
                             [server] trusted_proxies who ends TLS before the program, or let the gateway serve by \
                             itself: docs/embedding.md";

/// Nothing is written that hangs on how requests come, where nobody says it.
pub(crate) fn is_told_how_requests_come(context: &mut Context<'_>, root: &Reader<'_>) {
    if context.doors() != Doors::Mounted {
        return;
    }
    // A proxy in front of the program may say who came over TLS. Certificates and listeners it cannot tell.
    if root.table("server").texts("trusted_proxies").is_empty() {
        over_tls(context, root);
    }
    certificates(context, root);
    listeners(context, root);
}

fn over_tls(context: &mut Context<'_>, root: &Reader<'_>) {
    let unsaid = "a gateway that is mounted in a program is not told who comes over TLS";
    let asks = |route: &Reader<'_>| route.text("https") != "any";
    if let Some(route) = build::tables(context, root, "routes").find(asks) {
        let meets = if route.text("https") == "redirect" { "is redirected, for ever" } else { "gets 403" };
        context.report.warning(route.at("https"), format!("{unsaid}: every client {meets}"), HELP_WITH_TLS);
    }
    let server = root.table("server");
    if server.get("hsts").is_some() {
        context.report.warning(server.at("hsts"), format!("{unsaid}: no answer has `hsts`"), HELP_WITH_TLS);
    }
}

fn certificates(context: &mut Context<'_>, root: &Reader<'_>) {
    let identity = root.table("identity");
    let providers = identity.map("providers").iter();
    let kinds = providers.filter_map(|entry| entry.node.table()?.get("kind"));
    let kinds: Vec<&Node> = kinds.filter(|kind| kind.text() == Some("mtls")).collect();
    for kind in kinds {
        let message = "a gateway that is mounted in a program is not told of clients' certificates, so nobody can \
                       prove anything by one";
        context.report.warning(kind.at, message, HELP);
    }
}

fn listeners(context: &mut Context<'_>, root: &Reader<'_>) {
    let tables = ["routes", "aggregates", "batches"].into_iter().flat_map(|key| build::tables(context, root, key));
    let named_ones = tables.filter_map(|route| {
        let first = route.nodes("listeners").first()?.at;
        let name = ["name", "path"].into_iter().find_map(|key| route.get(key)?.text().map(str::to_owned));
        Some((first, name.unwrap_or_default()))
    });
    let closed: Vec<(Span, String)> = named_ones.collect();
    let Some((at, _)) = closed.first() else { return };
    let names = named(closed.iter().map(|(_, name)| name.as_str()));
    let message = format!(
        "a gateway that is mounted in a program is not told by which listener a request comes: nobody reaches {names}"
    );
    context.report.warning(*at, message, HELP);
}
