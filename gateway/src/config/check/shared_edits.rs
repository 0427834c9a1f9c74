//! Edits of `[defaults.route]` that do not hold on a route. `set`, `add` and `remove` are taken as a whole: one that a
//! route writes, or one of its policies, stands in place of the shared one, and what was in that is easily missed.

use super::{Context, Reader};
use crate::config::source::Span;
use crate::config::tree::{Node, Value};

/// The tables of edits that a route has.
pub(crate) const TABLES: [&str; 3] = ["request_headers", "response_headers", "request_query"];
/// What of them is taken as a whole.
const KEYS: [&str; 3] = ["set", "add", "remove"];

/// Edits of one kind that are shared, and do not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// `set`, `add` or `remove`.
    pub(crate) key: &'static str,
    /// What stands in its place.
    pub(crate) by: Span,
    /// The names of what is not edited, as they are written.
    pub(crate) names: Vec<String>,
}

/// What this table of a route's edits leaves out of what all share. A name that the route edits in some other way it
/// has thought of, and who writes an empty table or list means none.
pub(crate) fn lost(context: &Context<'_>, route: &Reader<'_>, table: &str) -> Vec<Lost> {
    let Some(shared) = context.shared_edits(table) else { return Vec::new() };
    let edits = route.table(table);
    let has_case = table == "request_query";
    let folded = |name: &str| if has_case { name.to_owned() } else { name.to_ascii_lowercase() };
    let said: Vec<String> =
        KEYS.iter().filter_map(|key| edits.get(key)).flat_map(names).map(|name| folded(&name)).collect();
    let lost = |key: &'static str| {
        let (before, by) = (shared.get(key)?, edits.get(key)?);
        if before.at == by.at || names(by).is_empty() {
            return None;
        }
        let names: Vec<String> = names(before).into_iter().filter(|name| !said.contains(&folded(name))).collect();
        (!names.is_empty()).then_some(Lost { key, by: by.at, names })
    };
    KEYS.into_iter().filter_map(lost).collect()
}

/// What a map or a list of edits is about.
fn names(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Table(table) => table.entries.iter().map(|entry| entry.key.clone()).collect(),
        Value::List(list) => list.iter().filter_map(Node::text).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
