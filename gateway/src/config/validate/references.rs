//! Names of upstreams, providers and limits: each exists. And who is not protected.

use super::upstream_tls;
use crate::config::check::policies::Replaced;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::tree::Node;
use crate::config::value::upstream_url;

/// Routes that one warning names.
const MOST_NAMED: usize = 20;

/// A list of names has each once; `what` they are called.
pub(crate) fn each_once(context: &mut Context<'_>, written: &[Node], what: &str) {
    for (position, node) in written.iter().enumerate() {
        if node.text().is_some() && written[..position].iter().any(|before| before.text() == node.text()) {
            context.report.error(node.at, format!("this {what} is named twice"));
        }
    }
}

/// A route's upstream and limits.
pub(crate) fn route(context: &mut Context<'_>, route: &Reader<'_>) {
    upstream_or_url(context, route);
    asked_by_its_name(context, route);
    // A redirect and a fixed answer give nothing away but what is written.
    let is_closed = ["forward_auth", "redirect", "answer"].iter().any(|key| route.get(key).is_some());
    rate_limits(context, route);
    policies(context, route);
    if !is_closed {
        open_to_all(context, route);
    }
}

/// Who is asked whether a request may pass.
pub(crate) fn forward_auth(context: &mut Context<'_>, auth: &Reader<'_>) {
    upstream_or_url(context, auth);
}

fn upstream_or_url(context: &mut Context<'_>, table: &Reader<'_>) {
    let Some(node) = table.get("upstream") else { return };
    match node.text().map(|text| (upstream_url::is_url(text), upstream_url::parse(text))) {
        Some((true, Ok(url))) => upstream_tls::url(context, node, &url),
        Some((false, _)) => context.upstream_exists(node),
        _ => {}
    }
}

/// A public service is asked over TLS by its own name; the host that clients ask the gateway for is mostly another.
fn asked_by_its_name(context: &mut Context<'_>, route: &Reader<'_>) {
    let Some(node) = route.get("upstream") else { return };
    let url = node.text().and_then(|text| upstream_url::parse(text).ok());
    let Some((name, asked)) = url.as_ref().and_then(|url| url.public_name().zip(url.public_host())) else { return };
    let covers = |host: &String| match host.strip_prefix('*') {
        Some(parent) => name.ends_with(&parent.to_ascii_lowercase()),
        None => host.eq_ignore_ascii_case(name),
    };
    if route.get("host").is_some() || route.texts("hosts").iter().any(covers) {
        return;
    }
    let message = format!("{} is sent the `Host` that the client asked for, which is another name", quoted(name));
    let help = format!("write host = \"{asked}\", or host = \"client\" where that is meant");
    context.report.warning(node.at, message, help);
}

/// The limits of a route, an aggregate or a batch; a warning where nobody is asked for identity.
pub(crate) fn limits(context: &mut Context<'_>, route: &Reader<'_>) {
    rate_limits(context, route);
    open_to_all(context, route);
}

/// The listeners by which a route, an aggregate or a batch is reached.
pub(crate) fn listeners(context: &mut Context<'_>, route: &Reader<'_>) {
    let written = route.nodes("listeners");
    written.iter().for_each(|node| context.listener_exists(node));
    each_once(context, written, "listener");
}

fn policies(context: &mut Context<'_>, route: &Reader<'_>) {
    let written = route.nodes("policies");
    written.iter().for_each(|node| context.policy_exists(node));
    each_once(context, written, "policy");
    replaced(context, route, written);
}

/// Lists and maps are taken as a whole: of two policies that write one, the route has what the last one says.
fn replaced(context: &mut Context<'_>, route: &Reader<'_>, written: &[Node]) {
    for Replaced { path, before, by } in context.replaced(route) {
        let at = written.iter().find(|node| node.text() == Some(by.as_str())).map_or(route.at, |node| node.at);
        let (key, before, by) = (path.join("."), quoted(&before), quoted(&by));
        let message = format!("the policies {before} and {by} both write `{key}`: only what {by} says of it counts");
        let help = format!("write `{key}` in the route, with all that is to hold, or in one policy alone");
        context.report.warning(at, message, help);
    }
}

fn rate_limits(context: &mut Context<'_>, route: &Reader<'_>) {
    let written = route.nodes("rate_limits");
    for node in written {
        context.limit_exists(node);
        counted_by_address(context, route, node);
    }
    each_once(context, written, "limit");
}

/// Where nobody proves who they are, a limit by identity counts by address: that has to be meant.
fn counted_by_address(context: &mut Context<'_>, route: &Reader<'_>, node: &Node) {
    // What routes share counts for each as it can.
    if route.own("rate_limits").is_some()
        && route.get("auth").is_none()
        && let Some(key) = node.text().and_then(|name| context.limit_by_identity(name))
    {
        let message =
            format!("this limit counts by {key}, which no request of this route proves: it counts by address");
        let help = "write `auth`, or take a limit by client_ip, or say in the limit what holds for who is `anonymous`";
        context.report.warning(node.at, message, help);
    }
}

fn open_to_all(context: &mut Context<'_>, route: &Reader<'_>) {
    if context.has_providers() && route.get("auth").is_none() && !route.says_none("auth") {
        let name = ["name", "path"].into_iter().find_map(|key| route.get(key)?.text().map(str::to_owned));
        context.open_to_all.push((route.at, name.unwrap_or_default()));
    }
}

/// One warning for all routes that everybody may use: of many that are meant to be open, none pushes an error away.
pub(crate) fn all_open(context: &mut Context<'_>) {
    let open = std::mem::take(&mut context.open_to_all);
    let Some((at, _)) = open.first() else { return };
    let help = "write auth = { providers = [\"NAME\"] }, with optional = true perhaps, or auth = false where that is \
                meant";
    let named = named(open.iter().map(|(_, name)| name.as_str()));
    let message = match open.len() {
        1 => "this route has no `auth`: everybody may use it".to_owned(),
        count => format!("{count} routes have no `auth`, everybody may use them: {named}"),
    };
    context.report.warning(*at, message, help);
}

/// The first of some names, and how many more there are.
pub(super) fn named<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    let first = names.take(MOST_NAMED).map(quoted).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

/// The providers of a route.
pub(crate) fn auth(context: &mut Context<'_>, auth: &Reader<'_>) {
    for node in auth.nodes("providers") {
        context.provider_exists(node);
    }
}

/// A table's `upstream`, which is a name and no URL.
pub(crate) fn named_upstream(context: &mut Context<'_>, table: &Reader<'_>) {
    if let Some(node) = table.get("upstream") {
        context.upstream_exists(node);
    }
}
