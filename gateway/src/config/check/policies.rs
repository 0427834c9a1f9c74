//! `[policies.NAME]`: what a route takes over by naming it. The layers of a route, the first that says something
//! counts: its own table, its `policies` from the last to the first, `[defaults.route]`.
//!
//! Layers below a route's own are laid over each other once for each list of names, as the reader lays a table over
//! what it shares: tables key by key, everything else as a whole.

use std::collections::HashMap;

use crate::config::schema::route::ROUTE;
use crate::config::schema::{Kind, TableDef};
use crate::config::tree::{Entry, Node, Table, Value};

/// What routes share, by the policies that they name. Made before the check, which only looks at it.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    shared: HashMap<Vec<String>, Table>,
    of_silent: Vec<String>,
}

impl Policies {
    /// The layers of every list of names in this configuration.
    pub(crate) fn of(root: &Table) -> Self {
        let top = |key| root.get(key).and_then(Node::table);
        let defaults = top("defaults").and_then(|defaults| defaults.get("route")).and_then(Node::table);
        let Some(policies) = top("policies") else { return Self::default() };
        let of_silent = defaults.and_then(named).unwrap_or_default();
        let routes = root.get("routes").and_then(Node::list).unwrap_or(&[]).iter().filter_map(Node::table);
        let mut shared = HashMap::new();
        for names in routes.filter_map(named).chain([of_silent.clone()]) {
            shared.entry(names).or_insert_with_key(|names| {
                let base = defaults.cloned().unwrap_or_default();
                let layers = names.iter().filter_map(|name| policies.get(name)?.table());
                layers.fold(base, |below, layer| laid_over(&below, layer, &ROUTE))
            });
        }
        Self { shared, of_silent }
    }

    /// What a route of this table shares with others; `None` where nobody wrote a policy.
    pub(crate) fn below(&self, route: Option<&Table>) -> Option<&Table> {
        let own = route.and_then(named);
        self.shared.get(own.as_ref().unwrap_or(&self.of_silent))
    }
}

/// The names in a table's `policies`, if it has such a list.
fn named(table: &Table) -> Option<Vec<String>> {
    let list = table.get("policies")?.list()?;
    Some(list.iter().filter_map(Node::text).map(str::to_owned).collect())
}

/// One table over another: what the upper one says counts.
fn laid_over(below: &Table, above: &Table, def: &TableDef) -> Table {
    let chooses = def.exclusive.iter().any(|key| above.entry(key).is_some());
    let is_hidden = |entry: &&Entry| chooses && def.exclusive.contains(&entry.key.as_str());
    let mut entries: Vec<Entry> = below.entries.iter().filter(|entry| !is_hidden(entry)).cloned().collect();
    for entry in &above.entries {
        match entries.iter_mut().find(|present| present.key == entry.key) {
            Some(present) => *present = over(present, entry, def),
            None => entries.push(entry.clone()),
        }
    }
    Table { entries }
}

fn over(below: &Entry, above: &Entry, def: &TableDef) -> Entry {
    let kind = def.key(&above.key).map(|key| key.kind);
    let Some(Kind::Table(inner) | Kind::OrFalse(inner) | Kind::Short(_, inner)) = kind else { return above.clone() };
    match (below.node.table(), above.node.table()) {
        (Some(low), Some(high)) => {
            let value = Value::Table(laid_over(low, high, inner));
            Entry { node: Node { value, at: above.node.at }, ..above.clone() }
        }
        _ => above.clone(),
    }
}
