//! Edits of headers and of the query that all routes share: where one route's own put them away, that is told.

use std::collections::HashSet;

use crate::config::build;
use crate::config::check::shared_edits::{Lost, TABLES, lost};
use crate::config::check::{Context, Reader};
use crate::config::problem::quoted;

/// Places that are told of; the rest is counted.
const MOST_TOLD: usize = 20;
/// Names that are told of each.
const MOST_NAMES: usize = 5;

/// Warns where edits of `[defaults.route]` do not hold. What a policy puts away is told once, for all of its routes.
pub(crate) fn are_lost(context: &mut Context<'_>, root: &Reader<'_>) {
    let shared: Vec<&str> = TABLES.into_iter().filter(|table| context.shared_edits(table).is_some()).collect();
    if shared.is_empty() {
        return;
    }
    let routes: Vec<Reader<'_>> = build::tables(context, root, "routes").collect();
    let mut seen = HashSet::new();
    for route in &routes {
        // What is shared for upstreams is of no use to a route that answers by itself.
        let asks = build::route::answers_itself(route).is_none();
        for table in shared.iter().filter(|table| asks || **table == "response_headers") {
            for lost in lost(context, route, table) {
                if seen.insert(lost.by) && seen.len() <= MOST_TOLD {
                    tell(context, table, &lost);
                }
            }
        }
    }
    if let Some(more) = seen.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        let at = root.table("defaults").at("route");
        let message = format!("{more} more routes or policies put edits of [defaults.route] away by their own");
        context.report.warning(at, message, "maps and lists of edits are taken as a whole");
    }
}

fn tell(context: &mut Context<'_>, table: &str, Lost { key, by, names }: &Lost) {
    let mut shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| quoted(name)).collect();
    if names.len() > MOST_NAMES {
        shown.push(format!("{} more", names.len() - MOST_NAMES));
    }
    let done = match *key {
        "set" => "set",
        "add" => "added",
        _ => "removed",
    };
    let (are, shown) = (if names.len() == 1 { "is" } else { "are" }, shown.join(", "));
    let message = format!("this stands in place of `{table}.{key}` of [defaults.route]: {shown} {are} not {done} here");
    let help = if *key == "remove" {
        "a list is taken as a whole: write them here too; what only some routes remove is for a policy"
    } else {
        "a map is taken as a whole: write them here too, or name them in `remove` where that is meant"
    };
    context.report.warning(*by, message, help);
}
