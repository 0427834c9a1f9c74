//! What is looked for in a client's headers can be there: a header that the gateway takes from every request before
//! would never be found, and who asks, what is counted or which route is taken would be decided without it.

use http::HeaderName;

use crate::config::check::screening::Missing;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::settings::split::StickyKey;
use crate::config::source::Span;
use crate::config::tree::Node;
use crate::config::value::text;
use crate::context::Taken;

/// Where an identity is in a key of its own.
const PROVEN: &str = "`subject` and `claim:NAME` are what was proven";

/// The header that carries a provider's credentials, or those that do.
pub(crate) fn credentials(context: &mut Context<'_>, provider: &Reader<'_>) {
    let has_places = provider.def().key("token_from").is_some();
    let places = if has_places { provider.nodes("token_from") } else { &[] };
    for node in places {
        let Some(Ok(place)) = node.text().map(text::token_place) else { continue };
        let missing = context.screening.missing(place.header());
        refuse(context, node.at, missing, None);
    }
    if !places.is_empty() {
        return;
    }
    let has_key = provider.def().key("header").is_some();
    let own = if has_key { provider.text("header") } else { "".into() };
    let written = has_key && provider.get("header").is_some();
    let name = if own.is_empty() { "authorization" } else { &*own };
    let missing = text::header_name(name).ok().and_then(|name| context.screening.missing(&name));
    refuse(context, provider.at(if written { "header" } else { "kind" }), missing, None);
}

/// What a limit counts by.
pub(crate) fn limit_key(context: &mut Context<'_>, limit: &Reader<'_>) {
    let Some((node, name)) = limit.get("key").and_then(|node| Some((node, header_of(node)?))) else { return };
    let missing = context.screening.missing(&name);
    refuse(context, node.at, missing, Some(PROVEN));
}

/// What an upstream is balanced by.
pub(crate) fn hash_key(context: &mut Context<'_>, balance: &Reader<'_>) {
    let Some((node, name)) = balance.get("key").and_then(|node| Some((node, header_of(node)?))) else { return };
    let missing = context.screening.missing_at_last(&name);
    refuse(context, node.at, missing, None);
}

/// The cookie that brings clients back.
pub(crate) fn cookie(context: &mut Context<'_>, affinity: &Reader<'_>) {
    let missing = context.screening.missing(&http::header::COOKIE);
    refuse(context, affinity.at, missing, None);
}

/// What a split keeps its clients by, where that is a header of theirs, or of the service that this route asks.
pub(super) fn sticky_key(context: &mut Context<'_>, route: &Reader<'_>, (node, key): (&Node, &StickyKey)) {
    let name = match key {
        StickyKey::Header(name) => name,
        StickyKey::Cookie(_) => &http::header::COOKIE,
        StickyKey::ClientIp | StickyKey::Subject | StickyKey::Claim(_) => return,
    };
    let asked = route.get("forward_auth").map(|_| route.table("forward_auth").texts("response_headers"));
    let is_told = asked.is_some_and(|told| told.iter().any(|told| told.eq_ignore_ascii_case(name.as_str())));
    let has_stages = !route.nodes("stages").is_empty();
    let missing = if is_told {
        None
    } else if has_stages {
        context.screening.missing_at_last(name)
    } else {
        context.screening.missing(name)
    };
    refuse(context, node.at, missing, Some(PROVEN));
}

/// The headers by which a route is told apart.
pub(crate) fn conditions(context: &mut Context<'_>, route: &Reader<'_>) {
    for entry in route.map("headers") {
        let missing = text::header_name(&entry.key).ok().and_then(|name| context.screening.missing(&name));
        refuse(context, entry.key_at, missing, None);
        if entry.key.eq_ignore_ascii_case("host") {
            let message =
                "this is compared with the port that clients write, and comes behind the routes of any `hosts`";
            let is_name = entry.node.text().is_some_and(|name| (text::HOST.check)(name).is_ok());
            let name = Some(entry.node.shown()).filter(|_| is_name);
            let help = format!("write hosts = [{}]: it looks at the name alone", quoted(name.unwrap_or("a.example")));
            context.report.warning(entry.key_at, message, help);
        }
    }
}

/// `header:NAME`, or the header that `cookie:NAME` is in.
fn header_of(node: &Node) -> Option<HeaderName> {
    match node.text()?.split_once(':')? {
        ("header", name) => text::header_name(name).ok(),
        ("cookie", _) => Some(http::header::COOKIE),
        _ => None,
    }
}

pub(super) fn refuse(context: &mut Context<'_>, at: Span, missing: Option<Missing>, proven: Option<&str>) {
    let Some(Missing { taken, message, help }) = missing else { return };
    let help = match proven {
        Some(proven) if taken == Taken::Identity => format!("{help}; {proven}"),
        _ => help,
    };
    context.report.error_with(at, message, help);
}
