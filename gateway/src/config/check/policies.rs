//! `[policies.NAME]`: what a route takes over by naming it. The layers of a route, the first that says something
//! counts: its own table, its `policies` from the last to the first, `[defaults.route]`.
//!
//! Layers below a route's own are laid over each other once for each list of names, as the reader lays a table over
//! what it shares: tables key by key, everything else as a whole.

use std::collections::HashMap;

use super::same::{MAX_COMPARED, same};
use crate::config::schema::route::ROUTE;
use crate::config::schema::{Kind, TableDef};
use crate::config::tree::{Entry, Node, Table, Value};

/// What is told of the policies of one list.
const MOST_TOLD: usize = 20;

/// What routes share, by the policies that they name. Made before the check, which only looks at it.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    shared: HashMap<Vec<String>, Table>,
    /// What policies of these names put away of each other.
    replaced: HashMap<Vec<String>, Vec<Replaced>>,
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
        let replaced = shared.keys().map(|names| (names.clone(), replaced(policies, names))).collect();
        Self { shared, replaced, of_silent }
    }

    /// What a route of this table shares with others; `None` where nobody wrote a policy.
    pub(crate) fn below(&self, route: Option<&Table>) -> Option<&Table> {
        let own = route.and_then(named);
        self.shared.get(own.as_ref().unwrap_or(&self.of_silent))
    }
}

/// A list or a map of which a policy says something that a later one of the same route puts away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Replaced {
    /// The key, behind those of the tables around it: `response_headers`, `set`.
    pub(crate) path: Vec<String>,
    /// The policy whose word does not hold.
    pub(crate) before: String,
    /// The one whose does.
    pub(crate) by: String,
}

impl Replaced {
    /// Whether a route says by itself what it has of this key, and so means it.
    fn is_said_by(&self, route: &Table) -> bool {
        let mut table = route;
        for (depth, key) in self.path.iter().enumerate() {
            let Some(node) = table.get(key) else { return false };
            match node.table() {
                Some(inner) if depth + 1 < self.path.len() => table = inner,
                // `false`, which is none of it, too.
                _ => return true,
            }
        }
        true
    }
}

impl Policies {
    /// What the policies of a route say of lists and maps, and does not hold for another policy's sake. What the route
    /// writes itself it means, and so does a policy that says `false`.
    pub(crate) fn replaced(&self, route: Option<&Table>) -> impl Iterator<Item = &Replaced> {
        let own = route.and_then(named);
        let all = self.replaced.get(own.as_ref().unwrap_or(&self.of_silent));
        all.into_iter().flatten().filter(move |one| !route.is_some_and(|route| one.is_said_by(route)))
    }
}

/// What policies of these names put away of each other; of very much the first.
fn replaced(policies: &Table, names: &[String]) -> Vec<Replaced> {
    let layer = |name: &String| policies.get(name)?.table();
    let layers = names.iter().filter_map(layer);
    let whole = layers.fold(Table::default(), |below, layer| laid_over(&below, layer, &ROUTE));
    let mut replaced = Vec::new();
    for before in names {
        let mut found = Vec::new();
        if let Some(said) = layer(before) {
            put_away((said, &whole), &ROUTE, &mut Vec::new(), &mut found);
        }
        for path in found {
            let writes = |name: &&String| layer(name).is_some_and(|table| has(table, &path));
            let by = names.iter().rev().find(writes).cloned().unwrap_or_default();
            let path = path.iter().map(|key| (*key).to_owned()).collect();
            replaced.push(Replaced { path, before: before.clone(), by });
        }
        if replaced.len() > MOST_TOLD {
            break;
        }
    }
    replaced
}

/// Paths of lists and maps that are in a table and, though others hold there, not in what the layers come to.
fn put_away<'t>(
    (said, whole): (&'t Table, &Table),
    def: &TableDef,
    path: &mut Vec<&'t str>,
    found: &mut Vec<Vec<&'t str>>,
) {
    for entry in &said.entries {
        let (Some(key), Some(holds)) = (def.key(&entry.key), whole.get(&entry.key)) else { continue };
        path.push(&entry.key);
        match key.kind {
            Kind::Table(inner) | Kind::OrFalse(inner) | Kind::Short(_, inner) => {
                if let (Some(said), Some(holds)) = (entry.node.table(), holds.table()) {
                    put_away((said, holds), inner, path, found);
                }
            }
            kind if !holds_all(kind, holds, &entry.node) => found.push(path.clone()),
            _ => {}
        }
        path.pop();
    }
}

/// Whether all that one value says is in the other; of what is no list and no map nobody expects that. Of very long
/// ones only those hold all that are the same.
fn holds_all(kind: Kind, whole: &Node, part: &Node) -> bool {
    match (kind, &whole.value, &part.value) {
        (Kind::List(element, _), Value::List(whole), Value::List(part))
            if whole.len().max(part.len()) > MAX_COMPARED =>
        {
            whole.len() == part.len() && part.iter().zip(whole).all(|(said, holds)| same(*element, holds, said))
        }
        (Kind::List(element, _), Value::List(whole), Value::List(part)) => {
            part.iter().all(|said| whole.iter().any(|holds| same(*element, holds, said)))
        }
        (Kind::Map(_, value), Value::Table(whole), Value::Table(part)) => {
            let among = |said: &Entry| {
                let most = whole.entries.iter().take(MAX_COMPARED);
                most.filter(|holds| holds.key == said.key).any(|holds| same(*value, &holds.node, &said.node))
            };
            part.entries.iter().all(among)
        }
        _ => true,
    }
}

fn has(table: &Table, path: &[&str]) -> bool {
    match path {
        [] => true,
        [key] => table.get(key).is_some(),
        [key, inner @ ..] => table.get(key).and_then(Node::table).is_some_and(|table| has(table, inner)),
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
