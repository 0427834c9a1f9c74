//! `mirror` of a route: copies are sent by a route of their own, which no request matches.

use std::sync::Arc;

use super::route::{answers_itself, methods, upstreams};
use crate::algorithms::criticality::Criticality;
use crate::config::check::Reader;
use crate::config::settings::Route;
use crate::config::settings::mirror::Mirror;
use crate::config::settings::route::Retry;
use crate::config::tree::Node;

/// The upstream of the copies, where the route asks it itself.
pub(crate) fn to_itself<'a>(table: &Reader<'a>) -> Option<&'a Node> {
    let node = table.get("mirror").and_then(|_| table.table("mirror").get("upstream"))?;
    let fallback = table.get("fallback").and_then(|_| table.table("fallback").get("upstream"));
    let mut asked = upstreams(table).into_iter().chain(fallback);
    (node.text().is_some() && asked.any(|asked| asked.text() == node.text())).then_some(node)
}

/// Whether `mirror` is written for this route, or for all of them, and is of use to it.
pub(crate) fn is_made(table: &Reader<'_>) -> bool {
    table.get("mirror").is_some() && answers_itself(table).is_none() && to_itself(table).is_none()
}

/// Where copies of this route's requests go; `None` where none are made.
pub(super) fn mirror(table: &Reader<'_>, route: &Route) -> Option<Mirror> {
    if !is_made(table) {
        return None;
    }
    let table = table.table("mirror");
    let written = table.texts("methods");
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    let fraction = table.number("fraction");
    let copied = copied(route, &table.text("upstream"));
    (fraction > 0.0).then(|| Mirror {
        fraction,
        methods: methods(&written).unwrap_or_default().into(),
        max_body: table.bound("max_body").map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        route: Arc::new(copied),
    })
}

/// The route for copies: what is sent is the same. It is sent once, nobody waits for its answer, and of all that an
/// upstream may be asked it matters least.
fn copied(route: &Route, upstream: &str) -> Route {
    Route {
        upstream: Arc::from(upstream),
        origin: None,
        auth: None,
        forward_auth: None,
        rate_limits: Vec::new(),
        max_in_flight: None,
        retry: Retry { attempts: 1, ..route.retry.clone() },
        criticality: Criticality::Low,
        breaker: None,
        hedge: None,
        fallback: None,
        cors: None,
        compress: None,
        cache: None,
        coalesce: false,
        websocket: false,
        ..route.clone()
    }
}
