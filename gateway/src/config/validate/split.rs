//! `split`: who shares a route's requests, and what clients are kept by.

use super::screening;
use crate::config::build::upstream::affinity_cookie;
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;
use crate::config::schema::route_policy::SPLIT;
use crate::config::settings::split::StickyKey;
use crate::config::tree::{Node, Value};
use crate::config::value::text;

/// Each upstream once, and somebody has a share.
pub(crate) fn shares(context: &mut Context<'_>, route: &Reader<'_>) {
    let shares = written(route);
    for (position, share) in shares.iter().enumerate() {
        let Some(node) = share.get("upstream") else { continue };
        let name = node.text();
        if name.is_some() && shares[..position].iter().any(|before| before.get("upstream").and_then(Node::text) == name)
        {
            context.report.error(node.at, "this upstream is named twice");
        }
    }
    // What is no number at all has been told of, and says nothing.
    let is_nothing = |share: &Reader<'_>| matches!(share.get("weight").map(|it| &it.value), Some(Value::Integer(0)));
    if !shares.is_empty() && shares.iter().all(is_nothing) {
        context.report.error_with(route.at("split"), "every upstream has weight 0", "give one of them a weight");
    }
}

/// One key for all, and one that can be there.
pub(crate) fn keys(context: &mut Context<'_>, route: &Reader<'_>) {
    let shares = written(route);
    let mut first: Option<&str> = None;
    for node in shares.iter().filter_map(|share| share.get("sticky")) {
        let Some((written, Ok(key))) = node.text().map(|written| (written, text::sticky_key(written))) else {
            continue;
        };
        match first {
            Some(first) if first != written => {
                let message = format!("another upstream of this split keeps its clients by {}", quoted(first));
                context.report.error_with(node.at, message, "one key decides for all: write the same one");
            }
            Some(_) => {}
            None => {
                first = Some(written);
                can_be_there(context, route, (node, &key));
                tells_clients_apart(context, &shares, (node, &key));
            }
        }
    }
}

fn can_be_there(context: &mut Context<'_>, route: &Reader<'_>, (node, key): (&Node, &StickyKey)) {
    if key.needs_identity() && route.get("auth").is_none() {
        let message = "this route proves nobody's identity, so it has no such key";
        context.report.error_with(node.at, message, "write auth = { providers = [\"NAME\"] }, or another key");
    }
    screening::sticky_key(context, route, (node, key));
}

/// The cookie of an `affinity` stands for an endpoint: it is one for all the clients that this one has answered, and
/// another one as soon as a client comes to another upstream.
fn tells_clients_apart(context: &mut Context<'_>, shares: &[Reader<'_>], (node, key): (&Node, &StickyKey)) {
    let StickyKey::Cookie(cookie) = key else { return };
    let named = shares.iter().filter_map(|share| share.get("upstream")?.text());
    let sets_it = |name: &&str| {
        let affinity = context.upstream(name).filter(|it| it.get("affinity").is_some()).map(|it| it.table("affinity"));
        affinity.is_some_and(|affinity| affinity_cookie(name, &affinity) == **cookie)
    };
    let mut setting = named.filter(sets_it);
    if let Some(upstream) = setting.next() {
        let message = format!(
            "this cookie is the `affinity` of the upstream {}: it names an endpoint, and is the same for all clients of that",
            quoted(upstream)
        );
        let help = "keep clients by client_ip, or by a cookie that the services set";
        context.report.error_with(node.at, message, help);
    }
}

fn written<'a>(route: &Reader<'a>) -> Vec<Reader<'a>> {
    let nodes = route.nodes("split").iter();
    nodes.filter_map(|node| Some(Reader::new(Some(node.table()?), None, &SPLIT, node.at))).collect()
}
