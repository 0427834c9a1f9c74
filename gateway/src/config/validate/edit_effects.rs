//! Edits of headers that do more than they say: those by which others act, whether a browser that follows what a client
//! chose, a service that believes what only proxies tell, or the gateway that ends circles.

use super::header_edits::written;
use crate::config::build;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::aggregate::PART;
use crate::config::settings::header_edits::KnownValue;
use crate::config::tree::{Entry, Node};
use crate::config::value::edit_value::{self, Written};
use crate::config::value::text;

/// By these a browser goes elsewhere, runs what it is told to, shows an answer to others, or forgets what it had.
const ACTED_UPON: [&str; 6] = [
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "link",
    "refresh",
    "strict-transport-security",
];

/// Whether a client chooses this piece.
pub(super) fn is_clients(piece: &Written<'_>) -> bool {
    match piece {
        Written::Header(_) | Written::Other(_) => true,
        Written::Known(known) => matches!(known, KnownValue::Host | KnownValue::Uri | KnownValue::Path),
        Written::Literal(_) => false,
    }
}

/// The same of the route's edits for its upstream and for its clients.
pub(crate) fn of_route(context: &mut Context<'_>, route: &Reader<'_>) {
    if build::route::answers_itself(route).is_none() {
        of_requests(context, &route.table("request_headers"));
    }
    for entry in written(&route.table("response_headers")) {
        of_answers(context, entry);
    }
}

/// The same of the parts of an aggregate.
pub(crate) fn of_parts(context: &mut Context<'_>, aggregate: &Reader<'_>) {
    for part in aggregate.nodes("parts") {
        let Some(table) = part.table() else { continue };
        of_requests(context, &Reader::new(Some(table), None, &PART, part.at).table("request_headers"));
    }
}

fn of_requests(context: &mut Context<'_>, edits: &Reader<'_>) {
    for node in edits.nodes("remove").iter().filter(|node| is_forwarded(node.text().unwrap_or(""))) {
        let (message, help) = ends_no_circle("removed");
        context.report.warning(node.at, message, help);
    }
    for entry in edits.map("set").iter().filter(|entry| is_forwarded(&entry.key)) {
        let (message, help) = ends_no_circle("replaced");
        context.report.warning(entry.key_at, message, help);
    }
    for entry in written(edits) {
        said_by_proxies_alone(context, entry);
    }
}

fn is_forwarded(name: &str) -> bool {
    name.eq_ignore_ascii_case("forwarded")
}

/// In `forwarded` is how often a request has come by (`context/passes.rs`).
fn ends_no_circle(what: &str) -> (String, &'static str) {
    let message = format!("\"forwarded\" is {what}, and with it what tells that a request goes in a circle");
    (message, "without it what leads back to this gateway never ends; leave it, and edit the others (x-forwarded-*)")
}

/// What services believe since no client can say it, made of what a client says.
fn said_by_proxies_alone(context: &mut Context<'_>, entry: &Entry) {
    let Ok(name) = text::header_name(&entry.key) else { return };
    let Some(Ok(pieces)) = entry.node.text().map(edit_value::parse) else { return };
    // What was taken off the path is for the client to choose in any case.
    let is_prefix = name == "x-forwarded-prefix";
    let chosen = pieces.iter().any(|piece| match piece {
        Written::Header(_) => true,
        Written::Other(_) => !is_prefix,
        Written::Literal(_) | Written::Known(_) => false,
    });
    if chosen && context.screening.is_for_proxies_alone(&name) {
        let message = format!("a client writes {} by this value, which services take from proxies", quoted(&entry.key));
        let help = "{client_ip}, {scheme} and {host} are what is known; or name the proxies that set it in \
                    `trusted_proxies` of [server]";
        context.report.warning(entry.node.at, message, help);
    }
}

/// What a client's browser, or another one that is sent there, acts upon.
fn of_answers(context: &mut Context<'_>, entry: &Entry) {
    let name = entry.key.to_ascii_lowercase();
    let Some(Ok(pieces)) = entry.node.text().map(edit_value::parse) else { return };
    // That the origin that asks is let in is an error (`header_edits.rs`).
    let origin = |piece: &Written<'_>| matches!(piece, Written::Header(name) if *name == http::header::ORIGIN);
    if !pieces.iter().any(is_clients) || pieces.iter().any(origin) {
        return;
    }
    if name == "location" {
        return of_location(context, &entry.node, &pieces);
    }
    if ACTED_UPON.contains(&name.as_str()) || name.starts_with("access-control-allow-") {
        let message = format!("browsers act upon {}, and this value is the client's own", quoted(&name));
        let help = "write what is allowed; whoever has somebody follow a link would write it else";
        context.report.warning(entry.node.at, message, help);
    }
}

/// Where a `location` leads.
#[derive(Debug, PartialEq, Eq)]
enum Leads {
    /// To a place on a host that is written there, or on the own one.
    Here,
    /// To the own host, but for a target that begins with two slashes: what follows them is a host.
    ByItsSlashes,
    /// Wherever a client says.
    Anywhere,
}

fn of_location(context: &mut Context<'_>, node: &Node, pieces: &[Written<'_>]) {
    match leads(pieces, context.merges_slashes) {
        Leads::Here => {}
        Leads::ByItsSlashes => {
            let message = "this leads to any host: of `//evil.example/a` it is all that a browser looks at";
            let help = if context.merges_slashes {
                "{path} is the path in its one form, with one slash; or write the host first: https://a.example{uri}"
            } else {
                "write the host before it: https://a.example{uri}"
            };
            context.report.error_with(node.at, message, help);
        }
        Leads::Anywhere => {
            let message = "a browser follows \"location\", and where it leads is the client's to say";
            let help = "begin it with {path}, or with the host that is meant: https://a.example{path}";
            context.report.warning(node.at, message, help);
        }
    }
}

fn leads(pieces: &[Written<'_>], merges_slashes: bool) -> Leads {
    // Both begin with a slash.
    let is_target =
        |piece: Option<&Written<'_>>| matches!(piece, Some(Written::Known(KnownValue::Uri | KnownValue::Path)));
    match pieces {
        [Written::Known(KnownValue::Path), ..] if merges_slashes => Leads::Here,
        [Written::Known(KnownValue::Uri | KnownValue::Path), ..] => Leads::ByItsSlashes,
        [Written::Literal(text), rest @ ..] => {
            let lower = text.to_ascii_lowercase();
            let host = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
            let is_fixed = match host {
                Some(host) => !host.is_empty() && (host.contains(['/', '?', '#']) || is_target(rest.first())),
                None => lower.starts_with('/') && lower.len() > 1 && !lower[1..].starts_with(['/', '\\']),
            };
            if is_fixed { Leads::Here } else { Leads::Anywhere }
        }
        _ => Leads::Anywhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_location_leads_is_seen_by_how_it_begins() {
        for (value, merges_slashes, expected) in [
            ("{uri}", true, Leads::ByItsSlashes),
            ("{uri}?a=b", true, Leads::ByItsSlashes),
            ("{path}", true, Leads::Here),
            ("{path}", false, Leads::ByItsSlashes),
            ("https://a.example{uri}", true, Leads::Here),
            ("HTTPS://a.example/{id}", true, Leads::Here),
            ("https://a.example{id}", true, Leads::Anywhere),
            ("https://{host}{uri}", true, Leads::Anywhere),
            ("/login?to={uri}", true, Leads::Here),
            ("/{id}", true, Leads::Anywhere),
            ("//{id}", true, Leads::Anywhere),
            ("/\\{id}", true, Leads::Anywhere),
            ("{header:x-next}", true, Leads::Anywhere),
            ("{scheme}://{host}{path}", true, Leads::Anywhere),
        ] {
            assert_eq!(leads(&edit_value::parse(value).unwrap(), merges_slashes), expected, "{value}");
        }
    }
}
