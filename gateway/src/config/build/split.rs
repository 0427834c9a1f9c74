//! `split` of a route: for each upstream a route of its own, which no request matches.

use std::sync::Arc;

use crate::config::check::Reader;
use crate::config::schema::route_policy::SPLIT;
use crate::config::settings::Route;
use crate::config::settings::split::{Share, Split};
use crate::config::value::text;

/// What this route's requests are shared by; `None` where it has one upstream.
pub(super) fn split(table: &Reader<'_>, route: &Route) -> Option<Split> {
    table.get("split")?;
    let written: Vec<Reader<'_>> = table
        .nodes("split")
        .iter()
        .map(|node| Some(Reader::new(Some(node.table()?), None, &SPLIT, node.at)))
        .collect::<Option<_>>()?;
    let sticky = |share: &Reader<'_>| share.get("sticky").and_then(|node| text::sticky_key(node.text()?).ok());
    let share = |share: &Reader<'_>| Share {
        weight: share.integer("weight"),
        sticky: sticky(share).is_some(),
        route: Arc::new(to(route, &share.text("upstream"))),
    };
    Some(Split { key: written.iter().find_map(sticky), shares: written.iter().map(share).collect() })
}

/// The route for the requests that one upstream gets. Where they come from and whether they may pass has been judged
/// by then.
fn to(route: &Route, upstream: &str) -> Route {
    let mut own =
        Route { upstream: Arc::from(upstream), origin: None, auth: None, forward_auth: None, ..route.clone() };
    // Nothing stands in for itself.
    own.fallback.take_if(|fallback| fallback.upstream() == Some(upstream));
    own
}
